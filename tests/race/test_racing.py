"""Racing as a pure function: scores in, survivors out; and the surrogate that proposes."""

import itertools

import numpy as np
import pytest

from keras_acts.search import ActivationSpace, Candidate
from keras_acts.search.race.race import Race, RungResult, survivors
from keras_acts.search.race.schedule import cost, schedule
from keras_acts.search.race.surrogate import Surrogate, SurrogateProposer, observations
from keras_acts.search.space.embedding import embeddings

NAN = np.nan


def run(race, score):
    """Run a race whose scores are ``score(candidate, seed, epochs)``; return it."""
    while (task := race.ask()) is not None:
        race.tell(
            np.array(
                [[score(c, s, task.epochs) for s in range(task.seeds)] for c in task.candidates]
            )
        )
    return race


@pytest.mark.once
def test_the_best_go_on_and_the_baseline_always_stays():
    scores = np.array([[0.0], [0.5], [NAN], [0.3], [0.9]])
    assert survivors(scores, 2) == [0, 4, 1]
    assert survivors(scores, 9) == [0, 4, 1, 3]
    assert survivors(np.array([[NAN], [0.5], [0.6]]), 1) == [0, 2]
    assert survivors(np.array([[NAN, 1], [1, NAN], [NAN, NAN]]), 2) == [0]


@pytest.mark.once
@pytest.mark.parametrize("seed", range(20))
def test_survivors_hold_their_properties(seed):
    rng = np.random.default_rng(seed)
    k, s, keep = rng.integers(2, 40), rng.integers(1, 6), int(rng.integers(1, 20))
    scores = rng.normal(size=(k, s))
    scores[rng.random(k) < rng.choice([0, 0.1, 0.35, 0.6, 1])] = NAN
    healthy = np.isfinite(scores[1:]).all(axis=1)
    kept = survivors(scores, keep)
    assert kept[0] == 0
    assert len(kept) == len(set(kept)) == 1 + min(keep, healthy.sum())
    means = scores.mean(axis=1)
    assert all(np.isfinite(means[i]) for i in kept[1:])
    assert all(np.diff(means[kept[1:]]) <= 0)
    order = rng.permutation(np.arange(1, k))
    mixed = survivors(scores[[0, *order]], keep)
    assert [0, *(order[i - 1] for i in mixed[1:])] == kept
    assert survivors(scores * 3 - 7, keep) == kept
    fewer = survivors(scores, keep, level=0.05)
    assert set(fewer) <= set(kept) | set(range(k))
    assert len(fewer) <= len(kept)


@pytest.mark.once
def test_who_is_surely_worse_leaves_although_there_is_a_place():
    noise = np.random.default_rng(1).normal(size=(4, 8)) * 0.1
    scores = np.array([[0.0], [1.0], [0.98], [0.0]]) + noise
    assert survivors(scores, 3, level=0.05) == [0, 1, 2]
    assert survivors(scores, 3) == [0, 1, 2, 3]
    # a difference without any spread is no evidence, nor is one seed
    assert survivors(scores[:, :1], 3, level=0.05) == [0, 1, 2, 3]
    assert survivors(np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]), 3, level=0.05) == [0, 1, 2]


@pytest.mark.once
@pytest.mark.parametrize(("count", "seeds"), [(3, 2), (10, 4), (10, 8)])
def test_the_best_of_all_seldom_leaves_by_the_test(count, seeds):
    rng = np.random.default_rng(count)
    lost = 0
    for _ in range(2000):
        scores = rng.normal(size=(count, seeds)) + rng.normal(size=seeds) * 3
        # all are equal, which is the hardest case; "the best" is any of them but the baseline
        lost += 1 not in survivors(scores, count, level=0.05)
    assert lost / 2000 < 0.05


@pytest.mark.once
@pytest.mark.parametrize("trials", [1, 2, 3, 8, 20, 64])
@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 50])
def test_a_schedule_keeps_its_budget(trials, epochs):
    for total in (None, trials * epochs * 3):
        rungs = schedule(trials, epochs, total, starts=9)
        assert rungs[0].keep == 0
        assert rungs[-1].epochs == epochs
        assert all(
            a.epochs <= b.epochs and a.seeds <= b.seeds for a, b in itertools.pairwise(rungs)
        )
        assert all(rung.keep >= 1 for rung in rungs[1:])
        # at least the baseline and one more run to the end
        assert cost(rungs) <= max(total or trials * epochs, 8 * epochs)
        if trials >= 8:
            assert cost(rungs) >= 0.7 * (total or trials * epochs)


