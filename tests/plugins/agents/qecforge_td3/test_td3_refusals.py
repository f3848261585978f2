"""What td3 does not take: one clear line, and nothing lost."""

import gymnasium
import numpy as np
import pytest
from pydantic import ValidationError

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.continuous import PointEnvironment
from qecforge_td3 import TD3Config, make_td3
from qecforge_td3 import transitions as transitions_module

SMALL = {"block": "none", "batch_size": 16, "replay_capacity": 200, "learning_starts": 16, "total_steps": 400,
         "log_every": 16, "num_envs": 4}  # fmt: skip


def refusal(env, **settings):
    with pytest.raises(ConfigurationError) as caught:
        make_td3(TD3Config(**(SMALL | settings))).train(env, RecordingContext(env))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_discrete_actions():
    assert "expected a Box" in refusal(IdentityEnvironment(4))


def test_actions_without_bounds():
    env = PointEnvironment(4)
    env.single_action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    assert "bounds that are finite" in refusal(env)


def test_a_replay_larger_than_memory_says_the_bytes(monkeypatch):
    monkeypatch.setattr(transitions_module, "_free_bytes", lambda: 1000)
    # a row: 2 + 2 observations, 2 actions, reward, discount, float32
    message = refusal(PointEnvironment(4), replay_capacity=100)
    assert "32 bytes" in message
    assert "3,200 bytes" in message
    assert "replay_capacity to 31" in message


def test_a_replay_that_cannot_even_be_allocated_says_the_bytes():
    assert "takes 3,200,000,000,000,000 bytes" in refusal(PointEnvironment(4), replay_capacity=10**14)


class Broken(PointEnvironment):
    """Gives NaN from step 40 on, in observations or in rewards."""

    def __init__(self, what):
        super().__init__(4)
        self.what = what

    def step(self, actions, out=None):
        observations, rewards, *rest = super().step(actions)
        if self._steps > 10:
            (observations if self.what == "observations" else rewards)[0] = np.nan
        return observations, rewards, *rest


@pytest.mark.parametrize("what", ["observations", "rewards"])
def test_an_environment_that_gives_nan(what):
    message = refusal(Broken(what))
    assert message.startswith("td3: step 44:")
    assert f"gave {what} that are not finite" in message


def test_a_loss_that_is_not_finite_stops_with_the_step():
    message = refusal(PointEnvironment(4), critic_learning_rate=1e30)
    assert message.startswith("td3: step ")
    assert "expected a finite number; the last checkpoint is kept" in message


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tiny_batch": 300}, "tiny_batch is 300, more than batch_size"),
        ({"replay_capacity": 100}, "replay_capacity is 100, less than a batch"),
        ({"block": "zeros", "links": 0}, "nothing would reach PostDNN"),
        ({"block": "rbg", "readout": "marginals"}, "leave readout out"),
        ({"qubits": 17}, "less than or equal to 16"),
    ],
)
def test_settings_that_do_not_fit(settings, says):
    with pytest.raises(ValidationError, match=says):
        TD3Config(**settings)


def interrupted():
    env = PointEnvironment(4)
    context = RecordingContext(env, stop_after=3)
    make_td3(TD3Config(**SMALL)).train(env, context)
    return context.checkpoint


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("acting"),
        lambda state: state.update(step=-1),
        lambda state: state["networks"].popitem(),
        lambda state: state["networks"].update({"critic.weight_1": np.zeros((2, 2), np.float32)}),
        lambda state: state["optimizers"].pop(),
        lambda state: state["transitions"].update(pending=[{}]),
        lambda state: state["progress"].update(logged="x"),
    ],
)
def test_a_damaged_checkpoint(damage):
    checkpoint = interrupted()
    damage(checkpoint["agent"])
    env = PointEnvironment(4)
    with pytest.raises(CheckpointError) as caught:
        make_td3(TD3Config(**SMALL)).train(env, RecordingContext(env, checkpoint=checkpoint))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_other_settings():
    checkpoint, env = interrupted(), PointEnvironment(4)
    with pytest.raises(CheckpointError):
        make_td3(TD3Config(**SMALL | {"pre_hidden": 32})).train(env, RecordingContext(env, checkpoint=checkpoint))
