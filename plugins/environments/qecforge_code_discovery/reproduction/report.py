"""What the searches found, beside what was released with the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qecforge.contracts import Claim, Report
from qecforge.reporting.spread import Spread
from qecforge.reporting.tables import Column, Table, duration
from qecforge.reproduction import mean_at_least
from qecforge_code_discovery.reproduction.runs import Family, Result

__all__ = ["codes_table", "report_of", "verdict"]

GOAL_BETTER = 25
"""Families, of the 50 released, in which an encoder with fewer gates is sought [ours]."""


def report_of(results: Sequence[Result]) -> Report:
    """Claims and the one table."""
    return Report(claims=_claims(results), tables={"codes": codes_table(results)})


def verdict(family: Family, gates: int | None) -> str:
    """Of our fewest gates beside theirs."""
    if gates is None:
        return "not found"
    if family.gates is None:
        return "found"
    return "better" if gates < family.gates else "equal" if gates == family.gates else "worse"


def codes_table(results: Sequence[Result]) -> Table:
    """A row for each family and agent: of several seeds, the one with the fewest gates."""
    return Table(
        (
            Column("code"),
            Column("agent"),
            Column("theirs", "gates, theirs"),
            Column("ours", "ours"),
            Column("theirs_two_qubit", "of two qubits, theirs"),
            Column("ours_two_qubit", "ours"),
            Column("verdict", "ours is"),
            Column("distance", "distance, proved"),
            Column("appended", "before the pass"),
            Column("first_seconds", "first code after", duration),
            Column("seconds", "search took", duration),
            Column("found_step", "gates tried until then"),
            Column("seeds", detail=True),
            Column("known", "note"),
            Column("code_id", detail=True),
            Column("encoder", detail=True),
        ),
        [_row(group) for group in _groups(results)],
        "Fewest gates of an encoder, beside those released with Olle et al. 2024",
    )


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.family.name, result.agent), []).append(result)
    return list(groups.values())


def _best(group: Sequence[Result]) -> Result:
    def rank(result: Result) -> tuple[bool, int, int]:
        found = result.found
        return (found is None, 0 if found is None else found.gate_count, 0 if found is None else found.step)

    return min(group, key=rank)


def _row(group: Sequence[Result]) -> dict[str, Any]:
    best = _best(group)
    family, found, code, run = best.family, best.found, best.code, best.run
    row: dict[str, Any] = {
        "code": family.code,
        "agent": best.agent,
        "theirs": family.gates,
        "theirs_two_qubit": family.two_qubit,
        "verdict": verdict(family, found.gate_count if found else None),
        "seconds": (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else None,
        "seeds": len(group),
        "known": family.known,
    }
    if found is not None and code is not None:
        row |= {
            "ours": found.gate_count,
            "ours_two_qubit": found.two_qubit_gate_count,
            "distance": code.distance,
            "appended": found.attributes.get("appended_gates"),
            "first_seconds": best.first_seconds,
            "found_step": found.step,
            "code_id": code.id,
            "encoder": found.encoder,
        }
    return row


def _claims(results: Sequence[Result]) -> list[Claim]:
    """Of the released families, with whichever agent did best in each."""
    by_family: dict[str, list[Result]] = {}
    for result in results:
        if result.family.released:
            by_family.setdefault(result.family.name, []).append(result)
    if not by_family:
        return []
    verdicts = []
    for group in by_family.values():
        best = _best(group)
        verdicts.append(verdict(best.family, best.found.gate_count if best.found else None))
    total = len(verdicts)

    def claim(text: str, count: int, goal: int, note: str = "") -> Claim:
        return Claim(
            part="released",
            text=text,
            theirs=f"of {total}",
            ours=Spread.student([float(count)]),
            criterion=mean_at_least(goal),
            note=note,
        )

    worse = total - sum(verdicts.count(word) for word in ("better", "equal"))
    return [
        claim("families in which a code is found", total - verdicts.count("not found"), total),
        claim("families with as few gates as released, or fewer", total - worse, total),
        claim("families with fewer gates", verdicts.count("better"), min(GOAL_BETTER, total)),
    ]
