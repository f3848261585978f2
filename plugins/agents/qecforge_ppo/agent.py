"""PPO and REINFORCE: the algorithm from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.contracts import (
    EPISODE_LENGTH,
    EPISODE_RETURN,
    Agent,
    Environment,
    ExtraLoss,
    Policy,
    ReportingExtraLoss,
    StatefulExtraLoss,
    TrainingContext,
)
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.learning.episodes import EpisodeStatistics
from qecforge.learning.optimizers import apply_gradients
from qecforge.learning.parameter_groups import adamw_of, follow_learning_rate, shared_parameters
from qecforge.learning.perceptrons import entropy_of, masked_log_softmax, sample_actions
from qecforge.learning.restoring import restoring
from qecforge.learning.schedules import value_at
from qecforge.learning.stepping import FilledSteps
from qecforge.learning.torch_state import copied, seeded_generator, torch_device
from qecforge.machine.threads import torch_threads
from qecforge_ppo.batch import Batch, Minibatch
from qecforge_ppo.config import PPOConfig, network_of
from qecforge_ppo.int8 import Int8Actors, calibration_states
from qecforge_ppo.losses import (
    clip_gradients,
    clipped_policy_loss,
    explained_variance,
    generalized_advantages,
    normalized,
    reinforce_loss,
    value_loss,
)
from qecforge_ppo.networks import ActorCritic, ModuleActor
from qecforge_ppo.restored import checked_state
from qecforge_ppo.rollout import Rollout

__all__ = ["PPO"]

_RECENT = 0.1
"""Weight of the newest rollout in an agent's running mean return, by which the best agent is chosen [ours]."""


