"""Break the code on purpose, one place at a time, and see that a test notices.

    python -m tests.mutants              # every break, about a minute each
    python -m tests.mutants --only seed  # those whose name holds a word

Each break is made in a copy of the checkout, and the tests named with it run there until the first
fails. The table says which test that was. A break that no test notices, or that no longer fits the
code, ends the command with 1.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPIED = ("keras_acts", "search", "tests", "benchmarks", "examples", "saved_models", "docs")
# pytest's exit status where tests ran and some failed; any other is a mistake of ours, such as a
# name that is not there
SOME_FAILED = 1


@dataclass(frozen=True)
class Mutant:
    """One wrong line: in `file`, `new` takes the place of `old`, which stands there once.

    Pytest runs `tests`.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant(
        name="a race is planned that is a little slower than to train all to the end",
        file="search/race/planner.py",
        old="Kind.RACE: measured.RACE_OF_TOGETHER * plain,",
        new="Kind.RACE: measured.LONGER_THAN_TOGETHER * plain,",
        tests="tests/race/test_planner.py::test_a_race_that_would_be_slower_is_not_planned",
    ),
    Mutant(
        name="where the time is short a short race gives its finalists a second seed",
        file="search/race/race.py",
        old="if self._gives_more_seeds:",
        new="if True:",
        tests="tests/race/test_planner.py::test_where_the_time_is_short_a_short_race_lets_fewer_train_on",
    ),
    Mutant(
        name="a trained activation inside a wrapper starts as another candidate's",
        file="search/rewrite/walk.py",
        old='yield f"{OF_ACTIVATION}{number}.{variable.name}", variable',
        new='yield f"of.{number}.{variable.name}", variable',
        tests="tests/population/test_members_inside.py::test_trained_activations_inside_keras_own_layers_have_starts_of_their_own",
    ),
    Mutant(
        name="a copy of a user's layer that makes something else is none the less a copy",
        file="search/rewrite/sample_run.py",
        old="return all(map(_are_close, ours, others))",
        new="return True",
        tests="tests/rewrite/test_custom_layers.py::test_a_copy_that_makes_something_else_is_refused",
    ),
    Mutant(
        name="an activation that a layer holds and does not apply is a slot",
        file="search/rewrite/inner_slots.py",
        old="if not all(other.changes for other in seen):",
        new="if False:",
        tests="tests/rewrite/test_inside.py::test_an_activation_that_is_not_applied_is_no_slot",
    ),
    Mutant(
        name="an activation inside a layer goes back to what the layer had",
        file="search/rewrite/cloner.py",
        old="if id(old) not in self._from_config:",
        new="if False:",
        tests="tests/rewrite/test_inside.py::test_an_activation_that_is_not_applied_is_no_slot",
    ),
    Mutant(
        name="a picture of losses in which worse is to the right",
        file="search/verdict/pictures.py",
        old="    if verdict.maximize:\n        return difference\n    return -difference",
        new="    return difference",
        tests="tests/report/test_pictures.py::test_better_is_to_the_right_for_losses_too",
    ),
    Mutant(
        name="a report that takes a name for HTML",
        file="search/report/page.py",
        old="autoescape=True",
        new="autoescape=False",
        tests="tests/report/test_page.py::test_names_of_users_are_text_and_nothing_else",
    ),
    Mutant(
        name="a picture that takes a name for SVG",
        file="search/report/svg.py",
        old='return element("text", escape(words), x=x',
        new='return element("text", words, x=x',
        tests="tests/report/test_page.py::test_names_of_users_are_text_and_nothing_else",
    ),
    Mutant(
        name="who was clearly worse is said to have found no place",
        file="search/race/history.py",
        old="fates.append(WORSE)",
        new="fates.append(NO_PLACE)",
        tests="tests/race/test_history.py::test_each_has_its_fate_and_the_best_is_first",
    ),
    Mutant(
        name="a band of a curve that holds diverged runs",
        file="search/verdict/pictures.py",
        old="healthy = history[~verdict.runs.diverged[:, column], :, column]",
        new="healthy = history[:, :, column]",
        tests="tests/report/test_pictures.py::test_a_run_that_diverged_is_in_no_curve",
    ),
    Mutant(
        name="a model that stays watched",
        file="search/rewrite/activity.py",
        old="                own[name] = before\n",
        new="                pass\n",
        tests="tests/rewrite/test_activity.py::test_the_inputs_of_a_layer_are_what_it_would_make_without_its_activation",
    ),
    Mutant(
        name="a wrong gradient at the kink",
        file="keras_acts/functions.py",
        old="below = ops.less_equal(x, _constant(_round_down(theta, dtype_of(x)), x))",
        new="below = ops.less(x, _constant(_round_down(theta, dtype_of(x)), x))",
        tests="tests/core/test_functions.py::test_values_and_gradients",
    ),
    Mutant(
        name="elu some units of the last place wrong in half precision",
        file="keras_acts/functions.py",
        old="third_order = ops.add(0.5, ops.divide(near, 6.0))",
        new="third_order = ops.divide(near, 6.0)",
        tests="tests/core/test_functions.py::test_values_and_gradients",
    ),
    Mutant(
        name="no second derivative of mish",
        file="keras_acts/functions.py",
        old="return ops.divide(ops.add(ops.multiply(n, d), slope), ops.multiply(d, d))",
        new="return ops.stop_gradient(ops.divide(ops.add(ops.multiply(n, d), slope), ops.multiply(d, d)))",
        tests="tests/core/test_functions.py::test_gradients_equal_central_differences",
    ),
    Mutant(
        name="NaN swallowed by mish",
        file="keras_acts/functions.py",
        old="x = ops.maximum(x, _lowest(x))",
        new="x = ops.where(ops.greater(x, _lowest(x)), x, ops.full_like(x, _lowest(x)))",
        tests="tests/core/test_functions.py::test_values_and_gradients",
    ),
    Mutant(
        name="the sign of the surrogate gradient of theta",
        file="keras_acts/functions.py",
        old="ops.divide(jump, -bandwidth)",
        new="ops.divide(jump, bandwidth)",
        tests="tests/core/test_functions.py::test_surrogate_is_the_gradient_of_the_expected_value",
    ),
    Mutant(
        name="softmax along another axis",
        file="keras_acts/functions.py",
        old="y = ops.softmax(x, axis=axis)",
        new="y = ops.softmax(x, axis=-1)",
        tests="tests/core/test_functions.py::test_values_and_gradients_of_softmax",
    ),
    Mutant(
        name="a trained alpha without a gradient beside infinity",
        file="keras_acts/functions.py",
        old="negative = expm1(ops.where(ops.greater(x, 0), _constant(0.0, x), x))",
        new="negative = expm1(x)",
        tests="tests/core/test_functions.py::test_gradients_of_trained_parameters_survive_infinity",
    ),
    Mutant(
        name="the logits of a saturated output lost",
        file="keras_acts/functions.py",
        old="attach_logits(output, logits)",
        new="output._other_logits = logits",
        tests="tests/core/test_functions.py::test_outputs_carry_the_logits_that_losses_look_for",
    ),
    Mutant(
        name="the state of two members swapped when a population is made from another",
        file="search/population/transfer.py",
        old="for origin in self._origins[block.start : block.stop]]",
        new="for origin in self._origins[block.start : block.stop][::-1]]",
        tests="tests/population/test_select_and_join.py::test_populations_of_one_model_join_as_they_are",
    ),
    Mutant(
        name="a member mixed up: public order is not inside order turned round",
        file="search/population/model.py",
        old="self.positions = tuple(int(i) for i in np.argsort(order))",
        new="self.positions = tuple(order)",
        tests="tests/population/test_select_and_join.py::test_each_layer_may_have_a_choice_of_its_own",
    ),
    Mutant(
        name="a seed lost: all members start from seed 0",
        file="search/population/blueprint.py",
        old="with isolated_seed(member.seed):",
        new="with isolated_seed(0):",
        tests="tests/population/test_population_exactness.py::test_a_member_is_its_ordinary_model_with_folded_channels",
    ),
    Mutant(
        name="a member's gradient scaled by 1.001",
        file="search/population/model.py",
        old=("return ops.sum(losses)\n\n    def compute_metrics"),
        new=("return ops.sum(losses) + 0.001 * losses[0]\n\n    def compute_metrics"),
        tests="tests/population/test_optimizers.py::test_every_optimizer",
    ),
    Mutant(
        name="best weights taken one epoch too late",
        file="search/population/best_weights.py",
        old="inside = better[list(self.model.order)]",
        new='inside, self._late = getattr(self, "_late", better)[list(self.model.order)], better',
        tests="tests/population/test_best.py::test_each_member_gets_the_weights_of_its_own_best_epoch",
    ),
    Mutant(
        name="the random numbers of a member shared",
        file="search/vectorize/noise.py",
        old="return _unshared(x).map(lambda value: keras.random.dropout(value, rate, shape, seed=call.random))",
        new=(
            "return _unshared(x).map(lambda value: "
            "keras.random.dropout(value, rate, (1, *value.shape[1:]), seed=call.random))"
        ),
        tests="tests/vectorize/test_population_rules.py::test_dropout_drops_its_share_in_one_piece",
    ),
    Mutant(
        name="a rewritten slot left as it was",
        file="search/rewrite/clone.py",
        old="for site, candidate in chosen.items():\n        new",
        new="for site, candidate in list(chosen.items())[:-1] or list(chosen.items()):\n        new",
        tests="tests/rewrite/test_zoo.py::test_another_activation_changes_every_hidden_slot_and_nothing_else",
    ),
    Mutant(
        name="one batch order for all seeds of the final of a search by groups",
        file="search/race/cohorts.py",
        old="seed = seeds[0]",
        new="seeds = seeds[:1]",
        tests="tests/race/test_own_orders.py",
    ),
    Mutant(
        name="members share the kernels that another activation is initialized with",
        file="search/population/blueprint.py",
        old="if member.candidate == reference or not self.rescale_init:",
        new="if member.seed is not None:",
        tests="tests/test_search_initializers.py",
    ),
    Mutant(
        name="a race with the model's own initializers where each activation's are wanted",
        file="search/race/cohorts.py",
        old="self._model, inside, slots=self._slots, rescale_init=self._rescale_init",
        new="self._model, inside, slots=self._slots",
        tests="tests/test_search_initializers.py",
    ),
    Mutant(
        name="callbacks of a race begin anew in each rung",
        file="search/strategy/callbacks.py",
        old="        if self._begun:\n            return\n        self._begun = True\n",
        new="        self._begun = True\n",
        tests="tests/race/test_one_by_one.py",
    ),
    Mutant(
        name="members of a race write into one file",
        file="search/strategy/callbacks.py",
        old='return f"{stem}-{name}{suffix}"',
        new='return f"{stem}{suffix}"',
        tests="tests/race/test_one_by_one.py",
    ),
    Mutant(
        name="rates in public order where they are to be in inside order",
        file="search/population/model.py",
        old="inside = public_rates[list(self.order)]\n",
        new="inside = public_rates\n",
        tests="tests/population/test_optimizers.py::test_rates_may_be_set_again",
    ),
    Mutant(
        name="a member's multiple of the learning rate is left out of weight decay",
        file="search/population/rates.py",
        old="variable * decay * rate)",
        new="variable * decay * ops.cast(optimizer.learning_rate, variable.dtype))",
        tests="tests/population/test_rates_of_members.py::test_a_member_equals_a_training_at_its_rate",
    ),
    Mutant(
        name="the kept model goes on at the rate of all",
        file="search/population/model.py",
        old="scale_learning_rate(model.optimizer, self.members[member].factor)",
        new="pass",
        tests="tests/population/test_rates_of_members.py::test_a_member_equals_a_training_at_its_rate",
    ),
    Mutant(
        name="what a member's own Dropout keeps is scaled by the layer's rate",
        file="search/vectorize/noise.py",
        old="scale = _beside(1 / (1 - strengths), x)",
        new="scale = 1 / (1 - call.layer.rate)",
        tests="tests/population/test_numbers_of_members.py::test_each_member_has_noise_of_its_own_strength",
    ),
    Mutant(
        name="a layer of noise of the members' own runs once for all in a frozen prefix",
        file="search/population/model.py",
        old="own = (*blueprint.hidden, *noisy_paths(inside))",
        new="own = blueprint.hidden",
        tests="tests/population/test_numbers_of_members.py::test_the_member_without_dropout_equals_a_training_without_it",
    ),
    Mutant(
        name="each candidate takes the rate of its best mean, luck or not",
        file="search/verdict/rates.py",
        old="return max(0.0, 1 - (len(own) - 1) / seeds / seen)",
        new="return 1.0",
        tests="tests/verdict/test_rates.py::test_equal_candidates_lose_less_than_by_each_ones_best_mean",
    ),
    Mutant(
        name="activations start in a race at the model's own learning rate, whatever the baseline has shown",
        file="search/race/rates.py",
        old="best_score = -np.inf",
        new="best_score = np.inf",
        tests="tests/race/test_start_rates.py",
    ),
    Mutant(
        name="epochs saved, against the mean of the baseline instead of the same seed's",
        file="search/verdict/learning_curves.py",
        old="targets = scores[:, -1, theirs]",
        new="targets = np.full(len(scores), scores[:, -1, theirs].mean())",
        tests="tests/verdict/test_savings.py",
    ),
    Mutant(
        name="epochs saved, without the seeds that never come so far",
        file="search/verdict/learning_curves.py",
        old="return np.where(has_target.any(axis=1), first, np.inf)",
        new="return np.where(has_target.any(axis=1), first, scores.shape[1])",
        tests="tests/verdict/test_savings.py",
    ),
    Mutant(
        name="the optimizer's state of a member is another's",
        file="search/population/transfer.py",
        old="return [read(row.block)[row.row] for row in trained]",
        new="return [read(row.block)[row.row - 1] for row in trained]",
        tests="tests/population/test_optimizers.py::test_every_optimizer",
    ),
    Mutant(
        name="a frozen layer made alone has fresh weights",
        file="search/rewrite/clone.py",
        old="            cloner.restore(layer, copy, weights=False)",
        new="            pass",
        tests="tests/rewrite/test_zoo.py::test_a_frozen_layer_made_alone_is_frozen_and_keeps_its_weights",
    ),
    Mutant(
        name="a paired test that is not paired",
        file="search/verdict/paired.py",
        old="{pair: scores[pair[0]] - scores[pair[1]] for pair in pairs}",
        new="{pair: scores[pair[0]] - np.roll(scores[pair[1]], 1) for pair in pairs}",
        tests="tests/verdict/test_verdict.py",
    ),
    Mutant(
        name="the adjustment for several comparisons off by one",
        file="search/verdict/paired.py",
        old="level = alpha / max(len(pairs), 1)",
        new="level = alpha / max(len(pairs) - 1, 1)",
        tests="tests/verdict/test_verdict.py",
    ),
    Mutant(
        name="an interval stretched to the side without a tail",
        file="search/verdict/robust.py",
        old="abs(skewness) - _NOISE * error), skewness)",
        new="abs(skewness) - _NOISE * error), -skewness)",
        tests="tests/verdict/test_robust.py",
    ),
    Mutant(
        name="a candidate that fails more often beats the baseline",
        file="search/verdict/paired.py",
        old="    if contradicted:",
        new="    if not contradicted:",
        tests="tests/verdict/test_failures.py",
    ),
    Mutant(
        name="a slow learner taken for a failed training",
        file="search/verdict/failures.py",
        old="float(np.median(others)) >= _MUCH * typical",
        new="float(np.median(others)) >= -_MUCH * typical",
        tests="tests/verdict/test_failures.py",
    ),
    Mutant(
        name="ties of float32 taken for certainty",
        file="search/strategy/rounding.py",
        old="_ROUNDING = 1e-6",
        new="_ROUNDING = 1e-9",
        tests="tests/strategy/test_rounding.py",
    ),
    Mutant(
        name="the length of a seed's path does not count",
        file="search/runtime/seeding.py",
        old="np.random.SeedSequence(seed, spawn_key=(int(stream), *path))",
        new="np.random.SeedSequence((seed, int(stream), *path))",
        tests="tests/runtime/test_seeding.py::test_no_stream_is_another",
    ),
    Mutant(
        name="a model that only guesses is judged",
        file="search/verdict/judge.py",
        old="if not withheld and guess is not None:",
        new="if withheld and guess is not None:",
        tests="tests/verdict/test_verdict.py",
    ),
    Mutant(
        name="the sign of a difference",
        file="search/verdict/paired.py",
        old="{pair: scores[pair[0]] - scores[pair[1]] for pair in pairs}",
        new="{pair: scores[pair[1]] - scores[pair[0]] for pair in pairs}",
        tests="tests/verdict/test_verdict.py",
    ),
    Mutant(
        name="a row of the report lost",
        file="search/result.py",
        old="[_cells(trial) for trial in self.trials]",
        new="[_cells(trial) for trial in self.trials[1:]]",
        tests="tests/cli/test_cli.py::test_the_main_job_with_a_small_budget",
    ),
    Mutant(
        name="an export not checked",
        file="search/exporting/verify_process.py",
        old="    return max(differences)",
        new="    return 0.0",
        tests="tests/exporting/test_export.py::test_an_export_that_differs_is_refused",
    ),
    Mutant(
        name="a difference that is too large goes through",
        file="search/exporting/agreement.py",
        old="        if not difference <= limits[kind]:",
        new="        if False:",
        tests="tests/exporting/test_export_agrees.py::test_a_limit_follows_from_the_models_own_noise",
    ),
    Mutant(
        name="exit code 1 instead of 2",
        file="search/cli/running.py",
        old="    exit_code = 2",
        new="    exit_code = 1",
        tests="tests/cli/test_cli_exports.py::test_bad_input_is_one_line_and_exit_code_2",
    ),
    Mutant(
        name="the model card with the wrong class names",
        file="search/exporting/export.py",
        old='"class_names": options["classes"],',
        new='"class_names": options["classes"][::-1],',
        tests="tests/exporting/test_export.py::test_the_model_card_says_what_the_model_is",
    ),
    Mutant(
        name="a staging folder left behind",
        file="search/exporting/atomic.py",
        old="            held.callback(_clear_up, folder, target)\n",
        new="",
        tests="tests/exporting/test_staging.py::test_any_name_will_do",
    ),
    Mutant(
        name="an export lost to an interrupt",
        file="search/exporting/atomic.py",
        old="    except BaseException:  # Ctrl-C too: the check reads",
        new="    except OSError:  # Ctrl-C too: the check reads",
        tests="tests/exporting/test_interrupted.py",
    ),
    Mutant(
        name="an export that overwrites unasked",
        file="search/exporting/atomic.py",
        old="    if not overwrite:\n        raise ExportError(",
        new="    if False:\n        raise ExportError(",
        tests="tests/exporting/test_staging.py::test_what_is_there_is_only_replaced_if_it_is_a_savedmodel_and_asked_for",
    ),
    Mutant(
        name="an export that deletes the user's files",
        file="search/runtime/ownership.py",
        old="others = sorted(_names(folder) - set(ours))",
        new="others = sorted(set())",
        tests="tests/runtime/test_ownership.py::test_an_export_replaces_nothing_of_the_users",
    ),
    Mutant(
        name="an export that replaces what came while it was made",
        file="search/exporting/renaming.py",
        old="_NO_REPLACE = 1",
        new="_NO_REPLACE = 0",
        tests="tests/exporting/test_place_taken.py::test_what_appears_while_an_export_is_made_stays",
    ),
    Mutant(
        name="a file changed by the user is an export's",
        file="search/runtime/ownership.py",
        old="    return _digest(path) != digest",
        new="    return False",
        tests="tests/runtime/test_ownership.py::test_an_own_file_in_the_place_of_one_of_the_exports_is_the_users",
    ),
    Mutant(
        name="two searches in one project",
        file="search/plan.py",
        old="    with locked(project):",
        new="    with contextlib.nullcontext():",
        tests="tests/runtime/test_project_lock.py::test_every_way_to_search_is_refused_where_another_process_searches",
    ),
    Mutant(
        name="a search that deletes the user's files",
        file="search/runtime/ownership.py",
        old="others = sorted(name for name in names if not _is_a_searchs(project, name))",
        new="others = sorted(set())",
        tests="tests/runtime/test_ownership.py::test_overwrite_deletes_a_search_and_nothing_that_came_later",
    ),
    Mutant(
        name="an export in training mode",
        file="search/exporting/savedmodel.py",
        old="        return model(*args, training=False)",
        new="        return model(*args)",
        tests="tests/exporting/test_export_agrees.py::test_a_graph_is_not_in_training_mode",
    ),
    Mutant(
        name="a gap is predicted",
        file="search/cli/jobs.py",
        old="    if not allow_nan:",
        new="    if False:",
        tests="tests/cli/test_cli.py::test_a_regression_beats_the_mean_and_its_predictions_say_what_they_are",
    ),
]


