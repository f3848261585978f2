"""GRPO for a pretrained model: a warm start on demonstrations, then TRL's `GRPOTrainer` on scores of completions."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from qecforge.contracts import (
    EPISODE_RETURN,
    INVALID_REWARDS,
    Agent,
    ExtraLoss,
    Prompt,
    TextEnvironment,
    TextPolicy,
    TrainingContext,
)
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.learning.optimizers import spare_compiler
from qecforge.learning.restoring import restored_int, restored_number, restored_parts, restoring
from qecforge.learning.restoring_torch import restored_optimizer
from qecforge.learning.schedules import value_at
from qecforge.learning.torch_state import copied, seeded_generator
from qecforge.machine.threads import torch_threads
from qecforge_grpo.hf.base import located
from qecforge_grpo.hf.config import HFGRPOConfig
from qecforge_grpo.hf.imitation import batches_of_like_length, imitation_loss
from qecforge_grpo.hf.loading import check_installed, own_randomness, without_warnings
from qecforge_grpo.hf.policy import HFPolicy
from qecforge_grpo.hf.trainer import make_trainer, restored_model
from qecforge_grpo.text.scoring import Scores, scores_of, still_groups

__all__ = ["HFGRPO"]

_log = logging.getLogger(__name__)
_COUNTS = ("step", "updates", "still", "shown")
_NAMES = (*_COUNTS, "additions", "reference", "optimizer", "generator", "metrics")
_LOGGED = {
    "policy_loss": "loss",
    "kl": "kl",
    "clip_fraction": "clip_ratio/region_mean",
    "entropy_estimate": "entropy",
    "gradient_norm": "grad_norm",
    "completion_tokens": "completions/mean_length",
    "cut_off": "completions/clipped_ratio",
}
"""Our metrics by what TRL logs."""


class HFGRPO(Agent[TextEnvironment, TextPolicy]):
    """Trains low-rank additions to a pretrained model by groups of completions of the same prompt.

    TRL's trainer owns its loop, and draws prompts and completions by its own generators: a resumed run keeps what was
    learned, the optimizer's moments and all counts, and draws anew.

    Raises:
        MissingDependency: a package of the extra `llm` is missing.
    """

    def __init__(self, config: HFGRPOConfig) -> None:
        self.config = config
        check_installed(located(config.base))

    @property
    def num_envs(self) -> int:
        """`group_size` x `groups`."""
        return self.config.num_envs

    def build_policy(self, env: TextEnvironment) -> HFPolicy:
        """The base, whose additions change nothing yet."""
        return HFPolicy(self.config, 0)

    def train(
        self,
        env: TextEnvironment,
        context: TrainingContext,
        *,
        policy: TextPolicy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> HFPolicy:
        """Train until the context says stop. A given `policy` is trained in place and returned.

        Raises:
            ConfigurationError: a prompt does not fit into the model, the split for `held_out` is not there, or an extra
                loss is given.
            InfrastructureError: not one completion of an update could be judged.
        """
        if extra_loss is not None:
            raise ConfigurationError("grpo_hf: got an extra loss of a quantizer, expected none: remove quantizer")
        if policy is not None and not isinstance(policy, HFPolicy):
            raise ConfigurationError(f"grpo_hf: got the policy {type(policy).__name__}, expected one of grpo_hf")
        with torch_threads(self.config.threads):
            training = _Training(self.config, env, context, policy)
            if context.restored is not None:
                training.load_state_dict(context.restored)
            while training.advance():
                if training.warm_start():
                    training.grpo()
                    break
            return training.policy


class _Training:
    """One training under way."""

    def __init__(
        self, config: HFGRPOConfig, env: TextEnvironment, context: TrainingContext, policy: HFPolicy | None
    ) -> None:
        self.config, self.env, self.context = config, env, context
        self.generator = seeded_generator(context.seed)
        self.policy = policy or HFPolicy(config, _seed(context.seed, 0))
        self.tasks, self.asked = self._prompts_of("train")
        self.held_out = {} if config.held_out is None else self._prompts_of(config.held_out.split)[0]
        self.demonstrations: Sequence[tuple[str, list[int]]] = self._demonstrations()
        self.optimizer = self._fresh_optimizer()
        self.reference: Mapping[str, Any] | None = None
        self.step, self.updates, self.still, self.shown = 0, 0, 0, 0
        self.metrics: dict[str, float] = {}
        self.scores: Scores | None = None
        self.scoring_seconds = 0.0
        self._since = time.perf_counter()

    def advance(self) -> bool:
        """Report; whether to go on."""
        return self.context.advance(self.step, self.config.total_steps, self.metrics, self.state_dict)

    def _prompts_of(self, split: str) -> tuple[dict[str, Prompt], dict[str, list[int]]]:
        """Prompts of a split and their tokens, all of which fit into the model with a completion."""
        ids = self.env.splits.get(split)
        if not ids:
            raise ConfigurationError(
                f"agent.held_out.split: got {split!r}, expected one of {', '.join(self.env.splits)} that has tasks"
            )
        prompts = dict(zip(ids, self.env.prompts(ids), strict=True))
        tokens = dict(zip(ids, self.policy.asked(list(prompts.values())), strict=True))
        longest, context = max(tokens, key=lambda task_id: len(tokens[task_id])), self.policy.context
        if context is not None and len(tokens[longest]) + self.config.longest_completion > context:
            raise ConfigurationError(
                f"agent.longest_completion: got {self.config.longest_completion}, and the prompt of {longest} has "
                f"{len(tokens[longest])} of the {context} tokens that {self.config.base} takes: lower it, or take "
                "another model"
            )
        return prompts, tokens

    def _demonstrations(self) -> list[tuple[str, list[int]]]:
        if self.config.warm_start.completions == 0:
            return []
        return [(task_id, self.policy.answer(text)) for task_id, text in self.env.demonstrations("train")]

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        spare_compiler()
        trained = list(self.policy.additions().values())
        return torch.optim.AdamW(trained, lr=1e-3, weight_decay=self.config.weight_decay)

    def warm_start(self) -> bool:
        """Gradient steps on demonstrations, until they are done (True) or it is time to report (False)."""
        warm = self.config.warm_start
        if self.updates or not self.demonstrations or self.shown >= warm.completions:
            return True
        lengths = [len(self.asked[task_id]) + len(answer) for task_id, answer in self.demonstrations]
        count = min(warm.report_every * warm.batch, warm.completions - self.shown)
        self.policy.model.train()
        for rows in batches_of_like_length(lengths, count, warm.batch, self.generator):
            progress = self.shown / warm.completions
            # Rises over the first twentieth, so that the optimizer's moments are known before steps are large.
            rate = value_at(warm.learning_rate, progress) * min(1.0, (progress + 1e-3) * 20)
            drawn = [self.demonstrations[row] for row in rows]
            prompts = [self.asked[task_id] for task_id, _ in drawn]
            loss = imitation_loss(self.policy, prompts, [answer for _, answer in drawn])
            self._descend(loss, rate)
            self.shown += len(rows)
            self.metrics = {
                "warm_start/loss": _finite(float(loss.detach()), "the warm start", self.shown),
                "warm_start/completions": float(self.shown),
            }
        if self.shown < warm.completions:
            return False
        self.optimizer = self._fresh_optimizer()
        return True

    def _descend(self, loss: torch.Tensor, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.policy.additions().values(), self.config.max_grad_norm)
        self.optimizer.step()

    def grpo(self) -> None:
        """TRL's trainer, from the present update on."""
        config, begun = self.config, self.updates
        left = -(-(config.total_steps - self.step) // config.num_envs)
        if self.updates == 0:
            self.metrics |= self._look_at_held_out("warm_start")
        looked = {name: each for name, each in self.metrics.items() if name.startswith("warm_start/")}

        def report(logs: Mapping[str, float]) -> bool:
            self._measure(logs)
            if self.updates == 1:
                self.metrics |= looked
            return self.advance()

        seed = _seed(self.context.seed, 1 + begun)
        with tempfile.TemporaryDirectory() as folder, own_randomness(seed):
            trainer = make_trainer(
                self.policy,
                self.tasks,
                self._judged,
                report,
                optimizer=self.optimizer,
                rate=lambda update: self._rate(begun + update),
                updates=left,
                seed=seed,
                folder=folder,
            )
            if config.kl:
                self._keep_reference()
            self._since = time.perf_counter()
            try:
                with without_warnings():
                    trainer.train()
            finally:
                restored_model(self.policy)

    def _rate(self, update: int) -> float:
        return value_at(self.config.learning_rate, min(update * self.config.num_envs / self.config.total_steps, 1.0))

    def _keep_reference(self) -> None:
        """TRL has copied the additions as they are; after a resume the reference is that of the beginning."""
        if self.reference is not None:
            self.policy.load_additions(self.reference, "grpo_hf: reference", "ref")
        self.reference = copied(self.policy.additions("ref"))

    def _judged(self, task_ids: Sequence[str], completions: Sequence[str]) -> list[float | None]:
        """Rewards of an update's completions; None where there is none, which TRL leaves out of its group."""
        started = time.perf_counter()
        self.scores = self._scored(task_ids, completions)
        self.scoring_seconds = time.perf_counter() - started
        return [None if np.isnan(each) else each for each in self.scores.values.tolist()]

    def _scored(self, task_ids: Sequence[str], completions: Sequence[str]) -> Scores:
        return scores_of(self.env.score(list(task_ids), list(completions)), len(completions), "grpo_hf")

    def _measure(self, logs: Mapping[str, float]) -> None:
        """Metrics of an update that TRL has made."""
        config, scores = self.config, self.scores
        assert scores is not None
        self.step += config.num_envs
        self.updates += 1
        _finite(float(logs["loss"]), "GRPO", self.step)
        still = still_groups(scores.values, config.group_size)
        self.still = self.still + 1 if still == config.groups else 0
        if self.still and self.still % config.warn_after == 0:
            _log.warning(
                "grpo_hf: nothing was learned in the last %d updates (step %d): all completions of a group scored "
                "the same, %.6g on average. The model does not vary any more, or knows no answer that scores more",
                self.still, self.step, scores.mean,
            )  # fmt: skip
        now = time.perf_counter()
        self.metrics = {ours: float(logs[theirs]) for ours, theirs in _LOGGED.items() if logs.get(theirs) is not None}
        self.metrics |= {
            EPISODE_RETURN: scores.mean,
            INVALID_REWARDS: float((~scores.valid).sum()),
            "groups_without_variance": still / config.groups,
            **{f"component/{name}": value for name, value in scores.components.items()},
            "time/scoring_seconds": self.scoring_seconds,
            "time/update_seconds": now - self._since,
        }
        if self.step >= config.total_steps or (config.held_out and self.updates % config.held_out.every == 0):
            self.metrics |= self._look_at_held_out("held_out")
        self._since = time.perf_counter()

    def _look_at_held_out(self, name: str) -> dict[str, float]:
        """Scores of drawn and of greedy completions of tasks of another split, as metrics `name/...`; it changes
        nothing in the training."""
        look = self.config.held_out
        if look is None:
            return {}
        rng = np.random.default_rng(self.context.seed)
        ids = sorted(self.held_out)
        chosen = [ids[row] for row in rng.choice(len(ids), look.samples, replace=look.samples > len(ids))]
        drawing = np.random.default_rng([self.context.seed, 1 + self.updates])
        training = self.policy.model.training
        found: dict[str, float] = {}
        for way, deterministic in (("drawn", False), ("greedy", True)):
            prompts = [self.held_out[task_id] for task_id in chosen]
            scores = self._scored(chosen, self.policy.act(prompts, deterministic=deterministic, rng=drawing))
            found[f"{name}/{way}"] = scores.mean
            found |= {f"{name}/{way}_{part}": value for part, value in scores.components.items()}
        self.policy.model.train(training)
        return found

    def state_dict(self) -> dict[str, Any]:
        """All that is kept, as copies: tensors, numbers, lists and dicts."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "additions": copied(self.policy.additions()),
            "reference": self.reference,
            "optimizer": copied(self.optimizer.state_dict()),
            "generator": self.generator.get_state(),
            "metrics": dict(self.metrics),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it belongs to another training."""
        with restoring("grpo_hf"):
            found = restored_parts(state, _NAMES, "grpo_hf")
            counts = {name: restored_int(found[name], f"grpo_hf: {name}") for name in _COUNTS}
            optimizer = restored_optimizer(found["optimizer"], self.optimizer, "grpo_hf: optimizer")
            metrics = restored_parts(found["metrics"], (), "grpo_hf: metrics")
            read = {str(name): restored_number(each, f"grpo_hf: {name}") for name, each in metrics.items()}
            self.generator.set_state(found["generator"])
            self.policy.load_additions(found["additions"], "grpo_hf: additions")
            self.optimizer.load_state_dict(optimizer)
        self.reference = found["reference"]
        self.step, self.updates, self.still, self.shown = (counts[name] for name in _COUNTS)
        self.metrics = read


def _seed(seed: int, stream: int) -> int:
    """One of 32 bits, for generators of libraries."""
    return int(np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(1)[0])


def _finite(value: float, part: str, done: int) -> float:
    """The loss. Raises `QecforgeError` where it is not finite."""
    if not np.isfinite(value):
        raise QecforgeError(
            f"grpo_hf: the loss of {part} is {value} after {done} completions, expected a finite number: lower its "
            "learning_rate"
        )
    return value
