"""CZ outputs that begin spread over the qubits, and statistics of circuits."""

import numpy as np
import pytest
import torch
from quantum_reference import random_circuits
from torch import nn

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum import PaperCircuit, circuit_statistics, peak_register, spread_pairs

CIRCUIT = PaperCircuit(10, 10)


def outputs_of(linear, rng):
    hidden = torch.tensor(rng.standard_normal((64, 256)), dtype=torch.float32).relu()
    found = linear(hidden).detach().numpy()
    pairs = np.clip(np.rint(found[:, 200:220]), 0, 9).astype(np.int64).reshape(64, 10, 2)
    return np.ascontiguousarray(found[:, :200]), pairs


def test_drawn_biases_make_gates_fire_and_differ():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    linear = nn.Linear(256, 230)
    before = linear.bias.detach().clone()
    default = circuit_statistics(*outputs_of(linear, np.random.default_rng(0)))
    spread_pairs(linear, CIRCUIT, generator, first=200)
    drawn = circuit_statistics(*outputs_of(linear, np.random.default_rng(0)))
    assert default.firing < 0.3
    assert drawn.firing > 0.8
    assert drawn.distinct_pairs > 6
    assert drawn.peak_register > default.peak_register
    changed = (linear.bias.detach() != before).nonzero().flatten()
    assert set(changed.tolist()) <= set(range(200, 220))
    assert len(changed) == 20


def test_biases_are_uniform_over_the_qubits():
    linear = nn.Linear(1, 20)
    drawn = []
    for seed in range(200):
        spread_pairs(linear, CIRCUIT, torch.Generator().manual_seed(seed), first=0)
        drawn.append(linear.bias.detach().numpy().copy())
    counts = np.bincount(np.clip(np.rint(np.concatenate(drawn)), 0, 9).astype(int), minlength=10)
    assert (np.abs(counts - 400) < 5 * 400**0.5).all()


def test_statistics_by_hand():
    angles, _ = random_circuits(np.random.default_rng(0), 2, 4, 4)
    pairs = np.array([[[0, 1], [1, 0], [2, 2], [2, 3]], [[0, 0], [1, 1], [2, 2], [3, 1]]])
    found = circuit_statistics(angles, pairs)
    assert found.firing == 4 / 8
    assert found.distinct_pairs == (2 + 1) / 2
    assert found.peak_register == peak_register(angles, pairs).mean()


def test_a_layer_with_too_few_outputs():
    with pytest.raises(ConfigurationError, match="pairs: got a layer with 30 outputs, expected biases for 220"):
        spread_pairs(nn.Linear(4, 30), CIRCUIT, torch.Generator(), first=200)