def places(mutant: Mutant, text: str) -> list[re.Match[str]]:
    """Where the old code stands in a file's text, however the formatter has broken its lines."""
    tokens = re.findall(r"\w+|[^\w\s]", mutant.old)
    # the formatter writes a comma behind the last of several lines
    between = [r",?\s*" if token in tuple(")]}") else r"\s*" for token in tokens]
    between[0] = ""
    pattern = "".join(
        space + re.escape(token) for space, token in zip(between, tokens, strict=True)
    )
    return list(re.finditer(pattern, text))


def noticed_by(mutant: Mutant, folder: Path) -> str:
    """The first test that fails with this break; empty if none does."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / file, folder)
    # else the command line would be that of the installed package
    (folder / "keras_acts_cli").symlink_to(folder / "search" / "cli")
    broken = folder / mutant.file
    text = broken.read_text(encoding="utf-8")
    found = places(mutant, text)
    if len(found) != 1:
        raise SystemExit(
            f"{mutant.name}: the old text must stand once in {mutant.file}. Received: {len(found)} times"
        )
    start, stop = found[0].span()
    # what was found begins behind its indentation
    broken.write_text(f"{text[:start]}{mutant.new.lstrip()}{text[stop:]}", encoding="utf-8")
    arguments = [
        "-x",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-m",
        "slow or not slow",
        *mutant.tests.split(),
    ]
    done = ran(arguments, folder)
    if done.returncode == 0:
        return ""
    first = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.MULTILINE)
    if done.returncode != SOME_FAILED or first is None:
        raise SystemExit(
            f"{mutant.name}: pytest could not run {mutant.tests}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    # a test that fails without the break too has noticed nothing
    broken.write_text(text, encoding="utf-8")
    arguments[-len(mutant.tests.split()) :] = [first.group(1)]
    if ran(arguments, folder).returncode != 0:
        raise SystemExit(f"{mutant.name}: {first.group(1)} fails without the break too")
    return first.group(1)


def ran(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder that is a copy of the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> int:
    """Run the chosen mutants and print which test noticed each.

    The exit status is 1 if one went unnoticed.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="a word of the names to run")
    chosen = [
        mutant for mutant in MUTANTS if parser.parse_args().only.lower() in mutant.name.lower()
    ]
    unnoticed = 0
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as folder:
            test = noticed_by(mutant, Path(folder))
        if not test:
            unnoticed += 1
        print(f"{mutant.name:60}  {test or 'NOT NOTICED'}", flush=True)
    print(f"{len(chosen)} breaks, {unnoticed} not noticed")
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main())
