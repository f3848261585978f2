"""From fake quantisation to integers: weights, biases, levels, and the tables between layers."""

from __future__ import annotations

import numpy as np
import torch

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import IntegerLayer, IntegerMlp
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.inference.quantization.step_sizes import divides

__all__ = ["to_integer"]


@torch.no_grad()
def to_integer(fake: FakeQuantizedMlp, method: str) -> IntegerMlp:
    """The integers that `fake` computes with as it stands; `fake` is not changed.

    Logits of the result equal those of `fake` but for the last bit of an activation function, which torch may round
    another way in a vector of another length: a level that lies on that edge may then be its neighbour.

    Args:
        method: Name of the quantizer.

    Raises:
        ConfigurationError: `fake` is not calibrated, or holds weights or steps that are not finite.
    """
    if not fake.calibrated:
        raise ConfigurationError(f"{method}: the network has no step sizes yet: calibrate it first")
    layers: list[IntegerLayer] = []
    parts = fake.parts()
    for number, part in enumerate(parts):
        input_step = part.inputs.step()
        weight, bias, _ = part.integers(input_step)
        step = part.output_steps(weight, input_step)
        if not all(bool(tensor.isfinite().all()) for tensor in (weight, bias, step)):
            raise ConfigurationError(
                f"{method}: layer {number} holds weights or steps that are not finite: the training diverged, lower "
                "its learning_rate"
            )
        table = None
        if part.outputs is not None:
            table = _table(fake, number)
        layers.append(
            IntegerLayer(
                weight=weight.cpu().numpy().astype(np.int8),
                weight_scale=step.cpu().numpy().astype(np.float32),
                bias=bias.cpu().numpy().astype(np.int32),
                inputs=part.inputs.levels(),
                outputs=None if part.outputs is None else part.outputs.levels(),
                table=table,
                activation="none" if part.outputs is None else fake.activations[number],
            )
        )
    return IntegerMlp(tuple(layers), fake.bits, method)


def _table(fake: FakeQuantizedMlp, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(256,) uint8, or (O, 256) where units are divided by numbers of their own: level -> level for the next layer."""
    part, following = fake.parts()[number : number + 2]
    assert part.outputs is not None
    step, next_step = part.outputs.step(), following.inputs.step()
    levels = torch.arange(256, device=step.device).clamp(max=part.outputs.top) - part.outputs.zero_point(step)
    values = (levels * step).unsqueeze(1).expand(256, len(part.bias)).contiguous()
    after = following.inputs.quantize(fake.activation(number, values) / next_step, next_step)
    table: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = (
        (after + following.inputs.zero_point(next_step)).T.contiguous().cpu().numpy().astype(np.uint8)
    )
    by_output = divides(part.output_divisor) or divides(following.input_divisor)
    return table if by_output else table[0].copy()