class PPO(Agent):
    """Trains `num_agents` independent softmax policies side by side and gives back the best.

    Randomness: agent a draws initial weights, actions and minibatches from its own generator, derived from
    (`context.seed`, a), so an agent learns the same alone and in company (up to rounding).
    """

    def __init__(self, config: PPOConfig) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """As configured."""
        return self.config.num_envs

    def build_policy(self, env: Environment) -> Policy:
        """An untrained policy of the configured network for `env`'s spaces."""
        shape, inputs, actions, start = _spaces(env)
        networks = ActorCritic(inputs, actions, network_of(self.config.policy), [seeded_generator(0, 0)])
        return networks.policy(0, shape, start)

    def train(
        self,
        env: Environment,
        context: TrainingContext,
        *,
        policy: Policy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> Policy:
        """Train until the context says stop.

        A given `policy` is trained in place and returned; its `module` gives the logits. Where it has a
        `value_module`, the value network starts there too, else afresh.

        Raises:
            ConfigurationError: The environment's spaces or reward are not for this agent, or several agents were
                asked for together with `policy` or `extra_loss`.
        """
        with torch_threads(self.config.threads):
            training = _Training(self.config, env, context.seed, policy, extra_loss)
            if context.restored is None:
                training.start()
            else:
                training.load_state_dict(context.restored)
                if context.begun is not None:
                    training.begin_episodes(*context.begun)
            while context.advance(training.step, self.config.total_steps, training.metrics, training.state_dict):
                training.collect()
                training.update()
            return training.best_policy()


class _Training:
    """One training under way: networks, optimizer, rollout, generators, and where it stands."""

    def __init__(
        self, config: PPOConfig, env: Environment, seed: int, policy: Policy | None, extra_loss: ExtraLoss | None
    ) -> None:
        if config.num_agents > 1 and (policy is not None or extra_loss is not None):
            raise ConfigurationError(
                f"ppo: num_agents is {config.num_agents}, expected 1 where a given policy is trained further: "
                "set num_agents to 1"
            )
        self.config, self.env, self.seed, self.given, self.extra_loss = config, env, seed, policy, extra_loss
        self.steps = FilledSteps(env)
        self.shape, inputs, actions, self.first_action = _spaces(env)
        self.device = torch_device(config.device)
        self.generators = [seeded_generator(seed, agent) for agent in range(config.num_agents)]
        self.networks = ActorCritic(inputs, actions, network_of(config.policy), self.generators)
        if policy is not None:
            self.networks = _networks_for(policy, self.networks, self.shape)
        self.networks.to(self.device)
        self.parameters = shared_parameters(self.networks)
        self.optimizer = adamw_of(
            self.networks,
            learning_rate=value_at(config.learning_rate, 0.0),
            epsilon=config.adam_epsilon,
            weight_decay=config.weight_decay,
        )
        self.episodes = EpisodeStatistics(env.num_envs)
        self.recent_return = np.full(config.num_agents, np.nan)
        self.step = 0
        self.metrics: dict[str, float] = {}
        self.calibration: NDArray[Any] | None = None
        self.rollout: Rollout

    def start(self) -> None:
        """Reset the environment: the first observations."""
        observations, infos = self.env.reset(seed=self.seed)
        self._allocate(observations, infos.get("action_mask"))

    def begin_episodes(self, observations: NDArray[Any], infos: Mapping[str, Any]) -> None:
        """Go on from the first observations of new episodes; those under way are over."""
        self.rollout.begin_with(observations, infos.get("action_mask"))
        self.episodes = EpisodeStatistics(self.env.num_envs)

    def _allocate(self, observations: NDArray[Any], mask: NDArray[Any] | None) -> None:
        config = self.config
        self.rollout = Rollout(config.horizon, observations, mask, config.num_agents, self.device)

    @torch.inference_mode()
    def collect(self) -> None:
        """One rollout: `horizon` steps of every member under the present policies."""
        self._started = time.perf_counter()
        self.networks.eval()
        rollout, env = self.rollout, self.env
        uniforms = torch.empty(rollout.horizon, rollout.agents, rollout.members, 1)
        for agent, generator in enumerate(self.generators):
            uniforms[:, agent] = torch.rand(rollout.horizon, rollout.members, 1, generator=generator)
        uniforms = uniforms.to(self.device)
        actor_logits = self._actor()
        for t in range(rollout.horizon):
            if self.extra_loss is not None and self.extra_loss.needs_states:
                rollout.keep_states(t, env.compact_states())
            log_probs = masked_log_softmax(actor_logits(t), rollout.mask(t))
            actions = sample_actions(log_probs, uniforms[t])
            rollout.actions[t] = actions
            torch.gather(log_probs, -1, actions.unsqueeze(-1), out=rollout.log_probs[t].unsqueeze(-1))
            chosen = actions.flatten().cpu().numpy()
            infos = self.steps.step(chosen + self.first_action if self.first_action else chosen, rollout.buffers(t))[-1]
            if rollout.truncated[t].any():
                final = torch.from_numpy(np.asarray(infos["final_obs"], np.float32))
                final_values = self.networks.values(final.view(rollout.inputs[t].shape).to(self.device))
                rollout.final_values[t] = final_values.flatten().cpu().numpy()
        rollout.input(rollout.horizon)
        self.step += rollout.horizon * env.num_envs
        if self.config.actor == "int8":
            self.calibration = calibration_states(rollout.observations[:-1], rollout.agents)
        self._played = time.perf_counter()

    def _actor(self) -> Callable[[int], Tensor]:
        """What gives the logits (A, m, N) of step t to act by."""
        rollout, networks = self.rollout, self.networks
        if self.config.actor == "float" or self.calibration is None:
            return lambda t: networks.logits(rollout.input(t))
        actors = Int8Actors(networks, self.calibration, self.env.single_observation_space, self.config.threads)

        def integers(t: int) -> Tensor:
            rollout.input(t)
            return actors.logits(rollout.observations[t]).to(self.device)

        return integers

    def update(self) -> None:
        """Advantages, then `update_epochs` passes of minibatch steps over the rollout."""
        config, rollout = self.config, self.rollout
        ppo = config.algorithm == "ppo"
        progress = min(self.step / config.total_steps, 1.0)
        learning_rate = value_at(config.learning_rate, progress)
        follow_learning_rate(self.optimizer, learning_rate)

        with torch.inference_mode():
            rows = rollout.inputs.transpose(0, 1).flatten(1, 2)
            values = self.networks.values(rows).view(rollout.agents, rollout.horizon + 1, -1)
        values_np = values.transpose(0, 1).flatten(1).cpu().numpy()
        advantages = generalized_advantages(
            rollout.rewards,
            values_np,
            rollout.terminated,
            rollout.truncated,
            rollout.final_values,
            config.gamma,
            config.gae_lambda if ppo else 1.0,
        )
        batch = Batch(rollout, advantages, values_np)
        if config.normalize_advantages == "rollout" or (not ppo and config.normalize_advantages == "minibatch"):
            batch.advantages = normalized(batch.advantages.view(rollout.agents, -1)).flatten()

        self.networks.train()
        epochs = config.update_epochs if ppo else 1
        size = config.minibatch_size if ppo else batch.samples
        diagnostics: list[Tensor] = []
        for epoch in range(epochs):
            diagnosed = epoch == epochs - 1 or config.target_kl is not None
            diagnostics = []
            for minibatch in batch.shuffled(self.generators, size):
                losses = self._step(minibatch, progress, diagnosed=diagnosed)
                if diagnosed:
                    diagnostics.append(losses)
            if config.target_kl is not None and float(torch.stack(diagnostics)[:, 3].mean()) > config.target_kl:
                break
        self._measure(torch.stack(diagnostics).mean(0).tolist(), advantages, values_np, learning_rate)
        rollout.carry_over()

    def _step(self, minibatch: Minibatch, progress: float, *, diagnosed: bool) -> Tensor:
        """One gradient step. Each agent's loss is a mean over its own samples; they are summed, so that no agent's
        gradient depends on the others. Returns policy loss, value loss, entropy, KL, clip fraction, agents' mean."""
        config = self.config
        logits, values = self.networks(minibatch.inputs)
        log_probs = masked_log_softmax(logits, minibatch.mask)
        log_prob = log_probs.gather(-1, minibatch.actions.unsqueeze(-1)).squeeze(-1)
        log_ratio = log_prob - minibatch.log_probs
        advantages, clip = minibatch.advantages, value_at(config.clip, progress)
        if config.algorithm == "ppo":
            if config.normalize_advantages == "minibatch":
                advantages = normalized(advantages)
            policy_losses = clipped_policy_loss(log_ratio.exp(), advantages, clip)
        else:
            policy_losses = reinforce_loss(log_prob, advantages)
        value_losses = value_loss(values, minibatch.returns, minibatch.values, config.value_clip)
        entropies = entropy_of(log_probs)
        loss = (
            policy_losses - value_at(config.entropy, progress) * entropies + config.value_coefficient * value_losses
        ).sum()
        if self.extra_loss is not None:
            loss = loss + self.extra_loss(minibatch.as_training_batch(logits, progress, self.shape))

        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if config.max_grad_norm is not None:
            clip_gradients(self.parameters, config.max_grad_norm, config.num_agents)
        apply_gradients(self.optimizer)
        if not diagnosed:
            return loss.detach()
        with torch.no_grad():
            kl = (log_ratio.expm1() - log_ratio).mean()  # Schulman's estimator k3 (CleanRL's approx_kl)
            clipped = (log_ratio.expm1().abs() > clip).float().mean()
            return torch.stack([policy_losses.mean(), value_losses.mean(), entropies.mean(), kl, clipped])

    def _measure(
        self,
        diagnostics: list[float],
        advantages: NDArray[Any],
        values: NDArray[Any],
        learning_rate: float,
    ) -> None:
        """Metrics of one iteration."""
        if not np.isfinite(diagnostics).all():
            raise QecforgeError(
                f"ppo: a loss is not finite after {self.step} steps (policy, value, entropy: {diagnostics[:3]}): "
                f"{self._advice()}"
            )
        names = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
        metrics = dict(zip(names, diagnostics, strict=True))
        metrics["explained_variance"] = explained_variance(values[:-1], advantages + values[:-1])
        metrics["learning_rate"] = learning_rate
        if isinstance(self.extra_loss, ReportingExtraLoss):
            metrics |= {f"quantizer/{name}": value for name, value in self.extra_loss.metrics.items()}
        ended = self.rollout.terminated | self.rollout.truncated
        returns, lengths, members = self.episodes.add(self.rollout.rewards, ended)
        metrics["episodes"] = float(len(returns))
        if len(returns):
            metrics[EPISODE_RETURN] = float(returns.mean())
            metrics[EPISODE_LENGTH] = float(lengths.mean())
        for agent in range(self.config.num_agents):
            mine = returns[members // self.rollout.members == agent]
            if len(mine):
                old, new = self.recent_return[agent], float(mine.mean())
                self.recent_return[agent] = new if np.isnan(old) else old + _RECENT * (new - old)
            if self.config.num_agents > 1 and not np.isnan(self.recent_return[agent]):
                metrics[f"agent_{agent}/recent_return"] = float(self.recent_return[agent])
        metrics["time/steps_per_second"] = self.rollout.rewards.size / (time.perf_counter() - self._started)
        metrics["time/rollout_steps_per_second"] = self.rollout.rewards.size / (self._played - self._started)
        self.metrics = metrics

    def _advice(self) -> str:
        """What to do about a loss that is not finite."""
        for name in ("rewards", "observations"):
            if not np.isfinite(getattr(self.rollout, name)).all():
                return f"{type(self.env).__name__} gave {name} that are not finite: correct the code that computes them"
        return "lower learning_rate" + ("" if self.config.max_grad_norm is not None else " or set max_grad_norm")

    def best_policy(self) -> Policy:
        """The given policy, or that of the agent whose recent episodes returned most."""
        if self.given is not None:
            self.networks.eval()
            return self.given
        ranked = np.where(np.isnan(self.recent_return), -np.inf, self.recent_return)
        return self.networks.policy(int(ranked.argmax()), self.shape, self.first_action)

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, as copies: tensors, numbers, lists and dicts."""
        masks = self.rollout.masks
        return {
            "step": self.step,
            "networks": copied(self.networks.state_dict()),
            "policy": None if self.given is None else copied(self.given.state_dict()),
            "optimizer": copied(self.optimizer.state_dict()),
            "generators": [generator.get_state() for generator in self.generators],
            "observations": torch.from_numpy(self.rollout.observations[0].copy()),
            "mask": None if masks is None else torch.from_numpy(masks[0].copy()),
            "running_return": torch.from_numpy(self.episodes.running_return.copy()),
            "running_length": torch.from_numpy(self.episodes.running_length.copy()),
            "recent_return": self.recent_return.tolist(),
            "metrics": dict(self.metrics),
            "calibration": None if self.calibration is None else torch.from_numpy(self.calibration.copy()),
            "extra_loss": self.extra_loss.state_dict() if isinstance(self.extra_loss, StatefulExtraLoss) else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it belongs to another training."""
        with restoring("ppo"):
            found = checked_state(
                state,
                env=self.env,
                networks=self.networks,
                optimizer=self.optimizer,
                agents=self.config.num_agents,
                last_step=self.config.total_steps + self.config.horizon * self.env.num_envs,
            )
            if self.given is not None:
                self.given.load_state_dict(state["policy"])
            self.networks.load_state_dict(state["networks"])
            self.optimizer.load_state_dict(copied(found.optimizer))
            for generator, generator_state in zip(self.generators, state["generators"], strict=True):
                generator.set_state(generator_state)
            self._allocate(found.observations, found.mask)
            self.episodes.running_return[:] = found.running_return
            self.episodes.running_length[:] = found.running_length
            self.recent_return[:] = found.recent_return
            self.step, self.metrics, self.calibration = found.step, found.metrics, found.calibration
            if isinstance(self.extra_loss, StatefulExtraLoss):
                self.extra_loss.load_state_dict(state["extra_loss"])


def _spaces(env: Environment) -> tuple[tuple[int, ...], int, int, int]:
    """Observation shape, its elements, number of actions, first action. Refuses what the agent is not for."""
    space, action_space = env.single_observation_space, env.single_action_space
    if not isinstance(action_space, gymnasium.spaces.Discrete):
        raise ConfigurationError(f"ppo: the action space is {action_space}, expected Discrete: choose another agent")
    if isinstance(space, gymnasium.spaces.Discrete) or not space.shape:
        raise ConfigurationError(f"ppo: the observation space is {space}, expected an array such as Box or MultiBinary")
    reward_space = getattr(env, "reward_space", None)
    if reward_space is not None and tuple(reward_space.shape or ()) not in ((), (1,)):
        raise ConfigurationError(
            f"ppo: the reward is a vector of shape {tuple(reward_space.shape)}, expected one number: "
            "choose a scalar reward, or an agent for several objectives"
        )
    return tuple(space.shape), int(np.prod(space.shape)), int(action_space.n), int(action_space.start)


def _networks_for(policy: Policy, fresh: ActorCritic, shape: tuple[int, ...]) -> ActorCritic:
    """Networks whose policy is the given one's module, trained in place."""
    if fresh.torso is not None:
        raise ConfigurationError(
            "ppo: policy.value is shared, expected mirror or sizes where a given policy is trained further: its "
            "module has no torso to share"
        )
    fresh.actor = ModuleActor(policy.module, shape)
    value_module = getattr(policy, "value_module", None)
    if value_module is not None:
        fresh.critic = ModuleActor(value_module, shape)
    return fresh
