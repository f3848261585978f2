"""The loop around a device: ask for candidates, run each, make rates of its detection events, tell.

    python examples/steering/device_loop.py

`Processor` is the part to replace. Here it is a simulation by stim of a distance-3 surface code whose gates start out
of tune and drift; on hardware it sets the control parameters, runs the circuit and returns the detection events. All
else stays: which detectors a gate can trip, and so what each parameter learns from, follows from the circuit alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


class Processor:
    """Takes control parameters and returns detection events. Its optimum is its own secret, and moves.

    Attributes:
        initial_parameters: (P,) where its last calibration left it.
        exploration_scale: (P,) steps of each parameter that have a clear but harmless effect.
    """

    def __init__(self, seed: int) -> None:
        config = SurfaceSteeringConfig.model_validate(
            {
                "distance": 3,
                "rounds": ROUNDS,
                "memory": "z",
                "parameters_per_gate": PARAMETERS_PER_GATE,
                "start": {"kind": "miscalibrated", "sigma": 1.0},
                "drift": [{"profile": "sinusoid", "frequency": 0.01, "amplitude": 0.5, "direction": "normal"}],
            }
        )
        self._device, self._epoch, self._seeds = SurfaceSteering(config, num_envs=1, seed=seed), 0, seed
        self.initial_parameters = self._device.initial_parameters
        self.exploration_scale = self._device.exploration_scale

    def run(self, parameters: NDArray[np.float64], shots: int) -> NDArray[np.bool_]:
        """(shots, detectors) detection events with these parameters."""
        (noisy,) = self._device.noisy_circuits(parameters, self._epoch)
        self._seeds += 1
        events: NDArray[np.bool_] = noisy.compile_detector_sampler(seed=self._seeds).sample(shots)
        return events

    def drift(self) -> None:
        """Time passes."""
        self._epoch += 1

    def true_rate(self, parameters: NDArray[np.float64]) -> float:
        """The mean detection rate, exactly: no device says that, it is here for the report alone."""
        return float(self._device.true_rates(parameters, self._epoch).mean())


def stabilizer_rates(model: DetectionModel, events: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(m,) detection rate of each stabilizer, the mean over its detectors, from (shots, detectors) events."""
    (classes,) = model.detector_class
    kept = classes >= 0
    stabilizer = model.objective[classes[kept]]
    detectors = np.bincount(stabilizer, minlength=model.num_objectives)
    return np.bincount(stabilizer, events[:, kept].mean(axis=0), model.num_objectives) / detectors


def steer(processor: Processor, epochs: int, *, seed: int = 0, report_every: int = 20) -> ParameterSearch:
    """Hold a processor calibrated for some epochs."""
    circuit = TaggedCircuit(surface_code(3, ROUNDS, "z"))
    model = DetectionModel.from_circuits([circuit])
    search = ParameterSearch(
        ParameterPPOConfig(total_epochs=epochs, candidates=20),
        processor.initial_parameters,
        processor.exploration_scale,
        num_objectives=model.num_objectives,
        factor_graph=model.factor_graph(PARAMETERS_PER_GATE),
        seed=seed,
    )
    for epoch in range(epochs):
        candidates = search.ask()
        events = [processor.run(candidate, SHOTS) for candidate in candidates]
        rates = np.stack([stabilizer_rates(model, each) for each in events])
        search.tell(-rates)
        if epoch % report_every == 0:
            print(f"epoch {epoch:4}: detection rate {rates.mean():.4f}, sigma {search.metrics()['sigma']:.3f}")
        processor.drift()
    return search


def main() -> None:
    """Steer, and say what it brought."""
    processor = Processor(seed=0)
    search = steer(processor, epochs=150)
    fixed = processor.true_rate(processor.initial_parameters)
    steered = processor.true_rate(search.policy().mean)
    print(f"after {search.epoch} epochs: detection rate {steered:.4f}, {fixed:.4f} had control stayed fixed")


if __name__ == "__main__":
    main()
