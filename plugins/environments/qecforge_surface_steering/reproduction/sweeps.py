"""Tables of the steering paper's results over many devices or drifts: the map, scaling, natural drift, baselines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from qecforge.contracts import ParameterEnvironment, closing
from qecforge.reporting.spread import Spread, row_of, spread, three
from qecforge.reporting.tables import Column, Table, duration, interval, number, percent
from qecforge_surface_steering.reproduction import numbers as numbers
from qecforge_surface_steering.reproduction.fits import Fitted, Missing, log_log_slope, vanishes_at
from qecforge_surface_steering.reproduction.runs import Result
from qecforge_surface_steering.reproduction.tables import NOTE, SEEDS, first_of_drift, grouped, of

__all__ = [
    "METHODS",
    "SHARES",
    "baselines_table",
    "critical_frequencies",
    "graph_table",
    "map_table",
    "natural_drift_table",
    "scaling_table",
    "seeds_suppression",
    "speed_table",
    "trend_table",
]

SHARES = (0.5, 0.1)
"""Of the initial excess, at which the baselines' epochs are counted."""

METHODS = {
    "baselines_parameter_ppo": "parameter_ppo",
    "baselines_pgpe": "PGPE",
    "baselines_cma_es": "CMA-ES",
    "baselines_spsa": "SPSA",
}
"""Manifest -> what it is of."""


def map_table(results: Sequence[Result]) -> Table:
    """Normalised improvement over drift frequency and entropy; the rows without a frequency have the critical one."""
    columns = (
        Column("entropy"),
        Column("frequency", "drift, periods per epoch"),
        SEEDS,
        Column("improvement", show=spread(three), justify="right"),
        Column("critical", "critical frequency", show=spread(number), justify="right"),
        Column("theirs", "theirs, about", show=number),
        NOTE,
    )
    rows = []
    for entropy, runs in grouped(of(results, "map"), _entropy).items():
        for frequency, group in grouped(runs, first_of_drift("frequency")).items():
            improved, note = numbers.over_seeds(map(numbers.improvement, group))
            rows.append(
                {
                    "entropy": entropy,
                    "frequency": frequency,
                    "seeds": len(group),
                    "improvement": improved,
                    "note": note,
                }
            )
        critical, note = numbers.over_seeds(critical_frequencies(runs), all_needed=True)
        seeds = len({each.seed for each in runs})
        rows.append({"entropy": entropy, "seeds": seeds, "critical": critical, "theirs": 1 / 150, "note": note})
    return Table(columns, rows, "Steering in real time: (N_stoch - N_fixed) / (N_opt - N_fixed)")


def critical_frequencies(runs: Sequence[Result]) -> list[Fitted]:
    """Of each seed's runs of one entropy, where the improvement vanishes."""
    found: list[Fitted] = []
    for group in grouped(runs, lambda each: each.seed).values():
        points = [(first_of_drift("frequency")(each), numbers.improvement(each)) for each in group]
        known = sorted((x, y) for x, y in points if not isinstance(y, Missing))
        x, y = np.array(known).T if known else (np.zeros(0), np.zeros(0))
        found.append(vanishes_at(x, y))
    return found


def scaling_table(results: Sequence[Result]) -> Table:
    """Convergence of the error suppression factor at each size."""
    columns = (
        Column("parameters_per_gate", "P"),
        Column("distance", "d"),
        Column("parameters"),
        SEEDS,
        Column("gamma", "γ from detection rates, 1e-3", show=spread(_thousand), justify="right"),
        Column("gamma_ler", "γ from LER, 1e-3", show=spread(_thousand), justify="right"),
        Column("factor", "Λ*", show=spread(three), justify="right"),
        NOTE,
    )
    rows = []
    for (P, distance), group in grouped(of(results, "scaling"), _size).items():
        found = [seeds_suppression(results, each) for each in group]
        pairs = list(zip(group, found, strict=True))
        gamma, note = numbers.over_seeds(map(numbers.convergence, group))
        from_ler, second = numbers.over_seeds(numbers.convergence(each, of_seed) for each, of_seed in pairs)
        factors: list[Fitted] = [each if isinstance(each, Missing) else each.factor for each in found]
        rows.append(
            {
                "parameters_per_gate": P,
                "distance": distance,
                "parameters": P * _gates(distance),
                "seeds": len(group),
                "gamma": gamma,
                "gamma_ler": from_ler,
                "factor": numbers.over_seeds(factors)[0],
                "note": "; ".join(filter(None, (note, second and f"LER: {second}"))),
            }
        )
    return Table(columns, rows, "Scaling: convergence rate γ of 1 - Λ/Λ* per epoch")


