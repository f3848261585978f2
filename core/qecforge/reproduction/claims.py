"""One rule by which claims are decided, and the one table that they stand in.

What is held against a claim is Student's 95 % interval of the mean over seeds, or, where a criterion says so, the mean
alone. A claim holds where all of it is as claimed, it does not where none of it can be, and else, or with too few
seeds, it is not decided. A criterion says what is as claimed, and what rules it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from qecforge.contracts.reproduction import Claim
from qecforge.reporting.spread import Spread, spread
from qecforge.reporting.tables import Column, Table, number

__all__ = [
    "Held",
    "above",
    "at_least",
    "at_most",
    "claims_table",
    "mean_at_least",
    "mean_at_most",
    "mean_within",
]

Ends: TypeAlias = Callable[[float, float], bool]
"""Asked of the lowest and the highest number of an interval; of a mean both are the mean."""


@dataclass(frozen=True)
class Held:
    """A criterion.

    Attributes:
        text: After "holds if".
        fulfilled: Whether all numbers between two ends are as claimed.
        refuted: Whether numbers between two ends rule the claim out.
        of: What is held against the claim.
        seeds: With fewer nothing is decided: one seed has no interval.
    """

    text: str
    fulfilled: Ends
    refuted: Ends
    of: Literal["interval", "mean"] = "interval"
    seeds: int = 2

    def holds(self, ours: Spread) -> bool | None:
        """The verdict on a number over seeds; None where it is not decided."""
        if ours.seeds < self.seeds:
            return None
        low, high = (ours.low, ours.high) if self.of == "interval" else (ours.mean, ours.mean)
        if self.fulfilled(low, high):
            return True
        return False if self.refuted(low, high) else None


def at_least(bound: float, show: Callable[[float], str] = number) -> Held:
    """The whole interval at or above a bound; refuted where it is all below."""
    return Held(f"interval at least {show(bound)}", lambda low, _: low >= bound, lambda _, high: high < bound)


def at_most(bound: float, show: Callable[[float], str] = number) -> Held:
    """The whole interval at or below a bound; refuted where it is all above."""
    return Held(f"interval at most {show(bound)}", lambda _, high: high <= bound, lambda low, _: low > bound)


def above(bound: float, show: Callable[[float], str] = number) -> Held:
    """The whole interval above a bound: an effect that must show. An interval that reaches the bound refutes it."""
    return Held(f"interval above {show(bound)}", lambda low, _: low > bound, lambda low, _: low <= bound)


def mean_at_least(bound: float, text: str = "") -> Held:
    """The mean at or above a bound, whatever its interval; `text` in the place of `at least BOUND`."""
    words = text or f"at least {number(bound)}"
    return Held(words, lambda low, _: low >= bound, lambda _, high: high < bound, "mean", 1)


def mean_at_most(bound: float, text: str = "") -> Held:
    """The mean at or below a bound, whatever its interval; `text` in the place of `at most BOUND`."""
    words = text or f"at most {number(bound)}"
    return Held(words, lambda _, high: high <= bound, lambda low, _: low > bound, "mean", 1)


def mean_within(goal: float, relative: float) -> Held:
    """The mean within a relative distance of a goal other than 0, whatever its interval."""

    def far(value: float) -> float:
        return abs(value / goal - 1)

    return Held(
        f"within {relative:.0%} of {number(goal)}",
        lambda low, high: max(far(low), far(high)) <= relative,
        lambda low, high: min(far(low), far(high)) > relative,
        "mean",
        1,
    )


def claims_table(claims: Sequence[Claim]) -> Table:
    """A row for each claim."""
    columns = (
        Column("part"),
        Column("claim"),
        Column("theirs"),
        Column("ours"),
        Column("seeds"),
        Column("criterion", "holds if"),
        Column("holds", show=_verdict),
        Column("note"),
        Column("value", detail=True),
    )
    return Table(columns, [_row(claim) for claim in claims], "Claims of the paper, ours beside theirs")


def _row(claim: Claim) -> dict[str, Any]:
    value = None if claim.ours is None else claim.ours.row()
    return {
        "part": claim.part,
        "claim": claim.text,
        "theirs": claim.theirs,
        "ours": spread(claim.show or number)(value),
        "seeds": None if claim.ours is None else claim.ours.seeds,
        "criterion": claim.criterion.text,
        "holds": claim.holds,
        "note": claim.note,
        "value": value,
    }


def _verdict(holds: bool | None) -> str:
    return "not decided" if holds is None else "yes" if holds else "no"