@pytest.mark.once
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_the_rungs_to_come_fit_into_what_is_left(fraction, after):
    def propose(rounds, known, count):
        return [c for c in range(100) if c not in known][:count]

    race = Race(range(9), schedule(40, 20, starts=9), propose)
    for _ in range(after):
        task = race.ask()
        race.tell(np.array([[c] * task.seeds for c in task.candidates], float))
    planned, done = race.rungs, cost(race.rungs[:after])
    left = int(fraction * (cost(planned) - done))
    race.replan(left)
    assert race.rungs[:after] == planned[:after]
    assert race.rungs[-1].epochs == 20
    # at least the baseline and one more run to the end
    assert cost(race.rungs) - done <= max(left, 2 * 3 * race.rungs[-1].seeds * 20)
    if fraction == 1:
        assert race.rungs == planned
    else:
        assert cost(race.rungs) < cost(planned)
    run(race, lambda candidate, seed, epochs: candidate)
    assert [len(r.task.candidates) for r in race.rounds[after:]] == [
        1 + r.keep + r.enter for r in race.rungs[after:]
    ]


@pytest.mark.once
@pytest.mark.parametrize("share", [0.1, 0.35, 0.6])
@pytest.mark.parametrize("seed", range(5))
def test_divergence_never_shrinks_a_rung(share, seed):
    rng = np.random.default_rng(seed)
    pool = list(range(200))
    diverging = set(rng.choice(np.arange(1, 200), int(200 * share), replace=False).tolist())
    late = {c for c in diverging if c % 2}  # half of them only after some epochs
    true = rng.random(200)

    def score(candidate, run_seed, epochs):
        gone = candidate in diverging and (candidate not in late or epochs > 5)
        return NAN if gone else true[candidate]  # without a spread nobody is surely worse

    def propose(rounds, known, count):
        return [c for c in pool if c not in known][:count]

    rungs = schedule(32, 20, starts=10)
    race = run(Race(pool[:10], rungs, propose), score)
    for before, rung, done in zip([None, *race.rounds], rungs, race.rounds, strict=False):
        quota = rung.keep + rung.enter
        assert len(done.task.candidates) - 1 == (quota if before is None else min(quota, len(pool)))
        if before is not None:
            diverged = {
                c for c, m in zip(before.task.candidates, before.means, strict=True) if np.isnan(m)
            }
            assert not diverged & set(done.task.candidates[1:])
    last = race.rounds[-1]
    alive = [c for c in last.task.candidates if c not in diverging]
    assert last.task.candidates[int(np.nanargmax(last.means))] == max(alive, key=lambda c: true[c])


@pytest.mark.once
def test_the_best_of_each_kind_comes_before_the_second_best_of_any():
    scores = np.array([[0.0], [0.9], [0.8], [0.7], [0.1], [NAN]])
    kinds = ["relu", "elu", "elu", "elu", "gelu", "mish"]
    assert survivors(scores, 2, kinds=kinds) == [0, 1, 4]
    assert survivors(scores, 3, kinds=kinds) == [0, 1, 4, 2]
    assert survivors(scores, 9, kinds=kinds) == [0, 1, 4, 2, 3]


@pytest.mark.once
def test_variants_of_one_that_learns_fast_do_not_crowd_out_what_learns_slowly():
    starts = ["relu", "elu 0", "gelu 0", "tanh 0"]
    variants = [f"elu {i}" for i in range(1, 60)]

    def score(candidate, seed, epochs):
        kind, _, number = candidate.partition(" ")
        fast, best = {
            "relu": (0.4, 0.7),
            "elu": (0.6, 0.8),
            "gelu": (0.5, 0.9),
            "tanh": (0.3, 0.6),
        }[kind]
        return (fast if epochs < 10 else best) + int(number or 0) * 1e-4

    def found(**kinds):
        def propose(rounds, known, count):
            return [c for c in variants if c not in known][:count]

        race = run(Race(starts, schedule(20, 10, starts=4), propose, **kinds), score)
        last = race.rounds[-1]
        return last.task.candidates[int(np.argmax(last.means))]

    assert found(kind=lambda candidate: candidate.split()[0]) == "gelu 0"
    assert found() == "elu 16"


@pytest.mark.once
def test_same_scores_same_race():
    def score(candidate, seed, epochs):
        return np.sin(candidate * 3 + seed) + epochs

    def made():
        return Race(
            range(5),
            schedule(12, 8, starts=5),
            lambda rounds, known, count: [c for c in range(60) if c not in known][:count],
        )

    one, two = run(made(), score), run(made(), score)
    assert [r.task for r in one.rounds] == [r.task for r in two.rounds]
    with pytest.raises(ValueError, match="must be those of the task"):
        one.tell(np.zeros((1, 1)))


