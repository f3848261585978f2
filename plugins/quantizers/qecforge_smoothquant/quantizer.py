"""SmoothQuant (Xiao et al. 2022) for perceptrons."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.contracts import Policy, Quantizer
from qecforge.inference.network import MlpSpec, read_mlp
from qecforge.inference.policy import QuantizedPolicy
from qecforge.inference.quantization.convert import to_integer
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp, holds_levels
from qecforge.inference.quantization.observers import checked_calibration
from qecforge_smoothquant.config import AlphaSearch, SmoothQuantConfig

__all__ = ["SmoothQuant", "smoothing_factors"]


def smoothing_factors(activations: Tensor, weight: Tensor, alpha: float) -> Tensor:
    """s_j = max|X_j|^alpha / max|W_j|^(1 - alpha) for each input j of a layer.

    Args:
        activations: X, (S, I), what comes in.
        weight: W, (O, I).

    Returns:
        (I,), positive; 1 where an input or its weights are all zero.

    Source: Xiao et al. 2022, eq. (4).
    """
    x, w = activations.abs().amax(0), weight.abs().amax(0)
    factors = x.pow(alpha) / w.pow(1.0 - alpha)
    return torch.where((x > 0) & (w > 0), factors, torch.ones_like(factors))


class SmoothQuant(Quantizer):
    """X W^T = (X / s) (W s)^T: the same network, with activations that are easier to hold in one range.

    The paper folds 1/s into the layer before. Behind a GELU that cannot be: the division is in the table from
    pre-activations to activations, one for each unit (O, 256) instead of one for all. Observations are left as they
    are. Integers hold pre-activations too; these stay undivided: dividing them through their own layer's weights as
    well was tried, and cost agreement at every alpha.
    """

    def __init__(self, config: SmoothQuantConfig) -> None:
        self.config = config
        self.calibration_states = config.calibration_states

    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> Policy:
        """As described. Integer observations 0..2^bits - 1 are taken as levels, without rounding.

        Raises:
            ConfigurationError: The policy is not a perceptron, or the calibration states cannot be used.
        """
        spec, alpha = read_mlp(policy.module), self.config.alpha
        array = checked_calibration(calibration, spec.num_inputs)
        x = torch.from_numpy(np.ascontiguousarray(array)).to(torch.float32)
        alphas = alpha.search if isinstance(alpha, AlphaSearch) else (alpha,)
        best = self.smoothed(spec, array, alphas[0])
        if len(alphas) > 1:
            logits = spec.hidden(x)[-1][1]
            least = _error(best, x, logits)
            for other in alphas[1:]:
                tried = self.smoothed(spec, array, other)
                if (error := _error(tried, x, logits)) < least:
                    best, least = tried, error
        return QuantizedPolicy(to_integer(best, "smoothquant"), start=policy.start)

    def smoothed(self, spec: MlpSpec, calibration: NDArray[Any], alpha: float) -> FakeQuantizedMlp:
        """The network with migration strength `alpha`, calibrated on (S, D) states."""
        config = self.config
        fake = FakeQuantizedMlp(
            spec,
            bits=config.bits,
            granularity=config.granularity,
            takes_levels=holds_levels(calibration, config.bits),
            learn_weights=False,
            preactivation_bits=config.preactivation_bits,
            learn_weight_steps=False,
            learn_activation_steps=False,
        )
        hidden = spec.hidden(torch.from_numpy(np.ascontiguousarray(calibration)))
        for number in range(len(spec.activations)):
            after = smoothing_factors(hidden[number + 1][0], spec.layers[number + 1].weight, alpha)
            fake.divide(number, torch.ones_like(after), after)
        fake.calibrate(calibration)
        return fake


@torch.no_grad()
def _error(fake: FakeQuantizedMlp, x: Tensor, logits: Tensor) -> float:
    return float((fake(x) - logits).square().mean())
