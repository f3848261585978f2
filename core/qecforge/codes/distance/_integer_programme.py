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

from qecforge.codes.distance._search_space import SearchSpace

__all__ = ["ProgrammeResult", "minimise"]

_TOLERANCE = 1e-6


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
    parts = 1 if space.every else space.action_bits
    for part in range(parts):
        remaining = (deadline - time.perf_counter()) / (parts - part)
        bound, found = _solve(space, costs, part, best, remaining, step)
        if found is not None:
            operator, best = found, min(best, _cost(space, costs, found))
        lowest = min(lowest, bound)
    return ProgrammeResult(min(lowest, best), operator)


def _solve(
    space: SearchSpace, costs: NDArray[np.float64], part: int, upper: float, seconds: float, step: int
) -> tuple[float, int | None]:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack, kron, vstack

    columns = len(costs)
    if seconds <= 0:
        return 0.0, None
    bits = [_bit_row(space.syndromes, bit) for bit in range(space.checks)]
    odd = np.zeros(space.checks + (0 if space.every else part + 1))
    if not space.every:
        bits += [_bit_row(space.actions, bit) for bit in range(part + 1)]
        odd[-1] = 1.0
    parity = csr_array(np.array(bits, dtype=np.float64).reshape(len(bits), columns))
    slack = -2.0 * eye_array(len(bits), format="csr")
    constraints = [LinearConstraint(hstack([parity, slack]), odd, odd)] if bits else []
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
    widest = np.array([row.sum() for row in np.array(bits)]) if bits else np.zeros(0)
    for presolve in (True, False):  # presolving some small infeasible programmes ends in an error of the solver's
        result = milp(
            np.concatenate([costs, np.zeros(len(bits))]),
            constraints=constraints,
            integrality=np.ones(columns + len(bits)),
            bounds=Bounds(0.0, np.concatenate([np.ones(columns), np.floor(widest / 2)])),
            options={"time_limit": seconds, "mip_rel_gap": 0.0, "presolve": presolve},
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


def _bit_row(columns: tuple[int, ...], bit: int) -> list[float]:
    return [float(column >> bit & 1) for column in columns]


def _cost(space: SearchSpace, costs: NDArray[np.float64], operator: int) -> float:
    return float(sum(costs[column] for column in space.columns_of(operator)))
