"""Step sizes under training: rounding that lets gradients pass, levels of activations, and linear layers on levels.

Gradients (Esser et al. 2020, "Learned step size quantization"). A tensor v with step s, lowest and highest level -Qn
and Qp is held as s round(clip(v / s, -Qn, Qp)). Rounding passes the gradient straight through, so that
    d/dv = 1 for -Qn <= v / s <= Qp, else 0,                                       eq. (5)
    d/ds = round(v / s) - v / s there, -Qn below, Qp above,                        eq. (3)
which is the derivative of the surrogate s clip(v / s + r, ...) whose r = round(v / s) - v / s is held fixed.

Step sizes are learned by their logarithm: s = unit exp(theta), theta = 0 at calibration. So a step stays positive, and
Adam, whose steps do not scale with the gradient, changes it by a fraction of itself [ours]. LSQ scales the gradient of
s by 1 / sqrt(N Qp) (section 2.2), so that SGD changes steps and weights by like fractions. Here the logarithm does
that: the factor on top of it left gradients of 1e-8, below Adam's usual epsilon, and steps that stood still.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from qecforge.inference.integer import Levels
from qecforge.inference.quantization.observers import levels_between, weight_step

__all__ = [
    "ActivationLevels",
    "FakeQuantizedLinear",
    "Granularity",
    "divides",
    "round_clipped",
    "round_ste",
    "scale_gradient",
]

Granularity: TypeAlias = Literal["per_tensor", "per_channel"]
"""Of weight steps: one for the layer, or one for each output."""

_LARGEST_BIAS = 2.0**22
"""In units of the integer sum; steps are kept large enough, so that bias and sum stay exact in float32."""


class _RoundClipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scaled: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ctx.save_for_backward((scaled >= low) & (scaled <= high))
        return scaled.clamp(low, high).round_()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return grad[0] * inside, None, None


class _WeightLevels(torch.autograd.Function):
    """round(clip(weight / step, -top, top)), in fewer passes over the weights than autograd would take."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, step: Tensor, top: int) -> Tensor:
        scaled = weight / step.unsqueeze(1)
        ctx.save_for_backward(scaled, step)
        ctx.top = top
        return scaled.clamp(-top, top).round_()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        scaled, step = ctx.saved_tensors
        of_weight = (grad[0] / step.unsqueeze(1)).mul_(scaled.abs() <= ctx.top)
        of_step = None
        if ctx.needs_input_grad[1]:
            of_step = -torch.linalg.vecdot(of_weight, scaled)
            of_step = of_step if len(step) == len(of_step) else of_step.sum().reshape(1)
        return of_weight, of_step, None


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float | Tensor) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        return grad[0] * ctx.factor, None


def round_ste(x: Tensor) -> Tensor:
    """Whole numbers, `x` rounded half to even; the gradient passes straight through."""
    return x + (x.round() - x).detach()


