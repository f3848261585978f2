"""Poles of Gymnasium as a plugin: one by one, and as a batch."""

import gymnasium

from qecforge.contracts import PluginConfig
from qecforge.environments import GymnasiumAdapter
from qecforge.hookspecs import EnvironmentSpec, hookimpl


class PoleConfig(PluginConfig):
    """Nothing to say."""


def make_poles(config, *, num_envs, seed, reward):
    return GymnasiumAdapter(lambda: gymnasium.make("CartPole-v1"), num_envs=num_envs, seed=seed)


def make_batch(config, *, num_envs, seed, reward):
    return GymnasiumAdapter(
        lambda: gymnasium.make_vec("CartPole-v1", num_envs=num_envs, vectorization_mode="sync"),
        num_envs=num_envs,
        seed=seed,
    )


@hookimpl
def qecforge_environments():
    poles = {"summary": "Balance a pole.", "config": PoleConfig, "actions": "discrete", "native_reward": True}
    return [
        EnvironmentSpec(name="poles", make=make_poles, **poles),
        EnvironmentSpec(name="poles_at_once", make=make_batch, resumes="between_episodes", **poles),
    ]
