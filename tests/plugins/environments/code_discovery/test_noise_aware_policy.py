"""A noise-aware policy from its manifest to the store and back: played on noise that it never saw."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stim

from qecforge import Registry, RunListener, RunOptions, Store, evaluate_policy, load_manifest, load_policy
from qecforge.codes import StabilizerCode
from qecforge.errors import CheckpointError
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: aware
environment:
  plugin: code_discovery
  n: 4
  k: 2
  target_distance: 2
  max_gates: 12
  gates: [h, cx]
  noise: {model: biased, p: {log_uniform: [1.0e-2, 1.0e-1]}, eta: {uniform: [1, 5]}}
  noise_aware: true
  success_reward: 1
reward: {plugin: knill_laflamme}
agent:
  plugin: ppo
  total_steps: 20_000
  num_envs: 64
  horizon: 24
  minibatch_size: 384
  learning_rate: 4.0e-3
  gamma: 0.99
  device: cpu
seeds: [1]
"""
UNSEEN = {"model": "biased", "p": {"log_uniform": [2.0e-1, 4.0e-1]}, "eta": {"uniform": [20, 30]}}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> str:
    """URL of a store that holds the finished run."""
    folder: Path = tmp_path_factory.mktemp("noise_aware")
    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    outcome = execute(plan, RunOptions(f"sqlite:///{folder}/results.db"), RunListener())
    assert outcome.status == "finished"
    return f"sqlite:///{folder}/results.db"


def load(url: str, registry: Registry, noise: Any, num_envs: int = 32) -> Any:
    with Store(url) as store:
        (run,) = store.runs()
        return load_policy(store, run.id, registry=registry, environment={"noise": noise}, num_envs=num_envs)


def test_it_is_played_on_unseen_noise_and_finds_codes(trained: str, registry: Registry) -> None:
    env, policy = load(trained, registry, UNSEEN)
    statistics = evaluate_policy(env, policy, episodes=64, seed=3)
    p, eta = env.noise_parameters["p"], env.noise_parameters["eta"]
    assert p.min() >= 0.2
    assert eta.min() >= 20
    assert len(np.unique(p)) == 32
    assert (statistics.lengths < 12).mean() > 0.9  # an episode that ends before its budget has found a code
    assert all(found.code.distance().value >= 2 for found in env.take_discoveries())
    assert env.config.noise_aware


def test_what_it_earns_there_is_the_reward_under_that_noise(trained: str, registry: Registry) -> None:
    """Against the encoder's code after each gate, scored by the definition under the unseen channel."""
    env, policy = load(trained, registry, {"model": "biased", "p": 0.3, "eta": 25}, num_envs=1)
    statistics = evaluate_policy(env, policy, episodes=1, seed=0)
    probability = {"I": 0.7, "X": 0.3 / 27, "Y": 0.3 / 27, "Z": 0.3 * 25 / 27}
    observations, infos = env.reset(seed=0)
    circuit, total = stim.Circuit("I 3"), 0.0
    for _ in range(int(statistics.lengths[0])):
        actions = policy.act(observations, action_mask=infos.get("action_mask"))
        circuit.append_from_stim_program_text(env.table.stim[actions[0]])
        code = StabilizerCode.from_circuit(circuit, 2)
        for letter, qubit in itertools.product("XYZ", range(4)):
            error = "I" * qubit + letter + "I" * (3 - qubit)
            if all(stim.PauliString(error).commutes(stim.PauliString(row)) for row in code.stabilizers):
                total -= 0.0 if code.contains(error) else 10 * probability[letter] * probability["I"] ** 3
        observations, _, _, _, infos = env.step(actions)
    assert total < -1
    total += 1  # `success_reward`, in the last step
    assert statistics.returns[0] == pytest.approx(total, rel=1e-5)


def test_the_policy_reads_the_noise(trained: str, registry: Registry) -> None:
    """The noise is part of what it acts on: other parameters, other logits; the code is the same."""
    import torch

    shown = []
    for noise in ({"model": "biased", "p": 0.02, "eta": 2}, {"model": "biased", "p": 0.3, "eta": 25}):
        env, policy = load(trained, registry, noise, num_envs=1)
        shown.append(policy.module(torch.from_numpy(env.reset(seed=0)[0])))
    assert not torch.allclose(shown[0], shown[1], atol=1e-3)


def test_noise_of_another_kind_is_refused_where_it_does_not_fit(trained: str, registry: Registry) -> None:
    with pytest.raises(CheckpointError, match="has shape"):
        load(trained, registry, {"model": "per_qubit", "probabilities": [[0.01, 0.01, 0.02]] * 4})