def trend_table(results: Sequence[Result]) -> Table:
    """How γ depends on the distance: γ ~ d^exponent, all seeds' points in one fit."""
    columns = (
        Column("parameters_per_gate", "P"),
        Column("of", "γ from"),
        Column("points"),
        Column("mean", "γ, mean over d, 1e-3", show=spread(_thousand), justify="right"),
        Column("exponent", show=number, justify="right"),
        Column("interval", "95 %", show=interval),
        NOTE,
    )
    rows = []
    for P, group in grouped(of(results, "scaling"), lambda each: _size(each)[0]).items():
        for what in ("detection rates", "LER"):
            known = list(_convergences(group, by_ler=what == "LER"))
            slope = log_log_slope([_size(each)[1] for each, _ in known], [gamma for _, gamma in known])
            by_seed = grouped((each for each, _ in known), lambda each: each.seed)
            means = [float(np.mean([g for each, g in known if each.seed == seed])) for seed in by_seed]
            row: dict[str, Any] = {"parameters_per_gate": P, "of": what, "points": len(known)}
            row["mean"] = row_of(Spread.student(means))
            unknown = len(group) - len(known)
            notes = [f"{unknown} of {len(group)} runs have no γ"] if unknown else []
            if isinstance(slope, Missing):
                notes.append(slope.reason)
            else:
                row |= {"exponent": slope.estimate, "interval": [slope.low, slope.high]}
            row["note"] = "; ".join(notes)
            rows.append(row)
    return Table(columns, rows, "Scaling: γ over the distance, γ ~ d^exponent")


def _convergences(group: Sequence[Result], *, by_ler: bool) -> Iterator[tuple[Result, float]]:
    """Those runs of which γ > 0 is known, with it."""
    for result in group:
        gamma = numbers.convergence(result, seeds_suppression(group, result) if by_ler else None)
        if not isinstance(gamma, Missing) and gamma > 0:
            yield result, gamma


def seeds_suppression(results: Sequence[Result], result: Result) -> numbers.Suppression | Missing:
    """Λ* of the runs of `results` with the seed and the parameters per gate of `result`."""
    alike = [each for each in of(results, "scaling") if each.seed == result.seed and _size(each)[0] == _size(result)[0]]
    return numbers.suppression(alike)


def natural_drift_table(results: Sequence[Result]) -> Table:
    """Steering as a filter of slow fluctuations."""
    columns = (
        Column("of", "fluctuations of"),
        SEEDS,
        Column("suppression", "low frequencies quieter by, dB", show=spread(number), justify="right"),
        Column("theirs", "theirs, about"),
        Column("corner", "half the power passes at, per epoch", show=spread(number), justify="right"),
        NOTE,
    )
    group = of(results, "natural_drift")
    rows = []
    for what, quantity in (("log LER", "ler"), ("log detection rate", "rate")) if group else ():
        filters = [numbers.filter_of(each, "ler" if quantity == "ler" else "rate") for each in group]
        quieter, note = numbers.over_seeds(
            (f if isinstance(f, Missing) else f.suppression for f in filters), all_needed=True
        )
        corner, second = numbers.over_seeds(
            (f if isinstance(f, Missing) else f.corner for f in filters), all_needed=True
        )
        rows.append(
            {
                "of": what,
                "seeds": len(group),
                "suppression": quieter,
                "theirs": 6 if quantity == "ler" else None,
                "corner": corner,
                "note": note if note == second else "; ".join(filter(None, (note, second and f"corner: {second}"))),
            }
        )
    return Table(columns, rows, "Natural drift: fluctuations with steering beside those without")


