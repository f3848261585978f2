"""Tables of the steering paper's results on one device, ours beside theirs: each number a `Spread` over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from qecforge.reporting.spread import Spread, row_of, spread, three
from qecforge.reporting.tables import Column, Table, number, percent
from qecforge_surface_steering.reproduction import numbers as numbers
from qecforge_surface_steering.reproduction.fits import Fitted, Missing
from qecforge_surface_steering.reproduction.runs import Result

__all__ = [
    "NOTE",
    "SEEDS",
    "amplitudes_table",
    "decoder_table",
    "drift_table",
    "fine_tuning_table",
    "first_of_drift",
    "gradient_table",
    "grouped",
    "of",
    "recovery_table",
    "response_table",
]

VARIANTS = {
    "steered": ("steered", "nominal"),
    "steered, decoder steered": ("steered", "learned"),
    "fixed, decoder steered": ("fixed", "learned"),
    "optimal control": ("optimal", "nominal"),
}
"""What injected drift is met with: policy, and the decoder's prior."""

THEIRS: Mapping[str, tuple[float, float]] = {"steered": (0.24, 2.4), "steered, decoder steered": (0.31, 3.5)}
"""The paper's reduction and stability of the LER."""

NOTE = Column("note")
SEEDS = Column("seeds")


def of(results: Iterable[Result], experiment: str) -> list[Result]:
    """Those of one result."""
    return [result for result in results if result.experiment == experiment]


