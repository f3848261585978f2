"""The numbers of the steering paper, each from the record of one run: what is then spread over seeds.

A run whose record does not allow a number has `Missing` in its place, which says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import TRUE_COST
from qecforge.reporting.spread import Spread, row_of
from qecforge_surface_steering.reproduction.fits import (
    Exponential,
    Fitted,
    Missing,
    counting_variance,
    exponential,
    falls_to,
    fluctuation,
    slope_through_origin,
    spectrum,
    upper_corner,
)
from qecforge_surface_steering.reproduction.runs import Result

__all__ = [
    "ErrorRates",
    "Filter",
    "Suppression",
    "convergence",
    "efficiency",
    "error_rates",
    "excess",
    "filter_of",
    "gradient_slope",
    "improvement",
    "late_reduction",
    "over_seeds",
    "prior_reduction",
    "ratio_to",
    "recovery",
    "reduction",
    "responses",
    "stability",
    "suppression",
    "suppression_factors",
]

FloatArray: TypeAlias = NDArray[np.float64]
Quantity: TypeAlias = Literal["rate", "ler"]

LATE = 0.75
"""What fine-tuning reaches is the mean over the epochs from this share of the training on."""

RECOVERED = 0.9
"""Share of the way, on a logarithmic scale, that makes a recovery."""

LOWEST = 8
"""So many of the lowest frequencies are the low ones."""

_FIXED = ("fixed", "nominal")


def over_seeds(values: Iterable[Fitted], *, all_needed: bool = False) -> tuple[dict[str, float] | None, str]:
    """A number over seeds as a table's cell, and what is to be said of the seeds that have none.

    Args:
        all_needed: No number where a seed has none: of those that never reach a goal, cross a level outside what was
            measured or fluctuate less than counting shows, a mean of the others would be one of a selection.
    """
    found = list(values)
    reasons: dict[str, int] = {}
    for value in found:
        if isinstance(value, Missing):
            reasons[value.reason] = reasons.get(value.reason, 0) + 1
    note = "; ".join(f"{reason} ({count} of {len(found)} seeds)" for reason, count in reasons.items())
    if reasons and all_needed:
        return None, note
    return row_of(Spread.student(value for value in found if not isinstance(value, Missing))), note


def gradient_slope(result: Result) -> Fitted:
    """Slope of d log LER over d log C along random directions, the line through the origin."""
    x, y, error = (
        result.values(f"gradient_relation/{name}")[1] for name in ("dlog_rate", "dlog_ler", "dlog_ler_error")
    )
    if not len(x) == len(y) == len(error):
        return Missing("directions without their errors")
    return slope_through_origin(x, y, error)


@dataclass(frozen=True)
class ErrorRates:
    """Logical error rates per cycle over time.

    Attributes:
        epochs, rate, errors, shots: (T,) each.
        rounds: Cycles of a shot.
    """

    epochs: NDArray[np.int64]
    rate: FloatArray
    errors: FloatArray
    shots: FloatArray
    rounds: int

    @property
    def variance(self) -> FloatArray:
        """(T,) of counting."""
        return counting_variance(self.errors, self.shots, self.rounds)


def error_rates(result: Result, policy: str, prior: str = "nominal") -> ErrorRates | Missing:
    """Those of a policy, decoded with a prior, from the epoch on at which totals begin."""
    path = f"steering/{policy}/{prior}"
    epochs, rate = result.values(f"{path}/ler")
    errors, shots = (result.values(f"{path}/{name}")[1] for name in ("errors", "shots"))
    if not len(rate):
        return Missing(f"no logical error rates of {policy}, {prior}")
    if not len(rate) == len(errors) == len(shots):
        return Missing(f"logical error rates of {policy}, {prior} without their counts")
    late = epochs >= result.settle
    return ErrorRates(epochs[late], rate[late], errors[late], shots[late], int(result.environment["rounds"]))


def reduction(result: Result, policy: str, prior: str, quantity: Quantity) -> Fitted:
    """1 - mean over time / that of the fixed policy with the nominal prior."""
    mine, fixed = _over_time(result, policy, prior, quantity), _over_time(result, *_FIXED, quantity)
    if isinstance(mine, Missing):
        return mine
    if isinstance(fixed, Missing):
        return fixed
    before = float(np.mean(fixed[1]))
    return 1 - float(np.mean(mine[1])) / before if before > 0 else Missing("no logical error of the fixed policy")


def late_reduction(result: Result, policy: str, quantity: Quantity = "ler") -> Fitted:
    """1 - mean over the last quarter of the epochs / that of the fixed policy, nominal prior: at the same epochs, or at
    all where nothing drifts and it is the same device throughout."""
    mine, fixed = _over_time(result, policy, "nominal", quantity), _over_time(result, *_FIXED, quantity)
    if isinstance(mine, Missing):
        return mine
    if isinstance(fixed, Missing):
        return fixed
    after = float(np.mean(mine[1][mine[0] >= LATE * mine[0][-1]]))
    alike = LATE * fixed[0][-1] if result.environment.get("drift") else 0
    before = float(np.mean(fixed[1][fixed[0] >= alike]))
    return 1 - after / before if before > 0 else Missing("no logical error of the fixed policy")


def prior_reduction(result: Result, prior: str) -> Fitted:
    """1 - LER with a decoder's prior / LER with the nominal one, of the evaluation `decoder_priors`."""
    mine, nominal = (result.last(f"decoder_priors/{name}/ler") for name in (prior, "nominal"))
    if mine is None or nominal is None:
        return Missing(f"no logical error rates with the priors {prior} and nominal")
    return 1 - mine / nominal if nominal > 0 else Missing("no logical error with the nominal prior")


