"""`search_activations`: a whole search in one call. Check, plan, run, judge, keep."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from . import plan
from .outcome import Outcome
from .report.numbers import counted
from .request import Limits, checked_request
from .result import SearchResult
from .runtime import device
from .runtime.calls import written_call
from .runtime.tracing import expected_traces
from .tracking.callback import Followers, checked_search_callbacks


def search_activations(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    validation_split: float = 0.2,
    test_data: Any = None,
    activations: Any = None,
    baseline: Any = "relu",
    objective: Any = None,
    trials: int = 20,
    epochs: int = 10,
    batch_size: int | None = None,
    executions_per_trial: int = 1,
    learning_rates: Any = "auto",
    rescale_init: bool = False,
    strategy: str = "auto",
    max_epochs: int | None = None,
    max_seconds: float | None = None,
    verdict: int = 8,
    seed: int = 0,
    population: int | str = "auto",
    directory: Any = None,
    project_name: str = "activations",
    overwrite: bool = False,
    verbose: int = 1,
    search_callbacks: Any = None,
    **fit_options: Any,
) -> SearchResult:
    """Search for the activation that suits a model best, and return the ranked trials, the verdict and the best model.

    Args:
        model: a compiled Keras model, whose hidden activation slots are searched, or a function
            ``build(hp, activation)`` or ``build(hp)`` that returns one, also a subclassed one; or a
            `keras_tuner.HyperModel`.
        x: training inputs, as `keras.Model.fit` takes them.
        y: training targets.
        validation_data: what ranks the candidates; else the last `validation_split` of the training
            data, as in Keras.
        validation_split: the share of the training data that ranks the candidates, in (0, 1).
        test_data: ``(x, y)`` or ``(x, y, sample_weight)`` that neither trains nor ranks: the models
            of the verdict, the best model and the baseline are scored on it, once.
        activations: an `ActivationSpace`, or a list of names, objects and functions. By default
            every registered activation that suits a hidden layer, and Keras' gelu and silu.
        baseline: the activation to compare with; it is always tried, first.
        objective: the name of a metric, such as ``"val_auc"``, or ``"val_OUTPUT_auc"`` with several
            outputs; whether more of it is better the model's metric says. Of a metric of your own
            say it: ``keras_tuner.Objective("val_mine", "max")``. By default the validation value of
            the model's accuracy, else of its loss: the first metric that is ``"accuracy"`` or
            Keras' binary, categorical or sparse categorical accuracy, if the model has one output;
            a top-k accuracy is none.
        trials: how many candidates to try.
        epochs: how long to train each.
        batch_size: as in `fit`.
        executions_per_trial: how many seeds a candidate; its score is their mean. A race trains so
            many times longer.
        learning_rates: at which rates each activation is tried. One rate for all would say more about
            the rate than about the activations, and it is often worth more than they are. ``"auto"``:
            in a race a quarter, a half, once, twice and four times the rate that the model is
            compiled with, and beyond where the best is at an end; the model's own where trials train
            one after the other. A list of rates (``0.004``) and of multiples of the model's own
            (``"x2"``), which is always among them. None: the model's own. With more rates a race
            starts half as many candidates more, and trains half as many epochs more, unless
            `max_epochs` limits it; the verdict then chooses a rate for each of its candidates, on
            seeds of their own.
        rescale_init: whether each activation, the baseline too, has kernels initialized for it, with
            variance ``gain**2 / fan_in``, as by `with_activations`; else all have the model's own
            initializers, which suit some activations better than others. A function ``build(hp,
            activation)`` has initializers of its own.
        strategy: ``"race"``: all candidates train at once, as populations; who falls behind leaves,
            who stays trains longer and on more seeds, about ``trials * epochs`` epochs in all.
            Models that cannot be a population race one by one. ``"random"``: each trial trains to its
            end, those that can together. ``"auto"``: what is expected to miss least and takes no longer
            than to train all candidates to their end at once. On small models all train to the end;
            on large ones all train half of their epochs, and half of them the rest. Models that a
            function builds may train together as trials. With an `ActivationSpace` that chooses
            for layers, blocks or groups, a race finds the best choice for all of them, and goes on
            among changes of it, within the same epochs.
        max_epochs: how many epochs all runs of a race may take together, instead of ``trials *
            epochs``. Without it (and `max_seconds`) up to three times as many train where all train
            to the end, as more seeds cost hardly more time there.
        max_seconds: that a race may take. After each rung those to come are planned to fit in; at
            the latest the race ends then with what it has. The verdict's time is its own.
        verdict: on how many fresh seeds, at most, the three best activations and the baseline are
            trained again, to say whether one of them is really better, which decides what model is
            kept; with 0 the ranking decides. See `compare_activations`.
        seed: of candidates, initialization and batch order. The user's own global seed is left as
            it was.
        population: how many trials train together at most where it is no race: ``"auto"`` for as
            many as can and fit into memory, 1 for one by one. The scores are the same; see
            `ActivationTuner`. A number means no race, but for 1 with ``strategy="race"``.
        directory: where the search keeps its files, so that it can go on after an interrupt;
            temporary by default. Finished trials, rungs and seeds of the verdict are kept; what
            trains together is kept now and then between epochs. One process at a time searches there.
        project_name: the folder inside `directory`.
        overwrite: whether to start again where the project exists. Only a search's own files are
            deleted: with others among them it is refused.
        verbose: 0 shows nothing.
        search_callbacks: `SearchCallback` objects, which hear of the search as a whole: its epochs,
            rounds, trials, verdict and end. `TensorBoardLogger`, `MLflowLogger` and `WandbLogger`
            are such. One that fails costs the search nothing.
        **fit_options: further arguments of `fit`, such as `callbacks`, `class_weight`,
            `sample_weight`. Each model that trains has copies of the callbacks, and their files are
            called after it.

    Returns:
        The result. After Ctrl-C: what was found so far, if anything was, with its verdict; a second
        Ctrl-C ends the verdict with the seeds that were trained.

    Raises:
        SearchError: on impossible settings, or if no candidate could be trained.
        DataError: if the data do not fit each other or the model.
        ModelError: if the model cannot be searched.
    """
    # first of all: what else is a local name later was not given
    call = written_call(search_activations, locals())
    limits = Limits(
        trials=trials,
        epochs=epochs,
        executions_per_trial=executions_per_trial,
        strategy=strategy,
        max_epochs=max_epochs,
        max_seconds=max_seconds,
        verdict=verdict,
        population=population,
        seed=seed,
        directory=directory,
        project_name=project_name,
        overwrite=overwrite,
        verbose=verbose,
    )
    followers = Followers(checked_search_callbacks(search_callbacks))
    request = checked_request(
        model,
        x,
        y,
        activations=activations,
        baseline=baseline,
        objective=objective,
        validation_data=validation_data,
        validation_split=validation_split,
        test_data=test_data,
        batch_size=batch_size,
        learning_rates=learning_rates,
        rescale_init=rescale_init,
        fit_options=fit_options,
        limits=limits,
    )
    how = plan.planned(request)
    with contextlib.ExitStack() as stack:
        stack.enter_context(expected_traces())
        place = stack.enter_context(plan.place_for(request, how))
        searching = plan.strategy_for(request, how, place, followers)
        progress = stack.enter_context(searching.progress)
        followers.say = progress.say
        followers.search_begins(plan.record_of(request, how))
        candidates = counted(plan.size_of(request, how).trials, "candidate")
        progress.say(f"Training up to {candidates} on {device.describe()}")
        for sentence in request.left_alone:
            progress.say(sentence)
        if strategy == "auto" and how.why_not_race:
            progress.say(f"Not as a race: {how.why_not_race}")
        if how.why_one_by_one:
            progress.say(f"A race of models that train one by one: {how.why_one_by_one}")
        if how.rates.why_not:
            progress.say(f"At the model's own learning rate: {how.rates.why_not}")
        result: SearchResult | None = None
        try:
            searching.run()
            outcome = Outcome(request, searching, how.rates, followers)
            outcome.judge()
            outcome.keep()
            outcome.hand_over()
            result = replace(outcome.result(), call=call)
        finally:
            # whatever ends the search, who follows it closes what is open
            followers.search_ends(result)
        return replace(result, errors={**result.errors, **followers.errors})
