"""A store filled by hand as runs of the steering paper's reproduction would fill it, with records of known answers."""

from __future__ import annotations

import numpy as np

from qecforge import Registry, Store
from qecforge_surface_steering.reproduction.runs import Planned, plan_runs

MANY = 10**9
"""Shots that leave no counting noise."""

GAMMA, FACTOR, PREFACTOR = 0.03, 2.5, 0.1
SLOWNESS = {"parameter_ppo": 20.0, "pgpe": 80.0, "cma_es": 160.0, "spsa": 1e9}
"""Epochs in which the excess falls by a factor e."""


def planned_runs(*results: str, seeds=2, quick=True, overrides=()) -> list[Planned]:
    return plan_runs(results, seeds=range(seeds), registry=Registry.load(), quick=quick, overrides=overrides)


def file_runs(store: Store, *results: str, **options) -> list[Planned]:
    """All finished, with records as below."""
    planned = planned_runs(*results, **options)
    for each in planned:
        file_run(store, each, RECORDS[each.experiment](each))
    return planned


def file_run(store: Store, planned: Planned, series) -> str:
    """A finished run with these series, name -> (steps, values)."""
    plan = planned.plan
    run = store.begin_run(
        plan.identity,
        name=plan.name,
        seed=plan.seed,
        manifest=plan.canonical,
        manifest_source=plan.source_text,
        environment="surface_steering",
        reward=None,
        agent=plan.agent.spec.name,
        provenance={},
        sweep_point=plan.sweep_point,
    )
    rows = [
        (name, int(step), float(value), 0.0)
        for name, (steps, values) in series.items()
        for step, value in zip(steps, np.broadcast_to(values, len(steps)), strict=True)
    ]
    store.add_metrics(run.id, rows)
    store.mark_run(run.id, "finished")
    return run.id


def error_rates(policy, epochs, ler, *, rounds, prior="nominal", shots=MANY):
    """Logical error rates per cycle with the counts that they are of."""
    errors = shots * (1 - (1 - 2 * np.broadcast_to(ler, len(epochs))) ** rounds) / 2
    path = f"steering/{policy}/{prior}"
    return {
        f"{path}/ler": (epochs, ler),
        f"{path}/errors": (epochs, np.round(errors)),
        f"{path}/shots": (epochs, shots),
    }


def _distance(planned):
    return planned.plan.environment.config.distance


def _rounds(planned):
    return planned.plan.environment.config.rounds


def gradient_relation(planned):
    """Slope (d + 1)/2 times 0.9, and 0.1 more with each seed."""
    x = np.linspace(-0.1, 0.1, 20)
    slope = (0.9 + 0.1 * planned.plan.seed) * (_distance(planned) + 1) / 2
    found = {"dlog_rate": x, "dlog_ler": slope * x, "dlog_ler_error": np.full(20, 0.01)}
    return {f"gradient_relation/{name}": (range(20), values) for name, values in found.items()} | {
        "gradient_relation/ler": ([0], 2e-3),
        "gradient_relation/rate": ([0], 0.04),
    }


def fine_tuning(planned):
    """LER 20 % lower in the end, 30 % with optimal control."""
    epochs, rounds = np.arange(0, 301, 60), _rounds(planned)
    return {
        **error_rates("fixed", epochs, 4e-3, rounds=rounds),
        **error_rates("steered", epochs, np.where(epochs < 200, 4e-3, 3.2e-3), rounds=rounds),
        **error_rates("optimal", epochs, 2.8e-3, rounds=rounds),
        "steering/fixed/rate": (epochs, 0.05),
        "steering/steered/rate": (epochs, np.where(epochs < 200, 0.05, 0.045)),
        "steering/optimal/rate": (epochs, 0.04),
    }


def drift(planned):
    """The paper's numbers: 24 % and 2.4, with decoder steering 31 % and 3.5."""
    epochs, rounds = np.arange(0, 3000, 25), _rounds(planned)
    wave = 1e-3 * np.sin(2 * np.pi * epochs / 1000)
    step = planned.plan.environment.config.drift[0].begins
    later = epochs[epochs >= step]
    return {
        **error_rates("fixed", epochs, 4e-3 + wave, rounds=rounds),
        **error_rates("steered", epochs, 0.76 * 4e-3 + wave / 2.4, rounds=rounds),
        **error_rates("steered", epochs, 0.69 * 4e-3 + wave / 3.5, rounds=rounds, prior="learned"),
        "steering/fixed/rate": (epochs, 0.05 + wave),
        "steering/steered/rate": (epochs, 0.045 + wave / 4),
        "steering/response/0": (later, 1 - np.exp(-(later - step) / 60)),
        "steering/stabilizer/fixed/(2, 0)": ([0, 2975], [0.04, 0.06]),
        "steering/stabilizer/steered/(2, 0)": ([0, 2975], [0.04, 0.05]),
        "steering/trace/xy10.amplitude/mean": (epochs, wave),
        "steering/trace/xy10.amplitude/optimum": (epochs, wave),
    }


