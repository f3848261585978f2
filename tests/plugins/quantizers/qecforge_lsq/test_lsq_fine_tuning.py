"""LSQ under PPO: the student learns, resumes bit for bit, and becomes integers that act as well."""

from typing import Any

import numpy as np
import pytest
import torch

from qecforge.contracts import TrainingBatch
from qecforge.errors import ConfigurationError, Interrupted
from qecforge.inference.integer import run_reference
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.quantizers import PerceptronPolicy
from qecforge_lsq import LsqConfig, make_lsq
from qecforge_ppo import PPOConfig, make_ppo

AGENT: dict[str, Any] = {
    "total_steps": 6_144,
    "num_envs": 16,
    "horizon": 32,
    "learning_rate": 3e-3,
    "device": "cpu",
    "threads": 1,
}
CONFIG = LsqConfig(bits=4, observe_until=0.3, outlier_factor=1.5, rescale_every=5, calibration_states=64)


def prepared():
    env = IdentityEnvironment(16, num_actions=12, masked=True)
    teacher = PerceptronPolicy(hidden=(16,))
    quantizer = make_lsq(CONFIG)
    student = quantizer.prepare(teacher, env)
    return env, student, quantizer.extra_loss(teacher, student, env), quantizer


def test_fine_tuning_learns_and_becomes_integers():
    env, student, extra, quantizer = prepared()
    context = RecordingContext(env)
    make_ppo(PPOConfig(**{**AGENT, "total_steps": 12_288})).train(env, context, policy=student, extra_loss=extra)
    assert not student.module.observing
    assert int(student.module.passes) > 0
    steps = [part.log_weight_step.detach() for part in student.module.parts()]
    assert all((step != 0).all() for step in steps)
    changes = {name: value for name, value in context.advances[-1].metrics.items() if "step_change" in name}
    assert changes.keys() == {"quantizer/step_change_mean", "quantizer/step_change_largest"}
    assert changes["quantizer/step_change_mean"] > 0.02
    assert changes["quantizer/step_change_largest"] == pytest.approx(
        max(float(each.detach().abs().max()) for each in student.module.log_steps())
    )
    states = np.eye(12, dtype=np.uint8)
    policy = quantizer.convert(student)
    np.testing.assert_array_equal(policy.act(states), np.arange(12))
    with torch.no_grad():
        logits = student.module(torch.from_numpy(states)).numpy()
    np.testing.assert_array_equal(run_reference(policy.mlp, states), logits)


@pytest.mark.parametrize("after", [1, 3, 5])
def test_resumed_equals_uninterrupted(after):
    def train(**options):
        env, student, extra, quantizer = prepared()
        context = RecordingContext(env, 3, **options)
        try:
            make_ppo(PPOConfig(**AGENT)).train(env, context, policy=student, extra_loss=extra)
        except Interrupted:
            return context.checkpoint, None
        return student.state_dict(), quantizer.convert(student).mlp.tensors()

    whole, integers = train(stop_after=6)
    checkpoint, _ = train(interrupt_after=after)
    resumed, again = train(checkpoint=checkpoint, stop_after=7 - after)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    for name, array in integers.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)


def test_calibration_ends_when_it_is_time():
    _, student, extra, _ = prepared()
    logits = torch.zeros(2, 12, requires_grad=True)

    def at(progress):
        batch = TrainingBatch(torch.zeros(2, 12), logits, torch.zeros(2), None, None, progress)
        assert extra(batch).item() == 0.0
        return bool(student.module.observing)

    assert [at(progress) for progress in (0.0, 0.29, 0.3, 0.1)] == [True, True, False, False]


def test_without_observation_ranges_stay():
    env, teacher = IdentityEnvironment(16, num_actions=12), PerceptronPolicy()
    student = make_lsq(LsqConfig(observe_until=0.0)).prepare(teacher, env)
    assert not student.module.observing


def test_the_value_network_comes_along():
    env, teacher = IdentityEnvironment(16, num_actions=12), PerceptronPolicy()
    student = make_lsq(LsqConfig()).prepare(teacher, env)
    for name, tensor in teacher.value_module.state_dict().items():
        assert torch.equal(student.state_dict()[f"value.{name}"], tensor)


def test_only_a_student_is_converted():
    with pytest.raises(ConfigurationError, match="got a PerceptronPolicy, expected the student that prepare gives"):
        make_lsq(LsqConfig()).convert(PerceptronPolicy())
