"""An evaluation from the model's name to the filed report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from qecforge.errors import ConfigurationError
from qecforge.runs.policies import file_circumstances
from qecforge.store import Run, Store
from qecforge_qiskit_tasks.evaluation.evaluating import Plan, evaluate
from qecforge_qiskit_tasks.evaluation.filing import begin_evaluation, file_report, opened_journal
from qecforge_qiskit_tasks.evaluation.journal import Drawn, Journal
from qecforge_qiskit_tasks.evaluation.judges import JudgesOfTasks
from qecforge_qiskit_tasks.evaluation.models import ModelName, Sampling, open_model
from qecforge_qiskit_tasks.evaluation.report import Report
from qecforge_qiskit_tasks.judging import JudgeConfig, TaskJudge

__all__ = ["TRANSCRIPTS", "carry_out"]

TRANSCRIPTS = "transcripts.db"
"""In the store's folder: what was run before, for all evaluations of the store."""


def carry_out(
    store: Store,
    plan: Plan,
    named: ModelName,
    given: Mapping[str, Sequence[str]] | None,
    sampling: Sampling,
    config: JudgeConfig,
    *,
    anew: bool = False,
    cached: bool = True,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[Run, Report]:
    """Evaluate, or go on with what the store has of it, and file what is found.

    Args:
        given: The completions, where they are there already, by task.
        anew: Forget the completions that the store has.
        cached: Whether programs that were judged before are not run again.

    Raises:
        RunBusy: another process does the same.
        InfrastructureError: the model or the sandbox is out of order; what was drawn is kept.
    """
    with ExitStack() as stack:
        model = None
        if given is None:
            model = open_model(named, sampling, store)
            stack.callback(model.close)
            if plan.attempts > 1 and not model.says_errors:
                raise ConfigurationError(
                    "--attempts: a model of the completions interface cannot be shown an error; give --attempts 1"
                )
            made_by: Mapping[str, object] = model.identity
        else:
            made_by = {"kind": "file", "name": Path(named.place).name, "sha256": _digest(given)}
        identity = plan.identity(made_by, sampling)
        run = begin_evaluation(store, identity, anew=anew)
        journal = stack.enter_context(opened_journal(store, run))
        if run.status != "finished":
            store.mark_run(run.id, "running")
        if given is not None:
            _keep(journal, given)
        known = replace(config, transcripts=store.directory / TRANSCRIPTS, read_transcripts=cached)
        judge = stack.enter_context(TaskJudge(plan.tasks, known))
        report = evaluate(plan, model, identity, sampling, journal, JudgesOfTasks(judge), progress)
        if judge.ran:
            file_circumstances(store, run.id, judge)
        file_report(store, run, journal, report)
    return store.run(run.id), report


def _keep(journal: Journal, given: Mapping[str, Sequence[str]]) -> None:
    """All of a file's completions, which need no file of their own while they are judged."""
    journal.completions.update(
        {(task_id, sample, 1): Drawn(text) for task_id, texts in given.items() for sample, text in enumerate(texts)}
    )


def _digest(given: Mapping[str, Sequence[str]]) -> str:
    digest = hashlib.sha256()
    for task_id in sorted(given):
        for text in given[task_id]:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(f"{task_id}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
