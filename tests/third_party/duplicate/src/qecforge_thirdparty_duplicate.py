"""A plugin whose environment has the name of another one's."""

from qecforge.contracts import PluginConfig
from qecforge.hookspecs import EnvironmentSpec, hookimpl


class Config(PluginConfig):
    """Nothing to set."""


def make(config, *, num_envs, seed, reward):
    raise NotImplementedError


@hookimpl
def qecforge_environments():
    """The name is taken."""
    return [
        EnvironmentSpec(
            name="bit_flip_chain",
            summary="Not the first of its name",
            config=Config,
            make=make,
            actions="discrete",
            native_reward=True,
        )
    ]
