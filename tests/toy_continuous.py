"""A plugin for tests of the core: a qubit whose pulses drift, and agents that learn to correct them.

environment `pulses`: bounded corrections, episodes that are lost (terminated) or over (truncated)
agent `cross_entropy`: a linear policy, by the cross-entropy method; it brings the evaluation `recovery`
agent `bits`: the same for a policy that samples on the way to its best action
"""

from collections.abc import Mapping

import gymnasium
import numpy as np
import torch
from gymnasium.vector.utils import batch_space
from pydantic import Field

from qecforge.contracts import Agent, Environment, PluginConfig, Policy, refuse_unknown_options
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, hookimpl

LOW, HIGH = np.array([-0.3, -0.2], np.float32), np.array([0.2, 0.4], np.float32)
LOST = 1.0
"""Radians of over-rotation, either error or both together, from which on an episode is lost."""


class PulseConfig(PluginConfig):
    steps: int = Field(20, ge=1, description="Steps after which an episode is over.")
    drift: float = Field(0.05, ge=0, description="Standard deviation of an error's drift in a step, in radians.")
    shots: int = Field(400, ge=1, description="Measurements behind each estimate of an error.")


class Pulses(Environment):
    """A pulse's amplitude and phase are off by (e1, e2) radians, which drift. Each step the agent sees estimates of
    both, as good as so many measurements are, and turns two knobs by bounded amounts. The reward is minus the
    infidelity to second order, (e1^2 + e2^2) / 4; where it is too great the episode is lost."""

    def __init__(self, config, *, num_envs, seed, reward):
        self.config, self.num_envs = config, num_envs
        self.single_observation_space = gymnasium.spaces.Box(-4.0, 4.0, (2,), np.float32)
        self.single_action_space = gymnasium.spaces.Box(LOW, HIGH, dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.rng = np.random.default_rng(seed)
        self.errors = np.zeros((num_envs, 2))
        self.seen = np.zeros((num_envs, 2), np.float32)
        self.length = np.zeros(num_envs, np.int64)
        self.total = np.zeros(num_envs)
        self.begin(np.ones(num_envs, np.bool_))

    def reset(self, *, seed=None, options=None, out=None):
        refuse_unknown_options(options or {}, "pulses")
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.begin(np.ones(self.num_envs, np.bool_))
        return self.show(out), {}

    def step(self, actions, out=None):
        corrections = self.checked(actions)
        self.errors += corrections + self.config.drift * self.rng.standard_normal(self.errors.shape)
        infidelity = np.square(self.errors).sum(1) / 4
        rewards = -infidelity.astype(np.float32)
        self.total += rewards
        self.length += 1
        lost = np.hypot(*self.errors.T) >= LOST
        over = ~lost & (self.length >= self.config.steps)
        self.measure(np.ones(self.num_envs, np.bool_))
        infos = {"episode_return": self.total.copy(), "episode_length": self.length.copy()}
        if over.any():
            infos["final_obs"] = self.seen.copy()
        self.begin(lost | over)
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = rewards, lost, over
            rewards, lost, over = out.rewards, out.terminated, out.truncated
        return self.show(out), rewards, lost, over, infos

    def state_dict(self):
        arrays = {name: getattr(self, name).copy() for name in ("errors", "seen", "length", "total")}
        return {**arrays, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state):
        if state["errors"].shape != self.errors.shape:
            raise CheckpointError(f"pulses: got {len(state['errors'])} members, expected {self.num_envs}")
        for name in ("errors", "seen", "length", "total"):
            setattr(self, name, np.array(state[name]))
        self.rng.bit_generator.state = state["rng"]

    def checked(self, actions):
        given = np.asarray(actions)
        if given.shape != (self.num_envs, 2) or not ((given >= LOW) & (given <= HIGH)).all():
            raise ConfigurationError(
                f"pulses: got actions {given.tolist()}, expected {self.num_envs} pairs from {LOW.tolist()} to "
                f"{HIGH.tolist()}: stay within the bounds of the action space"
            )
        return given

    def begin(self, members):
        count = int(members.sum())
        self.errors[members] = self.rng.uniform(-0.5, 0.5, (count, 2))
        self.length[members], self.total[members] = 0, 0.0
        self.measure(members)

    def measure(self, members):
        count = int(members.sum())
        noise = self.rng.standard_normal((count, 2)) / np.sqrt(self.config.shots)
        self.seen[members] = np.clip(self.errors[members] + noise, -4.0, 4.0)

    def show(self, out):
        if out is None:
            return self.seen.copy()
        out.observations[...] = self.seen
        return out.observations


class CrossEntropyConfig(PluginConfig):
    total_steps: int = Field(40_000, ge=1, description="Environment steps.")
    candidates: int = Field(40, ge=4, description="Candidates of an iteration; each has a member of its own.")
    horizon: int = Field(40, ge=1, description="Steps by which a candidate is judged.")


class LinearPolicy(Policy):
    """Actions that are linear in the observation, and held within the bounds; drawn ones have normal noise.

    Attributes:
        weights: (A, D + 1) float64; the last column belongs to a constant.
    """

    noise = 0.05

    def __init__(self, low, high, observations):
        self.low, self.high = np.float64(low), np.float64(high)
        self.weights = np.zeros((len(low), observations + 1))

    def act(self, observations, *, action_mask=None, deterministic=True, rng=None):
        return self.bounded(self.aimed(observations, deterministic, rng))

    def aimed(self, observations, deterministic, rng):
        aim = observations @ self.weights[:, :-1].T + self.weights[:, -1]
        if deterministic:
            return aim
        if rng is None:
            raise ConfigurationError("linear policy: rng is missing: pass one where deterministic is False")
        return aim + self.noise * rng.standard_normal(aim.shape)

    def bounded(self, aim):
        return np.clip(aim, self.low, self.high).astype(np.float32)

    def state_dict(self):
        return {"weights": torch.from_numpy(self.weights.copy())}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]):
        if set(state) != {"weights"} or tuple(state["weights"].shape) != self.weights.shape:
            raise CheckpointError(f"linear policy: got {sorted(state)}, expected weights of {self.weights.shape}")
        self.weights = state["weights"].numpy().copy()


