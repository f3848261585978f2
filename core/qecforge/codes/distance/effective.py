"""The distance under biased noise.

Give each Pauli letter a weight, w_X, w_Y, w_Z > 0, on every qubit; an error's effective weight is the sum over its
letters. The *effective distance* d_eff of a code is the smallest effective weight of a Pauli that commutes with every
stabilizer and is not one of them (for k = 0: of a stabilizer other than the identity). Every error of effective weight
below d_eff satisfies the Knill-Laflamme conditions for detection, and d_eff is the largest number with that property.
It is a real number; all weights 1 give the distance.

For a channel of probabilities p_X, p_Y, p_Z, `bias_weights` takes w_P = log p_P / log p_X: then p_X^d_eff estimates the
probability of the likeliest undetected logical error, whatever its letters. With p_X = p_Y this is the definition of
Olle et al. 2024 (arXiv 2311.04750), w = #X + #Y + c_Z #Z with c_Z = log p_Z / log p_X.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.codes import _gf2, _pauli
from qecforge.codes._structure import CodeStructure
from qecforge.codes.distance._budget import OutOfTime, check_deadline
from qecforge.codes.distance._integer_programme import minimise
from qecforge.codes.distance._meet_in_the_middle import load_kernels
from qecforge.codes.distance._random_search import find_light_operator
from qecforge.codes.distance._search_space import SearchSpace, pauli_space, search_spaces
from qecforge.codes.distance.proof import DistanceKind, css_distances
from qecforge.errors import ConfigurationError

__all__ = ["EffectiveDistance", "bias_weights", "effective_distance"]

_SECONDS_PER_GROUP = 1.5e-9  # of the walk, for each element and group of four qubits
_SLICE = 1 << 24
_ROUNDS = 64
_LEAST_SECONDS = 1e-3  # of the search for bounds where the budget is spent
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class EffectiveDistance:
    """An effective distance, or a bound on one.

    Attributes:
        value: The effective distance or the bound.
        kind: `exact` only where it was proved (by the integer programme: to one part in a million), else
            `upper_bound`.
        method: `walk`, `distances` or `integer_programme`, after `css halves: ` where those were worked on.
        seconds: Wall time taken.
        lower, upper: The bounds that were proved.
        witness: A logical operator of effective weight `upper`, where one is known.
    """

    value: float
    kind: DistanceKind
    method: str
    seconds: float
    lower: float
    upper: float
    witness: str | None = None


def bias_weights(p_x: float, p_y: float, p_z: float) -> tuple[float, float, float]:
    """(w_X, w_Y, w_Z) = log p / log p_X of a channel.

    Raises:
        ConfigurationError: unless all are in (0, 1); a letter that never occurs would weigh infinitely.
    """
    if not all(0 < p < 1 for p in (p_x, p_y, p_z)):
        raise ConfigurationError(f"bias_weights({p_x}, {p_y}, {p_z}): expected probabilities strictly between 0 and 1")
    return 1.0, math.log(p_y) / math.log(p_x), math.log(p_z) / math.log(p_x)


def effective_distance(
    code: CodeStructure, weights: ArrayLike, *, budget_seconds: float | None = 60.0, seed: int = 0
) -> EffectiveDistance:
    """The effective distance as defined above, proved where the budget allows.

    Args:
        code: The code.
        weights: (3,) or (n, 3): of X, Y, Z, for every qubit or each.
        budget_seconds: Wall time after which the bounds so far are given back; None for as long as it takes.
        seed: Of the random search for light operators.

    Raises:
        ConfigurationError: weights of another shape, or not positive and finite; a negative budget.
    """
    table = _checked_weights(weights, code.n)
    if budget_seconds is not None and not budget_seconds >= 0:
        raise ConfigurationError(f"budget_seconds is {budget_seconds}; expected 0 or more seconds, or None")
    load_kernels()
    started = time.perf_counter()
    deadline = math.inf if budget_seconds is None else started + budget_seconds
    # Where Y is the dearest letter, dropping the X or the Z part of an operator never makes it dearer, so that a
    # cheapest logical operator of a CSS code is of one type.
    y_dearest = bool((table[:, 1] >= table[:, [0, 2]].max(axis=1)).all())
    spaces = search_spaces(code) if y_dearest else [pauli_space(code)]
    prefix = "css halves: " if spaces[0].half else ""
    method, lower, upper, witness = _bounds(code, spaces, table, deadline, seed)
    exact = lower >= upper * (1 - _TOLERANCE)
    return EffectiveDistance(
        value=upper,
        kind="exact" if exact else "upper_bound",
        method=prefix + method,
        seconds=time.perf_counter() - started,
        lower=upper if exact else lower,
        upper=upper,
        witness=witness,
    )


def _bounds(
    code: CodeStructure, spaces: list[SearchSpace], table: NDArray[np.float64], deadline: float, seed: int
) -> tuple[str, float, float, str | None]:
    if sum(_walk_seconds(space) for space in spaces) <= min(deadline - time.perf_counter(), 600.0):
        try:
            cost, operator = min(_walk(space, table, deadline) for space in spaces)
            return "walk", cost, cost, _pauli.format_row(operator, code.n)
        except OutOfTime:
            pass  # the walk gives no bound before its end; the other methods do, whatever time is left
    if spaces[0].half and code.k and bool((table == table[0]).all()):
        remaining = max(deadline - time.perf_counter(), _LEAST_SECONDS)
        halves = css_distances(code, budget_seconds=None if math.isinf(remaining) else remaining / 2, seed=seed)
        w_x, _, w_z = table[0]
        sides = [(w_x, halves.x), (w_z, halves.z)]
        lower = min(weight * side.lower for weight, side in sides)
        upper, witness = min((weight * side.value, side.witness or "") for weight, side in sides)
        return "distances", lower, upper, witness or None
    return _programmes(code, spaces, table, deadline, seed)


def _programmes(
    code: CodeStructure, spaces: list[SearchSpace], table: NDArray[np.float64], deadline: float, seed: int
) -> tuple[str, float, float, str | None]:
    rng = np.random.default_rng(seed)
    lower, upper, witness = math.inf, math.inf, 0
    for space in spaces:
        operator = find_light_operator(space, _ROUNDS, rng, deadline=deadline) if space.commuting else None
        if operator is not None and _cost(operator, table) < upper:
            upper, witness = _cost(operator, table), operator
    if not witness:  # no time for a round
        rows = [
            space.row_operator(row)
            for space in spaces
            for row, action in zip(space.commuting, space.row_actions, strict=True)
            if action or space.every
        ]
        upper, witness = min((_cost(row, table), row) for row in rows)
    for index, space in enumerate(spaces):
        share = (deadline - time.perf_counter()) / (len(spaces) - index)
        result = minimise(space, _column_costs(space, table), upper, time.perf_counter() + share)
        if result.operator is not None and _cost(result.operator, table) < upper:
            upper, witness = _cost(result.operator, table), result.operator
        lower = min(lower, result.lower)
    # The programmes look for what is cheaper by more than one part in a million.
    lower = upper if lower >= upper * (1 - 2e-6) else lower
    return "integer_programme", max(lower, float(table.min())), upper, _pauli.format_row(witness, code.n)


def _walk_seconds(space: SearchSpace) -> float:
    if space.n > 64:
        return math.inf
    return _SECONDS_PER_GROUP * ((space.n + 3) // 4) * 2.0 ** len(space.commuting)


def _walk(space: SearchSpace, table: NDArray[np.float64], deadline: float) -> tuple[float, int]:
    """Cheapest operator by trying all; (infinity, 0) where there is none."""
    from qecforge.codes.distance import _kernels

    n, mask = space.n, (1 << space.n) - 1
    rows = [space.row_operator(row) for row in space.commuting]
    # Qubit q is bit q in the kernel and bit n-1-q here: the table of costs is turned around instead of the rows.
    x = _gf2.to_words([row >> n for row in rows], 1)[:, 0].copy()
    z = _gf2.to_words([row & mask for row in rows], 1)[:, 0].copy()
    costs = _group_costs(table[::-1])
    trivial = 0 if space.every else len(space.stabilizers)
    best, number = math.inf, -1
    end = 1 << len(rows)
    for start in range(1 << trivial, end, _SLICE):
        check_deadline(deadline)
        cost, where = _kernels.cheapest_in_span(x, z, costs, start, min(start + _SLICE, end), best)
        if where >= 0:
            best, number = cost, int(where)
    operator = 0
    for index, row in enumerate(rows):
        if number >= 0 and (number ^ number >> 1) >> index & 1:
            operator ^= row
    return (_cost(operator, table) if number >= 0 else math.inf), operator


def _group_costs(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G, 256): entry [g, x | z << 4] is the cost of letters x, z on qubits 4g..4g+3."""
    groups = (len(table) + 3) // 4
    letters = np.zeros((4 * groups, 4))  # index x + 2 z: I, X, Z, Y
    letters[: len(table), 1:] = table[:, [0, 2, 1]]
    pattern = np.arange(256)
    costs = np.zeros((groups, 256))
    for position in range(4):
        costs += letters[position::4][:, (pattern >> position & 1) + 2 * (pattern >> 4 + position & 1)]
    return costs


def _column_costs(space: SearchSpace, table: NDArray[np.float64]) -> NDArray[np.float64]:
    order = {"x": [0], "z": [2], "": [0, 2, 1]}[space.half]
    return table[:, order].reshape(-1).copy()


def _cost(operator: int, table: NDArray[np.float64]) -> float:
    letters = _pauli.format_row(operator, len(table))
    return math.fsum(table[qubit, "XYZ".index(letter)] for qubit, letter in enumerate(letters) if letter != "I")


def _checked_weights(weights: ArrayLike, n: int) -> NDArray[np.float64]:
    table = np.array(weights, dtype=np.float64)
    if table.shape == (3,):
        table = np.tile(table, (n, 1))
    if table.shape != (n, 3) or not np.isfinite(table).all() or not (table > 0).all():
        raise ConfigurationError(
            f"effective distance: weights of shape {np.shape(weights)}; expected positive finite numbers for X, Y, Z, "
            f"(3,) or (n, 3) = ({n}, 3)"
        )
    return table
