"""What the steering paper claims, beside ours: whether it holds, by a criterion that each row says.

How much lower a logical error rate becomes depends on how far the device was off, which the manifests choose: of such
numbers the sign is what can hold. Times, frequencies and exponents are the agent's own, and are held to the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from qecforge.reporting.spread import spread, three
from qecforge.reporting.tables import Column, Table, number, percent
from qecforge_surface_steering.reproduction import numbers as numbers
from qecforge_surface_steering.reproduction.fits import Fitted, Missing
from qecforge_surface_steering.reproduction.runs import Result
from qecforge_surface_steering.reproduction.sweeps import (
    METHODS,
    baselines_table,
    map_table,
    natural_drift_table,
    trend_table,
)
from qecforge_surface_steering.reproduction.tables import (
    decoder_table,
    drift_table,
    fine_tuning_table,
    gradient_table,
    of,
    recovery_table,
    response_table,
)

__all__ = ["claims_table"]

Cell: TypeAlias = Mapping[str, float]
"""A `Spread.row`."""

NEAR = 0.25
"""Relative distance from (d + 1)/2 that counts as the paper's relation, which it calls approximate."""

GROWTH = 1.5
"""Factor between d = 3 and d = 15 below which a rate counts as independent of the distance."""


@dataclass(frozen=True)
class _Claim:
    """One row. `holds` tells of a number over seeds whether it is as claimed; None where it cannot tell."""

    result: str
    claim: str
    theirs: str
    ours: Cell | None
    show: Callable[[float], str]
    criterion: str
    holds: Callable[[Cell], bool | None]
    note: str = ""

    def row(self) -> dict[str, Any]:
        """As table values."""
        return {
            "result": self.result,
            "claim": self.claim,
            "theirs": self.theirs,
            "ours": spread(self.show)(self.ours),
            "seeds": None if self.ours is None else self.ours["seeds"],
            "criterion": self.criterion,
            "holds": None if self.ours is None else self.holds(self.ours),
            "note": self.note,
            "value": self.ours,
        }


def claims_table(results: Sequence[Result]) -> Table:
    """Every claim of which there are runs."""
    columns = (
        Column("result"),
        Column("claim"),
        Column("theirs"),
        Column("ours"),
        Column("seeds"),
        Column("criterion", "holds if"),
        Column("holds"),
        Column("note"),
        Column("value", detail=True),
    )
    found = (*_gradients(results), *_gains(results), *_times(results), *_sizes(results), *_others(results))
    return Table(columns, [claim.row() for claim in found], "Claims of the paper, ours beside theirs")


def _gradients(results: Sequence[Result]) -> Iterator[_Claim]:
    for row in gradient_table(results).rows:
        goal = row["theirs"]
        claim = f"d log LER = (d+1)/2 d log C at d = {row['distance']}"
        within = f"within {NEAR:.0%} of {number(goal)}"
        yield _Claim("gradient relation", claim, number(goal), row["slope"], three, within, _near(goal), row["note"])


def _near(goal: float) -> Callable[[Cell], bool]:
    return lambda ours: abs(ours["mean"] / goal - 1) <= NEAR


def _gains(results: Sequence[Result]) -> Iterator[_Claim]:
    for row in fine_tuning_table(results).rows:
        claim = f"fine-tuning lowers the LER, {row['code']}"
        yield _Claim(
            "fine-tuning", claim, "20 %", row["reduction"], percent, "interval above 0", _above(0), row["note"]
        )
    for row in drift_table(results).rows:
        if row["reduction_theirs"] is None:
            continue
        lower, stabler = f"{row['control']}: lower LER", f"{row['control']}: LER more stable, times"
        theirs = percent(row["reduction_theirs"])
        yield _Claim("drift", lower, theirs, row["reduction"], percent, "interval above 0", _above(0), row["note"])
        theirs = number(row["stability_theirs"])
        yield _Claim("drift", stabler, theirs, row["stability"], three, "interval above 1", _above(1), row["note"])
    yield from _decoder_steering(of(results, "drift"))
    for row in decoder_table(results).rows:
        if row["prior"] == "tuned":
            claim = "a prior tuned on the LER lowers it, on a device with a few bad gates"
            yield _Claim("decoder", claim, "", row["reduction"], percent, "interval above 0", _above(0), row["note"])