def grouped(results: Iterable[Result], key: Callable[[Result], Any]) -> dict[Any, list[Result]]:
    """Results by what a key says of each, seeds together, keys in ascending order."""
    groups: dict[Any, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return dict(sorted(groups.items()))


def gradient_table(results: Sequence[Result]) -> Table:
    """Slope of log LER over log C, beside (d + 1)/2."""
    columns = (
        Column("distance", "d"),
        SEEDS,
        Column("slope", "d log LER / d log C", show=spread(three), justify="right"),
        Column("theirs", "(d + 1)/2"),
        Column("directions"),
        Column("ler", "LER", show=spread(number), justify="right"),
        Column("rate", "detection rate", show=spread(number), justify="right"),
        NOTE,
    )
    rows = []
    for distance, group in grouped(of(results, "gradient_relation"), _distance).items():
        slope, note = numbers.over_seeds(map(numbers.gradient_slope, group))
        rows.append(
            {
                "distance": distance,
                "seeds": len(group),
                "slope": slope,
                "theirs": (distance + 1) / 2,
                "directions": sum(len(each.values("gradient_relation/dlog_rate")[1]) for each in group),
                "ler": _lasts(group, "gradient_relation/ler"),
                "rate": _lasts(group, "gradient_relation/rate"),
                "note": note,
            }
        )
    return Table(columns, rows, "Gradient relation")


def fine_tuning_table(results: Sequence[Result]) -> Table:
    """What fine-tuning takes from the logical error rate, and what optimal control would."""
    columns = (
        Column("code"),
        SEEDS,
        Column("reduction", "LER reduced by", show=spread(percent), justify="right"),
        Column("theirs", show=percent, justify="right"),
        Column("optimal", "optimal control", show=spread(percent), justify="right"),
        Column("rate", "detection rate reduced by", show=spread(percent), justify="right"),
        NOTE,
    )
    rows = []
    for (code, distance), group in grouped(of(results, "fine_tuning"), _code).items():
        reduced, note = numbers.over_seeds(numbers.late_reduction(each, "steered") for each in group)
        rows.append(
            {
                "code": f"{code}, d = {distance}",
                "seeds": len(group),
                "reduction": reduced,
                "theirs": 0.20,
                "optimal": numbers.over_seeds(numbers.late_reduction(each, "optimal") for each in group)[0],
                "rate": numbers.over_seeds(numbers.late_reduction(each, "steered", "rate") for each in group)[0],
                "note": note,
            }
        )
    return Table(columns, rows, "Fine-tuning of a calibrated device")


_HELD = (
    SEEDS,
    Column("reduction", "LER reduced by", show=spread(percent), justify="right"),
    Column("reduction_theirs", "theirs", show=percent, justify="right"),
    Column("stability", "std of LER, times smaller", show=spread(three), justify="right"),
    Column("stability_theirs", "theirs"),
    Column("rate_reduction", "detection rate reduced by", show=spread(percent), justify="right"),
    Column("rate_stability", "its std, times smaller", show=spread(three), justify="right"),
    NOTE,
)


def drift_table(results: Sequence[Result]) -> Table:
    """Injected drift: means and deviations over time beside those of fixed control with the nominal decoder."""
    group = of(results, "drift")
    rows = [row for name in VARIANTS if (row := _held(group, name)) is not None] if group else []
    return Table((Column("control"), *_HELD), rows, "Injected drift, beside fixed control")


def amplitudes_table(results: Sequence[Result]) -> Table:
    """The same over the amplitude of the first profile, with which the others grow."""
    rows = [
        {"amplitude": amplitude, **row}
        for amplitude, group in grouped(of(results, "amplitudes"), first_of_drift("amplitude")).items()
        for name in ("steered", "optimal control")
        if (row := _held(group, name)) is not None
    ]
    shown = [column for column in _HELD if not column.key.endswith("theirs")]
    return Table((Column("amplitude"), Column("control"), *shown), rows, "Injected drift over its amplitude")


def decoder_table(results: Sequence[Result]) -> Table:
    """A decoder whose prior is tuned on the logical error rate, beside other priors, on the same shots."""
    columns = (
        Column("prior"),
        SEEDS,
        Column("ler", "LER per cycle", show=spread(number), justify="right"),
        Column("reduction", "lower than nominal by", show=spread(percent), justify="right"),
        NOTE,
    )
    group = of(results, "decoder")
    rows = []
    for prior in ("nominal", "tuned", "learned", "true") if group else ():
        reduced, note = numbers.over_seeds(numbers.prior_reduction(each, prior) for each in group)
        rates = Spread.student(each.last(f"decoder_priors/{prior}/ler") for each in group)
        rows.append(
            {
                "prior": prior,
                "seeds": len(group),
                "ler": row_of(rates),
                "reduction": None if prior == "nominal" else reduced,
                "note": note,
            }
        )
    return Table(columns, rows, "Decoder tuned on the logical error rate of a device with a few bad gates")


def _held(group: Sequence[Result], name: str) -> dict[str, Any] | None:
    """None where no run has that policy's rates with that prior."""
    policy, prior = VARIANTS[name]
    reduced, note = numbers.over_seeds(numbers.reduction(each, policy, prior, "ler") for each in group)
    stable, second = numbers.over_seeds(
        (numbers.stability(each, policy, prior, "ler") for each in group), all_needed=True
    )
    if reduced is None and prior != "nominal":
        return None
    exact: dict[str, Any] = {}
    if prior == "nominal":
        exact = {
            "rate_reduction": numbers.over_seeds(numbers.reduction(each, policy, prior, "rate") for each in group)[0],
            "rate_stability": numbers.over_seeds(numbers.stability(each, policy, prior, "rate") for each in group)[0],
        }
    theirs = THEIRS.get(name, (None, None))
    return {
        "control": name,
        "seeds": len(group),
        "reduction": reduced,
        "reduction_theirs": theirs[0],
        "stability": stable,
        "stability_theirs": theirs[1],
        **exact,
        "note": note if note == second else "; ".join(filter(None, (note, second))),
    }


def response_table(results: Sequence[Result]) -> Table:
    """Epochs of the exponential response to a step."""
    columns = (
        Column("manifest"),
        Column("step", "step of"),
        SEEDS,
        Column("epochs", "response, epochs", show=spread(number), justify="right"),
        Column("theirs"),
        Column("followed", "followed in the end", show=spread(percent), justify="right"),
        NOTE,
    )
    rows = []
    for manifest, group in grouped([*of(results, "response"), *of(results, "drift")], _manifest).items():
        fits = [numbers.responses(each) for each in group]
        for profile in fits[0]:
            found = [each[profile] for each in fits]
            epochs, note = numbers.over_seeds(value for value, _ in found)
            ends: list[Fitted] = [Missing("") if fit is None else fit.end for _, fit in found]
            rows.append(
                {
                    "manifest": manifest,
                    "step": ", ".join(group[0].environment["drift"][profile]["kinds"]),
                    "seeds": len(group),
                    "epochs": epochs,
                    "theirs": 130,
                    "followed": numbers.over_seeds(ends)[0],
                    "note": note,
                }
            )
    return Table(columns, rows, "Response to a step")


def recovery_table(results: Sequence[Result]) -> Table:
    """Epochs of the recovery from randomised controls, and what is reached."""
    columns = (
        Column("code"),
        SEEDS,
        Column("epochs", "90 % of the way, epochs", show=spread(number), justify="right"),
        Column("theirs", "theirs, about"),
        Column("start", "initial / optimal rate", show=spread(three), justify="right"),
        Column("final", "final / optimal rate", show=spread(three), justify="right"),
        NOTE,
    )
    rows = []
    for (code, distance), group in grouped(of(results, "recovery"), _code).items():
        epochs, note = numbers.over_seeds(map(numbers.recovery, group), all_needed=True)
        ratios = [numbers.ratio_to(each, "optimal")[1] for each in group]
        rows.append(
            {
                "code": f"{code}, d = {distance}",
                "seeds": len(group),
                "epochs": epochs,
                "theirs": 1000,
                "start": numbers.over_seeds(float(each[0]) for each in ratios if len(each))[0],
                "final": numbers.over_seeds(float(each[-1]) for each in ratios if len(each))[0],
                "note": note,
            }
        )
    return Table(columns, rows, "Recovery from randomised controls")


def first_of_drift(field: str) -> Callable[[Result], float]:
    """What the first drift profile of a result has for a field."""
    return lambda result: float(result.environment["drift"][0][field])


def _lasts(group: Iterable[Result], name: str) -> dict[str, float] | None:
    return row_of(Spread.student(each.last(name) for each in group))


def _distance(result: Result) -> int:
    return int(result.environment["distance"])


def _code(result: Result) -> tuple[str, int]:
    return str(result.environment["code"]), _distance(result)


def _manifest(result: Result) -> str:
    return result.manifest
