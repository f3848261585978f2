"""The reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qecforge.contracts import CompiledTextReward, Reward, TextBatch, TextOutcome, TextSubject
from qecforge.errors import ConfigurationError
from qecforge_qiskit_execution.config import QiskitExecutionConfig
from qecforge_qiskit_tasks import COMPONENTS, JudgeConfig, Task, TaskJudge, judge_all, outcome_of

__all__ = ["QiskitExecution"]


class QiskitExecution(Reward):
    """Runs programs in a sandbox and has them judged; see `QiskitExecutionConfig`."""

    components = COMPONENTS

    def __init__(self, config: QiskitExecutionConfig) -> None:
        self.config = config

    def compile(self, subject: Any) -> CompiledTextReward:
        """`subject` has a `Task` for each id. Raises `ConfigurationError` for anything else."""
        if not isinstance(subject, TextSubject) or not all(isinstance(each, Task) for each in subject.tasks.values()):
            raise ConfigurationError(f"qiskit_execution: got {type(subject).__name__}, expected tasks of Qiskit")
        return _Compiled(self.config, [*subject.tasks.values()])


class _Compiled(CompiledTextReward):
    components = COMPONENTS

    def __init__(self, config: QiskitExecutionConfig, tasks: Sequence[Task]) -> None:
        self._fraction = config.score == "fraction"
        self._judge = TaskJudge(
            tasks,
            JudgeConfig(
                prompt=config.prompt,
                cells=config.cells,
                profile=config.profile,
                in_process=config.in_process,
                transcripts=config.transcripts,
            ),
        )

    def judge(self, batch: TextBatch) -> Sequence[TextOutcome]:
        """One outcome for each completion; what could not be judged says so."""
        judged = judge_all(self._judge, batch.task_ids, batch.completions)
        return [outcome_of(each, fraction=self._fraction) for each in judged]

    def circumstances(self) -> Mapping[str, Any]:
        """What each layer of the sandbox does on this machine."""
        return self._judge.circumstances()

    def close(self) -> None:
        """End the sandbox."""
        self._judge.close()
