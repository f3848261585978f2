"""Small runs, codes and tasks for tests of a store."""

from __future__ import annotations

from typing import Any

from qecforge.codes import DiscoveredCode, Distance, StabilizerCode
from qecforge.evaluation.error_rates.records import ErrorRateTask
from qecforge.store import Run, Store

__all__ = ["discovered", "distance", "example_code", "example_run", "example_task"]

_STABILIZERS = {
    "five_qubit": ["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"],
    "steane": ["IIIXXXX", "IXXIIXX", "XIXIXIX", "IIIZZZZ", "IZZIIZZ", "ZIZIZIZ"],
    "four_qubit": ["XXXX", "ZZZZ"],
    "repetition": ["ZZI", "IZZ"],
}


def example_code(name: str = "five_qubit") -> StabilizerCode:
    """`five_qubit` [[5,1,3]], `steane` [[7,1,3]], `four_qubit` [[4,2,2]] or `repetition` [[3,1,1]]."""
    return StabilizerCode.from_paulis(_STABILIZERS[name])


def distance(value: int, kind: Any = "exact", *, method: str = "enumerator", **bounds: Any) -> Distance:
    """A `Distance` as a proof would give it."""
    return Distance(value=value, kind=kind, method=method, seconds=0.5, **bounds)


def discovered(code: StabilizerCode, gates: int = 12, *, step: int = 100, encoder: str = "") -> DiscoveredCode:
    """What a search would hand over. The encoder is any text: a store does not judge it."""
    return DiscoveredCode(
        code=code,
        encoder=encoder or f"# {gates} gates",
        gate_count=gates,
        two_qubit_gate_count=gates // 2,
        target_distance=3,
        step=step,
        attributes={"note": "example"},
    )


def example_run(store: Store, identity: str = "a", **fields: Any) -> Run:
    """A run filed as the core would; `identity` is repeated to 64 digits."""
    values: dict[str, Any] = {
        "name": "example",
        "seed": 0,
        "manifest": '{"qecforge": 1}',
        "manifest_source": "qecforge: 1\n",
        "environment": "search",
        "reward": "penalty",
        "agent": "learner",
        "provenance": {"qecforge": "0", "threads": {"torch": 2}},
    }
    return store.begin_run((identity * 64)[:64], **{**values, **fields})


def example_task(code: StabilizerCode, p: float = 1e-3, **fields: Any) -> ErrorRateTask:
    """A point of a memory experiment."""
    values: dict[str, Any] = {
        "code_digest": code.digest,
        "experiment": "memory",
        "noise": '{"name":"depolarizing"}',
        "p": p,
        "extraction": "flag",
        "rounds": 3,
        "basis": "both",
        "boundary": "ideal",
        "decoder": "bposd",
    }
    return ErrorRateTask(**{**values, **fields})
