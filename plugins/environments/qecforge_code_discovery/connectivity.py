"""Which pairs of qubits a two-qubit gate may act on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, Tag
from pydantic import Discriminator as ByForm

from qecforge.contracts import PluginConfig
from qecforge.errors import did_you_mean

__all__ = [
    "Connectivity",
    "CouplingMapConnectivity",
    "EdgesConnectivity",
    "GridConnectivity",
    "Pair",
    "check_pairs",
    "pairs_of",
]

Pair: TypeAlias = tuple[int, int]
NamedConnectivity: TypeAlias = Literal["all_to_all", "line", "next_nearest", "ring"]
_NAMED = ("all_to_all", "line", "next_nearest", "ring")
_KEYED = ("grid", "edges", "coupling_map")


class GridConnectivity(PluginConfig):
    """A rectangular lattice, qubits numbered row by row; neighbours are coupled, both ways."""

    grid: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(description="Rows and columns.")


class EdgesConnectivity(PluginConfig):
    """Couplings one by one; directed gates (cx, cy) act both ways over each."""

    edges: tuple[Pair, ...] = Field(description="Pairs of qubits, counted from 0.")


class CouplingMapConnectivity(PluginConfig):
    """Directed couplings, as qiskit's `CouplingMap.get_edges()`; directed gates act from first to second alone.

    `connectivity_from_coupling_map` makes one from a `CouplingMap` or a `Target`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coupling_map: tuple[Pair, ...] = Field(description="Pairs (control, target), counted from 0.")


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "named"
    if isinstance(value, dict):
        return next((key for key in _KEYED if key in value), "named")
    if isinstance(value, GridConnectivity):
        return "grid"
    if isinstance(value, EdgesConnectivity):
        return "edges"
    return "coupling_map" if isinstance(value, CouplingMapConnectivity) else "named"


def _known(value: Any) -> Any:
    if isinstance(value, str):
        if value in _NAMED:
            return value
        raise ValueError(f"unknown connectivity {value!r}.{did_you_mean(value, _NAMED)} {_FORMS}")
    if isinstance(value, dict) and sum(key in value for key in _KEYED) == 1 and len(value) == 1:
        return value
    if isinstance(value, (GridConnectivity, EdgesConnectivity, CouplingMapConnectivity)):
        return value
    raise ValueError(f"connectivity cannot be {value!r}. {_FORMS}")


_FORMS = (
    f"Give {', '.join(_NAMED)}, or one of {{grid: [rows, columns]}}, {{edges: [[0, 1], ...]}}, "
    "{coupling_map: [[0, 1], ...]}"
)

Connectivity: TypeAlias = Annotated[
    Annotated[NamedConnectivity, Tag("named")]
    | Annotated[GridConnectivity, Tag("grid")]
    | Annotated[EdgesConnectivity, Tag("edges")]
    | Annotated[CouplingMapConnectivity, Tag("coupling_map")],
    ByForm(_form),
    BeforeValidator(_known),
]


def _both_ways(edges: Iterable[Pair]) -> tuple[Pair, ...]:
    return tuple(sorted({pair for a, b in edges for pair in ((a, b), (b, a))}))


def pairs_of(
    connectivity: str | GridConnectivity | EdgesConnectivity | CouplingMapConnectivity, n: int
) -> tuple[Pair, ...]:
    """Directed pairs (control, target) of n qubits, sorted; without checks (see `check_pairs`)."""
    if isinstance(connectivity, CouplingMapConnectivity):
        return tuple(sorted(set(connectivity.coupling_map)))
    if isinstance(connectivity, EdgesConnectivity):
        return _both_ways(connectivity.edges)
    if isinstance(connectivity, GridConnectivity):
        rows, columns = connectivity.grid
        right = [(r * columns + c, r * columns + c + 1) for r in range(rows) for c in range(columns - 1)]
        down = [(r * columns + c, (r + 1) * columns + c) for r in range(rows - 1) for c in range(columns)]
        return _both_ways(right + down)
    if connectivity == "all_to_all":
        return _both_ways((a, b) for a in range(n) for b in range(a))
    reach = 2 if connectivity == "next_nearest" else 1
    edges = [(a, a + r) for r in range(1, reach + 1) for a in range(n - r)]
    if connectivity == "ring" and n > 2:
        edges.append((0, n - 1))
    return _both_ways(edges)


def check_pairs(
    connectivity: str | GridConnectivity | EdgesConnectivity | CouplingMapConnectivity, n: int
) -> tuple[Pair, ...]:
    """`pairs_of`, refused where a pair is out of range or the qubits fall apart.

    Raises:
        ValueError: One line that says which pair or qubit, and what to do.
    """
    if isinstance(connectivity, GridConnectivity):
        rows, columns = connectivity.grid
        if rows * columns != n:
            raise ValueError(f"a {rows}x{columns} grid has {rows * columns} qubits, but n is {n}: make them equal")
    pairs = pairs_of(connectivity, n)
    for a, b in pairs:
        if not (0 <= a < n and 0 <= b < n):
            raise ValueError(f"coupling [{a}, {b}] is out of range: qubits are counted 0..{n - 1}")
        if a == b:
            raise ValueError(f"coupling [{a}, {b}] joins a qubit with itself: give two different qubits")
    root = list(range(n))

    def find(q: int) -> int:
        while root[q] != q:
            root[q] = root[root[q]]
            q = root[q]
        return q

    for a, b in pairs:
        root[find(a)] = find(b)
    apart = [q for q in range(n) if find(q) != find(0)]
    if apart:
        raise ValueError(
            f"qubit {apart[0]} cannot be reached from qubit 0: the connectivity is disconnected, add couplings"
        )
    return pairs
