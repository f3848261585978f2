"""Cases of the executor contract: runs that fail, and processes that die."""

from __future__ import annotations

from pathlib import Path

import pytest

from qecforge.errors import CheckpointError
from qecforge.executors import Executor
from qecforge.registry import Registry
from qecforge.runs.execute import checkpoint_path
from qecforge.runs.listener import RunOutcome
from qecforge.store import Store
from qecforge.testing.executors._example import Told, carry_out, plans_of, statuses, url_of

__all__ = ["FailureCases"]

_RAISED = {
    "raise": "ArithmeticError: as it was told",
    "user_error": "UserError: as it was told",
    "interrupted": "Interrupted: as it was told",
    "keyboard_interrupt": "KeyboardInterrupt: as it was told",
    "exit": "SystemExit: 0",
    "os_exit": "PluginError: would have ended the process (os._exit(0)): report it to the plugin's authors",
}
"""Mishaps that are exceptions, with what is filed of each."""


class FailureCases:
    """One run's failure is one failed run."""

    outlives_a_process: bool

    def test_what_a_plugin_raises_fails_its_run_alone(
        self, executor: Executor, registry: Registry, folder: Path
    ) -> None:
        plans = plans_of(registry, f"sweep: {{agent.mishap: [{', '.join(_RAISED)}, null]}}\n")
        url, told = url_of(folder), Told()
        outcomes = carry_out(executor, plans, url, told)
        assert [each.error for each in outcomes] == [*_RAISED.values(), None]
        assert [each.status for each in outcomes] == ["failed"] * len(_RAISED) + ["finished"]
        for plan, outcome in zip(plans, outcomes, strict=True):
            assert told.of(plan)[-1] == ("on_end", (outcome,))
        with Store(url, read_only=True) as store:
            for outcome in outcomes[:-1]:
                run = store.run(outcome.run_id)
                assert (run.status, run.error) == (outcome.status, outcome.error)
                (event,) = (each for each in store.events(run.id) if each.kind == "error")
                assert "example_plugin.py" in event.payload["traceback"]

    def test_what_a_constructor_raises_fails_its_run_alone(
        self, executor: Executor, registry: Registry, folder: Path
    ) -> None:
        plans = plans_of(registry, "sweep: {environment.mishap: [user_error, exit, os_exit, null]}\n")
        outcomes = carry_out(executor, plans, url_of(folder))
        assert [each.status for each in outcomes] == ["failed", "failed", "failed", "finished"]
        assert [each.error for each in outcomes] == [_RAISED[each] for each in ("user_error", "exit", "os_exit")] + [
            None
        ]

    def test_a_process_that_dies_is_one_failed_run(self, executor: Executor, registry: Registry, folder: Path) -> None:
        if not self.outlives_a_process:
            pytest.skip("runs share the caller's process")
        plans = plans_of(registry, "sweep: {agent.mishap: [kill, vanish, null]}\n")
        url, told = url_of(folder), Told()
        outcomes = carry_out(executor, plans, url, told, checkpoint_seconds=1e-9)
        assert [each.status for each in outcomes] == ["failed", "failed", "finished"]
        assert [statuses(url)[plan.identity] for plan in plans] == ["failed", "failed", "finished"]
        for plan, outcome in zip(plans[:2], outcomes[:2], strict=True):
            assert "process" in _one_line(outcome)
            assert told.of(plan)[-1] == ("on_end", (outcome,))

    def test_a_user_error_is_raised_once_the_others_are_done(
        self, executor: Executor, registry: Registry, folder: Path
    ) -> None:
        plans, url = plans_of(registry, seeds="[0, 1]"), url_of(folder)
        with Store(url) as store:
            for plan in plans:  # the rows alone, so that a checkpoint can lie where the first run looks for it
                store.begin_run(
                    plan.identity, name=plan.name, seed=plan.seed, manifest=plan.canonical, manifest_source="",
                    environment="", reward=None, agent="", provenance={},
                )  # fmt: skip
            path = checkpoint_path(store, store.run(plans[0].identity).id)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no checkpoint")
        with pytest.raises(CheckpointError, match="not a qecforge checkpoint"):
            carry_out(executor, plans, url)
        assert [statuses(url)[plan.identity] for plan in plans] == ["interrupted", "finished"]


def _one_line(outcome: RunOutcome) -> str:
    assert outcome.error is not None
    assert outcome.error.splitlines() == [outcome.error]
    return outcome.error
