"""Reward `qiskit_execution`: whether a completion of a Qiskit task passes its tests, run in a sandbox.

Source: Dupuis et al. 2025, arXiv 2508.20907, whose reward is the fraction of tests passed; pass or fail is the default
here, the fraction an option.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qecforge.contracts import COMPLETIONS
from qecforge.hookspecs import RewardSpec, hookimpl
from qecforge_qiskit_execution.config import QiskitExecutionConfig

if TYPE_CHECKING:
    from qecforge_qiskit_execution.reward import QiskitExecution

__all__ = ["QiskitExecution", "QiskitExecutionConfig", "qecforge_rewards"]


def _make(config: QiskitExecutionConfig) -> QiskitExecution:
    from qecforge_qiskit_execution.reward import QiskitExecution

    return QiskitExecution(config)


@hookimpl
def qecforge_rewards() -> Sequence[RewardSpec]:
    """The one reward of this plugin."""
    return [
        RewardSpec(
            name="qiskit_execution",
            summary="Whether a program passes a Qiskit task's tests in the sandbox, or the fraction of tests",
            config=QiskitExecutionConfig,
            make=_make,
            scores=COMPLETIONS,
        )
    ]


def __getattr__(name: str) -> Any:
    if name == "QiskitExecution":
        from qecforge_qiskit_execution.reward import QiskitExecution

        return QiskitExecution
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
