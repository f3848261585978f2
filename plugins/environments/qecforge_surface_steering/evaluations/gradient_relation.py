"""How the gradients of the logical error rate and of its surrogate, the detection rate, relate.

Source: arXiv 2511.08493, figure 2(b): grad log LER = (d + 1)/2 grad log C.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import Environment, EvaluationContext, Policy
from qecforge.errors import ConfigurationError
from qecforge_surface_steering.decoding.logical import LogicalCounts, LogicalMemory
from qecforge_surface_steering.decoding.priors import nominal_errors
from qecforge_surface_steering.evaluations.config import GradientRelationConfig
from qecforge_surface_steering.evaluations.steering import steered_device

__all__ = ["evaluate_gradient_relation"]


def evaluate_gradient_relation(
    env: Environment, policy: Policy, config: GradientRelationConfig, context: EvaluationContext
) -> None:
    """Central differences where control starts, at epoch 0; the policy does not matter.

    Records, at the step of a direction's number, `gradient_relation/dlog_rate` (exact), `gradient_relation/dlog_ler`
    (sampled, per cycle) and `gradient_relation/dlog_ler_error`, its standard deviation, all per exploration scale; and
    at step 0 `gradient_relation/ler` and `gradient_relation/rate` in the middle.

    Raises:
        ConfigurationError: Another environment, a circuit without logical observable, or no logical error among the
            shots at some point.
        DecoderError: pymatching on circuits whose faults are not graph-like.
        MissingDependency: The decoder's package is not installed.
    """
    device = steered_device(env)
    seed = int(device.state_dict()["seed"])
    centre, scale = device.initial_parameters, device.exploration_scale
    nominal = nominal_errors(device.config, device.circuits[0].arity)
    memory = LogicalMemory(device.circuits, rounds=device.config.rounds, decoder=config.decoder, reference=nominal)
    decoder = memory.decoder(nominal if config.prior == "nominal" else device.gate_errors(centre, 0))

    def measure(x: NDArray[np.float64], *place: int) -> tuple[float, LogicalCounts]:
        """Exact detection rate and logical errors with parameters `x`."""
        own = int(np.random.SeedSequence((seed, 0x62AD, *place)).generate_state(1, np.uint64)[0]) >> 2
        counts = decoder.count(memory.sample(device.gate_errors(x, 0), shots=config.shots, seed=own))
        if not counts.errors:
            raise ConfigurationError(
                f"evaluation.gradient_relation.shots: no logical error among {counts.shots}, expected enough to see "
                "how their rate changes: give more"
            )
        return float(device.true_rates(x, 0).mean()), counts

    rate, counts = measure(centre, 0, 0)
    context.record("gradient_relation/rate", 0, rate)
    context.record("gradient_relation/ler", 0, counts.per_cycle)
    rng = np.random.default_rng((seed, 0x62AD))
    for number in range(config.directions):
        direction = rng.standard_normal(len(centre))
        step = config.step * scale * direction / np.sqrt(np.mean(direction**2))
        (high_rate, high), (low_rate, low) = measure(centre + step, number, 1), measure(centre - step, number, 2)
        width = 2 * config.step
        error = math.hypot(_log_error(high), _log_error(low)) / width
        context.record("gradient_relation/dlog_rate", number, math.log(high_rate / low_rate) / width)
        context.record("gradient_relation/dlog_ler", number, math.log(high.per_cycle / low.per_cycle) / width)
        context.record("gradient_relation/dlog_ler_error", number, error)
        context.progress(number + 1, config.directions)


def _log_error(counts: LogicalCounts) -> float:
    """Standard deviation of the logarithm of the LER per cycle, by that of P and the derivative of either."""
    p = min(counts.per_shot, 0.5 - 0.5 / counts.shots)
    slope = math.pow(1 - 2 * p, 1 / counts.rounds - 1) / counts.rounds
    return slope * math.sqrt(p * (1 - p) / counts.shots) / counts.per_cycle
