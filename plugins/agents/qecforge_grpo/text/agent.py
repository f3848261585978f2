"""GRPO for a tiny model of text: a warm start on demonstrations, then groups of completions that are scored."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qecforge.contracts import (
    EPISODE_RETURN,
    INVALID_REWARDS,
    Agent,
    ExtraLoss,
    TextEnvironment,
    TextPolicy,
    TrainingContext,
)
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.learning.optimizers import apply_gradients, spare_compiler
from qecforge.learning.restoring import restored_int, restored_number, restored_parts, restoring
from qecforge.learning.restoring_torch import check_networks, restored_optimizer
from qecforge.learning.schedules import value_at
from qecforge.learning.torch_state import copied, seeded_generator
from qecforge.machine.threads import torch_threads
from qecforge_grpo.losses import grpo_losses, token_weights, weighted
from qecforge_grpo.text.completing import Completed, complete, completed_of, log_probs_of
from qecforge_grpo.text.config import TextGRPOConfig
from qecforge_grpo.text.decoder import Decoder
from qecforge_grpo.text.policy import TinyPolicy, tokenizer_for
from qecforge_grpo.text.scoring import Scores, scores_of, still_groups, valid_advantages

__all__ = ["TextGRPO"]

_log = logging.getLogger(__name__)
_COUNTS = ("step", "updates", "still", "shown")
_DIAGNOSTICS = ("policy_loss", "kl", "approx_kl", "clip_fraction")
"""Policy loss, divergence from the reference and from what drew, share clipped."""
_OF_WARM_START = ("warm_start/loss", "warm_start/completions")
_NAMES = (*_COUNTS, "model", "reference", "optimizer", "generator", "metrics")


class TextGRPO(Agent[TextEnvironment, TextPolicy]):
    """Trains a tiny model by groups of completions of the same prompt."""

    def __init__(self, config: TextGRPOConfig) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """`group_size` x `groups`."""
        return self.config.num_envs

    def build_policy(self, env: TextEnvironment) -> TinyPolicy:
        """An untrained policy with the tokenizer of `env`'s texts."""
        return TinyPolicy(self.config, tokenizer_for(env, self.config.model.vocabulary), seeded_generator(0))

    def train(
        self,
        env: TextEnvironment,
        context: TrainingContext,
        *,
        policy: TextPolicy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> TinyPolicy:
        """Train until the context says stop. A given `policy` is trained in place and returned.

        Raises:
            ConfigurationError: a prompt does not fit into the model, the split for `held_out` is not there, or an extra
                loss is given.
            InfrastructureError: not one completion of an update could be judged.
        """
        if extra_loss is not None:
            raise ConfigurationError("grpo_text: got an extra loss of a quantizer, expected none: remove quantizer")
        if policy is not None and not isinstance(policy, TinyPolicy):
            raise ConfigurationError(f"grpo_text: got the policy {type(policy).__name__}, expected one of grpo_text")
        with torch_threads(self.config.threads):
            training = _Training(self.config, env, context.seed, policy)
            if context.restored is not None:
                training.load_state_dict(context.restored)
            while context.advance(training.step, self.config.total_steps, training.metrics, training.state_dict):
                if training.warm_start():
                    training.update()
            return training.policy


class _Training:
    """One training under way."""

    def __init__(self, config: TextGRPOConfig, env: TextEnvironment, seed: int, policy: TinyPolicy | None) -> None:
        self.config, self.env, self.seed = config, env, seed
        self.generator = seeded_generator(seed)
        self.ids = tuple(env.splits["train"])
        self.policy = policy or TinyPolicy(config, tokenizer_for(env, config.model.vocabulary), self.generator)
        self.prompts = self._prompts_of("train")
        self.demonstrations = self._demonstrations()
        self.held_out = {} if config.held_out is None else self._prompts_of(config.held_out.split)
        self.reference: Decoder | None = None
        self.optimizer = self._fresh_optimizer()
        self.step, self.updates, self.still, self.shown = 0, 0, 0, 0
        self.metrics: dict[str, float] = {}

    @property
    def model(self) -> Decoder:
        """The policy's."""
        return self.policy.model

    def _prompts_of(self, split: str) -> dict[str, list[int]]:
        """Tokens of each prompt of a split, all of which fit into the model."""
        ids = self.env.splits.get(split)
        if not ids:
            raise ConfigurationError(
                f"agent.held_out.split: got {split!r}, expected one of {', '.join(self.env.splits)} that has tasks"
            )
        tokens = dict(zip(ids, self.policy.asked(self.env.prompts(ids)), strict=True))
        longest, context = max(tokens, key=lambda task_id: len(tokens[task_id])), self.config.model.context
        if len(tokens[longest]) >= context:
            raise ConfigurationError(
                f"agent.model.context: got {context}, and the prompt of {longest} has {len(tokens[longest])} tokens: "
                "raise it, so that there is room for an answer"
            )
        return tokens

    def _demonstrations(self) -> list[tuple[str, list[int]]]:
        if self.config.warm_start.completions == 0:
            return []
        given = self.env.demonstrations("train")
        return [(task_id, self.policy.tokenizer.encode(text)) for task_id, text in given]

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        spare_compiler()
        config = self.config
        return torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=config.weight_decay, fused=True
        )

    def warm_start(self) -> bool:
        """Gradient steps on demonstrations, until they are done (True) or it is time to report (False)."""
        warm = self.config.warm_start
        if self.updates or not self.demonstrations:
            return True
        self.model.train()
        batches = self._rows_of_like_length(min(warm.report_every * warm.batch, warm.completions - self.shown))
        losses = [self._imitate(rows, self.shown / warm.completions) for rows in batches]
        self.metrics = {"warm_start/loss": float(np.mean(losses)), "warm_start/completions": float(self.shown)}
        if self.shown < warm.completions:
            return False
        self.optimizer = self._fresh_optimizer()
        return True

    def _fresh_reference(self) -> Decoder:
        reference = Decoder(self.config.model, len(self.policy.tokenizer), torch.Generator().manual_seed(0))
        reference.load_state_dict(self.model.state_dict())
        return reference.eval().requires_grad_(False)

    def _rows_of_like_length(self, count: int) -> list[list[int]]:
        """So many demonstrations in batches, in which prompts and programs are about as long, so that little is
        padding."""
        drawn = torch.randint(len(self.demonstrations), (count,), generator=self.generator).tolist()
        drawn.sort(key=lambda row: len(self.demonstrations[row][1]) + len(self.prompts[self.demonstrations[row][0]]))
        batches = [
            drawn[at : at + self.config.warm_start.batch] for at in range(0, count, self.config.warm_start.batch)
        ]
        return [batches[at] for at in torch.randperm(len(batches), generator=self.generator).tolist()]

    def _imitate(self, rows: Sequence[int], progress: float) -> float:
        """One gradient step. Returns the mean loss of a token, nats."""
        drawn = [self.demonstrations[row] for row in rows]
        prompts = [self.prompts[task_id] for task_id, _ in drawn]
        completed = completed_of(prompts, [tokens for _, tokens in drawn], self.config.model.context)
        # Rises over the first twentieth, so that the optimizer's moments are known before steps are large.
        rate = value_at(self.config.warm_start.learning_rate, progress) * min(1.0, (progress + 1e-3) * 20)
        loss = -(log_probs_of(self.model, completed)[completed.mask].mean())
        self._descend(loss, rate)
        self.shown += len(rows)
        return _finite(loss, "the warm start", self.shown)

    def _descend(self, loss: Tensor, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm, foreach=True)
        apply_gradients(self.optimizer)

    def update(self) -> None:
        """Complete prompts in groups, have the completions scored, and learn from how they differ."""
        config = self.config
        if config.kl and self.reference is None:
            self.reference = self._fresh_reference()
        # All of the warm start is step 0, of which one value is kept: how it ended is filed with the first update.
        looked = {}
        if not self.updates:
            ended = {name: each for name, each in self.metrics.items() if name in _OF_WARM_START}
            looked = ended | self._look_at_held_out("warm_start")
        started = time.perf_counter()
        # Prompts of an update differ as long as there are enough of them.
        count = len(self.ids)
        drawn = torch.cat([torch.randperm(count, generator=self.generator) for _ in range(-(-config.groups // count))])
        chosen = [self.ids[row] for row in drawn[: config.groups].tolist()]
        self.model.eval()
        completed = complete(
            self.model,
            [self.prompts[task_id] for task_id in chosen],
            times=config.group_size,
            longest=config.longest_completion,
            generator=self.generator,
        )
        sampled = time.perf_counter()
        scores = self._scored([task_id for task_id in chosen for _ in range(config.group_size)], completed)
        scored = time.perf_counter()
        self.step += config.num_envs
        self.updates += 1
        diagnostics = self._learn(completed, scores)
        learned = time.perf_counter()
        self._measure(completed, scores, diagnostics)
        self.metrics |= looked | {
            "time/sampling_seconds": sampled - started,
            "time/scoring_seconds": scored - sampled,
            "time/learning_seconds": learned - scored,
            "time/sampled_tokens_per_second": float(completed.mask.sum()) / (sampled - started),
        }
        if self.step >= config.total_steps or (config.held_out and self.updates % config.held_out.every == 0):
            self.metrics |= self._look_at_held_out("held_out")

    def _scored(self, task_ids: list[str], completed: Completed) -> Scores:
        texts = [self.policy.tokenizer.decode(each) for each in completed.texts()]
        return scores_of(self.env.score(task_ids, texts), len(texts))

    def _learn(self, completed: Completed, scores: Scores) -> list[float]:
        """`updates` passes over the groups. Returns means of the last pass, over what could be learned from."""
        config = self.config
        advantages = valid_advantages(scores.values, config.group_size, config.advantage_scale).float()
        # What has no score is no completion that anything is averaged over.
        completed = replace(completed, mask=completed.mask & scores.valid.unsqueeze(1))
        scored = torch.nonzero(scores.valid.view(-1, config.group_size).any(1)).squeeze(1)
        rate = value_at(config.learning_rate, min((self.step - config.num_envs) / config.total_steps, 1.0))
        self.model.train()
        diagnostics: list[Tensor] = []
        for _ in range(config.updates):
            order = scored[torch.randperm(len(scored), generator=self.generator)]
            parts = order.tensor_split(-(-len(order) * config.group_size // config.minibatch))
            found = [self._step(completed, groups, advantages, rate) for groups in parts]
            diagnostics = [each for each in found if each is not None]
        return torch.stack(diagnostics or [torch.zeros(len(_DIAGNOSTICS))]).mean(0).tolist()

    def _step(self, completed: Completed, groups: Tensor, advantages: Tensor, rate: float) -> Tensor | None:
        """One gradient step on some groups. Returns what `_DIAGNOSTICS` names; None where there is nothing to learn."""
        config = self.config
        rows = completed.rows_of(groups)
        weights = token_weights(
            completed.mask[rows], config.loss_average, config.longest_completion, int(completed.mask[rows].any(1).sum())
        )
        if not config.kl:
            # A group whose completions scored the same has no gradient: it counts in the averages, and is not computed.
            moving = advantages[rows].view(len(groups), -1).any(1)
            if not moving.any():
                return None
            groups, weights = groups[moving], weights.view(len(groups), config.group_size, -1)[moving].flatten(0, 1)
            rows = completed.rows_of(groups)
        completed = completed.chosen(groups)
        mask, weights = completed.mask, weights[:, : completed.mask.shape[1]]
        present = log_probs_of(self.model, completed)
        reference = None
        if self.reference is not None:
            with torch.no_grad():
                reference = log_probs_of(self.reference, completed)
        losses = grpo_losses(present, completed.log_probs, reference, advantages[rows], clip=config.clip)
        policy_loss, divergence = weighted(losses.policy, weights), weighted(losses.divergence, weights)
        loss = policy_loss + config.kl * divergence
        _finite(loss, "GRPO", self.step)
        self._descend(loss, rate)
        with torch.no_grad():
            change = (present - completed.log_probs)[mask]
            moved = (change.expm1() - change).mean()
            return torch.stack([policy_loss, divergence, moved, losses.clipped[mask].float().mean()])

    def _measure(self, completed: Completed, scores: Scores, diagnostics: list[float]) -> None:
        config = self.config
        still = still_groups(scores.values, config.group_size)
        self.still = self.still + 1 if still == config.groups else 0
        if self.still and self.still % config.warn_after == 0:
            _log.warning(
                "grpo_text: nothing was learned in the last %d updates (step %d): all completions of a group scored "
                "the same, %.6g on average. The model does not vary any more, or knows no answer that scores more",
                self.still, self.step, scores.mean,
            )  # fmt: skip
        lengths = completed.mask.sum(1)
        ends = (completed.tokens == 0) & completed.mask
        self.metrics = dict(zip(_DIAGNOSTICS, diagnostics, strict=True)) | {
            EPISODE_RETURN: scores.mean,
            INVALID_REWARDS: float((~scores.valid).sum()),
            "groups_without_variance": still / config.groups,
            "completion_tokens": float(lengths.float().mean()),
            "cut_off": 1.0 - float(ends.any(1).float().mean()),
            "entropy_estimate": -float(completed.log_probs[completed.mask].mean()),
            **{f"component/{name}": value for name, value in scores.components.items()},
        }

    def _look_at_held_out(self, name: str) -> dict[str, float]:
        """Scores of drawn and of greedy completions of tasks of another split, as metrics `name/...`; it changes
        nothing in the training."""
        look = self.config.held_out
        if look is None:
            return {}
        rng = np.random.default_rng(self.seed)
        ids = sorted(self.held_out)
        chosen = [ids[row] for row in rng.choice(len(ids), look.samples, replace=look.samples > len(ids))]
        drawing = seeded_generator(self.seed, 1 + self.updates)
        self.model.eval()
        found: dict[str, float] = {}
        for way, generator in (("drawn", drawing), ("greedy", None)):
            prompts = [self.held_out[task_id] for task_id in chosen]
            completed = complete(self.model, prompts, longest=self.config.longest_completion, generator=generator)
            scores = self._scored(chosen, completed)
            found[f"{name}/{way}"] = scores.mean
            found |= {f"{name}/{way}_{part}": value for part, value in scores.components.items()}
        return found

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, as copies: tensors, numbers, lists and dicts."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "model": copied(self.model.state_dict()),
            "reference": None if self.reference is None else copied(self.reference.state_dict()),
            "optimizer": copied(self.optimizer.state_dict()),
            "generator": self.generator.get_state(),
            "metrics": dict(self.metrics),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it belongs to another training."""
        with restoring("grpo_text"):
            found = restored_parts(state, _NAMES, "grpo_text")
            counts = {name: restored_int(found[name], f"grpo_text: {name}") for name in _COUNTS}
            check_networks(found["model"], self.model, "grpo_text: model")
            if found["reference"] is not None:
                check_networks(found["reference"], self.model, "grpo_text: reference")
            optimizer = restored_optimizer(found["optimizer"], self.optimizer, "grpo_text: optimizer")
            metrics = restored_parts(found["metrics"], (), "grpo_text: metrics")
            read = {str(name): restored_number(each, f"grpo_text: {name}") for name, each in metrics.items()}
            self.generator.set_state(found["generator"])
            self.model.load_state_dict(found["model"])
            if found["reference"] is not None and self.config.kl:
                self.reference = self._fresh_reference()
                self.reference.load_state_dict(found["reference"])
            self.optimizer.load_state_dict(optimizer)
        self.step, self.updates, self.still, self.shown = (counts[name] for name in _COUNTS)
        self.metrics = read


def _finite(loss: Tensor, part: str, done: int) -> float:
    """The loss as a number. Raises `QecforgeError` where it is not finite."""
    value = float(loss.detach())
    if not np.isfinite(value):
        raise QecforgeError(
            f"grpo_text: the loss of {part} is {value} after {done} completions, expected a finite number: lower its "
            "learning_rate"
        )
    return value
