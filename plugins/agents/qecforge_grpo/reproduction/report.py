"""What the trainings say: pass@1 of each arm, the claims, and what others have published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qecforge.contracts import Claim, Report
from qecforge.evaluation.statistics import wilson_interval
from qecforge.reporting.spread import Spread, row_of, spread
from qecforge.reporting.tables import Column, Table, duration
from qecforge.reproduction import above, at_least, at_most
from qecforge_grpo.reproduction.runs import Look, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PUBLISHED", "Published", "arms_table", "claims", "published_table", "report_of"]

GOAL_BEFORE, GOAL_AFTER = 0.5, 0.95
"""pass@1 on held-out compositions after the warm start, and after GRPO [ours]."""

_STAGES = {"warm": "warm start", "grpo": "warm start, then GRPO", "supervised": "more supervised steps"}


class Published:
    """A figure of others: `rate` as they say it, of `tasks` tasks where they say how many, else None."""

    def __init__(self, model: str, tasks_of: str, rate: float, tasks: int | None, source: str) -> None:
        self.model, self.tasks_of, self.rate, self.tasks, self.source = model, tasks_of, rate, tasks, source

    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval over tasks; None where it is not said how many there are."""
        if self.tasks is None:
            return None
        found = wilson_interval(round(self.rate * self.tasks), self.tasks)
        return found.low, found.high


_ASSISTANT = "samuellimabraz/quantum-assistant"
PUBLISHED = (
    Published("the paper's 14B, measured by others", "Qiskit HumanEval", 0.4901, 151, _ASSISTANT),
    Published("the paper's 14B, measured by others", "Qiskit HumanEval, hard", 0.2517, 151, _ASSISTANT),
    Published("8B, supervised LoRA", "Qiskit HumanEval", 0.4371, 151, _ASSISTANT),
    Published("8B, supervised LoRA", "Qiskit HumanEval, hard", 0.2914, 151, _ASSISTANT),
    Published("best of the benchmark", "QuanBench+", 0.595, None, "arXiv:2604.08570"),
    Published("best of the benchmark, after repair", "QuanBench+", 0.833, None, "arXiv:2604.08570"),
    Published("best of the benchmark", "Qiskit QuantumKatas", 0.831, 350, "arXiv:2605.27210"),
    Published("best of the benchmark", "QCoder", 0.78, None, "arXiv:2510.26101"),
)
"""pass@1 of models a thousand times as large as ours, on other tasks: nothing here is held against them."""


def report_of(results: Sequence[Result]) -> Report:
    """Claims, the table of arms, the published figures, and the curve."""
    return Report(
        claims=claims(results),
        tables={"arms": arms_table(results), "published": published_table() if results else Table((), [])},
        figures=lambda: _curves(results),
        claims_after="arms",
    )


def _last(results: Sequence[Result]) -> dict[str, dict[int, Look]]:
    """By stage and seed, the look at its end. The warm start is that of the runs that go on with GRPO."""
    found: dict[str, dict[int, Look]] = {stage: {} for stage in _STAGES}
    for each in results:
        if each.arm == "supervised":
            found["supervised"][each.seed] = each.warm
        else:
            found["warm"][each.seed] = each.warm
            found["grpo"][each.seed] = each.looks[-1]
    return found


def arms_table(results: Sequence[Result]) -> Table:
    """A row for each stage."""
    columns = (
        Column("stage"),
        Column("seeds"),
        Column("samples", "tasks of each"),
        Column("shown", "demonstrations"),
        Column("drawn_for_learning", "completions scored"),
        Column("pass_at_1", "pass@1, drawn", spread(_percent)),
        Column("greedy", "greedy", spread(_percent)),
        Column("removed_api", "fail by removed API", spread(_percent)),
        Column("seconds", "until then", duration),
    )
    rows: list[dict[str, Any]] = []
    for stage, by_seed in _last(results).items():
        if not by_seed:
            continue
        looks = list(by_seed.values())
        of_arm = next(each for each in results if (each.arm == "supervised") == (stage == "supervised"))
        rows.append(
            {
                "stage": _STAGES[stage],
                "seeds": len(looks),
                "samples": of_arm.samples,
                "shown": of_arm.shown,
                "drawn_for_learning": looks[0].step,
                "pass_at_1": row_of(Spread.of(each.drawn for each in looks)),
                "greedy": row_of(Spread.of(each.greedy for each in looks)),
                "removed_api": row_of(Spread.of(each.removed for each in looks)),
                "seconds": max(each.seconds for each in looks),
            }
        )
    return Table(columns, rows, "pass@1 on held-out compositions, in percent; the longest of the seeds' times")