def _decoder_steering(group: Sequence[Result]) -> Iterator[_Claim]:
    """What it adds to steering alone, seed by seed."""
    differences: list[Fitted] = []
    for result in group:
        with_decoder, alone = (numbers.reduction(result, "steered", prior, "ler") for prior in ("learned", "nominal"))
        if isinstance(with_decoder, Missing):
            differences.append(with_decoder)
        else:
            differences.append(alone if isinstance(alone, Missing) else with_decoder - alone)
    if group:
        ours, note = numbers.over_seeds(differences)
        claim = "decoder steering lowers the LER further, by"
        yield _Claim("drift", claim, "7 %", ours, percent, "interval above 0", _above(0), note)


def _above(goal: float) -> Callable[[Cell], bool | None]:
    """One seed has no interval, and cannot tell."""
    return lambda ours: ours["low"] > goal if ours["seeds"] > 1 else None


def _at_most(goal: float) -> Callable[[Cell], bool]:
    return lambda ours: ours["mean"] <= goal


def _at_least(goal: float) -> Callable[[Cell], bool]:
    return lambda ours: ours["mean"] >= goal


def _times(results: Sequence[Result]) -> Iterator[_Claim]:
    for row in response_table(results).rows:
        if row["manifest"] == "step_response":
            claim, holds = "response to a step, epochs", _at_most(130)
            yield _Claim("response", claim, "130", row["epochs"], number, "at most 130", holds, row["note"])
    for row in recovery_table(results).rows:
        claim, holds = "recovery from randomised controls, epochs", _at_most(1000)
        yield _Claim("recovery", claim, "about 1,000", row["epochs"], number, "at most 1,000", holds, row["note"])
    rows = [row for row in map_table(results).rows if row.get("frequency") is None]
    for row in rows:
        claim, holds = f"critical frequency per epoch, entropy {number(row['entropy'])}", _at_least(1 / 150)
        yield _Claim("map", claim, "about 1/150", row["critical"], number, "at least 1/150", holds, row["note"])


def _sizes(results: Sequence[Result]) -> Iterator[_Claim]:
    for row in trend_table(results).rows:
        claim = f"γ independent of d, P = {row['parameters_per_gate']}, from {row['of']}: exponent"
        exponent = row.get("exponent")
        ours = None
        if exponent is not None:
            low, high = row["interval"]
            ours = {"mean": exponent, "std": float("nan"), "low": low, "high": high, "seeds": row["mean"]["seeds"]}
        criterion = f"γ(15)/γ(3) within a factor {GROWTH}, whole interval"
        note = row.get("note", "")
        if ours is not None and _flat(ours) is None:
            note = "; ".join(filter(None, (note, "the interval holds 0, and is too wide to tell")))
        yield _Claim("scaling", claim, "0", ours, three, criterion, _flat, note)


def _flat(ours: Cell) -> bool | None:
    if 5 ** max(abs(ours["low"]), abs(ours["high"])) <= GROWTH:
        return True
    return None if ours["low"] <= 0 <= ours["high"] else False


def _others(results: Sequence[Result]) -> Iterator[_Claim]:
    for row in natural_drift_table(results).rows:
        claim = f"slow fluctuations of {row['of']} suppressed, dB"
        yield _Claim(
            "natural drift", claim, "about 6", row["suppression"], number, "interval above 0", _above(0), row["note"]
        )
    rows = baselines_table(results).rows
    for distance in dict.fromkeys(row["distance"] for row in rows):
        mine, *others = [row for row in rows if row["distance"] == distance]
        if mine["method"] != METHODS["baselines_parameter_ppo"] or not others:
            continue
        epochs = {row["method"]: row["epochs_50"]["mean"] for row in others if row["epochs_50"] is not None}
        best = min(epochs, key=lambda name: epochs[name], default=None)
        criterion = "none of the others gets there" if best is None else f"at most {number(epochs[best])}, {best}'s"
        claim = f"epochs to half the excess at d = {distance}, beside the best other"
        holds = _at_most(float("inf") if best is None else epochs[best])
        yield _Claim("baselines", claim, "", mine["epochs_50"], number, criterion, holds, mine["note"])