def stability(result: Result, policy: str, prior: str, quantity: Quantity) -> Fitted:
    """Standard deviation over time of the fixed policy with the nominal prior / that of this one, without counting
    noise."""
    mine, fixed = _over_time(result, policy, prior, quantity), _over_time(result, *_FIXED, quantity)
    if isinstance(mine, Missing):
        return mine
    if isinstance(fixed, Missing):
        return fixed
    before, after = fluctuation(fixed[1], fixed[2]), fluctuation(mine[1], mine[2])
    if isinstance(before, Missing):
        return Missing(f"fixed: {before.reason}")
    return after if isinstance(after, Missing) else before / after


def responses(result: Result) -> dict[int, tuple[Fitted, Exponential | None]]:
    """By number of the step profile: epochs of its exponential response, and the fit."""
    found: dict[int, tuple[Fitted, Exponential | None]] = {}
    for number, profile in enumerate(result.environment["drift"]):
        if profile["profile"] != "step":
            continue
        epochs, followed = result.values(f"steering/response/{number}")
        fit = exponential(epochs - profile["begins"], followed)
        found[number] = (fit, None) if isinstance(fit, Missing) else (1 / fit.rate, fit)
    return found


def recovery(result: Result) -> Fitted:
    """Epochs until log(rate / optimal rate) has fallen to a tenth of what it was."""
    epochs, ratio = ratio_to(result, "optimal")
    if len(epochs) < 2:
        return Missing("no detection rates")
    left = np.log(ratio)
    return falls_to(epochs, left, (1 - RECOVERED) * float(left[0])) if left[0] > 0 else Missing("starts at the optimum")


def ratio_to(result: Result, policy: str) -> tuple[NDArray[np.int64], FloatArray]:
    """Snapshot epochs, and the exact detection rate of steering over that of another policy; empty where unknown."""
    epochs, rate = result.values("steering/steered/rate")
    other = result.values(f"steering/{policy}/rate")[1]
    return (epochs, rate / other) if len(rate) == len(other) else (epochs[:0], rate[:0])


def improvement(result: Result) -> Fitted:
    """(N_stoch - N_fixed) / (N_opt - N_fixed): events of all candidates, between the fixed and the optimal policy."""
    epochs, cost = result.values(TRUE_COST)
    cost = cost[epochs > result.settle]
    fixed, optimal = (result.last(f"steering/{policy}/total") for policy in ("fixed", "optimal"))
    if not len(cost) or fixed is None or optimal is None:
        return Missing("no totals")
    return (float(cost.mean()) - fixed) / (optimal - fixed) if optimal < fixed else Missing("nothing to improve")


@dataclass(frozen=True)
class Suppression:
    """LER of optimal control over the distance: A Λ*^(-(d+1)/2)."""

    prefactor: float
    factor: float


def suppression(results: Sequence[Result]) -> Suppression | Missing:
    """Of runs that differ in their distance: a line through log LER, weighted by the errors that were counted."""
    points = []
    for result in results:
        rates = error_rates(result, "optimal")
        if not isinstance(rates, Missing) and rates.errors.sum() > 0:
            half = (result.environment["distance"] + 1) / 2
            points.append((half, float(np.log(rates.rate.mean())), float(np.sqrt(rates.errors.sum()))))
    if len({half for half, _, _ in points}) < 2:
        return Missing("logical errors of fewer than two distances")
    x, y, weight = np.array(points).T
    slope, height = np.polyfit(x, y, 1, w=weight)
    return Suppression(float(np.exp(height)), float(np.exp(-slope)))