def baselines_table(results: Sequence[Result]) -> Table:
    """Epochs that each method needs to take the detection rate towards its optimum, as many shots an epoch for all."""
    columns = (
        Column("distance", "d"),
        Column("parameters"),
        Column("method"),
        SEEDS,
        *(
            Column(
                f"epochs_{round(100 * share)}", f"epochs to {share:.0%} excess", show=spread(number), justify="right"
            )
            for share in SHARES
        ),
        Column("cycles", f"cycles to {SHARES[0]:.0%} excess", show=number, justify="right"),
        Column("left", "excess left in the end", show=spread(percent), justify="right"),
        NOTE,
    )
    rows = []
    for (P, distance), group in grouped(of(results, "baselines"), _size).items():
        for manifest in (name for name in METHODS if any(each.manifest == name for each in group)):
            runs = [each for each in group if each.manifest == manifest]
            row: dict[str, Any] = {
                "distance": distance,
                "parameters": P * _gates(distance),
                "method": METHODS[manifest],
                "seeds": len(runs),
            }
            notes = []
            for share in SHARES:
                needed = numbers.over_seeds((numbers.efficiency(each, share) for each in runs), all_needed=True)
                row[f"epochs_{round(100 * share)}"] = needed[0]
                notes += [f"{share:.0%} {needed[1]}"] if needed[1] else []
            first = row[f"epochs_{round(100 * SHARES[0])}"]
            each_epoch = runs[0].agent["candidates"] * runs[0].environment["cycles"]
            row["cycles"] = None if first is None else first["mean"] * each_epoch
            row["left"] = row_of(
                Spread.student(float(left[-1]) for each in runs if len(left := numbers.excess(each)[1]))
            )
            row["note"] = "; ".join(notes)
            rows.append(row)
    return Table(columns, rows, "Sample efficiency beside other optimizers")


def graph_table(results: Sequence[Result]) -> Table:
    """Sizes of the factor graph of the drifting device, beside the paper's."""
    columns = (
        Column("objectives", "objectives are"),
        Column("distance", "d"),
        Column("parameters"),
        Column("per_objective", "parameters of an objective, mean"),
        Column("per_objective_theirs", "theirs, of a detector"),
        Column("per_parameter", "objectives of a parameter, mean"),
        Column("per_parameter_theirs", "theirs, detectors"),
    )
    rows = []
    for result in of(results, "drift")[:1]:
        for objectives in ("stabilizer", "detector"):
            config = result.plan.environment.config.model_copy(update={"objectives": objectives})
            env = result.plan.environment.spec.make(config, num_envs=1, seed=result.seed, reward=None)
            with closing(env, "environment surface_steering"):
                if not isinstance(env, ParameterEnvironment) or env.factor_graph is None:
                    continue
            sizes = env.factor_graph.statistics()
            rows.append(
                {
                    "objectives": f"{objectives}s",
                    "distance": result.environment["distance"],
                    "parameters": env.factor_graph.num_parameters,
                    "per_objective": sizes.mean_parameters_per_objective,
                    "per_objective_theirs": 302,
                    "per_parameter": sizes.mean_objectives_per_parameter,
                    "per_parameter_theirs": 18,
                }
            )
    return Table(columns, rows, "Factor graph")


def speed_table(results: Sequence[Result]) -> Table:
    """What the runs took: epochs per second of training, and the whole run."""
    columns = (
        Column("result"),
        Column("manifest"),
        Column("runs"),
        Column("epochs", "epochs per run"),
        Column("speed", "epochs per second, last report, mean"),
        Column("seconds", "all runs together", show=duration),
    )
    rows = []
    for (experiment, manifest), group in _in_order(results).items():
        speeds = [speed for each in group if (speed := each.last("time/epochs_per_second")) is not None]
        rows.append(
            {
                "result": experiment,
                "manifest": manifest,
                "runs": len(group),
                "epochs": group[0].agent["total_epochs"],
                "speed": float(np.mean(speeds)) if speeds else None,
                "seconds": sum(each.run.seconds or 0.0 for each in group),
            }
        )
    return Table(columns, rows, "Runs")


def _in_order(results: Iterable[Result]) -> dict[tuple[str, str], list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.experiment, result.manifest), []).append(result)
    return groups


def _thousand(value: float | None) -> str:
    return "" if value is None else number(1000 * value)


def _size(result: Result) -> tuple[int, int]:
    """Parameters per gate, distance."""
    return int(result.environment["parameters_per_gate"]), int(result.environment["distance"])


def _gates(distance: int) -> int:
    """Of the rotated surface code: a single-qubit gate on each of 2d² - 1 qubits, and 4d² - 4d couplers."""
    return 6 * distance**2 - 4 * distance - 1


def _entropy(result: Result) -> float:
    return float(result.agent["entropy"])
