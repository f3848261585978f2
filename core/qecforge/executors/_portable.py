"""A run as text, to be carried out in another process or on another machine, and what it reports from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qecforge.runs.listener import ForwardingListener, RunListener

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.registry import Registry

__all__ = ["PortablePlan", "event_sender", "tell"]


@dataclass(frozen=True)
class _Labels:
    """What people call a run: not part of its identity, but of its record."""

    name: str
    source_text: str
    sweep_point: Mapping[str, Any]

    @classmethod
    def of(cls, plan: RunPlan) -> _Labels:
        return cls(plan.name, plan.source_text, dict(plan.sweep_point))

    def put_on(self, plan: RunPlan) -> RunPlan:
        return replace(plan, name=self.name, source_text=self.source_text, sweep_point=dict(self.sweep_point))


@dataclass(frozen=True)
class PortablePlan:
    """A `RunPlan` without its plugins, which the receiver loads itself. Can be pickled.

    Attributes:
        canonical: The plan's canonical text.
        labels: Name, source and sweep point; `teacher` those of the teacher's plan, where the plan has one.
    """

    canonical: str
    labels: _Labels
    teacher: _Labels | None

    @classmethod
    def of(cls, plan: RunPlan) -> PortablePlan:
        """What is sent of a plan."""
        teacher = _teacher_of(plan)
        return cls(plan.canonical, _Labels.of(plan), None if teacher is None else _Labels.of(teacher))

    def plan(self, registry: Registry) -> RunPlan:
        """The plan, equal to the one that was sent, labels included.

        Raises:
            PluginError: a plugin is missing here, or is of another version.
        """
        from qecforge.contracts.files import files_as_checked
        from qecforge.manifest import RunPlan

        with files_as_checked():
            plan = self.labels.put_on(RunPlan.from_canonical(self.canonical, registry))
        teacher = _teacher_of(plan)
        if plan.quantization is None or teacher is None or self.teacher is None:
            return plan
        return replace(plan, quantization=replace(plan.quantization, teacher=self.teacher.put_on(teacher)))


def event_sender(identity: str, send: Callable[[tuple[str, bool, tuple[Any, ...]]], object]) -> RunListener:
    """Sends what happens in a run, to be told to a listener elsewhere by `tell`.

    Args:
        identity: Of the run's plan; what happens in another run is of its teacher's.
        send: Takes each event, which can be pickled.
    """

    def forward(name: str, plan: RunPlan, *arguments: Any) -> None:
        send((name, plan.identity != identity, arguments))

    return ForwardingListener(forward)


def tell(listener: RunListener, plan: RunPlan, event: tuple[str, bool, tuple[Any, ...]]) -> None:
    """Tell the listener an event of the plan's run, or of its teacher's."""
    name, of_teacher, arguments = event
    told = _teacher_of(plan) if of_teacher else plan
    assert told is not None
    getattr(listener, name)(told, *arguments)


def _teacher_of(plan: RunPlan) -> RunPlan | None:
    """The run that may be carried out on the way to this one."""
    if plan.quantization is None or isinstance(plan.quantization.teacher, str):
        return None
    return plan.quantization.teacher
