"""How much a tuned prior is worth: beside no knowledge of the device, knowledge from its detection events, and all."""

from __future__ import annotations

import numpy as np

from qecforge.contracts import Environment, EvaluationContext, Policy
from qecforge.errors import ConfigurationError
from qecforge_surface_steering.decoder_config import DecoderPriorsConfig
from qecforge_surface_steering.decoder_environment import DecoderSteering

__all__ = ["compare_priors"]


def compare_priors(env: Environment, policy: Policy, config: DecoderPriorsConfig, context: EvaluationContext) -> None:
    """Record `decoder_priors/{nominal,start,tuned,learned,true}/{ler,errors,shots}` at step 0.

    All decode the same shots. `start` is where tuning began, `learned` comes from detection events, `true`
    knows the device. `ler` is per cycle.

    Raises:
        ConfigurationError: Another environment.
    """
    if not isinstance(env, DecoderSteering):
        raise ConfigurationError(
            f"decoder_priors: {type(env).__name__} has no priors to compare: choose environment decoder_steering"
        )
    tuned = policy.act(np.zeros((1, 1), np.float32), rng=np.random.default_rng(context.seed))[0]
    priors = {
        "nominal": env.nominal,
        "start": env.priors(env.initial_parameters),
        "tuned": env.priors(tuned),
        "learned": env.learned_errors(),
        "true": env.gate_errors,
    }
    counts = env.logical_counts(np.stack(list(priors.values())), config.shots)
    for name, found in zip(priors, counts, strict=True):
        context.record(f"decoder_priors/{name}/ler", 0, found.per_cycle)
        context.record(f"decoder_priors/{name}/errors", 0, float(found.errors))
        context.record(f"decoder_priors/{name}/shots", 0, float(found.shots))
