"""Rollouts played by integers: what they are made of, that their own probabilities are kept, that they are faithful."""

import numpy as np
import pytest
import torch

from qecforge.errors import ConfigurationError
from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.inference.quantization.student import StudentPolicy
from qecforge.learning.perceptrons import masked_log_softmax
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge_ppo import PPOConfig
from qecforge_ppo.agent import _Training
from qecforge_ppo.int8 import CALIBRATION_STATES, Int8Actors, calibration_states

QUICK = {"num_envs": 16, "horizon": 32, "learning_rate": 3e-3, "device": "cpu", "threads": 1, "actor": "int8"}


def training_of(masked=True, given=None, **settings):
    config = PPOConfig.model_validate(QUICK | settings)
    training = _Training(config, IdentityEnvironment(config.num_envs, masked=masked), 0, given, None)
    training.start()
    return training


def kept_by(logits, rollout):
    """Log probabilities (T, A, m) of the actions that were taken."""
    masks = None if rollout.masks is None else torch.from_numpy(rollout.masks[:-1]).view(logits.shape)
    log_probs = masked_log_softmax(logits, masks)
    return log_probs.gather(-1, rollout.actions.unsqueeze(-1)).squeeze(-1)


def played(training):
    """(T, A, m, N): logits of the float networks on the rollout."""
    return torch.stack([training.networks.logits(x) for x in training.rollout.inputs[:-1]])


@pytest.mark.parametrize("agents", [1, 2])
@pytest.mark.parametrize("value", ["mirror", "shared"])
def test_the_probabilities_kept_are_those_of_what_played(agents, value):
    training = training_of(num_agents=agents, policy={"hidden_sizes": [24, 16], "activation": "gelu", "value": value})
    training.collect()
    with torch.inference_mode():
        torch.testing.assert_close(training.rollout.log_probs, kept_by(played(training), training.rollout))
    training.update()
    states = training.calibration
    assert states.shape == (agents, min(CALIBRATION_STATES, 512 // agents), 5)
    training.collect()
    rollout = training.rollout
    with torch.inference_mode():
        actors = Int8Actors(training.networks, states, training.env.single_observation_space, 1)
        integers = torch.stack([actors.logits(rollout.observations[t]) for t in range(rollout.horizon)])
        floats = played(training)
        assert torch.equal(rollout.log_probs, kept_by(integers, rollout))
        assert not torch.equal(rollout.log_probs, kept_by(floats, rollout))
        assert (integers - floats).abs().max() < 0.1 * floats.abs().max()


def test_calibration_states_are_spread_over_steps_and_members():
    rollout = np.arange(100 * 40 * 3).reshape(100, 40, 3)
    chosen = calibration_states(rollout, 2)
    assert chosen.shape == (2, CALIBRATION_STATES, 3)
    assert not np.shares_memory(chosen, rollout)
    steps, members = np.divmod(chosen[:, :, 0] // 3, 40)
    assert [set(each // 20) for each in members] == [{0}, {1}]
    for agent in range(2):
        assert set(steps[agent]) == set(range(100))
        assert len(set(members[agent])) == 20
    np.testing.assert_array_equal(calibration_states(rollout[:2], 1)[0], rollout[:2].reshape(80, 3))


def test_a_student_plays_with_its_own_steps():
    teacher = training_of(actor="float").best_policy()
    module = FakeQuantizedMlp(read_mlp(teacher.module), bits=4, takes_levels=True)
    module.calibrate(np.eye(5, dtype=np.uint8).repeat(8, axis=0))
    training = training_of(given=StudentPolicy(module))
    training.collect()
    training.update()
    training.collect()
    with torch.inference_mode():
        expected = kept_by(played(training), training.rollout)
    torch.testing.assert_close(training.rollout.log_probs, expected, rtol=1e-5, atol=1e-5)


def test_both_speeds_are_reported():
    for actor in ("float", "int8"):
        training = training_of(actor=actor)
        for _ in range(2):
            training.collect()
            training.update()
        metrics = training.metrics
        assert metrics["time/rollout_steps_per_second"] > metrics["time/steps_per_second"] > 0


def test_too_few_states_to_calibrate_with_are_refused():
    training = training_of(num_envs=1, horizon=4)
    training.collect()
    training.update()
    with pytest.raises(ConfigurationError, match="met 4 states, expected 16 or more: raise num_envs"):
        training.collect()


def test_it_is_a_setting():
    assert PPOConfig().actor == "float"
    context = RecordingContext(IdentityEnvironment(16), 0, stop_after=3)
    from qecforge_ppo import make_ppo

    make_ppo(PPOConfig.model_validate(QUICK)).train(context.env, context)
    assert context.checkpoint["agent"]["calibration"].shape == (1, 512, 5)
