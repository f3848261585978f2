"""A training starts without torch's compiler."""

import subprocess
import sys

import pytest
import torch

from qecforge.learning.optimizers import apply_gradients

PROGRAM = """
import copy, sys, torch
from qecforge.learning.optimizers import apply_gradients
from qecforge.learning.parameter_groups import adamw_of

layer = torch.nn.Linear(3, 2)
before = layer.weight.detach().clone()
optimizer = adamw_of(layer, learning_rate=1e-2, epsilon=1e-8, weight_decay=0.0)
layer(torch.ones(1, 3)).sum().backward()
apply_gradients(optimizer)
optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
optimizer.zero_grad()
assert not torch.equal(layer.weight, before)
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""


def test_an_optimizer_imports_no_compiler():
    shown = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert shown.stdout == "False False\n"


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_the_step_is_torchs_own(kind):
    layers = [torch.nn.Linear(3, 2) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimizers = [kind(layer.parameters(), lr=0.1) for layer in layers]
    for x in torch.randn(4, 5, 3):
        for layer, optimizer in zip(layers, optimizers, strict=True):
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            apply_gradients(optimizer) if optimizer is optimizers[0] else optimizer.step()
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert torch.equal(layers[0].bias, layers[1].bias)
