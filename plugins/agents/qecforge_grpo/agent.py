"""GRPO for discrete actions: the algorithm from top to bottom."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.contracts import (
    EPISODE_LENGTH,
    EPISODE_RETURN,
    Agent,
    Environment,
    ExtraLoss,
    Policy,
    ReportingExtraLoss,
    StatefulExtraLoss,
    TrainingBatch,
    TrainingContext,
)
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.inference.module_policy import ModulePolicy
from qecforge.learning.optimizers import apply_gradients
from qecforge.learning.parameter_groups import adamw_of, follow_learning_rate, shared_parameters
from qecforge.learning.perceptrons import StackedMlp, entropy_of, masked_log_softmax, sample_actions
from qecforge.learning.restoring import restored_int, restored_number, restored_parts, restoring
from qecforge.learning.restoring_torch import check_networks, restored_optimizer
from qecforge.learning.schedules import value_at
from qecforge.learning.stepping import FilledSteps
from qecforge.learning.torch_state import copied, seeded_generator, torch_device
from qecforge.machine.threads import torch_threads
from qecforge_grpo.config import GRPOConfig
from qecforge_grpo.episodes import Episodes, as_tensors, play_episodes
from qecforge_grpo.losses import averaged, group_advantages, grpo_losses, without_variance

__all__ = ["GRPO"]

_log = logging.getLogger(__name__)
_NAMES = (
    "step",
    "updates",
    "still",
    "module",
    "policy",
    "reference",
    "optimizer",
    "generator",
    "metrics",
    "extra_loss",
)


class GRPO(Agent):
    """Trains a softmax policy by groups of episodes that begin alike."""

    def __init__(self, config: GRPOConfig) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """`group_size` x `groups`."""
        return self.config.num_envs

    def build_policy(self, env: Environment) -> Policy:
        """An untrained policy of the configured network for `env`'s spaces."""
        return _fresh_policy(self.config, env, seeded_generator(0))

    def train(
        self,
        env: Environment,
        context: TrainingContext,
        *,
        policy: Policy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> Policy:
        """Train until the context says stop. A given `policy` is trained in place and returned.

        Raises:
            ConfigurationError: The environment's spaces or reward are not for this agent, it has no groups, or its
                episodes do not end.
        """
        with torch_threads(self.config.threads):
            training = _Training(self.config, env, context.seed, policy, extra_loss)
            if context.restored is not None:
                training.load_state_dict(context.restored)
            while context.advance(training.step, self.config.total_steps, training.metrics, training.state_dict):
                training.update(training.play())
            return training.policy


class _Training:
    """One training under way."""

    def __init__(
        self, config: GRPOConfig, env: Environment, seed: int, policy: Policy | None, extra_loss: ExtraLoss | None
    ) -> None:
        self.config, self.env, self.seed, self.given, self.extra_loss = config, env, seed, policy, extra_loss
        self.generator = seeded_generator(seed)
        self.shape, _, _, self.first_action = _spaces(env)
        self.policy = policy if policy is not None else _fresh_policy(config, env, self.generator)
        self.device = torch_device(config.device)
        self.module = self.policy.module.to(self.device)
        self.reference = None if config.kl == 0 else _frozen(self.module)
        self.parameters = shared_parameters(self.module)
        self.optimizer = adamw_of(
            self.module,
            learning_rate=value_at(config.learning_rate, 0.0),
            epsilon=config.adam_epsilon,
            weight_decay=config.weight_decay,
        )
        self.steps = FilledSteps(env)
        self.step, self.updates, self.still = 0, 0, 0
        self.metrics: dict[str, float] = {}

    @torch.inference_mode()
    def play(self) -> Episodes:
        """Groups of whole episodes under the present policy."""
        config = self.config
        self.module.eval()
        self._started = time.perf_counter()
        played = play_episodes(
            self.env,
            self.steps,
            self._act,
            group_size=config.group_size,
            episodes=config.episodes,
            longest=config.longest_episode,
            seed=self._reset_seed(),
            start=self.first_action,
            with_states=self.extra_loss is not None and self.extra_loss.needs_states,
        )
        self.step += played.steps
        self._played = time.perf_counter()
        return played

    def _reset_seed(self) -> int:
        """The run's seed at first, then one of its own for each update: episodes that are drawn are new ones."""
        if self.updates == 0:
            return self.seed
        return int(np.random.SeedSequence(self.seed, spawn_key=(self.updates,)).generate_state(1, np.uint32)[0])

    def _act(self, observations: NDArray[Any], mask: NDArray[np.bool_] | None) -> tuple[Tensor, Tensor]:
        inputs = torch.from_numpy(np.ascontiguousarray(observations, np.float32)).to(self.device)
        allowed = None if mask is None else torch.from_numpy(mask).to(self.device)
        log_probs = masked_log_softmax(self.module(inputs), allowed)
        uniforms = torch.rand(len(inputs), 1, generator=self.generator).to(self.device)
        actions = sample_actions(log_probs, uniforms)
        return actions, log_probs.gather(1, actions.unsqueeze(1)).squeeze(1)

    def update(self, episodes: Episodes) -> None:
        """Advantages within the groups, then `updates` passes of gradient steps over the episodes."""
        config = self.config
        progress = min(self.step / config.total_steps, 1.0)
        learning_rate = value_at(config.learning_rate, progress)
        follow_learning_rate(self.optimizer, learning_rate)
        returns = torch.from_numpy(episodes.returns)
        if not bool(torch.isfinite(returns).all()):
            raise QecforgeError(
                f"grpo: {type(self.env).__name__} gave rewards that are not finite: correct the code that computes them"
            )
        advantages = group_advantages(returns, config.group_size, config.advantage_scale).float().to(self.device)
        self.module.train()
        diagnostics: list[Tensor] = []
        for _ in range(config.updates):
            diagnostics = [
                self._step(episodes, rows, advantages, progress) for rows in self._minibatches(len(advantages))
            ]
        self.updates += 1
        if self.reference is not None and config.reference_updates and self.updates % config.reference_updates == 0:
            self.reference.load_state_dict(self.module.state_dict())
        self._measure(torch.stack(diagnostics).mean(0).tolist(), episodes, returns, learning_rate)

    def _minibatches(self, episodes: int) -> Iterator[Tensor]:
        """All episodes once, shuffled, in parts of nearly equal size."""
        order = torch.randperm(episodes, generator=self.generator)
        count = -(-episodes // self.config.minibatch_episodes)
        for part in range(count):
            yield order[part * episodes // count : (part + 1) * episodes // count]

    def _step(self, episodes: Episodes, rows: Tensor, advantages: Tensor, progress: float) -> Tensor:
        """One gradient step. Returns policy loss, divergence, entropy, KL from what acted, share clipped."""
        config = self.config
        part = episodes.chosen(rows.numpy())
        inputs, allowed, actions, old, mask = as_tensors(part, self.device)
        kept = mask.flatten()
        flat = inputs.flatten(0, 1)[kept].view(-1, *self.shape)
        allowed = None if allowed is None else allowed.flatten(0, 1)[kept]
        logits = self.module(flat)
        log_probs = masked_log_softmax(logits, allowed)
        taken = actions.flatten()[kept].unsqueeze(1)
        present = _spread(log_probs.gather(1, taken).squeeze(1), mask)
        reference = None
        if self.reference is not None:
            with torch.no_grad():
                before = masked_log_softmax(self.reference(flat), allowed)
                reference = _spread(before.gather(1, taken).squeeze(1), mask)
        losses = grpo_losses(present, old, reference, advantages[rows.to(self.device)], clip=config.clip)

        def average(terms: Tensor) -> Tensor:
            return averaged(terms, mask, config.loss_average, config.longest_episode)

        policy_loss, divergence, entropy = average(losses.policy), average(losses.divergence), entropy_of(log_probs)
        loss = policy_loss + config.kl * divergence - value_at(config.entropy, progress) * entropy
        if self.extra_loss is not None:
            states = None if part.states is None else part.states[part.mask]
            batch = TrainingBatch(
                observations=flat, logits=logits, actions=taken.squeeze(1), action_mask=allowed, states=states,
                progress=progress,
            )  # fmt: skip
            loss = loss + self.extra_loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, config.max_grad_norm, foreach=True)
        apply_gradients(self.optimizer)
        with torch.no_grad():
            change = (present - old)[mask]
            moved = (change.expm1() - change).mean()
            return torch.stack([policy_loss, divergence, entropy, moved, losses.clipped[mask].float().mean()])

    def _measure(self, diagnostics: list[float], episodes: Episodes, returns: Tensor, learning_rate: float) -> None:
        """Metrics of one update, and a warning where many in a row had nothing to learn from."""
        if not np.isfinite(diagnostics).all():
            raise QecforgeError(
                f"grpo: a loss is not finite after {self.step} steps (policy, divergence: {diagnostics[:2]}): lower "
                "learning_rate"
            )
        config = self.config
        groups, still = len(returns) // config.group_size, without_variance(returns, config.group_size)
        self.still = self.still + 1 if still == groups else 0
        if self.still and self.still % config.warn_after == 0:
            _log.warning(
                "grpo: nothing was learned in the last %d updates (step %d): all episodes of a group returned the "
                "same, %.6g on average. The policy does not vary any more, or the reward does not tell episodes apart",
                self.still, self.step, float(returns.mean()),
            )  # fmt: skip
        names = ("policy_loss", "kl", "entropy", "approx_kl", "clip_fraction")
        self.metrics = dict(zip(names, diagnostics, strict=True)) | {
            EPISODE_RETURN: float(returns.mean()),
            EPISODE_LENGTH: float(episodes.lengths.mean()),
            "episodes": float(len(returns)),
            "groups_without_variance": still / groups,
            "steps_in_episodes": float(episodes.mask.sum() / episodes.steps),
            "learning_rate": learning_rate,
            "time/steps_per_second": episodes.steps / (time.perf_counter() - self._started),
            "time/rollout_steps_per_second": episodes.steps / (self._played - self._started),
        }
        if isinstance(self.extra_loss, ReportingExtraLoss):
            self.metrics |= {f"quantizer/{name}": value for name, value in self.extra_loss.metrics.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, as copies: tensors, numbers, lists and dicts."""
        return {
            "step": self.step,
            "updates": self.updates,
            "still": self.still,
            "module": copied(self.module.state_dict()),
            "policy": None if self.given is None else copied(self.given.state_dict()),
            "reference": None if self.reference is None else copied(self.reference.state_dict()),
            "optimizer": copied(self.optimizer.state_dict()),
            "generator": self.generator.get_state(),
            "metrics": dict(self.metrics),
            "extra_loss": self.extra_loss.state_dict() if isinstance(self.extra_loss, StatefulExtraLoss) else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it belongs to another training."""
        with restoring("grpo"):
            found = restored_parts(state, _NAMES, "grpo")
            step, updates, still = (restored_int(found[name], f"grpo: {name}") for name in _NAMES[:3])
            check_networks(found["module"], self.module, "grpo: module")
            if self.reference is not None:
                check_networks(found["reference"], self.reference, "grpo: reference")
            optimizer = restored_optimizer(found["optimizer"], self.optimizer, "grpo: optimizer")
            metrics = restored_parts(found["metrics"], (), "grpo: metrics")
            read = {str(name): restored_number(each, f"grpo: {name}", nan=True) for name, each in metrics.items()}
            self.generator.set_state(found["generator"])
            if self.given is not None:
                self.given.load_state_dict(found["policy"])
            self.module.load_state_dict(found["module"])
            if self.reference is not None:
                self.reference.load_state_dict(found["reference"])
            self.optimizer.load_state_dict(copied(optimizer))
            if isinstance(self.extra_loss, StatefulExtraLoss):
                self.extra_loss.load_state_dict(found["extra_loss"])
            self.step, self.updates, self.still, self.metrics = step, updates, still, read


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    """Values of the steps where the (E, T) `mask` is True, in their places; 0 elsewhere."""
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def _frozen(module: nn.Module) -> nn.Module:
    from copy import deepcopy

    copy = deepcopy(module).eval()
    for parameter in copy.parameters():
        parameter.requires_grad = False
    return copy


def _fresh_policy(config: GRPOConfig, env: Environment, generator: torch.Generator) -> ModulePolicy:
    shape, inputs, actions, start = _spaces(env)
    network = config.policy
    gains = [network.hidden_gain] * len(network.hidden_sizes) + [network.policy_gain]
    stacked = StackedMlp((inputs, *network.hidden_sizes, actions), network.activation, gains, [generator])
    flatten: list[nn.Module] = [] if len(shape) == 1 else [nn.Flatten()]
    return ModulePolicy(nn.Sequential(*flatten, *stacked.layers(0)), start=start)


def _spaces(env: Environment) -> tuple[tuple[int, ...], int, int, int]:
    """Observation shape, its elements, number of actions, first action. Refuses what the agent is not for."""
    space, action_space = env.single_observation_space, env.single_action_space
    if not isinstance(action_space, gymnasium.spaces.Discrete):
        raise ConfigurationError(f"grpo: the action space is {action_space}, expected Discrete: choose another agent")
    if isinstance(space, gymnasium.spaces.Discrete) or not space.shape:
        raise ConfigurationError(
            f"grpo: the observation space is {space}, expected an array such as Box or MultiBinary"
        )
    return tuple(space.shape), int(np.prod(space.shape)), int(action_space.n), int(action_space.start)
