"""How the gradients of the logical error rate and of its surrogate, the detection rate, relate.

Source: arXiv 2511.08493, figure 2(b): grad log LER = (d + 1)/2 grad log C.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import Environment, EvaluationContext, Policy
from qecforge.errors import ConfigurationError
from qecforge.evaluation import PairedRates
from qecforge_surface_steering.decoding.logical import LogicalMemory
from qecforge_surface_steering.decoding.paired import compare_logical
from qecforge_surface_steering.decoding.priors import nominal_errors
from qecforge_surface_steering.evaluations.config import GradientRelationConfig
from qecforge_surface_steering.evaluations.steering import steered_device

__all__ = ["evaluate_gradient_relation"]

FloatArray = NDArray[np.float64]


def evaluate_gradient_relation(
    env: Environment, policy: Policy, config: GradientRelationConfig, context: EvaluationContext
) -> None:
    """Central differences where control starts, at epoch 0; the policy does not matter.

    Records, at the step of a direction's number, `gradient_relation/dlog_rate` (exact), `gradient_relation/dlog_ler`
    (per cycle, both ends from the same shots, drawn in the middle) and `gradient_relation/dlog_ler_error`, its standard
    deviation, all per exploration scale; and at step 0 `gradient_relation/ler` and `gradient_relation/rate` in the
    middle.

    Raises:
        ConfigurationError: Another environment, a circuit without logical observable, or no logical error among the
            shots at some point.
        DecoderError: pymatching on circuits whose faults are not graph-like.
        MissingDependency: The decoder's package is not installed.
    """
    device = steered_device(env)
    seed = int(device.state_dict()["seed"])
    centre, scale = device.initial_parameters, device.exploration_scale
    nominal = nominal_errors(device.config, device.circuits[0].family)
    memory = LogicalMemory(device.circuits, rounds=device.config.rounds, decoder=config.decoder, reference=nominal)
    decoder = memory.decoder(nominal if config.prior == "nominal" else device.gate_errors(centre, 0))

    def rate(x: FloatArray) -> float:
        """Exact mean detection rate with parameters `x`."""
        return float(device.true_rates(x, 0).mean())

    def measure(*points: FloatArray, place: tuple[int, int]) -> PairedRates:
        """Logical error rates per cycle with parameters at some points."""
        own = int(np.random.SeedSequence((seed, 0x62AD, *place)).generate_state(1, np.uint64)[0]) >> 2
        found = compare_logical(
            memory,
            [device.gate_errors(x, 0) for x in points],
            [decoder] * len(points),
            shots=config.shots,
            seed=own,
            at=device.gate_errors(centre, 0),
        )
        if not found.rates.all():
            raise ConfigurationError(
                f"evaluation.gradient_relation.shots: no logical error in {found.shots} shots, too few to see "
                "how the rate changes: give more"
            )
        return found.per_round(memory.rounds)

    context.record("gradient_relation/rate", 0, rate(centre))
    context.record("gradient_relation/ler", 0, float(measure(centre, place=(0, 0)).rates[0]))
    rng = np.random.default_rng((seed, 0x62AD))
    width = 2 * config.step
    for number in range(config.directions):
        direction = rng.standard_normal(len(centre))
        step = config.step * scale * direction / np.sqrt(np.mean(direction**2))
        high, low = centre + step, centre - step
        found = measure(high, low, place=(number, 1))
        context.record("gradient_relation/dlog_rate", number, math.log(rate(high) / rate(low)) / width)
        context.record("gradient_relation/dlog_ler", number, math.log(found.rates[0] / found.rates[1]) / width)
        context.record("gradient_relation/dlog_ler_error", number, found.log_ratio_error(0, 1) / width)
        context.progress(number + 1, config.directions)
