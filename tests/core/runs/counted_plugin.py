"""The toy plugin's walk and agent, which count how often what they made was closed, and fail where they are told to."""

from collections.abc import Mapping

import numpy as np
from pydantic import Field
from toy_plugin import CountConfig, WalkConfig, WalkEnvironment, Walker, WalkerConfig

from qecforge.contracts import CompiledReward, PluginConfig, Reward, RewardBuffers
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, RewardSpec, hookimpl

MADE: list["Counted"] = []
"""All that was made, in order."""


class Counted:
    """One thing that was made, and how often it was closed."""

    def __init__(self, what):
        self.what, self.closes = what, 0
        MADE.append(self)

    def close(self, *, fails=False):
        self.closes += 1
        if fails:
            raise OSError("the sandbox\ndid not end")


def open_things() -> Mapping[str, int]:
    """Names of what was not closed exactly once, with how often it was."""
    return {f"{index} {each.what}": each.closes for index, each in enumerate(MADE) if each.closes != 1}


class CountedConfig(WalkConfig):
    fail_to_begin: bool = Field(False, description="Raise where the environment is made.")
    fail_to_close: bool = Field(False, description="Raise where it is closed.")


class CountedWalk(WalkEnvironment):
    def __init__(self, config, *, num_envs, seed, reward):
        self.compiled = None
        if config.fail_to_begin:
            raise ArithmeticError("asked to fail when it is made")
        super().__init__(config, num_envs=num_envs, seed=seed, reward=reward)
        self.compiled = reward.compile("a walk")
        self.counted = Counted("environment")

    def step(self, actions, out=None):
        observations, _, ended, truncated, infos = super().step(actions)
        return observations, self.compiled.score(self.position).values, ended, truncated, infos

    def close_extras(self, **kwargs):
        self.compiled.close()
        self.counted.close(fails=self.config.fail_to_close)


class PositionConfig(PluginConfig):
    scale: float = Field(1.0, description="Reward of a position.")


class Position(Reward):
    def __init__(self, config):
        self.config, self.counted = config, Counted("reward")

    def compile(self, subject):
        return CompiledPosition(self.config.scale)

    def close(self):
        self.counted.close()


class CompiledPosition(CompiledReward):
    def __init__(self, scale):
        self.scale, self.counted = scale, Counted("compiled reward")

    def score(self, batch, out=None):
        return RewardBuffers((self.scale * batch).astype(np.float32))

    def close(self):
        self.counted.close()


def play_evaluation(env, policy, config, context):
    observations, _ = env.reset()
    for step in range(config.episodes):
        observations, rewards, *_ = env.step(policy.act(observations))
        context.record("played", step, float(rewards.mean()))


class BrokenConfig(PluginConfig):
    interrupt: bool = Field(False, description="Raise KeyboardInterrupt instead of an error.")


def broken_evaluation(env, policy, config, context):
    env.reset()
    raise KeyboardInterrupt if config.interrupt else ArithmeticError("asked to fail in the evaluation")


@hookimpl
def qecforge_environments():
    evaluations = (
        EvaluationSpec(name="count", summary="Plays.", config=CountConfig, evaluate=play_evaluation),
        EvaluationSpec(name="broken", summary="Fails.", config=BrokenConfig, evaluate=broken_evaluation),
    )
    return [
        EnvironmentSpec(
            name="counted_walk",
            summary="A walk that counts.",
            config=CountedConfig,
            make=CountedWalk,
            actions="discrete",
            shows="position",
            finds_codes=True,
            evaluations=evaluations,
        )
    ]


@hookimpl
def qecforge_rewards():
    return [
        RewardSpec(name="position", summary="The position.", config=PositionConfig, make=Position, scores="position")
    ]


@hookimpl
def qecforge_agents():
    return [
        AgentSpec(
            name="counted_walker",
            summary="Walks at random.",
            config=WalkerConfig,
            make=Walker,
            trains_on=frozenset({"discrete"}),
        )
    ]
