"""Small networks under fake quantisation, and what is done to them in several files of tests."""

import itertools

import numpy as np
import torch
from torch import nn

from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp, holds_levels

MODULES = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}


def network(*sizes, activation="gelu", seed=0):
    torch.manual_seed(seed)
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), MODULES[activation]()]
    return nn.Sequential(*layers[:-1])


def observations(count, size, *, bits=True, seed=0):
    rng = np.random.default_rng(seed)
    if bits:
        return rng.integers(0, 2, (count, size)).astype(np.uint8)
    return rng.normal(0.3, 1.0, (count, size)).astype(np.float32)


def fake(module, x, **options):
    calibration = {name: options.pop(name) for name in ("activations", "weights") if name in options}
    found = FakeQuantizedMlp(read_mlp(module), takes_levels=holds_levels(x, options.get("bits", 8)), **options)
    found.calibrate(x, **calibration)
    return found


def logits_of(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def train(module, x, steps, target):
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    module.train()
    for _ in range(steps):
        loss = (module(torch.from_numpy(x)) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()
    return loss.item()
