"""A plugin for tests of the core: an off-policy agent with a replay buffer that tests its policy while it trains, on
environments that resume to the bit, that resume between episodes, and one that shares what it must not."""

import gymnasium
import numpy as np
import torch
from gymnasium.vector.utils import batch_space
from pydantic import Field

from qecforge.contracts import Agent, Environment, PluginConfig, Policy, refuse_unknown_options
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, hookimpl
from qecforge.learning.episodes import EpisodeStatistics
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.learning.replay import ReplayBuffer

CELLS = 6
MADE = []
"""Every environment, in the order in which they were made; tests clear it."""


class CorridorConfig(PluginConfig):
    slip: float = Field(0.2, ge=0, le=1, description="Probability that a step goes the other way.")


class Corridor(Environment):
    """Cells in a row; action 1 goes right, 0 left, and the step to the right end is rewarded and ends the episode."""

    def __init__(self, config, *, num_envs, seed, reward):
        self.config, self.num_envs, self.seed = config, num_envs, seed
        self.single_observation_space = gymnasium.spaces.Box(0, 1, (CELLS,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.rng = np.random.default_rng(seed)
        self.cell = np.zeros(num_envs, np.int64)
        self.resets = []
        MADE.append(self)
        self.reset(seed=seed)

    def reset(self, *, seed=None, options=None, out=None):
        refuse_unknown_options(options or {}, "corridor")
        if seed is not None:
            self.seeded(seed)
        self.resets.append(seed)
        self.cell = self.rng.integers(CELLS - 1, size=self.num_envs)
        self.length, self.total = np.zeros(self.num_envs, np.int64), np.zeros(self.num_envs)
        return self.observe(out), {}

    def seeded(self, seed):
        self.rng = np.random.default_rng(seed)

    def step(self, actions, out=None):
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or not np.isin(actions, [0, 1]).all():
            raise ConfigurationError(f"corridor: got actions {actions.tolist()}, expected 0 or 1 for each member")
        slipped = self.rng.random(self.num_envs) < self.config.slip
        self.cell = np.clip(self.cell + np.where(slipped, -1, 1) * (2 * actions - 1), 0, CELLS - 1)
        terminated = self.cell == CELLS - 1
        rewards, truncated = terminated.astype(np.float32), np.zeros(self.num_envs, np.bool_)
        self.length += 1
        self.total += rewards
        infos = {"episode_return": self.total.copy(), "episode_length": self.length.copy()}
        self.cell[terminated] = self.rng.integers(CELLS - 1, size=int(terminated.sum()))
        self.length[terminated], self.total[terminated] = 0, 0.0
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = rewards, terminated, truncated
            rewards, terminated, truncated = out.rewards, out.terminated, out.truncated
        return self.observe(out), rewards, terminated, truncated, infos

    def observe(self, out=None):
        observations = np.eye(CELLS, dtype=np.float32)[self.cell]
        if out is None:
            return observations
        out.observations[...] = observations
        return out.observations

    def state_dict(self):
        return {
            "rng": generator_state(self.rng),
            "cell": self.cell.copy(),
            "length": self.length.copy(),
            "total": self.total.copy(),
        }

    def load_state_dict(self, state):
        if len(state["cell"]) != self.num_envs:
            raise CheckpointError(f"corridor: a state of {len(state['cell'])} members, expected {self.num_envs}")
        self.rng, self.cell = restored_generator(state["rng"]), state["cell"].copy()
        self.length, self.total = state["length"].copy(), state["total"].copy()


class Unsaved(Corridor):
    """Says that it resumes between episodes: what happens within one is kept nowhere."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        assert state == {}


class Sharing(Corridor):
    """Breaks the contract: all of them draw from one generator."""

    common = None

    def seeded(self, seed):
        Sharing.common = Sharing.common or np.random.default_rng(seed)
        self.rng = Sharing.common


class LearnerConfig(PluginConfig):
    total_steps: int = Field(2000, ge=1, description="Environment steps.")
    num_envs: int = Field(4, ge=1, description="Members.")
    capacity: int = Field(300, ge=1, description="Transitions that are kept.")
    test_every: int | None = Field(None, ge=1, description="Iterations between two tests.")
    fail_at: int | None = Field(None, description="Raise at this step.")


class Values(Policy):
    """What each action is worth, for observations with one bit set."""

    def __init__(self, space, actions):
        self.values, self.start = np.zeros((space.shape[0], int(actions.n))), int(actions.start)

    def act(self, observations, *, action_mask=None, deterministic=True, rng=None):
        values = self.values[np.asarray(observations).argmax(axis=1)]
        if not deterministic:
            if rng is None:
                raise ConfigurationError("learner: actions are drawn and rng is missing: give a numpy Generator")
            values = values + 0.3 * rng.random(values.shape)
        return self.start + (values if action_mask is None else np.where(action_mask, values, -np.inf)).argmax(axis=1)

    def state_dict(self):
        return {"values": torch.from_numpy(self.values.copy())}

    def load_state_dict(self, state):
        if set(state) != {"values"}:
            raise CheckpointError(f"learner: got {sorted(state)}, expected values")
        self.values = state["values"].numpy().copy()


class Learner(Agent):
    """Q-learning in a table, from a replay buffer (Watkins 1989; Lin 1992)."""

    def __init__(self, config):
        self.config = config

    @property
    def num_envs(self):
        return self.config.num_envs

    def build_policy(self, env):
        return Values(env.single_observation_space, env.single_action_space)

    def train(self, env, context, *, policy=None, extra_loss=None):
        config, self.env, self.context = self.config, env, context
        self.policy, self.rng, self.step, self.metrics = (
            self.build_policy(env),
            np.random.default_rng(context.seed),
            0,
            {},
        )
        cell = (np.float32, env.single_observation_space.shape)
        fields = {"before": cell, "action": np.int64, "reward": np.float32, "after": cell, "ended": np.bool_}
        self.buffer = ReplayBuffer(fields, config.capacity)
        self.episodes = EpisodeStatistics(env.num_envs)
        if context.restored is None:
            self.begin_episodes(*env.reset(seed=context.seed))
        else:
            self.load_state_dict(context.restored)
            if context.begun is not None:
                self.begin_episodes(*context.begun)
        tests = context.make_environment("test returns", 8) if config.test_every else None
        while context.advance(self.step, config.total_steps, self.metrics, self.state_dict):
            returns = self.iterate()
            self.metrics = {"value": float(self.policy.values.mean()), "rows": float(len(self.buffer))}
            if len(returns):
                self.metrics["episode_return"] = float(returns.mean())
            iteration = self.step // (10 * env.num_envs)
            if tests is not None and iteration % config.test_every == 0:
                self.metrics["test/ended"] = self.test(tests)
            if config.fail_at is not None and self.step >= config.fail_at:
                raise ArithmeticError(f"asked to fail at step {self.step}")
        return self.policy

    def begin_episodes(self, observations, infos):
        self.observations, self.mask = observations, infos.get("action_mask")
        self.episodes = EpisodeStatistics(self.env.num_envs)

    def iterate(self):
        played = []
        for _ in range(10):
            actions = self.policy.act(self.observations, action_mask=self.mask, deterministic=False, rng=self.rng)
            after, rewards, terminated, truncated, infos = self.env.step(actions)
            self.buffer.add(
                {
                    "before": self.observations,
                    "action": actions - self.policy.start,
                    "reward": rewards,
                    "after": after,
                    "ended": terminated | truncated,
                }
            )
            played.append((rewards, terminated | truncated))
            self.observations, self.mask = after, infos.get("action_mask")
            self.step += len(rewards)
            batch = self.buffer.sample(16, self.rng)
            cells = batch["before"].argmax(axis=1)
            ahead = self.policy.values[batch["after"].argmax(axis=1)].max(axis=1)
            target = batch["reward"] + 0.9 * np.where(batch["ended"], 0.0, ahead)
            error = target - self.policy.values[cells, batch["action"]]
            np.add.at(self.policy.values, (cells, batch["action"]), 0.05 * error)
        rewards, ended = map(np.stack, zip(*played, strict=True))
        return self.episodes.add(rewards, ended)[0]

    def test(self, env):
        observations, _ = env.reset(seed=self.step)
        ended = 0
        for _ in range(20):
            observations, _, terminated, _, _ = env.step(self.policy.act(observations))
            ended += int(terminated.sum())
        return float(ended)

    def state_dict(self):
        return {
            "step": self.step,
            "values": self.policy.values,
            "rng": generator_state(self.rng),
            "observations": self.observations,
            "mask": self.mask,
            "buffer": self.buffer.state_dict(),
            "running": [self.episodes.running_return, self.episodes.running_length],
            "metrics": self.metrics,
        }

    def load_state_dict(self, state):
        self.step, self.metrics = state["step"], dict(state["metrics"])
        self.policy.values = state["values"].copy()
        self.rng = restored_generator(state["rng"])
        self.observations, self.mask = state["observations"], state["mask"]
        self.buffer.load_state_dict(state["buffer"])
        self.episodes.running_return[:], self.episodes.running_length[:] = state["running"]


@hookimpl
def qecforge_environments():
    def spec(make, resumes):
        name = make.__name__.lower()
        return EnvironmentSpec(
            name=name,
            summary=f"{make.__name__}.",
            config=CorridorConfig,
            make=make,
            actions="discrete",
            native_reward=True,
            resumes=resumes,
        )

    return [spec(Corridor, "to_the_bit"), spec(Unsaved, "between_episodes"), spec(Sharing, "to_the_bit")]


@hookimpl
def qecforge_agents():
    def spec(name, resumes):
        return AgentSpec(
            name=name,
            summary="Learns from a buffer.",
            config=LearnerConfig,
            make=Learner,
            trains_on=frozenset({"discrete"}),
            resumes=resumes,
        )

    return [spec("learner", "to_the_bit"), spec("forgetful", "between_episodes")]
