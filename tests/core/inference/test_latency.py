"""Latency: every runtime and precision is measured, on inputs as they come. No time is judged here."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from toy_plugin import WalkConfig, WalkEnvironment, WalkerPolicy

from qecforge.inference.latency import measure_latency, rollout_speed, seconds_per_call
from qecforge.inference.module_policy import ModulePolicy
from qecforge.inference.policy import QuantizedPolicy
from qecforge_ptq import PtqConfig, make_ptq


def small_policy() -> ModulePolicy:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.GELU(), nn.Linear(16, 5))
    return ModulePolicy(module, nn.Sequential(nn.Flatten(), nn.Linear(12, 1)))


def test_float_policies_run_in_three_precisions_and_two_runtimes():
    observations = np.random.default_rng(0).integers(0, 2, (3, 4, 3)).astype(np.uint8)
    policy = small_policy()
    before = {name: tensor.clone() for name, tensor in policy.module.state_dict().items()}
    rows = measure_latency(policy, observations, batches=(1, 8), threads=1, budget=0.001)
    assert {(row.precision, row.runtime, row.batch) for row in rows} == {
        (precision, runtime, batch)
        for precision, runtime in (("fp32", "torch"), ("bf16", "torch"), ("fp16", "torch"), ("fp32", "onnxruntime"))
        for batch in (1, 8)
    }
    assert all(row.seconds > 0 for row in rows)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.module.state_dict().items())


def test_integer_policies_run_on_both_runtimes_and_say_on_what():
    observations = np.random.default_rng(0).integers(0, 2, (1100, 4, 3)).astype(np.uint8)
    policy = make_ptq(PtqConfig()).quantize(small_policy(), observations)
    assert isinstance(policy, QuantizedPolicy)
    rows = measure_latency(policy, observations, batches=(1, 8), threads=1, budget=0.001)
    assert {(row.precision, row.runtime) for row in rows} == {("int8", "native"), ("int8", "onnxruntime")}
    assert all(row.kernel for row in rows)


def test_calls_are_counted_and_the_clock_is_not_asked_for_less_than_it_can_tell():
    calls = []
    assert seconds_per_call(lambda: calls.append(1), budget=0.01, repeats=3) > 0
    assert len(calls) > 100


def test_rollouts_step_every_member():
    class Counting(WalkerPolicy):
        drawn = 0

        def act(self, observations, *, deterministic=True, **others):
            assert not deterministic
            self.drawn += len(observations)
            return super().act(observations, deterministic=deterministic, **others)

    env, policy = WalkEnvironment(WalkConfig(), num_envs=6, seed=0, reward=None), Counting()
    assert rollout_speed(env, policy, seconds=0.01) > 0
    assert env.steps == policy.drawn
    assert env.steps > 20 * 6
