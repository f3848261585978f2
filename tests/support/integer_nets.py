"""Random integer policies, and what to feed them."""

from itertools import pairwise

import numpy as np
from scipy.special import erf

from qecforge.inference.integer import IntegerLayer, IntegerMlp, Levels

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x / np.sqrt(2.0))),
    "silu": lambda x: x / (1.0 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
}


def levels_over(low, high, bits):
    """Levels that cover [low, high], zero among them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**bits - 1)
    return Levels(scale, int(np.clip(np.rint(-low / scale), 0, 2**bits - 1)), bits)


def activation_table(activation, before, after):
    """(256,) uint8: level of the pre-activation -> level that the next layer takes."""
    x = before.scale * (np.arange(256) - float(before.zero_point))
    table = after.quantize(ACTIVATIONS[activation](x))
    table[before.highest + 1 :] = 0
    return table


def random_mlp(rng, sizes=(21, 33, 18, 7), *, activation="gelu", bits=8, takes_bits=True, per_output=False):
    """Units near what training leaves: pre-activations that fill their levels and clip now and then.

    Entries of tables past the highest level are 0, which no runtime may show.
    """
    greatest = 2 ** (bits - 1) - 1
    inputs = Levels(1.0, 0, bits) if takes_bits else levels_over(-2.5, 2.5, bits)
    spread = 0.5 if takes_bits else 1.0
    layers = []
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        weight = rng.integers(-greatest, greatest + 1, (fan_out, fan_in)).astype(np.int8)
        weight_scale = (rng.uniform(0.5, 1.5, fan_out) * 2 / (greatest * spread * np.sqrt(fan_in))).astype(np.float32)
        bias = np.rint(rng.normal(0, 0.3, fan_out) / (inputs.scale * weight_scale)).astype(np.int32)
        if number == len(sizes) - 2:
            layers.append(IntegerLayer(weight, weight_scale, bias, inputs))
            break
        before = levels_over(-rng.uniform(3, 5), rng.uniform(3, 5), bits)
        after = levels_over(float(ACTIVATIONS[activation](np.linspace(-3, 0, 400)).min()), rng.uniform(2.5, 4), bits)
        if activation == "tanh":
            after = levels_over(-1.0, 1.0, bits)
        table = activation_table(activation, before, after)
        if per_output:
            steps = rng.uniform(0.5, 2.0, fan_out)
            smoothed = [Levels(after.scale * step, after.zero_point, bits) for step in steps]
            table = np.stack([activation_table(activation, before, each) for each in smoothed])
        layers.append(IntegerLayer(weight, weight_scale, bias, inputs, before, table, activation))
        inputs, spread = after, 1.0
    return IntegerMlp(tuple(layers), bits, "lsq")


def random_observations(rng, mlp, batch=50):
    """Bits as uint8 where the policy takes them, else float32 beyond the levels' range too."""
    if mlp.takes_bits:
        return rng.integers(0, 2, (batch, mlp.num_inputs)).astype(np.uint8)
    return rng.normal(0, 1.5, (batch, mlp.num_inputs)).astype(np.float32)
