"""The agent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from qecforge.contracts import (
    EPISODE_RETURN,
    INVALID_REWARDS,
    Agent,
    ExtraLoss,
    Prompt,
    TextEnvironment,
    TextPolicy,
    TrainingContext,
    plain_text,
)
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge_thirdparty_text import TableConfig

__all__ = ["TablePolicy", "WordTable"]

FILES = ("preferences.safetensors", "words.json")


class TablePolicy(TextPolicy):
    """Preferences of words for each prompt that it knows; of any other those that it began with.

    Attributes:
        words: V of them.
        rows: Number of each prompt.
        preferences: (T + 1, V) float64, the last row for unknown prompts.
    """

    def __init__(self, words: Sequence[str], first: NDArray[np.float64], prompts: Sequence[str]) -> None:
        self.words = list(words)
        self.rows = {prompt: row for row, prompt in enumerate(prompts)}
        self.preferences = np.tile(first, (len(prompts) + 1, 1))

    def probabilities(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """(B, V) of each word as an answer."""
        rows = [self.rows.get(plain_text(prompt), len(self.rows)) for prompt in prompts]
        likelihood = np.exp(self.preferences[rows] - self.preferences[rows].max(axis=1, keepdims=True, initial=-np.inf))
        return likelihood / likelihood.sum(axis=1, keepdims=True)

    def draw(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> NDArray[np.int64]:
        """(B,) numbers of words."""
        cumulative = self.probabilities(prompts).cumsum(axis=1)
        threshold = rng.random((len(prompts), 1)) * cumulative[:, -1:]
        return np.minimum((threshold >= cumulative).sum(axis=1), len(self.words) - 1)

    def act(
        self, prompts: Sequence[Prompt], *, deterministic: bool = True, rng: np.random.Generator | None = None
    ) -> list[str]:
        """The likeliest words, or drawn ones."""
        if deterministic:
            return [self.words[word] for word in self.probabilities(prompts).argmax(axis=1)]
        if rng is None:
            raise ConfigurationError("word_table: rng is None, expected a generator where deterministic is False")
        return [self.words[word] for word in self.draw(prompts, rng)]

    def files(self) -> Mapping[str, bytes | Path]:
        """The preferences, and what their rows and columns stand for."""
        named = {"words": self.words, "prompts": list(self.rows)}
        return {
            "preferences.safetensors": save({"preferences": self.preferences}),
            "words.json": json.dumps(named).encode(),
        }

    def load_files(self, files: Mapping[str, bytes]) -> None:
        """Take over a table. Raises `CheckpointError` where it is none, or has other words or prompts."""
        if sorted(files) != sorted(FILES):
            raise CheckpointError(f"word_table: got the files {', '.join(sorted(files))}, expected {', '.join(FILES)}")
        try:
            named = json.loads(files["words.json"])
            preferences = load(files["preferences.safetensors"])["preferences"]
            words, prompts = list(named["words"]), list(named["prompts"])
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"word_table: its files are damaged ({error}): run its manifest anew") from error
        if (words, prompts) != (self.words, list(self.rows)) or preferences.shape != self.preferences.shape:
            raise CheckpointError("word_table: these files are of other words or prompts")
        self.preferences = preferences.copy()


class WordTable(Agent[TextEnvironment, TablePolicy]):
    """Each step asks some prompts, each of them as often as a group has members, and makes likelier what scored more
    than the group's mean, in units of its deviation.

    A completion that could not be judged is no member of its group. A group of one member left, or without variance,
    teaches nothing.
    """

    def __init__(self, config: TableConfig) -> None:
        self.config = config

    @property
    def num_envs(self) -> int:
        """As many completions as a step has."""
        return self.config.prompts * self.config.group_size

    def build_policy(self, env: TextEnvironment) -> TablePolicy:
        """With the preferences of the base."""
        words, first = self._base()
        return TablePolicy(words, first, [plain_text(prompt) for prompt in env.prompts(env.splits["train"])])

    def train(
        self,
        env: TextEnvironment,
        context: TrainingContext,
        *,
        policy: TablePolicy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> TablePolicy:
        """Train until the context says stop. Raises `ConfigurationError` for an extra loss."""
        if extra_loss is not None:
            raise ConfigurationError("word_table: takes no extra_loss; train it by itself")
        learner = policy or self.build_policy(env)
        task_ids = list(env.splits["train"])
        rng = np.random.default_rng(context.seed)
        step, metrics = 0, {EPISODE_RETURN: 0.0, INVALID_REWARDS: 0.0}
        if context.restored is not None:
            state = context.restored
            step, metrics = int(state["step"]), dict(state["metrics"])
            learner.preferences = state["preferences"].copy()
            rng.bit_generator.state = state["rng"]

        def state_dict() -> dict[str, Any]:
            return {
                "step": step,
                "preferences": learner.preferences.copy(),
                "rng": rng.bit_generator.state,
                "metrics": dict(metrics),
            }

        while context.advance(step, self.config.total_steps, metrics, state_dict):
            asked = [task_ids[i] for i in rng.integers(len(task_ids), size=self.config.prompts)]
            metrics = self._update(learner, env, asked, rng)
            step += self.num_envs
        return learner

    def _update(
        self, learner: TablePolicy, env: TextEnvironment, asked: list[str], rng: np.random.Generator
    ) -> dict[str, float]:
        """One step of every group, all of them drawn from the same preferences."""
        ids = [task_id for task_id in asked for _ in range(self.config.group_size)]
        prompts = env.prompts(ids)
        said = learner.draw(prompts, rng)
        outcomes = env.score(ids, [learner.words[word] for word in said])
        scores = np.array([outcome.score for outcome in outcomes]).reshape(len(asked), -1)
        valid = np.array([outcome.valid for outcome in outcomes]).reshape(scores.shape)
        probabilities = learner.probabilities(prompts).reshape(*scores.shape, -1)
        chosen = np.eye(len(learner.words))[said].reshape(probabilities.shape)
        for group, prompt in enumerate(prompts[:: self.config.group_size]):
            members = valid[group]
            deviation = scores[group, members].std() if members.any() else 0.0
            if deviation == 0.0:
                continue
            advantages = (scores[group, members] - scores[group, members].mean()) / deviation
            gradient = advantages @ (chosen[group, members] - probabilities[group, members]) / members.sum()
            learner.preferences[learner.rows[plain_text(prompt)]] += self.config.step_size * gradient
        return {
            EPISODE_RETURN: float(scores[valid].mean()) if valid.any() else 0.0,
            INVALID_REWARDS: float((~valid).sum()),
        }

    def _base(self) -> tuple[Sequence[str], NDArray[np.float64]]:
        if self.config.base is None:
            return self.config.words, np.zeros(len(self.config.words))
        content = Path(self.config.base).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.config.base_sha256:
            raise CheckpointError(
                f"word_table: {self.config.base} is another than when the manifest was read: restore it"
            )
        base = json.loads(content)
        return base["words"], np.array(base["preferences"], np.float64)
