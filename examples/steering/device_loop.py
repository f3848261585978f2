"""The loop around a device: ask for candidates, run each, make rates of its detection events, tell.

    python examples/steering/device_loop.py [--epochs N] [--folder DIR]

`Processor` is the part to replace. Here it is a simulation by stim of a distance-3 surface code whose gates start out
of tune and drift; on hardware it sets the control parameters, runs the circuit and returns the detection events. All
else stays: which detectors a gate can trip, and so what each parameter learns from, follows from the circuit alone.

The next candidates run while the last ones are learned from. After every epoch search and store are on disk: killed and
started again with the same folder, the loop goes on, and ends as it would have. `qecforge runs figures` draws what it
logged.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qecforge import Registry, Store, load_manifest
from qecforge.contracts import ParameterLimits
from qecforge.runs.execute import begin
from qecforge_ppo.parameters import ParameterPPOConfig
from qecforge_ppo.parameters.search import ParameterSearch
from qecforge_surface_steering import (
    DetectionModel,
    SurfaceSteering,
    SurfaceSteeringConfig,
    TaggedCircuit,
    surface_code,
)

ROUNDS, SHOTS = 25, 40
"""Cycles of error correction in a shot, and shots of each candidate: 1,000 cycles."""
PARAMETERS_PER_GATE = 3
DEVICE = {
    "distance": 3,
    "rounds": ROUNDS,
    "memory": "z",
    "parameters_per_gate": PARAMETERS_PER_GATE,
    "start": {"kind": "miscalibrated", "sigma": 1.0},
    "drift": [{"profile": "sinusoid", "frequency": 0.01, "amplitude": 0.5, "direction": "normal"}],
}


class Processor:
    """Takes control parameters and returns detection events. Its optimum is its own secret, and moves.

    Attributes:
        initial_parameters: (P,) where its last calibration left it.
        exploration_scale: (P,) steps of each parameter that have a clear but harmless effect.
        limits: What it tolerates: parameters within 4 of where they were calibrated, steps of 2 at most.
    """

    def __init__(self, seed: int) -> None:
        config = SurfaceSteeringConfig.model_validate(DEVICE)
        self._device, self._seed = SurfaceSteering(config, num_envs=1, seed=seed), seed
        self.initial_parameters = start = self._device.initial_parameters
        self.exploration_scale = self._device.exploration_scale
        self.limits = ParameterLimits.of(len(start), lower=start - 4, upper=start + 4, largest_step=2.0)

    def run(self, parameters: NDArray[np.float64], shots: int, *, epoch: int, number: int = 0) -> NDArray[np.bool_]:
        """(shots, detectors) detection events with these parameters. A device has no use for epoch and number: here
        they say how far it has drifted, and which random numbers are drawn."""
        (noisy,) = self._device.noisy_circuits(parameters, epoch)
        draw = np.random.SeedSequence((self._seed, epoch, number)).generate_state(1, np.uint64)[0] >> np.uint64(2)
        events: NDArray[np.bool_] = noisy.compile_detector_sampler(seed=int(draw)).sample(shots)
        return events

    def true_rate(self, parameters: NDArray[np.float64], epoch: int) -> float:
        """The mean detection rate, exactly: no device says that, it is here for the report alone."""
        return float(self._device.true_rates(parameters, epoch).mean())


def stabilizer_rates(model: DetectionModel, events: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(m,) detection rate of each stabilizer, the mean over its detectors, from (shots, detectors) events."""
    (classes,) = model.detector_class
    kept = classes >= 0
    stabilizer = model.objective[classes[kept]]
    detectors = np.bincount(stabilizer, minlength=model.num_objectives)
    return np.bincount(stabilizer, events[:, kept].mean(axis=0), model.num_objectives) / detectors


