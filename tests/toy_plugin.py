"""A plugin for tests of the core: an environment that finds the five-qubit code, an agent that walks at random, and two
quantizers for it."""

import numpy as np
import torch
from pydantic import Field

from qecforge.contracts import Agent, PluginConfig, Quantizer, TrainingBatch
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, QuantizerSpec, hookimpl
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.testing.walks import CountingPolicy, Ring, rounded


class WalkConfig(PluginConfig):
    size: int = Field(9, ge=2, description="Positions.")
    find_at: int = Field(40, ge=0, description="Environment step at which the five-qubit code is found.")


class WalkEnvironment(Ring):
    pass


class WalkerConfig(PluginConfig):
    total_steps: int = Field(200, ge=1, description="Environment steps.")
    fail_at: int | None = Field(None, description="Raise at this step.")
    members: int = Field(4, ge=1, description="Environment members.")


class WalkerPolicy(CountingPolicy):
    pass


class Walker(Agent):
    def __init__(self, config):
        self.config = config
        self.policy = WalkerPolicy()
        self.step = 0

    @property
    def num_envs(self):
        return self.config.members

    def state_dict(self):
        extra = {} if self.extra_loss is None else self.extra_loss.state_dict()
        return {"step": self.step, "rng": generator_state(self.rng), "visits": self.policy.visits, "extra": extra}

    def train(self, env, context, *, policy=None, extra_loss=None):
        self.rng = np.random.default_rng(context.seed)
        self.policy, self.extra_loss = policy or self.policy, extra_loss
        metrics = {}
        if context.restored is None:
            env.reset(seed=context.seed)
        else:
            self.step = context.restored["step"]
            self.rng = restored_generator(context.restored["rng"])
            self.policy.visits = context.restored["visits"]
            if extra_loss is not None:
                extra_loss.load_state_dict(context.restored["extra"])
        while context.advance(self.step, self.config.total_steps, metrics, self.state_dict):
            actions = self.rng.integers(0, 2, env.num_envs)
            observations, rewards, _, _, _ = env.step(actions)
            self.policy.visits += torch.from_numpy(np.bincount(actions, minlength=2))
            self.step += env.num_envs
            metrics = {"reward": float(rewards.mean())}
            if extra_loss is not None:
                progress = self.step / self.config.total_steps
                batch = TrainingBatch(torch.from_numpy(observations), torch.zeros(1), actions, None, None, progress)
                metrics["extra"] = float(extra_loss(batch))
            if self.config.fail_at is not None and self.step >= self.config.fail_at:
                raise ArithmeticError(f"asked to fail at step {self.step}")
        return self.policy

    def build_policy(self, env):
        return WalkerPolicy()


class CountConfig(PluginConfig):
    episodes: int = Field(8, ge=1, description="Episodes to play.")


def count_evaluation(env, policy, config, context):
    context.record("visits", 0, float(policy.visits.sum()))
    context.record("episodes", 0, float(config.episodes))
    observations, _ = env.reset()
    for step in range(config.episodes):
        observations, rewards, *_ = env.step(policy.act(observations))
        context.record("played", step, float(rewards.mean()))


class RoundConfig(PluginConfig):
    bits: int = Field(8, ge=2, le=8, description="Bits.")
    foreign: bool = Field(False, description="Give something else than integers.")


class Rounding(Quantizer):
    """The share of visits as int8 weights of one layer."""

    calibration_states = 32

    def __init__(self, config):
        self.config = config

    def quantize(self, policy, calibration):
        if self.config.foreign:
            return policy
        return rounded(policy, calibration, bits=self.config.bits, method="round")


class Drift:
    """An extra loss with a state: the sum of what it has seen."""

    needs_states = False

    def __init__(self):
        self.seen = 0.0

    def __call__(self, batch):
        self.seen = 0.5 * self.seen + float(batch.observations.sum()) * batch.progress
        return torch.tensor(self.seen)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


class Learning(Rounding):
    """Trains a copy of the teacher further."""

    def prepare(self, policy, env):
        env.reset(seed=1)
        env.step(np.ones(env.num_envs, dtype=np.int64))
        student = WalkerPolicy()
        student.visits = policy.visits.clone()
        return student

    def extra_loss(self, teacher, student, env):
        return Drift()

    def convert(self, student):
        return self.quantize(student, np.full((1, 1), 9.0))


@hookimpl
def qecforge_quantizers():
    def spec(name, make, kind):
        return QuantizerSpec(name=name, summary=f"{name}.", config=RoundConfig, make=make, kind=kind)

    return [spec("round", Rounding, "post_training"), spec("learn", Learning, "training_aware")]


@hookimpl
def qecforge_environments():
    return [
        EnvironmentSpec(
            name="walk",
            summary="A random walk that finds the five-qubit code.",
            config=WalkConfig,
            make=WalkEnvironment,
            actions="discrete",
            native_reward=True,
            finds_codes=True,
            evaluations=(
                EvaluationSpec(name="count", summary="Counts visits.", config=CountConfig, evaluate=count_evaluation),
            ),
        )
    ]


@hookimpl
def qecforge_agents():
    return [
        AgentSpec(
            name="walker",
            summary="Walks at random.",
            config=WalkerConfig,
            make=Walker,
            trains_on=frozenset({"discrete"}),
        )
    ]
