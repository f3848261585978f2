"""`qecforge runs evaluate`: evaluations of finished runs, added or extended."""

from __future__ import annotations

from typing import Annotated

import typer

from qecforge.cli._evaluations.shots import enough_shots
from qecforge.cli._output import DEFAULT_STORE, StoreOption, open_store, raise_failed, say
from qecforge.errors import ConfigurationError, Interrupted

__all__ = ["evaluate_runs"]


def evaluate_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids of finished runs, or their first characters.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="Add or change an evaluation, such as evaluation.returns.episodes=200."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Number of processes for error rates; default: one for each core."),
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Number of codes to print in full, best first.")] = 1,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Add evaluations to finished runs, or repeat them with other settings.

    Nothing is trained. Shots of error rates are added to those in the store; any other evaluation replaces the earlier
    one of its name.
    """
    from qecforge.cli._progress import show_progress
    from qecforge.cli._run import report
    from qecforge.machine.signals import stop_signals
    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry
    from qecforge.runs.execute import evaluate_run
    from qecforge.runs.listener import RunOptions

    for text in overrides or ():
        if not text.strip().startswith("evaluation."):
            raise ConfigurationError(
                f"--set: got {text!r}, expected evaluation.NAME.SETTING=VALUE: of a finished run "
                "only evaluations can be changed"
            )
    registry = Registry.load()
    with open_store(store) as opened:
        chosen = {run.id: run for run in map(opened.run, runs)}
    plans = {
        run.id: RunPlan.from_canonical(
            run.manifest,
            registry,
            name=run.name,
            source_text=run.manifest_source,
            sweep_point=run.sweep_point,
            overrides=overrides or (),
        )
        for run in chosen.values()
    }
    for run_id, plan in plans.items():
        if enough := enough_shots(plan, chosen[run_id]):
            say(f"run {run_id} {enough}: none are drawn")
    options, outcomes = RunOptions(store_url=store, workers=workers), []
    with show_progress() as listener, stop_signals(listener.on_stop) as stop:
        for run_id, plan in plans.items():
            outcomes.append(evaluate_run(run_id, plan, options, listener, stop.is_set))
            if stop.is_set():
                break
    stopped = [each for each in outcomes if each.status == "interrupted"]
    if stopped or len(outcomes) < len(plans):
        raise Interrupted("stopped; finished evaluations are in the store, the same command carries out the others")
    raise_failed(outcomes, store, "could not be evaluated")
    if all(each.status == "skipped" for each in outcomes):
        say("nothing to do: the store has these evaluations; --set changes or adds one")
    report(list(plans.values()), outcomes, store, show)