class Log:
    """A run in a store, for `qecforge runs figures`.

    Args:
        folder: Where `results.db` is.
        epochs: Of the whole loop.
        candidates: Of an epoch.
    """

    def __init__(self, folder: Path, epochs: int, candidates: int) -> None:
        self._store = Store(f"sqlite:///{folder / 'results.db'}")
        described = {
            "qecforge": 1,
            "name": "device_loop",
            "environment": {"plugin": "surface_steering", **DEVICE},
            "agent": {"plugin": "parameter_ppo", "total_epochs": epochs, "candidates": candidates},
        }
        (plan,) = load_manifest(repr(described), registry=Registry.load()).runs()
        self._run = begin(plan, self._store)
        self._store.mark_run(self._run, "running")
        print(f"run {self._run} in {self._store.url}", flush=True)

    def add(self, epoch: int, values: dict[str, float]) -> None:
        """An epoch's numbers; those that are there already stay."""
        self._store.add_metrics(self._run, [(name, epoch, value, time.time()) for name, value in values.items()])

    def close(self) -> None:
        """The loop is done."""
        self._store.mark_run(self._run, "finished")
        self._store.close()


def save(search: ParameterSearch, path: Path) -> None:
    """Write the search whole, or leave what was there."""
    new = path.with_suffix(".new.npz")
    with new.open("wb") as file:
        np.savez(file, **search.state_dict())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def load(search: ParameterSearch, path: Path) -> None:
    """Go on from what `save` wrote; where there is nothing, start."""
    if path.exists():
        with np.load(path) as saved:
            search.load_state_dict({name: saved[name] if saved[name].ndim else int(saved[name]) for name in saved})


def steer(
    processor: Processor, epochs: int, *, folder: Path | None = None, seed: int = 0, report_every: int = 20
) -> ParameterSearch:
    """Hold a processor calibrated for some epochs, from where the folder says that the loop was."""
    circuit = TaggedCircuit(surface_code(3, ROUNDS, "z"))
    model = DetectionModel.from_circuits([circuit])
    search = ParameterSearch(
        ParameterPPOConfig(total_epochs=epochs, candidates=20),
        processor.initial_parameters,
        processor.exploration_scale,
        num_objectives=model.num_objectives,
        factor_graph=model.factor_graph(PARAMETERS_PER_GATE),
        seed=seed,
        limits=processor.limits,
        ahead=True,
    )
    log = None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        load(search, folder / "search.npz")
        log = Log(folder, epochs, search.config.candidates)

    def measured(candidates: NDArray[np.float64], epoch: int) -> NDArray[np.float64]:
        events = [processor.run(each, SHOTS, epoch=epoch, number=k) for k, each in enumerate(candidates)]
        return np.stack([stabilizer_rates(model, each) for each in events])

    with ThreadPoolExecutor(1) as device:
        running: Future[NDArray[np.float64]] | None = None
        for epoch in range(search.epoch, epochs):
            running = running or device.submit(measured, search.ask(), epoch)
            rates = running.result()
            running = device.submit(measured, search.ask_ahead(), epoch + 1) if epoch + 1 < epochs else None
            search.tell(-rates)
            found = {"cost": float(rates.mean()), **search.metrics()}
            if folder is not None and log is not None:
                log.add(epoch + 1, found)
                save(search, folder / "search.npz")
            if epoch % report_every == 0:
                print(f"epoch {epoch:4}: detection rate {found['cost']:.4f}, sigma {found['sigma']:.3f}", flush=True)
    if log is not None:
        log.close()
    return search


def main() -> None:
    """Steer, and say what it brought."""
    parser = argparse.ArgumentParser(description="The loop around a device.")
    parser.add_argument("--epochs", type=int, default=150, help="Epochs of the whole loop (150).")
    parser.add_argument("--folder", type=Path, help="Where it saves and logs, and goes on from; none: nothing is kept.")
    given = parser.parse_args()
    processor = Processor(seed=0)
    search = steer(processor, given.epochs, folder=given.folder)
    fixed = processor.true_rate(processor.initial_parameters, search.epoch)
    steered = processor.true_rate(search.policy().mean, search.epoch)
    print(f"after {search.epoch} epochs: detection rate {steered:.4f}, {fixed:.4f} had control stayed fixed")


if __name__ == "__main__":
    main()
