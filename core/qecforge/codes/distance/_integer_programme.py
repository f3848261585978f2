"""Lightest logical operators as integer programmes, solved by HiGHS.

One binary variable a column, at most one set per qubit; every check, and every logical bit, becomes an equation with an
integer slack for the even part. Operators are split by the first logical bit that they flip: one programme each.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2
from qecforge.codes.distance._search_space import SearchSpace

__all__ = ["ProgrammeResult", "minimise"]

_TOLERANCE = 1e-6
_SECONDS_PER_NONZERO = 2e-6  # that the solver takes before it looks at the clock
_LEAST_SECONDS = 1e-3


@dataclass(frozen=True)
class ProgrammeResult:
    """What the programmes proved.

    Attributes:
        lower: No logical operator costs less than this.
        operator: A logical operator (2n bits) cheaper than the `upper` that was given, or None where none was found.
    """

    lower: float
    operator: int | None


def minimise(
    space: SearchSpace, costs: NDArray[np.float64], upper: float, deadline: float, *, step: int = 0
) -> ProgrammeResult:
    """Look for logical operators cheaper than `upper`.

    Args:
        costs: Per column.
        upper: Cost of a known operator.
        deadline: By `time.perf_counter()`; what is not decided by then shows in `lower`.
        step: What every cost is a multiple of, so that bounds round up; 0 for real costs.

    Returns:
        With `lower` equal to `upper`, or to the cost of `operator`, the minimum is proved.
    """
    operator, best = None, upper
    lowest = np.inf
    # Row i is bit i, of the syndromes first, then of the actions.
    bits = np.vstack([_bit_rows(space.syndromes, space.checks), _bit_rows(space.actions, space.action_bits)])
    if space.every:
        bits = bits[: space.checks]
    parts = 1 if space.every else space.action_bits
    for part in range(parts):
        remaining = (deadline - time.perf_counter()) / (parts - part)
        if remaining <= 0:
            lowest = min(lowest, 0.0)
            break
        rows = bits if space.every else bits[: space.checks + part + 1]
        bound, found = 0.0, None
        if remaining > _SECONDS_PER_NONZERO * np.count_nonzero(rows):
            bound, found = _solve(space, costs, rows, best, time.perf_counter() + remaining, step)
        if found is not None:
            operator, best = found, min(best, _cost(space, costs, found))
        lowest = min(lowest, bound)
    return ProgrammeResult(min(lowest, best), operator)


def _solve(
    space: SearchSpace,
    costs: NDArray[np.float64],
    rows_of_bits: NDArray[np.uint8],
    upper: float,
    deadline: float,
    step: int,
) -> tuple[float, int | None]:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack, kron, vstack

    columns, bits = len(costs), rows_of_bits
    odd = np.zeros(len(bits))
    if not space.every:
        odd[-1] = 1.0
    parity = csr_array(bits.astype(np.float64))
    slack = -2.0 * eye_array(len(bits), format="csr")
    constraints = [LinearConstraint(hstack([parity, slack]), odd, odd)] if len(bits) else []
    padding = csr_array((1, len(bits)))
    cheaper = _next_below(upper, step)
    rows, lows, highs = [hstack([csr_array(costs[np.newaxis]), padding])], [-np.inf], [cheaper]
    if space.every:
        rows.append(hstack([csr_array(np.ones((1, columns))), padding]))
        lows.append(1.0)
        highs.append(np.inf)
    if space.letters > 1:
        once = kron(eye_array(space.n), np.ones((1, space.letters)))
        rows.append(hstack([once, csr_array((space.n, len(bits)))]))
        lows += [0.0] * space.n
        highs += [1.0] * space.n
    constraints.append(LinearConstraint(vstack(rows), lows, highs))
    widest = bits.sum(axis=1, dtype=np.int64)
    for presolve in (True, False):  # presolving some small infeasible programmes ends in an error of the solver's
        result = milp(
            np.concatenate([costs, np.zeros(len(bits))]),
            constraints=constraints,
            integrality=np.ones(columns + len(bits)),
            bounds=Bounds(0.0, np.concatenate([np.ones(columns), np.floor(widest / 2)])),
            options={
                "time_limit": max(_LEAST_SECONDS, deadline - time.perf_counter()),
                "mip_rel_gap": 0.0,
                "presolve": presolve,
            },
        )
        if result.status != 4:
            break
    operator = None
    if result.x is not None:
        operator = space.operator(np.flatnonzero(np.round(result.x[:columns])).tolist())
        if not space.is_logical(operator):
            operator = None
    if result.status == 2:  # infeasible: nothing is cheaper than `upper`
        return upper, None
    if result.status == 0 and operator is not None:
        return _cost(space, costs, operator), operator
    dual = result.mip_dual_bound
    bound = float(dual) if dual is not None and np.isfinite(dual) else 0.0
    return max(0.0, ceil((bound - _TOLERANCE) / step) * step if step else bound), operator


def _next_below(upper: float, step: int) -> float:
    """The greatest cost that counts as cheaper than `upper`, which another space may have brought and which need not be
    a multiple of this one's step."""
    return step * (ceil(upper / step) - 1) if step else upper - _TOLERANCE * max(1.0, upper)


def _bit_rows(columns: tuple[int, ...], bits: int) -> NDArray[np.uint8]:
    """(bits, len(columns)): row i holds bit i of each column."""
    if not bits:
        return np.zeros((0, len(columns)), dtype=np.uint8)
    return np.ascontiguousarray(_gf2.unpack_rows(columns, bits).T[::-1])


def _cost(space: SearchSpace, costs: NDArray[np.float64], operator: int) -> float:
    return float(sum(costs[column] for column in space.columns_of(operator)))
