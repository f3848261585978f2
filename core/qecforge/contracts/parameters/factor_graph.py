"""Which objectives depend on which parameters: a sparse bipartite graph.

    graph = FactorGraph(indptr, indices, num_objectives=m, num_parameters=P, group=group, num_groups=G)
    graph.parameters_of(0)          # numbers of the parameters that objective 0 can tell something about
    graph.statistics().mean_objectives_per_parameter

Parameters that have the same objectives, such as all of one gate, form a group, and the graph is kept between
objectives and groups: its size does not grow with the number of parameters of a gate.

Source: arXiv 2511.08493, figure 2(c); the groups are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError

__all__ = ["FactorGraph", "FactorGraphStatistics"]


@dataclass(frozen=True)
class FactorGraphStatistics:
    """Sizes of neighbourhoods.

    Attributes:
        mean_parameters_per_objective, mean_objectives_per_parameter: The means over objectives and over parameters.
        max_parameters_per_objective, max_objectives_per_parameter: The largest neighbourhoods.
        density: Fraction of the pairs (objective, parameter) that are connected, 0..1.
    """

    mean_parameters_per_objective: float
    max_parameters_per_objective: int
    mean_objectives_per_parameter: float
    max_objectives_per_parameter: int
    density: float


@dataclass(frozen=True, eq=False)
class FactorGraph:
    """A sparse 0/1 matrix of objectives and groups of parameters, by rows (CSR). Arrays are copied and made read-only.

    Attributes:
        indptr: (m + 1,) int64. Objective j has the groups `indices[indptr[j] : indptr[j + 1]]`.
        indices: (nnz,) int64, numbers of groups, ascending within a row and each once.
        num_objectives: m, entries of the reward vector.
        num_parameters: P, length of the action.
        group: (P,) int64, the group of each parameter, 0..G-1.
        num_groups: G. A group may be empty.
        weights: (nnz,) float64, >= 0: by how much an objective falls, as far as is known beforehand, where one
            parameter of the group is one exploration scale from its optimum; None where nobody says.

    Raises:
        ConfigurationError: Arrays of other lengths, or numbers out of range.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    num_objectives: int
    num_parameters: int
    group: NDArray[np.int64]
    num_groups: int
    weights: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in ("indptr", "indices", "group"):
            given = np.asarray(getattr(self, name))
            if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
                raise ConfigurationError(
                    f"factor graph: {name} is {given.dtype} of shape {given.shape}: give one row of integers"
                )
            array = np.array(given, dtype=np.int64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        for name, length, expected in (
            ("indptr", len(self.indptr), self.num_objectives + 1),
            ("group", len(self.group), self.num_parameters),
        ):
            if length != expected:
                raise ConfigurationError(f"factor graph: {name} has {length} entries: give {expected}")
        rows = np.diff(self.indptr)
        if self.indptr[0] != 0 or self.indptr[-1] != len(self.indices) or (rows < 0).any():
            raise ConfigurationError(
                f"factor graph: indptr runs from {self.indptr[0]} to {self.indptr[-1]}: "
                f"let it rise from 0 to {len(self.indices)}, the number of indices"
            )
        for name, array in (("indices", self.indices), ("group", self.group)):
            if array.size and not (array.min() >= 0 and array.max() < self.num_groups):
                raise ConfigurationError(
                    f"factor graph: {name} lie in {array.min()}..{array.max()}: give 0..{self.num_groups - 1}"
                )
        if self.weights is not None:
            self._check_weights(np.array(self.weights, np.float64))
        inside = np.ones(len(self.indices), np.bool_)
        inside[self.indptr[:-1][rows > 0]] = False
        falls = np.flatnonzero(inside[1:] & (np.diff(self.indices) <= 0))
        if len(falls):
            row = int(np.searchsorted(self.indptr, falls[0], side="right")) - 1
            raise ConfigurationError(f"factor graph: groups of objective {row} do not ascend: sort them, each once")

    def _check_weights(self, weights: NDArray[np.float64]) -> None:
        if weights.shape != self.indices.shape or not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ConfigurationError(
                f"factor graph: weights have shape {weights.shape}: give one number from 0 for each of the "
                f"{len(self.indices)} indices"
            )
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)

    @cached_property
    def group_sizes(self) -> NDArray[np.int64]:
        """(G,) parameters in each group."""
        return np.bincount(self.group, minlength=self.num_groups).astype(np.int64)

    @cached_property
    def by_group(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same matrix by columns: `indptr` (G + 1,) and `indices` (nnz,), objectives ascending in each group."""
        order = np.argsort(self.indices, kind="stable")
        rows = np.repeat(np.arange(self.num_objectives), np.diff(self.indptr))[order]
        counts = np.bincount(self.indices, minlength=self.num_groups)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), rows.astype(np.int64)

    def parameters_of(self, objective: int) -> NDArray[np.int64]:
        """Numbers of the parameters connected to an objective, ascending."""
        self._check("objective", objective, self.num_objectives)
        return np.flatnonzero(np.isin(self.group, self.indices[self.indptr[objective] : self.indptr[objective + 1]]))

    def objectives_of(self, parameter: int) -> NDArray[np.int64]:
        """Numbers of the objectives connected to a parameter, ascending."""
        self._check("parameter", parameter, self.num_parameters)
        indptr, indices = self.by_group
        group = self.group[parameter]
        return indices[indptr[group] : indptr[group + 1]].copy()

    def unconnected_parameters(self) -> NDArray[np.int64]:
        """Numbers of the parameters that no objective depends on, ascending: nothing could ever be learned of them."""
        return np.flatnonzero(np.diff(self.by_group[0])[self.group] == 0)

    def dense(self) -> NDArray[np.bool_]:
        """(m, P) bool, True where objective and parameter are connected. For small graphs."""
        groups = np.zeros((self.num_objectives, self.num_groups), np.bool_)
        groups[np.repeat(np.arange(self.num_objectives), np.diff(self.indptr)), self.indices] = True
        return groups[:, self.group]

    def statistics(self) -> FactorGraphStatistics:
        """Sizes of neighbourhoods; all 0 where there is no objective or no parameter."""
        sizes = self.group_sizes[self.indices]
        row = np.repeat(np.arange(self.num_objectives), np.diff(self.indptr))
        of_objective = np.bincount(row, weights=sizes, minlength=self.num_objectives)
        of_parameter = np.diff(self.by_group[0])[self.group]
        edges, pairs = int(sizes.sum()), self.num_objectives * self.num_parameters
        return FactorGraphStatistics(
            mean_parameters_per_objective=edges / max(self.num_objectives, 1),
            max_parameters_per_objective=int(of_objective.max(initial=0)),
            mean_objectives_per_parameter=edges / max(self.num_parameters, 1),
            max_objectives_per_parameter=int(of_parameter.max(initial=0)),
            density=edges / max(pairs, 1),
        )

    def _check(self, what: str, number: int, count: int) -> None:
        if not 0 <= number < count:
            raise ConfigurationError(f"factor graph: there is no {what} {number}: give 0..{count - 1}")
