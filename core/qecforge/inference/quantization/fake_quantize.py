"""A perceptron that computes in floats what its integer form will compute, with gradients for weights and step sizes.

Levels are held as float32, in which sums of products are exact below 2^24, and all that is rounded is rounded as
`qecforge.inference.integer` does, so that logits in training are those of the integers. Whatever the weights, a layer's
sums stay below where

    inputs (2^bits - 1) (2^(bits-1) - 1) + 2^22 <= 2^24,

the highest level and weight, and the greatest bias: up to 388 inputs with 8 bits, 1572 with 7, 6442 with 6. A wider
layer is exact as long as no sum gets there; sums that do are rounded, and may move logits by a few units of
`sum_scale`. `step_sizes` has the gradients.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import Levels
from qecforge.inference.network import LinearSpec, MlpSpec
from qecforge.inference.quantization.observers import Range, checked_calibration, make_observer
from qecforge.inference.quantization.step_sizes import ActivationLevels, FakeQuantizedLinear, Granularity, divides
from qecforge.learning.activations import activation_function, activation_minimum
from qecforge.learning.parameter_groups import ParameterGroup

__all__ = ["FakeQuantizedMlp", "holds_levels"]


class FakeQuantizedMlp(nn.Module):
    """A policy network (B, *observation_shape) -> logits (B, N) under fake quantisation.

    Calibrate it before use. In training mode and where gradients are recorded, while `observing` holds, each forward
    pass moves the ranges of the activations (exponential moving averages) and the steps with them: calibration
    on-policy. All that is in `state_dict`.

    Args:
        spec: The float network; copied.
        bits: Of weights and of what goes into layers, 2..8.
        granularity: Of weight steps.
        takes_levels: Observations are whole numbers 0..2^bits - 1, themselves the levels (step 1, zero point 0).
        learn_weights: Weights and biases are parameters; else they are fixed.
        learn_weight_steps, learn_activation_steps: Likewise for step sizes.
        momentum: Of the moving averages, the weight of the past.
        rescale_above: Each `rescale_every` passes under observation, a hidden unit whose range is more than this many
            times that of the median unit of its layer is divided down to that, and the next layer's weights are
            multiplied: an equal network with fewer outliers, paid for with a table for each output [ours].
            None: never.
        rescale_every: In forward passes.
        preactivation_bits: Of what goes into an activation function, 2..8: the table behind it has 256 entries
            whatever the width of weights and activations.
        step_learning_rate, step_epsilon: Adam's, for the logarithms of step sizes.
        observation_bits: Of what goes into the first layer, 2..8; None: as `bits`. Not where it takes levels.

    Attributes:
        layers: First to last.
        activations: Names, one fewer than layers.
    """

    observing: Tensor
    passes: Tensor
    calibrated: Tensor

    def __init__(
        self,
        spec: MlpSpec,
        *,
        bits: int = 8,
        granularity: Granularity = "per_channel",
        takes_levels: bool = False,
        learn_weights: bool = True,
        learn_weight_steps: bool = True,
        learn_activation_steps: bool = True,
        momentum: float = 0.99,
        rescale_above: float | None = None,
        rescale_every: int = 100,
        preactivation_bits: int = 8,
        step_learning_rate: float = 1e-3,
        step_epsilon: float = 1e-12,
        observation_bits: int | None = None,
    ) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise ConfigurationError(f"quantizer: got {bits} bits, expected 2 to 8: set bits to 8")
        self.bits, self.activations, self.takes_levels = bits, spec.activations, takes_levels
        self.step_learning_rate, self.step_epsilon = step_learning_rate, step_epsilon
        self.momentum, self.rescale_above, self.rescale_every = momentum, rescale_above, rescale_every
        layers = []
        for number, layer in enumerate(spec.layers):
            features_out, features_in = layer.weight.shape
            learned = learn_activation_steps and not (number == 0 and takes_levels)
            width = bits if number or takes_levels or observation_bits is None else observation_bits
            inputs = ActivationLevels(width, features_in, learned=learned, anchored=number > 0)
            outputs = None
            if number < len(spec.activations):
                outputs = ActivationLevels(
                    preactivation_bits, features_out, learned=learn_activation_steps, anchored=False
                )
            layers.append(
                FakeQuantizedLinear(
                    layer.weight,
                    layer.bias,
                    inputs,
                    outputs,
                    bits=bits,
                    granularity=granularity,
                    learn_weights=learn_weights,
                    learn_steps=learn_weight_steps,
                )
            )
        self.layers = nn.ModuleList(layers)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self.register_buffer("observing", torch.zeros((), dtype=torch.bool))
        self.register_buffer("calibrated", torch.zeros((), dtype=torch.bool))
        self.eval()

    def parts(self) -> list[FakeQuantizedLinear]:
        """`layers`, typed."""
        return [part for part in self.layers if isinstance(part, FakeQuantizedLinear)]

    def log_steps(self) -> list[nn.Parameter]:
        """The logarithms of the learned step sizes over the calibrated ones, layer by layer."""
        names = ("log_weight_step", "log_step")
        return [each for name, each in self.named_parameters() if name.rsplit(".", 1)[-1] in names]

    def own_parameter_groups(self) -> list[ParameterGroup]:
        """Step sizes, with rate and epsilon of their own (see `qecforge.learning.parameter_groups`)."""
        return [ParameterGroup(tuple(self.log_steps()), self.step_learning_rate, self.step_epsilon)]

    def step_changes(self) -> dict[str, float]:
        """How far learning has moved the step sizes: mean and largest |change of log step|; empty where none is
        learned."""
        steps = self.log_steps()
        if not steps:
            return {}
        moved = torch.cat([each.detach().abs().flatten() for each in steps])
        return {"step_change_mean": float(moved.mean()), "step_change_largest": float(moved.max())}

    def spec(self) -> MlpSpec:
        """The float network as it stands: copies of weights and biases."""
        layers = [LinearSpec(part.weight.detach().clone(), part.bias.detach().clone()) for part in self.parts()]
        return MlpSpec(tuple(layers), self.activations)

    def divide(self, number: int, before: Tensor, after: Tensor) -> None:
        """Divide hidden layer `number`'s pre-activations by `before` and its activations by `after`, (O,) each.

        The float network stays what it was: the activation becomes f(before y) / after, and the next layer's weights
        are multiplied. Calibrate again afterwards.
        """
        parts = self.parts()
        parts[number].divide(parts[number].input_divisor, before)
        parts[number + 1].divide(after, parts[number + 1].output_divisor)

    @torch.no_grad()
    def calibrate(
        self,
        observations: NDArray[Any],
        *,
        activations: Range = "minmax",
        weights: Literal["minmax", "mse"] = "minmax",
        percentile: float = 99.9,
    ) -> None:
        """Set every step from what the float network does on (S, *observation_shape) calibration states.

        Args:
            activations, weights: How ranges are chosen.
            percentile: Where `activations` is "percentile".

        Raises:
            ConfigurationError: Too few states, NaN or infinite values, another size than the network's, or, where
                the levels are those of the observations, values that are not among them.
        """
        parts = self.parts()
        array = checked_calibration(observations, parts[0].weight.shape[1])
        if self.takes_levels and not holds_levels(array, self.bits):
            raise ConfigurationError(
                f"calibration: got observations from {array.min()} to {array.max()}, expected whole numbers 0 to "
                f"{(1 << self.bits) - 1}, which the first layer takes as levels: collect them in the environment that "
                "the policy was trained in"
            )
        for part in parts:
            part.calibrate_weights(weights)

        def calibrate(levels: ActivationLevels, values: Tensor) -> None:
            observer = make_observer(activations, percentile=percentile)
            observer.observe(values)
            levels.calibrate(values, observer.levels(levels.bits))

        x = torch.from_numpy(np.ascontiguousarray(array)).to(parts[0].weight)
        for part, (inputs, outputs) in zip(parts, self.spec().hidden(x), strict=True):
            if part is parts[0] and self.takes_levels:
                part.inputs.calibrate(inputs, Levels(1.0, 0, self.bits))
            else:
                calibrate(part.inputs, inputs / part.input_divisor)
                if not part.inputs.extent.any():
                    part.inputs.calibrate(inputs, part.levels_of_zeros())
            if part.outputs is not None:
                calibrate(part.outputs, outputs / part.output_divisor)
        self.calibrated = torch.ones_like(self.calibrated)

    def observe(self, on: bool) -> None:
        """Begin or end the calibration during training."""
        self.observing = torch.full_like(self.observing, on)

    def forward(self, observations: Tensor) -> Tensor:
        """Logits (B, N) float32, each what the integers give.

        Raises:
            ConfigurationError: The network is not calibrated.
        """
        if not self.calibrated:
            raise ConfigurationError("fake quantisation: the network has no step sizes yet: call calibrate first")
        observing = self.training and torch.is_grad_enabled() and bool(self.observing)
        if observing:
            self._begin_pass()
        parts = self.parts()
        x = observations.flatten(1).to(parts[0].weight.dtype)
        if observing and not self.takes_levels:
            parts[0].inputs.observe(x, self.momentum, None)
        step = parts[0].inputs.step()
        levels = parts[0].inputs.quantize(x / step, step)
        for number, part in enumerate(parts):
            weight, bias, sum_scale = part.integers(step)
            total = functional.linear(levels, weight, bias)
            if part.outputs is None:
                return total * sum_scale
            if observing:
                part.outputs.observe(total * sum_scale, self.momentum, None)
            output_step = part.outputs.step()
            before = part.outputs.quantize(total * (sum_scale / output_step), output_step)
            following = parts[number + 1]
            x = self.activation(number, before * output_step)
            if observing:
                following.inputs.observe(x, self.momentum, self._minimum(number))
            step = following.inputs.step()
            levels = following.inputs.quantize(x / step, step)
        raise AssertionError("the last layer returns")

    def activation(self, number: int, values: Tensor) -> Tensor:
        """What hidden layer `number` makes of its pre-activations (..., O): f(before values) / after."""
        part, following = self.parts()[number : number + 2]
        function = activation_function(self.activations[number])
        found = function(values * part.output_divisor if divides(part.output_divisor) else values)
        return found / following.input_divisor if divides(following.input_divisor) else found

    def _minimum(self, number: int) -> float | None:
        minimum = activation_minimum(self.activations[number])
        return None if minimum is None else minimum / float(self.parts()[number + 1].input_divisor.min())

    @torch.no_grad()
    def _begin_pass(self) -> None:
        """Count the pass, and divide outliers down when it is time."""
        self.passes = self.passes + 1
        if self.rescale_above is None or int(self.passes) % self.rescale_every:
            return
        parts = self.parts()
        for number, (part, following) in enumerate(itertools.pairwise(parts)):
            greatest = following.inputs.unit_extents.abs().amax(0)
            allowed = self.rescale_above * greatest.median()
            if not allowed > 0:
                continue
            divisor = (greatest / allowed).clamp(min=1.0)
            self.divide(number, part.output_divisor * divisor, following.input_divisor * divisor)
            if part.outputs is not None:
                part.outputs.divide(divisor, None)
            following.inputs.divide(divisor, self._minimum(number))


def holds_levels(observations: NDArray[Any], bits: int) -> bool:
    """Whether these are integers 0..2^bits - 1, by dtype and value, which need no quantisation."""
    array = np.asarray(observations)
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
        return False
    return bool(array.size) and int(array.min()) >= 0 and int(array.max()) < (1 << bits)