class SamplingPolicy(LinearPolicy):
    """Each number of an action is read off `count` bits that are drawn with the probability that it should have: a
    quantum circuit's way of saying a number. Its best action needs draws too."""

    count = 64

    def aimed(self, observations, deterministic, rng):
        if rng is None:
            raise ConfigurationError("sampling policy: rng is missing: pass one, its best action is sampled too")
        aim = super().aimed(observations, deterministic, rng)
        share = np.clip((aim - self.low) / (self.high - self.low), 0.0, 1.0)
        return self.low + (self.high - self.low) * rng.binomial(self.count, share) / self.count


class CrossEntropy(Agent):
    """The cross-entropy method (Rubinstein and Kroese 2004) on the weights of a linear policy: each member of the
    environment is driven by a candidate of its own, and the best quarter says where the next ones are drawn."""

    policy = LinearPolicy

    def __init__(self, config):
        self.config = config

    @property
    def num_envs(self):
        return self.config.candidates

    def build_policy(self, env):
        space = env.single_action_space
        return self.policy(space.low, space.high, env.single_observation_space.shape[0])

    def train(self, env, context, *, policy=None, extra_loss=None):
        if extra_loss is not None:
            raise ConfigurationError("cross_entropy: takes no extra loss: it has no gradient")
        learner = policy or self.build_policy(env)
        rng = np.random.default_rng(context.seed)
        mean, spread = learner.weights.copy(), np.ones_like(learner.weights)
        step, metrics = 0, {}
        if context.restored is None:
            observations, _ = env.reset(seed=context.seed)
        else:
            state = context.restored
            rng.bit_generator.state = state["rng"]
            step, metrics, observations = state["step"], dict(state["metrics"]), state["observations"]
            mean, spread = state["mean"].copy(), state["spread"].copy()

        def state_dict():
            arrays = {"observations": observations.copy(), "mean": mean.copy(), "spread": spread.copy()}
            return {**arrays, "step": step, "metrics": dict(metrics), "rng": rng.bit_generator.state}

        while context.advance(step, self.config.total_steps, metrics, state_dict):
            candidates = mean + spread * rng.standard_normal((env.num_envs, *mean.shape))
            earned, returns = np.zeros(env.num_envs), []
            for _ in range(self.config.horizon):
                aim = np.einsum("bad,bd->ba", candidates[..., :-1], observations) + candidates[..., -1]
                observations, rewards, lost, over, infos = env.step(learner.bounded(aim))
                earned += rewards
                returns += infos["episode_return"][lost | over].tolist()
                step += env.num_envs
            elite = candidates[np.argsort(earned)[-(env.num_envs // 4) :]]
            mean, spread = elite.mean(0), elite.std(0) + 0.02
            metrics = {"spread": float(spread.mean()), "episodes": float(len(returns))}
            if returns:
                metrics["episode_return"] = float(np.mean(returns))
        learner.weights = mean
        return learner


class SamplingCrossEntropy(CrossEntropy):
    policy = SamplingPolicy


class RecoveryConfig(PluginConfig):
    kicks: int = Field(5, ge=1, description="How often the pulses are put out of order.")
    steps: int = Field(10, ge=1, description="Steps that the policy is watched after each.")


def evaluate_recovery(env, policy, config, context):
    """How fast infidelity falls after a kick: its mean over members, step by step, and the whole course in files."""
    rng = np.random.default_rng(context.seed)
    course = np.zeros((config.kicks, config.steps))
    for kick in range(config.kicks):
        observations, _ = env.reset(seed=int(rng.integers(2**32)))
        for step in range(config.steps):
            if context.cancelled():
                return
            observations, rewards, *_ = env.step(policy.act(observations, rng=rng))
            course[kick, step] = -rewards.mean()
        context.progress(kick + 1, config.kicks)
    for step, infidelity in enumerate(course.mean(0).tolist()):
        context.record("recovery/infidelity", step, infidelity)
    context.payload("course", {"infidelity": course.tolist()}, values={"recovered": float(course[:, -1].mean())})
    context.artifact("course.f64", course.tobytes())


def check_recovery(environment, agent, config):
    if config.steps > environment.steps:
        raise ValueError(
            f"steps: {config.steps} is beyond an episode's {environment.steps}: give fewer, or set environment.steps"
        )


def check_cross_entropy(environment, agent):
    if agent.horizon < environment.steps:
        raise ValueError(
            f"horizon: {agent.horizon} steps are less than an episode's {environment.steps}, so that no candidate is "
            f"seen to its end: set horizon to {environment.steps} or more"
        )


RECOVERY = EvaluationSpec(
    name="recovery",
    summary="Infidelity after a kick, step by step.",
    config=RecoveryConfig,
    evaluate=evaluate_recovery,
    check=check_recovery,
)
PULSES = EnvironmentSpec(
    name="pulses",
    summary="Pulses that drift, to be corrected.",
    config=PulseConfig,
    make=Pulses,
    actions="continuous",
    native_reward=True,
)


def agent_spec(name, make):
    return AgentSpec(
        name=name,
        summary="Cross-entropy method for linear policies.",
        config=CrossEntropyConfig,
        make=make,
        trains_on=frozenset({"continuous"}),
        check=check_cross_entropy,
        evaluations=(RECOVERY,),
    )


CROSS_ENTROPY, BITS = agent_spec("cross_entropy", CrossEntropy), agent_spec("bits", SamplingCrossEntropy)


@hookimpl
def qecforge_environments():
    return [PULSES]


@hookimpl
def qecforge_agents():
    return [CROSS_ENTROPY, BITS]
