"""TD3 with a block in its actor: algorithm 1 of arXiv:2503.09119 from top to bottom, by the paper's letters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qecforge.contracts import Agent, Environment, ExtraLoss, Policy, TrainingContext
from qecforge.errors import ConfigurationError
from qecforge.evaluation.policies.returns import evaluate_policy
from qecforge.learning.generators import generator_state, restored_generator, seed_for
from qecforge.learning.restoring import restored_array, restored_int, restored_parts, restoring
from qecforge.learning.stepping import FilledSteps
from qecforge.learning.torch_state import copied, seeded_generator, torch_device
from qecforge.machine.threads import threads
from qecforge_td3.config import TD3Config
from qecforge_td3.derivatives import make_derivatives, td_target
from qecforge_td3.networks import Networks, fused_step
from qecforge_td3.policy import HybridPolicy, spaces
from qecforge_td3.progress import Progress
from qecforge_td3.restored import check_networks, checked_optimizer
from qecforge_td3.transitions import Transitions

__all__ = ["TD3", "td_target"]

_REPORT_UPDATES = 8
"""Updates between two calls of `advance`: less than a second, if one takes 0.1 s."""
_REPORT_STEPS = 64
"""The same for steps before the first update."""


class TD3(Agent[Environment, Policy]):
    """Twin delayed deterministic policy gradients (Fujimoto et al. 2018), whose actor may hold a quantum circuit."""

    def __init__(self, config: TD3Config) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """As configured."""
        return self.config.num_envs

    def build_policy(self, env: Environment) -> HybridPolicy:
        """An untrained policy for `env`'s spaces. Raises `ConfigurationError` where they are not for this agent."""
        inputs, actions = spaces(env)
        networks = Networks(inputs, actions.size, self.config, seeded_generator(0), torch.device("cpu"))
        return HybridPolicy(networks.actor, networks.normalizer, actions, self.config.exploration_noise)

    def train(
        self,
        env: Environment,
        context: TrainingContext,
        *,
        policy: Policy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> Policy:
        """Train until the context says stop.

        A given `policy`, one of this agent's, is trained in place and returned; the critics start afresh.

        Raises:
            ConfigurationError: Spaces or reward are not for this agent, the replay does not fit into memory, or it was
                given what it does not take; a loss, an observation or a reward is not finite.
        """
        if extra_loss is not None:
            raise ConfigurationError("td3: got an extra loss, but the actor of td3 has no logits for it: leave it out")
        with threads(self.config.threads):
            training = _Training(self.config, env, context, policy)
            if context.restored is None:
                training.start()
            else:
                training.load_state_dict(context.restored)
                if context.begun is not None:
                    training.begin_episodes(context.begun[0])
            while context.advance(training.step, self.config.total_steps, training.take_metrics(), training.state_dict):
                training.iterate()
            return training.policy


class _Training:
    """One training under way. `iterate` is the algorithm's loop between two reports."""

    def __init__(self, config: TD3Config, env: Environment, context: TrainingContext, policy: Policy | None) -> None:
        self.config, self.env, self.context, self.seed = config, env, context, context.seed
        self.steps = FilledSteps(env)
        inputs, self.actions = spaces(env)
        self.device = torch_device(config.device)
        self.generator = seeded_generator(self.seed)
        self.networks = Networks(inputs, self.actions.size, config, self.generator, self.device)
        if policy is not None:
            self.networks.start_from(policy)
        self.derivatives = make_derivatives(self.networks, config, self.device)
        self.policy = (
            policy
            if isinstance(policy, HybridPolicy)
            else HybridPolicy(self.networks.actor, self.networks.normalizer, self.actions, config.exploration_noise)
        )
        wide = config.block != "none"
        widths = {
            "s": inputs,
            "a": self.actions.size,
            "q_in": config.circuit_inputs * wide,
            "q_out": config.qubits * wide,
        }
        self.transitions = Transitions(
            widths, env.num_envs, capacity=config.replay_capacity, n_step=config.n_step, gamma=config.gamma
        )
        self.acting, self.drawing = (np.random.default_rng([self.seed, stream]) for stream in (1, 2))
        self.progress = Progress(config, env.num_envs)
        self.step = self.updates = 0
        self.observations: NDArray[Any] = np.zeros(0)
        self.test_environment: Environment | None = None

    def start(self) -> None:
        """Reset the environment: the first observations."""
        self.observations, _ = self.steps.reset(seed=self.seed)

    def begin_episodes(self, observations: NDArray[Any]) -> None:
        """Go on from the first observations of new episodes; those under way are over."""
        self.observations = observations
        self.transitions.drop_pending()
        self.progress.begin_episodes()

    def iterate(self) -> None:
        """Steps and updates until the next report."""
        config, members = self.config, self.env.num_envs
        started, updates = time.perf_counter(), 0
        for _ in range(max(1, _REPORT_STEPS // members)):
            self.collect()
            if self.step >= config.learning_starts and len(self.transitions) >= config.batch_size:
                for _ in range(config.updates_per_step * members):
                    self.update()
                    updates += 1
            if self.step >= config.total_steps or updates >= _REPORT_UPDATES or self.progress.due(self.step):
                break
        self.progress.count_time(time.perf_counter() - started)
        self._test()

    def collect(self) -> None:
        """(A) One step of every member, filed in the replay."""
        config = self.config
        s = np.array(self.observations, np.float32).reshape(len(self.observations), -1)
        if self.networks.normalizer is not None:
            self.networks.normalizer.update(torch.from_numpy(s).to(self.device))
        explored = self.policy.explore(s, self.acting)
        if self.step < config.learning_starts:
            a = self.acting.uniform(-1.0, 1.0, (len(s), self.actions.size)).astype(np.float32)
        else:
            noise = config.exploration_noise * self.acting.standard_normal((len(s), self.actions.size), np.float32)
            a = np.clip(explored.actions.cpu().numpy() + noise, -1.0, 1.0)
        following, rewards, terminated, truncated, infos = self.steps.step(self.actions.to_environment(a))
        rewards = np.asarray(rewards)
        if rewards.ndim != 1:
            raise ConfigurationError(
                f"td3: the reward is a vector of {rewards.shape[1]} numbers, expected one: choose a scalar reward"
            )
        s_next = np.array(following, np.float32).reshape(s.shape)
        if truncated.any():
            s_next[truncated] = np.asarray(infos["final_obs"], np.float32).reshape(s.shape)[truncated]
        before = {"s": s, "a": a, "q_in": explored.q_in.cpu().numpy(), "q_out": explored.q_out.cpu().numpy()}
        self.transitions.add(before, rewards, s_next, terminated, truncated)
        self.observations = np.array(following)
        self.step += len(s)
        self.progress.check_finite(self.step, type(self.env).__name__, observations=s_next, rewards=rewards)
        self.progress.count_episodes(rewards, terminated | truncated)

    def update(self) -> None:
        """(B) One batch: the tangential network, the critics, and with every `policy_delay`-th one actor and
        targets."""
        config, nets = self.config, self.networks
        batch = self.transitions.buffer.sample_tensors(config.batch_size, self.drawing)
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        s, a, s_next = nets.normalized(batch["s"]), batch["a"], nets.normalized(batch["s_next"])
        losses: dict[str, float] = {}

        if nets.tangential is not None:  # (B1)
            losses["tangential_loss"] = nets.tangential.fit(
                batch["q_in"], batch["q_out"], self.drawing, fits=config.fits, tiny_batch=config.tiny_batch
            )

        a_next = self.derivatives.next_actions(s_next, self.drawing)  # (B2)
        noise = config.target_noise * torch.randn(a_next.shape, generator=self.generator).to(self.device)
        a_next = (a_next + noise.clamp_(-config.noise_clip, config.noise_clip)).clamp_(-1.0, 1.0)
        losses["critic_loss"], losses["q_mean"] = self.derivatives.of_critics(
            s, a, s_next, a_next, batch["r"], batch["discount"]
        )
        fused_step(nets.critic_optimizer)

        self.updates += 1
        if self.updates % config.policy_delay == 0:
            losses["actor_loss"] = self.derivatives.of_actor(s, self.drawing)  # (B3)
            fused_step(nets.actor_optimizer)
            nets.update_targets(config.tau)  # (B4)
        self.progress.count_losses(self.step, losses)

    def _test(self) -> None:
        """Play the policy without noise, in an environment of its own, where a test is due."""
        every, episodes = self.config.test_every, self.config.test_episodes
        if every is None or self.step // every == self.progress.tested // every:
            return
        if self.test_environment is None:
            self.test_environment = self.context.make_environment("test returns", episodes)
        seed = seed_for(self.seed, f"test at step {self.step}")
        played = evaluate_policy(self.test_environment, self.policy, episodes=episodes, seed=seed)
        self.progress.count_test(self.step, float(played.returns.mean()))

    def take_metrics(self) -> dict[str, float]:
        """Metrics since the last point of the log, where the next is due; else none."""
        if not self.progress.due(self.step):
            return {}
        return self.progress.take_metrics(self.step, self.transitions.buffer.rows)

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next; the replay's rows are no copies."""
        return {
            "step": self.step,
            "updates": self.updates,
            "networks": copied(self.networks.state_dict()),
            "optimizers": copied([each.state_dict() for each in self.networks.optimizers]),
            "generator": self.generator.get_state(),
            "acting": generator_state(self.acting),
            "drawing": generator_state(self.drawing),
            "observations": self.observations.copy(),
            "transitions": self.transitions.state_dict(),
            "progress": self.progress.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it belongs to another training."""
        names = ("step", "updates", "networks", "optimizers", "generator", "acting", "drawing", "observations",
                 "transitions", "progress")  # fmt: skip
        with restoring("td3"):
            found = restored_parts(state, names, "td3")
            step = restored_int(found["step"], "td3: step", high=self.config.total_steps + self.env.num_envs)
            updates = restored_int(found["updates"], "td3: updates")
            space = self.env.single_observation_space
            shape = (self.env.num_envs, *(space.shape or ()))
            observations = restored_array(found["observations"], np.dtype(space.dtype), shape, "td3: observations")
            check_networks(found["networks"], self.networks)
            optimizers = [
                checked_optimizer(given, own)
                for given, own in zip(found["optimizers"], self.networks.optimizers, strict=True)
            ]
            generators = [restored_generator(found[name]) for name in ("acting", "drawing")]
            self.transitions.load_state_dict(found["transitions"])
            self.progress.load_state_dict(found["progress"], step)
            self.networks.load_state_dict(found["networks"])
            for optimizer, given in zip(self.networks.optimizers, optimizers, strict=True):
                optimizer.load_state_dict(copied(given))
            self.generator.set_state(found["generator"])
            self.acting, self.drawing = generators
            self.step, self.updates, self.observations = step, updates, observations.copy()