def amplitudes(planned):
    """A reduction of a tenth of the amplitude."""
    epochs, rounds = np.arange(0, 1500, 25), _rounds(planned)
    amplitude = planned.plan.environment.config.drift[0].amplitude
    return {
        **error_rates("fixed", epochs, 4e-3, rounds=rounds),
        **error_rates("steered", epochs, 4e-3 * (1 - amplitude / 10), rounds=rounds),
    }


def response(planned):
    """120 epochs."""
    epochs = np.arange(300, 901, 5)
    return {"steering/response/0": (epochs, 0.9 * (1 - np.exp(-(epochs - 300) / 120)))}


def recovery(planned):
    """The logarithm of rate / optimal falls linearly, to nothing at epoch 1,000; the first seed alone ends early."""
    epochs = np.arange(0, 1501, 10)
    ratio = np.maximum(10.0 ** (1 - epochs / 1000), 1.02 if planned.plan.seed else 1.01)
    return {"steering/steered/rate": (epochs, 0.04 * ratio), "steering/optimal/rate": (epochs, 0.04)}


def real_time(planned):
    """Improvement log(critical / frequency), with a critical frequency of 1/150 for every entropy."""
    frequency = planned.plan.environment.config.drift[0].frequency
    cost = 0.05 - 0.01 * np.log(1 / 150 / frequency)
    return {
        "true_cost": (np.arange(10, 1001, 10), cost),
        "steering/fixed/total": ([1000], 0.05),
        "steering/optimal/total": ([1000], 0.04),
        "time/epochs_per_second": ([1000], 5000.0),
    }


def scaling(planned):
    """1 - Λ/Λ* = exp(-γ t)/2 at every size, in detection rates and logical error rates."""
    epochs, half = np.arange(0, 201, 4), (_distance(planned) + 1) / 2
    ratio = 1 - 0.5 * np.exp(-GAMMA * epochs)
    return {
        "steering/steered/rate": (epochs, 0.04 / ratio),
        "steering/optimal/rate": (epochs, 0.04),
        **error_rates("steered", epochs, PREFACTOR * (FACTOR * ratio) ** -half, rounds=_rounds(planned)),
        **error_rates("optimal", epochs, PREFACTOR * FACTOR**-half, rounds=_rounds(planned)),
    }


def natural_drift(planned):
    """Slow fluctuations halved, hence 6.02 dB; fast ones as they were."""
    epochs = np.arange(0, 4097, 8)
    rng = np.random.default_rng(planned.plan.seed)
    turns = epochs[:, None] * np.arange(1, 200) / 4096 + rng.random(199)
    waves = 0.01 * np.sin(2 * np.pi * turns)
    slow, fast = waves[:, :60].sum(axis=1), waves[:, 60:].sum(axis=1)
    fixed, steered = np.exp(slow + fast), np.exp(slow / 2 + fast)
    return {
        "steering/fixed/rate": (epochs, 0.04 * fixed),
        "steering/steered/rate": (epochs, 0.04 * steered),
        **error_rates("fixed", epochs, 3e-3 * fixed, rounds=_rounds(planned), shots=10**15),
        **error_rates("steered", epochs, 3e-3 * steered, rounds=_rounds(planned), shots=10**15),
    }


def baselines(planned):
    """The excess falls exponentially, as fast as `SLOWNESS` says."""
    epochs = np.arange(0, 501, 5)
    left = np.exp(-epochs / SLOWNESS[planned.manifest.removeprefix("baselines_")])
    return {"steering/steered/rate": (epochs, 0.04 + 0.02 * left), "steering/optimal/rate": (epochs, 0.04)}


def decoder(planned):
    """The tuned prior takes away half of the errors, the device's own a little more."""
    rates = {"nominal": 4e-3, "start": 4e-3, "tuned": 2e-3, "learned": 2.2e-3, "true": 1.9e-3}
    return {f"decoder_priors/{prior}/ler": ([0], rate) for prior, rate in rates.items()}


RECORDS = {
    "decoder": decoder,
    "gradient_relation": gradient_relation,
    "fine_tuning": fine_tuning,
    "drift": drift,
    "amplitudes": amplitudes,
    "response": response,
    "recovery": recovery,
    "map": real_time,
    "scaling": scaling,
    "natural_drift": natural_drift,
    "baselines": baselines,
}
