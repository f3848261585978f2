"""Pictures of the factor graph: which stabilizers see which gates, on the layout of the qubits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.reporting.figures import require_matplotlib
from qecforge_surface_steering.device.families import READOUT, RESET
from qecforge_surface_steering.device.regions import DetectionModel
from qecforge_surface_steering.device.tagged import TaggedCircuit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_factor_graph"]

_MARKERS = {
    1: ("o", "gates of 1 qubit"),
    2: ("D", "gates of 2 qubits"),
    READOUT: ("^", "readouts"),
    RESET: ("v", "resets"),
}
_BESIDE = {1: 0.22, 2: 0.0, READOUT: -0.22, RESET: -0.4}
_GATE, _OBJECTIVE, _EDGE, _FAINT = "#27567b", "#b63679", "#b63679", "0.8"


def draw_factor_graph(
    model: DetectionModel, circuit: TaggedCircuit, *, objective: int | None = None, ax: Axes | None = None
) -> Axes:
    """Objectives, gates, and a line from each objective to every gate that it depends on.

    Gates stand in the middle of their qubits and objectives at their detectors' coordinates; where any of these has
    none, both are put into columns instead.

    Args:
        model: What is drawn.
        circuit: A circuit of the model, for the places of its qubits.
        objective: Draw only the lines of this one; None for all.
        ax: Where to draw; None for a figure of its own, without `pyplot`.

    Returns:
        The axes, titled with mean neighbourhoods (in gates; times P in parameters).

    Raises:
        ConfigurationError: No such objective.
        MissingDependency: matplotlib is not installed.

    Source: arXiv 2511.08493, figure 2(c).
    """
    if objective is not None and not 0 <= objective < model.num_objectives:
        raise ConfigurationError(f"factor graph: there is no objective {objective}: give 0..{model.num_objectives - 1}")
    require_matplotlib()
    from matplotlib.collections import LineCollection

    axes = _axes() if ax is None else ax
    objectives, gates = _places(model, circuit)
    graph = model.factor_graph(1)
    rows = np.repeat(np.arange(model.num_objectives), np.diff(graph.indptr))
    shown = np.ones(len(rows), dtype=np.bool_) if objective is None else rows == objective
    ends = np.stack([objectives[rows[shown]], gates[graph.indices[shown]]], axis=1)
    width = 0.4 if objective is None else 1.2
    axes.add_collection(LineCollection(list(ends), colors=_EDGE, linewidths=width, zorder=1))
    lit = np.bincount(graph.indices[shown], minlength=model.num_gates) > 0
    family = np.array([gate.family for gate in model.gates])
    for each in np.unique(family).tolist():
        marker, label = _MARKERS[each]
        of = family == each
        colors = np.where(lit[of], _GATE, _FAINT).tolist()
        axes.scatter(gates[of, 0], gates[of, 1], s=18, marker=marker, c=colors, zorder=2, label=label)
    chosen = slice(None) if objective is None else slice(objective, objective + 1)
    axes.scatter(
        objectives[chosen, 0], objectives[chosen, 1], s=70, marker="s", c=_OBJECTIVE, zorder=3, label="objectives"
    )
    sizes = graph.statistics()
    axes.set_title(
        f"{sizes.mean_parameters_per_objective:.1f} gates an objective, "
        f"{sizes.mean_objectives_per_parameter:.1f} objectives a gate"
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_axis_off()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return axes


def _places(model: DetectionModel, circuit: TaggedCircuit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(m, 2) of the objectives and (G, 2) of the gates."""
    qubits = {q: at[:2] for q, at in circuit.coordinates.items() if len(at) > 1}
    known = all(q in qubits for gate in model.gates for q in gate.qubits)
    if known and np.isfinite(model.coordinates).all():
        gates = np.array([np.mean([qubits[q] for q in gate.qubits], axis=0) for gate in model.gates])
        beside = np.array([_BESIDE[gate.family] for gate in model.gates])
        return model.coordinates, gates + np.stack([np.zeros_like(beside), beside], axis=1)
    height = max(model.num_objectives, model.num_gates)

    def column(x: float, count: int) -> NDArray[np.float64]:
        return np.stack([np.full(count, x), (np.arange(count) + 0.5) * height / count], axis=1)

    return column(0.0, model.num_objectives), column(height / 2, model.num_gates)


def _axes() -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(7, 6), layout="constrained").add_subplot()