def claims(results: Sequence[Result]) -> list[Claim]:
    """Goals of ours, and what the paper says of rewards from execution; none where there is no run."""
    last = _last(results)
    found = []
    if last["grpo"]:
        found = [
            _claim("goal", "pass@1 after the warm start", last["warm"], at_most(GOAL_BEFORE, _percent)),
            _claim("goal", "pass@1 after GRPO", last["grpo"], at_least(GOAL_AFTER, _percent)),
            _difference("GRPO less the warm start", last["grpo"], last["warm"], "drawn"),
            _difference("removed API: warm start less GRPO", last["warm"], last["grpo"], "removed"),
        ]
    if last["grpo"] and last["supervised"]:
        found.append(_difference("GRPO less as many supervised steps", last["grpo"], last["supervised"], "drawn"))
    return found


def _claim(part: str, text: str, looks: Mapping[int, Look], criterion: Any) -> Claim:
    ours = Spread.of(each.drawn for each in looks.values())
    return Claim(part=part, text=text, ours=ours, criterion=criterion, show=_percent)


def _difference(text: str, first: Mapping[int, Look], second: Mapping[int, Look], number: str) -> Claim:
    """Of the seeds that both have."""
    seeds = [seed for seed in first if seed in second]
    ours = Spread.of(getattr(first[seed], number) - getattr(second[seed], number) for seed in seeds)
    note = "" if ours else "no seed has both"
    return Claim(part="reward", text=text, ours=ours, criterion=above(0, _percent), note=note, show=_percent)


def published_table() -> Table:
    """What others say, with the interval that so few tasks leave."""
    columns = (
        Column("model"),
        Column("tasks_of", "tasks"),
        Column("rate", "pass@1, %", _percent),
        Column("interval", "95 % over tasks", _interval),
        Column("tasks", "how many"),
        Column("source"),
    )
    rows = [
        {
            "model": each.model,
            "tasks_of": each.tasks_of,
            "rate": each.rate,
            "interval": each.interval(),
            "tasks": each.tasks,
            "source": each.source,
        }
        for each in PUBLISHED
    ]
    return Table(columns, rows, "Published figures: other tasks, and models a thousand times as large")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _interval(value: Sequence[float] | None) -> str:
    return "" if value is None else f"{100 * value[0]:.0f}-{100 * value[1]:.0f}"


def _curves(results: Sequence[Result]) -> Mapping[str, Figure]:
    """pass@1 on held-out tasks of each seed, and after more supervised steps."""
    from qecforge.reporting.figures import add_legend, new_axes

    if not results:
        return {}
    figure, axes = new_axes("Tiny model on held-out compositions", "completions scored", "pass@1")
    for each in results:
        if each.arm == "supervised":
            label = f"more supervised steps, seed {each.seed}"
            axes.axhline(each.warm.drawn, color=f"C{each.seed % 10}", linestyle=":", linewidth=1, label=label)
            continue
        looks = [each.warm, *each.looks]
        steps, color = [look.step for look in looks], f"C{each.seed % 10}"
        axes.plot(steps, [look.drawn for look in looks], color=color, marker=".", label=f"GRPO, seed {each.seed}")
        removed = [look.removed for look in looks]
        axes.plot(steps, removed, color=color, linestyle="--", linewidth=0.8, label="fail by removed API")
    axes.set_ylim(0, 1)
    add_legend(axes)
    return {"curve": figure}