def round_clipped(scaled: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Whole numbers, round(clip(scaled, low, high)); the gradient passes straight through, except where it clips.

    Args:
        low, high: (), whole numbers, without gradient.
    """
    levels: Tensor = _RoundClipped.apply(scaled, low, high)  # type: ignore[no-untyped-call]
    return levels


def divides(divisor: Tensor) -> bool:
    """Whether any of these is not 1."""
    return bool((divisor != 1).any())


def scale_gradient(x: Tensor, factor: float | Tensor) -> Tensor:
    """Identity on `x`; its gradient times `factor`."""
    same: Tensor = _ScaleGradient.apply(x, factor)  # type: ignore[no-untyped-call]
    return same


class ActivationLevels(nn.Module):
    """The levels of a tensor of activations: one step, and a zero point that follows from it.

    Args:
        features: N.
        learned: Whether the step is a parameter.
        anchored: The zero point is kept where the lower end stays at `low` as the step changes (values with a known
            minimum); else it stays as calibrated.

    Buffers: `unit` (), the calibrated step; `low` (), the calibrated lower end, <= 0; `extent` (2,), least and greatest
    value as last averaged, and `unit_extents` (2, N) likewise for each feature. Parameter `log_step` ().
    """

    unit: Tensor
    low: Tensor
    extent: Tensor
    unit_extents: Tensor

    def __init__(self, bits: int, features: int, *, learned: bool, anchored: bool) -> None:
        super().__init__()
        self.bits, self.anchored = bits, anchored
        self.top = (1 << bits) - 1
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("extent", torch.zeros(2))
        self.register_buffer("unit_extents", torch.zeros(2, features))
        self.log_step = nn.Parameter(torch.zeros(())) if learned else None

    def calibrate(self, values: Tensor, levels: Levels) -> None:
        """Start from `levels` and from the extents of `values` (S, N); what was learned of the step is forgotten."""
        self.unit = self.unit.new_tensor(levels.scale)
        self.low = self.low.new_tensor(-levels.zero_point * levels.scale)
        self.unit_extents = torch.stack(torch.aminmax(values.detach(), dim=0)).to(self.unit)
        self.extent = torch.stack([self.unit_extents[0].min(), self.unit_extents[1].max()])
        if self.log_step is not None:
            with torch.no_grad():
                self.log_step.zero_()

    def observe(self, values: Tensor, momentum: float, minimum: float | None) -> None:
        """Average the extents of `values` (B, N) in, and let the calibrated step follow.

        What was learned of the step stays on top of it. `minimum` is the values' known lower end.

        Source: Jacob et al. 2018, section 3.1.
        """
        extents = torch.stack(torch.aminmax(values.detach(), dim=0))
        extent = torch.stack([extents[0].min(), extents[1].max()])
        self.unit_extents = momentum * self.unit_extents + (1.0 - momentum) * extents
        self.extent = momentum * self.extent + (1.0 - momentum) * extent
        self._follow(minimum)

    def divide(self, divisor: Tensor, minimum: float | None) -> None:
        """Features are divided by `divisor` (N,) from now on."""
        self.unit_extents = self.unit_extents / divisor
        self.extent = torch.stack([self.unit_extents[0].min(), self.unit_extents[1].max()])
        self._follow(minimum)

    def _follow(self, minimum: float | None) -> None:
        low, high = self.extent.tolist()
        if low == high == 0.0:
            return
        low = min(low if minimum is None else minimum, 0.0)
        levels = levels_between(low, high, self.bits)
        self.unit = self.unit.new_tensor(levels.scale)
        self.low = self.low.new_tensor(low if self.anchored else -levels.zero_point * levels.scale)

    def step(self) -> Tensor:
        """(), the step size, with gradient where it is learned."""
        if self.log_step is None:
            return self.unit
        return self.unit * self.log_step.exp()

    def zero_point(self, step: Tensor) -> Tensor:
        """(), the level of 0, a whole number in float; without gradient."""
        return (-self.low / (step.detach() if self.anchored else self.unit)).round().clamp(0, self.top)

    def quantize(self, scaled: Tensor, step: Tensor) -> Tensor:
        """Levels less the zero point, whole numbers in float: round(clip(scaled, -Qn, Qp)), scaled = x / step."""
        zero_point = self.zero_point(step)
        return round_clipped(scaled, -zero_point, self.top - zero_point)

    def levels(self) -> Levels:
        """As they stand."""
        step = self.step().detach()
        return Levels(float(step), int(self.zero_point(step)), self.bits)


class FakeQuantizedLinear(nn.Module):
    """One layer: weights and their steps, the levels of what comes in, and of the pre-activation where one follows.

    Parameters or buffers: `weight` (O, I), `bias` (O,); `weight_unit` (O,) or (1,), `log_weight_step` likewise where it
    is learned. `input_divisor` (I,) and `output_divisor` (O,), ones where nothing is smoothed: the layer computes
    (weight input_divisor / output_divisor) x' + bias / output_divisor on x' = x / input_divisor.
    """

    weight: Tensor
    bias: Tensor
    weight_unit: Tensor
    input_divisor: Tensor
    output_divisor: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        inputs: ActivationLevels,
        outputs: ActivationLevels | None,
        *,
        bits: int,
        granularity: Granularity,
        learn_weights: bool,
        learn_steps: bool,
    ) -> None:
        super().__init__()
        features_out, features_in = weight.shape
        per_channel = granularity == "per_channel"
        self.bits, self.per_channel, self.inputs, self.outputs = bits, per_channel, inputs, outputs
        self.top = (1 << (bits - 1)) - 1
        if learn_weights:
            self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        else:
            self.register_buffer("weight", weight.clone())
            self.register_buffer("bias", bias.clone())
        self.register_buffer("input_divisor", torch.ones(features_in))
        self.register_buffer("output_divisor", torch.ones(features_out))
        self.register_buffer("weight_unit", torch.ones(features_out if per_channel else 1))
        self.log_weight_step = nn.Parameter(torch.zeros_like(self.weight_unit)) if learn_steps else None

    def smoothed(self) -> tuple[Tensor, Tensor]:
        """Weights (O, I) and biases (O,) that act on divided inputs and give divided outputs."""
        weight, bias = self.weight, self.bias
        if divides(self.input_divisor):
            weight = weight * self.input_divisor
        if divides(self.output_divisor):
            weight, bias = weight / self.output_divisor.unsqueeze(1), bias / self.output_divisor
        return weight, bias

    def calibrate_weights(self, by: Literal["minmax", "mse"]) -> None:
        """Steps anew from the weights as they stand; what was learned of them is forgotten."""
        self.weight_unit = weight_step(self.smoothed()[0], self.bits, per_channel=self.per_channel, by=by)
        if self.log_weight_step is not None:
            with torch.no_grad():
                self.log_weight_step.zero_()

    def divide(self, input_divisor: Tensor, output_divisor: Tensor) -> None:
        """Set both divisors; each weight step keeps its ratio to the greatest weight that it holds."""

        def greatest() -> Tensor:
            rows = self.smoothed()[0].detach().abs()
            return rows.amax(1) if self.per_channel else rows.amax().reshape(1)

        before = greatest()
        self.input_divisor, self.output_divisor = input_divisor.clone(), output_divisor.clone()
        self.weight_unit = torch.where(before > 0, self.weight_unit * (greatest() / before), self.weight_unit)

    def step(self, bias: Tensor, input_step: Tensor) -> Tensor:
        """(O,) or (1,): the step sizes, at least so large that the smoothed `bias` stays exact in float32."""
        step = self.weight_unit
        if self.log_weight_step is not None:
            step = step * self.log_weight_step.exp()
        least = bias.detach().abs() / (input_step.detach() * _LARGEST_BIAS)
        return torch.maximum(step, least if self.per_channel else least.amax().reshape(1))

    def levels_of_zeros(self) -> Levels:
        """Levels for inputs that were 0 throughout calibration, by which the biases are exact to 21 bits."""
        bias = self.smoothed()[1].detach().abs()
        largest = float((bias / self.weight_unit).max())
        return Levels(2.0 * largest / _LARGEST_BIAS or 1.0, 0, self.inputs.bits)

    def integers(self, input_step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weight levels (O, I), bias levels (O,), and what one unit of their sum is worth (O,), with gradients."""
        weight, bias = self.smoothed()
        step = self.step(bias, input_step)
        levels: Tensor = _WeightLevels.apply(weight, step, self.top)  # type: ignore[no-untyped-call]
        steps = self.output_steps(levels, input_step)
        if not torch.equal(steps.detach(), step.detach().expand_as(steps)):
            # A finer unit must not shrink the gradient of the weights.
            levels = scale_gradient(levels, (step / steps).detach().unsqueeze(1))
        sum_scale = input_step * steps
        return levels, round_ste(bias / sum_scale), sum_scale

    def output_steps(self, levels: Tensor, input_step: Tensor) -> Tensor:
        """(O,): the step of each output's weights.

        Where all of an output's weight levels are 0, any step will do for them: it has one by which its bias is exact
        to 22 bits.

        Args:
            levels: Of the weights, (O, I).
        """
        bias = self.smoothed()[1].detach()
        step = self.step(bias, input_step).expand(len(bias))
        fine = bias.abs() / (input_step.detach() * _LARGEST_BIAS)
        alone = ~levels.detach().any(1) & (fine > torch.finfo(fine.dtype).tiny)
        return torch.where(alone, fine, step) if bool(alone.any()) else step
