"""The returns of gradient bandits on chains, beside what a textbook leads one to expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qecforge.contracts import Claim, Order, PlannedRun, Report
from qecforge.manifest import load_manifest
from qecforge.reporting.figures import add_legend, new_axes
from qecforge.reporting.spread import Spread, row_of, spread
from qecforge.reporting.tables import Column, Table, number
from qecforge.reproduction import check_names, finished, mean_within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.registry import Registry
    from qecforge.store import Store
    from qecforge_thirdparty_example import ChainOptions

__all__ = ["SIZES", "plan", "report", "shortest"]

SIZES = ("3", "4", "5")
NEAR = 0.15

_MANIFEST = """\
qecforge: 1
name: chain
environment: {plugin: bit_flip_chain, n: 3, max_gates: 12}
reward: spread
agent: {plugin: gradient_bandit, total_steps: 8192, num_envs: 16}
seeds: [0]
"""


@dataclass(frozen=True, kw_only=True)
class PlannedChain(PlannedRun):
    """A run on a chain of n qubits."""

    n: int


def shortest(n: int) -> float:
    """The return of the shortest circuit on n qubits: after its g-th gate the logical X acts on g + 1 of them."""
    return sum(qubits / n for qubits in range(2, n + 1))


def plan(order: Order[ChainOptions], registry: Registry) -> list[PlannedChain]:
    """A run for each size and seed."""
    sizes = order.options.sizes or (SIZES[:1] if order.quick else SIZES)
    check_names("size", sizes, SIZES)
    planned = []
    for size in dict.fromkeys(sizes):
        own = (f"name=chain_{size}", f"environment.n={size}", f"agent.total_steps={order.options.steps}")
        texts = [*own, f"seeds={list(order.seeds)}", *order.overrides]
        for run in load_manifest(_MANIFEST, registry=registry, overrides=texts).runs():
            planned.append(PlannedChain(plan=run, labels={"n": size}, n=int(size)))
    return planned


def report(store: Store, planned: Sequence[PlannedChain]) -> Report:
    """The last mean return of each size, with a claim that it is near the shortest circuit's."""
    returns: dict[int, list[float | None]] = {}
    for each, run in finished(store, planned):
        returns.setdefault(each.n, []).append(store.metrics(run.id, "episode_return").last)
    ours = {n: found for n, values in returns.items() if (found := Spread.student(values)) is not None}
    return Report(
        claims=[_claim(n, found) for n, found in ours.items()],
        tables={"returns": _table(ours)},
        figures=lambda: {"returns": _figure(ours)} if ours else {},
    )


def _claim(n: int, ours: Spread) -> Claim:
    return Claim(
        part=f"chain of {n}",
        text="the bandit ends at the shortest circuit, return",
        theirs=number(shortest(n)),
        ours=ours,
        criterion=mean_within(shortest(n), NEAR),
    )


def _table(ours: Mapping[int, Spread]) -> Table:
    columns = (
        Column("n"),
        Column("seeds"),
        Column("episode_return", "return", show=spread(number), justify="right"),
        Column("shortest", "shortest circuit"),
    )
    rows: list[dict[str, Any]] = [
        {"n": n, "seeds": found.seeds, "episode_return": row_of(found), "shortest": shortest(n)}
        for n, found in ours.items()
    ]
    return Table(columns, rows, "Returns of the gradient bandit")


def _figure(ours: Mapping[int, Spread]) -> Figure:
    figure, axes = new_axes("Returns of the gradient bandit", "qubits", "return")
    sizes = list(ours)
    axes.plot(sizes, [found.mean for found in ours.values()], "o", label="ours")
    axes.plot(sizes, [shortest(n) for n in sizes], "D", fillstyle="none", label="shortest circuit")
    axes.set_xticks(sizes)
    add_legend(axes)
    return figure