def test_aliases_have_one_shape_and_alpha_is_smooth():
    found = embeddings(
        [Candidate.of(text) for text in ("relu", "elu(alpha=1e-9)", "leaky_relu(alpha=1e-9)")]
    )
    np.testing.assert_allclose(found - found[0], 0, atol=1e-6)
    leaky = embeddings([Candidate.of("leaky_relu", alpha=alpha) for alpha in (0.0, 0.1, 0.2, 0.4)])
    distances = np.linalg.norm(leaky - leaky[0], axis=1)
    np.testing.assert_allclose(distances, distances[1] * np.array([0, 1, 2, 4]), rtol=1e-5)
    assert np.isfinite(
        embeddings([Candidate.of("prelu"), Candidate.of("leaky_relu(alpha=1e38)")])
    ).all()


@pytest.mark.once
def test_the_surrogate_finds_the_best_alpha_from_noisy_scores():
    rng = np.random.default_rng(0)
    seen, asked = np.linspace(0, 1, 12)[:, None], np.linspace(0, 1, 101)[:, None]
    truth = -((seen[:, 0] - 0.6) ** 2)
    surrogate = Surrogate(seen, truth + rng.normal(size=12) * 0.02, np.ones(12))
    mean, sd = surrogate.predict(asked)
    assert abs(asked[np.argmax(mean), 0] - 0.6) < 0.1
    assert (sd >= 0).all()
    surer = surrogate.believing(asked[50], float(mean[50]))
    assert surer.predict(asked[50:51])[1][0] < sd[50]


@pytest.mark.once
def test_the_surrogate_is_the_process_of_the_textbook():
    """Universal kriging with a constant mean.

    Rasmussen and Williams (2006), 2.7, by explicit inverses.
    """
    rng = np.random.default_rng(1)
    seen, asked = rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    scores, counts = rng.normal(size=9), rng.integers(1, 9, 9)
    surrogate = Surrogate(seen, scores, counts)
    fit = surrogate._fit

    def covariances(one, other):
        r = np.sqrt(5) * np.linalg.norm(one[:, None] - other[None], axis=-1) / fit._length
        return (1 + r + r**2 / 3) * np.exp(-r)

    centre = np.median(scores)
    scale = 1.4826 * np.median(np.abs(scores - centre))
    y = np.maximum((scores - centre) / scale, -4)
    inverse = np.linalg.inv(covariances(seen, seen) + np.diag(fit._noise))
    mean = (inverse @ y).sum() / inverse.sum()
    variance = ((y - mean) @ inverse @ (y - mean) + 2) / (9 + 2)
    cross = covariances(asked, seen)
    expected = centre + scale * (mean + cross @ inverse @ (y - mean))
    deviation = scale * np.sqrt(variance * (1 - np.einsum("ij,jk,ik->i", cross, inverse, cross)))
    found = surrogate.predict(asked)
    np.testing.assert_allclose(found[0], expected, rtol=1e-8)
    np.testing.assert_allclose(found[1], deviation, rtol=1e-8)


def test_proposals_are_new_and_near_what_was_good():
    space = ActivationSpace(["relu", "leaky_relu"])
    pool = space.grid(20)
    proposer = SurrogateProposer(pool, embeddings)
    race = Race(pool[:8], schedule(8, 4, starts=8), proposer)
    task = race.ask()
    alphas = np.array([dict(c.parameters).get("alpha", 0.0) for c in task.candidates])
    done = [RungResult(task, alphas[:, None] * 1.0)]  # the larger the better
    found = proposer(done, set(task.candidates), 4)
    assert len(set(found)) == 4
    assert not set(found) & set(task.candidates)
    assert min(dict(c.parameters)["alpha"] for c in found) > alphas.max()


@pytest.mark.once
def test_scores_of_an_earlier_round_are_moved_to_the_later_scale():
    race = Race(range(4), schedule(4, 4, starts=4), lambda rounds, known, count: [])
    run(race, lambda c, s, epochs: 10 * epochs - c)
    candidates, values, counts = observations(race.rounds)
    assert sorted(candidates) == [0, 1, 2, 3]
    np.testing.assert_allclose(values[np.argsort(candidates)], 40 - np.arange(4))
    assert counts.max() == race.rounds[-1].task.seeds
