"""How fast drifting optima are followed: agent `parameter_filter` beside `parameter_ppo`, at equal cycles an epoch.

Both have their defaults, and seeds that no setting was chosen on. Rows, each a mean over seeds:

    response: epochs until a step of the amplitude of every single-qubit gate (one exploration scale; distance 5, 10
        parameters a gate) is followed but for 1/e, from an exponential fit. `parameter_ppo`, 40 candidates x 100,000
        cycles, steps after 300 epochs, when its deviation has settled; `parameter_filter`, 160 x 25,000, after 30.
    steady state: the mean detection rate of all candidates just before that step, exploration included, over the
        optimal one.
    critical frequency: where steering a sine (distance 3, 1 parameter a gate, 50 candidates x 36,000 cycles) brings
        nothing any more, exploration included, in periods per epoch.
    stroboscopic drift: epochs until a switch of some couplers' strength is followed but for 1/e, from the second
        period on: the mean over switches (distance 5, 3 parameters a gate, period 60, cycles as for the response).

    python benchmarks/steering_following.py [--quick] [--seeds 11,12,13,14,15]
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.parameters import ParameterAgent
from qecforge_filter import ParameterFilterConfig
from qecforge_filter.agent import ParameterFilter
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters.agent import ParameterPPO
from qecforge_surface_steering import SurfaceSteering, SurfaceSteeringConfig
from qecforge_surface_steering.reproduction.fits import Missing, exponential, vanishes_at

SEEDS = (11, 12, 13, 14, 15)
CYCLES = 4_000_000
"""Of an epoch, all candidates together."""
CANDIDATES = {"filter": 160, "ppo": 40}
FREQUENCIES = {"filter": (1 / 25, 1 / 12, 1 / 8, 1 / 6), "ppo": (1 / 125, 1 / 62, 1 / 40, 1 / 25)}
UNSETTLED = {"filter": 30, "ppo": 300}
"""Epochs before the step."""


def agent(kind: str, candidates: int) -> ParameterAgent:
    """Either, with its defaults."""
    if kind == "filter":
        return ParameterFilter(ParameterFilterConfig(candidates=candidates))
    return ParameterPPO(ParameterPPOConfig(candidates=candidates))


class Followed:
    """A search at work on a device.

    Attributes:
        env: The device.
        means: (epochs, P) the search's mean before each epoch.
        cost: (epochs,) exact mean detection rate of the candidates.
    """

    def __init__(self, kind: str, settings: dict[str, Any], candidates: int, seed: int, epochs: int) -> None:
        config = SurfaceSteeringConfig.model_validate(settings)
        self.env = SurfaceSteering(config, num_envs=candidates, seed=seed)
        search = agent(kind, candidates).search(self.env, seed)
        self.env.reset(seed=seed)
        means, cost = [], []
        for _ in range(epochs):
            means.append(search.policy().mean)
            _, rewards, _, _, infos = self.env.step(search.ask())
            search.tell(rewards)
            cost.append(infos["true_cost"])
        self.means, self.cost = np.array(means), np.array(cost)

    def rate(self, control: NDArray[np.float64], epoch: int) -> float:
        """Exact mean detection rate."""
        return float(self.env.true_rates(control, epoch).mean())

    def way(self, epoch: int) -> NDArray[np.float64]:
        """From a switch of the optimum at this epoch on, what share of it the mean has followed."""
        moved = self.env.moved_by(0)
        whole = (self.env.optimum(epoch) - self.env.optimum(epoch - 1))[moved]
        way: NDArray[np.float64] = (self.means[epoch:, moved] - self.means[epoch, moved]) @ whole / (whole @ whole)
        return way


def response(kind: str, seed: int) -> tuple[float, float]:
    """Epochs of the exponential response to a step, and the cost just before over the optimal one."""
    begins, after = UNSETTLED[kind], {"filter": 40, "ppo": 120}[kind]
    drift = {"profile": "step", "begins": begins, "amplitude": 1.0, "gates": ["xy*"], "kinds": ["amplitude"]}
    candidates = CANDIDATES[kind]
    settings = {"distance": 5, "cycles": CYCLES // candidates, "drift": [drift]}
    run = Followed(kind, settings, candidates, seed, begins + after)
    fit = exponential(np.arange(after), run.way(begins))
    best = run.rate(run.env.optimum(0), 0)
    return float("nan") if isinstance(fit, Missing) else 1 / fit.rate, float(
        run.cost[begins - 8 : begins].mean() / best
    )


def critical_frequency(kind: str, seed: int, epochs: int = 400, settle: int = 50) -> float:
    """Periods per epoch; the largest that was tried where it still helped there."""
    improved = []
    for frequency in FREQUENCIES[kind]:
        drift = {"profile": "sinusoid", "frequency": frequency, "amplitude": 1.0}
        settings = {"distance": 3, "parameters_per_gate": 1, "cycles": 36_000, "drift": [drift]}
        run = Followed(kind, settings, 50, seed, epochs)
        counted = range(settle, epochs)
        fixed = np.mean([run.rate(run.env.initial_parameters, epoch) for epoch in counted])
        best = np.mean([run.rate(run.env.optimum(epoch), epoch) for epoch in counted])
        improved.append((run.cost[settle:].mean() - fixed) / (best - fixed))
    found = vanishes_at(np.array(FREQUENCIES[kind]), np.array(improved))
    if isinstance(found, Missing):
        return FREQUENCIES[kind][-1] if improved[-1] > 0 else float("nan")
    return float(found)


def stroboscopic(kind: str, seed: int, period: int = 60, periods: int = 4) -> float:
    """Epochs to all but 1/e of a switch, from the second period on."""
    drift = {"profile": "stroboscopic", "period": period, "amplitude": 1.0, "gates": ["cz6-*", "cz12-*"]}
    candidates = CANDIDATES[kind]
    settings = {"distance": 5, "parameters_per_gate": 3, "cycles": CYCLES // candidates}
    run = Followed(kind, settings | {"drift": [drift | {"kinds": ["strength"]}]}, candidates, seed, period * periods)
    moved = run.env.moved_by(0)
    optima = np.array([run.env.optimum(epoch)[moved] for epoch in range(period * periods)])
    switches = [int(at) + 1 for at in np.flatnonzero((np.diff(optima, axis=0) != 0).any(axis=1)) if at + 1 >= period]
    needed = []
    for at in switches:
        there = np.flatnonzero(run.way(at)[: period // 2] > 1 - np.exp(-1))
        needed.append(float(there[0]) if len(there) else period / 2)
    return float(np.mean(needed))


def run(quick: bool, seeds: tuple[int, ...] = SEEDS) -> list[dict[str, Any]]:
    """The four rows; `--quick` has one seed."""
    chosen = seeds[:1] if quick else seeds
    of = {kind: [response(kind, seed) for seed in chosen] for kind in ("filter", "ppo")}
    measured = {
        "response to a step": ({kind: [each[0] for each in of[kind]] for kind in of}, "epochs", 10.0),
        "steady state, candidates' detection rate": (
            {kind: [each[1] for each in of[kind]] for kind in of},
            "times the optimal one",
            None,
        ),
        "critical frequency": (
            {kind: [critical_frequency(kind, seed) for seed in chosen] for kind in of},
            "periods per epoch",
            1 / 25,
        ),
        "stroboscopic drift, from its second period on": (
            {kind: [stroboscopic(kind, seed) for seed in chosen] for kind in of},
            "epochs",
            3.0,
        ),
    }
    return [
        {
            "claim": f"following: {claim}",
            "ours": float(np.mean(values["filter"])),
            "peer": float(np.mean(values["ppo"])),
            "peer_name": "parameter_ppo",
            "ratio": float(np.mean(values["filter"]) / np.mean(values["ppo"])),
            "target": target,
            "unit": unit,
            "of_seeds": {kind: [round(value, 4) for value in values[kind]] for kind in values},
        }
        for claim, (values, unit, target) in measured.items()
    ]


def main() -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    given = parser.parse_args()
    for each in run(given.quick, tuple(int(seed) for seed in given.seeds.split(","))):
        print(
            f"{each['claim']:60} {each['ours']:8.4g} {each['peer']:8.4g} {each['unit']:24} {each['of_seeds']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