def suppression_factors(result: Result, found: Suppression) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Epochs, Λ(t) / Λ* = (A / LER(t))^(2/(d+1)) / Λ* of steering, and its standard error; epochs without an error are
    left out."""
    rates = error_rates(result, "steered")
    if isinstance(rates, Missing):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    seen = rates.errors > 0
    power = 2 / (result.environment["distance"] + 1)
    factor = (found.prefactor / rates.rate[seen]) ** power / found.factor
    error = factor * power * np.sqrt(rates.variance[seen]) / rates.rate[seen]
    return rates.epochs[seen], factor, error


def convergence(result: Result, found: Suppression | Missing | None = None) -> Fitted:
    """γ of 1 - Λ/Λ* ~ exp(-γ t), per epoch.

    Args:
        found: Λ from logical error rates with this suppression; None: from exact detection rates, to which Λ is
            inversely proportional, Λ/Λ* = C_optimal / C.
    """
    if isinstance(found, Missing):
        return found
    if found is None:
        epochs, ratio = ratio_to(result, "optimal")
        fit = exponential(epochs, 1 - 1 / ratio)
    else:
        epochs, factor, error = suppression_factors(result, found)
        fit = exponential(epochs, 1 - factor, error)
    return fit if isinstance(fit, Missing) else fit.rate


@dataclass(frozen=True)
class Filter:
    """Power of fluctuations with steering over that without.

    Attributes:
        frequencies: (F,) per epoch, ascending.
        before, after: (F,) power densities of the logarithm, of the fixed policy and of steering, counting noise out.
        suppression: Of the lowest frequencies, in dB, > 0 where steering is quieter.
        corner: Frequency at which half the power passes.
    """

    frequencies: FloatArray
    before: FloatArray
    after: FloatArray
    suppression: Fitted
    corner: Fitted


def filter_of(result: Result, quantity: Quantity) -> Filter | Missing:
    """What steering leaves of the fluctuations of log rate or log LER."""
    series = [_over_time(result, *which, quantity) for which in (_FIXED, ("steered", "nominal"))]
    densities = []
    frequencies = np.zeros(0)
    for each in series:
        if isinstance(each, Missing):
            return each
        epochs, values, noise = each
        if len(values) < 4 * LOWEST:
            return Missing(f"{len(values)} points in time, {4 * LOWEST} are needed")
        if not (values > 0).all():
            return Missing("an epoch without logical errors")
        spacing = float(epochs[-1] - epochs[0]) / (len(epochs) - 1)
        frequencies, density = spectrum(np.log(values), spacing)
        densities.append(density - 2 * spacing * float(np.mean(noise / values**2)))
    before, after = densities
    low = [float(density[:LOWEST].sum()) for density in (before, after)]
    quiet = Missing("fluctuation within counting noise")
    decibels = 10 * float(np.log10(low[0] / low[1])) if min(low) > 0 else quiet
    corner = upper_corner(frequencies, after / before) if (before > 0).all() else quiet
    return Filter(frequencies, before, after, decibels, corner)


def efficiency(result: Result, share: float) -> Fitted:
    """Epochs until the excess over the optimal rate has fallen to a share of what it was."""
    epochs, left = excess(result)
    return falls_to(epochs, left, share) if len(epochs) else Missing("no detection rates")


def excess(result: Result) -> tuple[NDArray[np.int64], FloatArray]:
    """Snapshot epochs, and the excess of the exact detection rate over the optimal one, 1 at the start."""
    epochs, rate = result.values("steering/steered/rate")
    optimal = result.values("steering/optimal/rate")[1]
    if not len(rate) or len(rate) != len(optimal) or rate[0] <= optimal[0]:
        return epochs[:0], rate[:0]
    return epochs, (rate - optimal) / (rate[0] - optimal[0])


def _over_time(
    result: Result, policy: str, prior: str, quantity: Quantity
) -> tuple[NDArray[np.int64], FloatArray, NDArray[Any]] | Missing:
    """Epochs, values and the variance of their noise, none for exact detection rates."""
    if quantity == "ler":
        rates = error_rates(result, policy, prior)
        return rates if isinstance(rates, Missing) else (rates.epochs, rates.rate, rates.variance)
    epochs, rate = result.values(f"steering/{policy}/rate")
    late = epochs >= result.settle
    if not late.any():
        return Missing(f"no detection rates of {policy}")
    return epochs[late], rate[late], np.zeros(int(late.sum()))
