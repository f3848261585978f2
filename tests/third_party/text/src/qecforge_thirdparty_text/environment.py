"""The task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from qecforge.contracts import (
    CompiledTextReward,
    Prompt,
    Reward,
    TextBatch,
    TextEnvironment,
    TextOutcome,
    TextPolicy,
    TextSubject,
    Verdict,
)
from qecforge.errors import ConfigurationError
from qecforge_thirdparty_text import AccuracyConfig, WordsConfig

__all__ = ["WORDS", "NumberWords", "accuracy"]

WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


class NumberWords(TextEnvironment):
    """Task `number_3` asks which number is 3; the answer is `three`, whatever its case and the space around it.

    Rewards are shown each task's word.
    """

    def __init__(self, config: WordsConfig, *, num_envs: int, reward: Reward | None) -> None:
        self.num_envs = num_envs
        last = config.numbers + config.held_out
        numbers = {f"number_{number}": number for number in range(last)}
        self._number = MappingProxyType(numbers)
        ids = tuple(numbers)
        self._splits = MappingProxyType({"train": ids[: config.numbers], "test": ids[config.numbers :]})
        self._reward: CompiledTextReward | None = None
        if reward is not None:
            words = {task_id: WORDS[number] for task_id, number in numbers.items()}
            compiled = reward.compile(TextSubject(words, num_envs))
            if not isinstance(compiled, CompiledTextReward):
                compiled.close()
                raise ConfigurationError(f"number_words: {type(compiled).__name__} does not judge texts")
            self._reward = compiled

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """`train` and `test`."""
        return self._splits

    def prompt(self, task_id: str) -> Prompt:
        """A question of one message."""
        return [{"role": "user", "content": f"Which number is {self._number[task_id]}?"}]

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> Sequence[TextOutcome]:
        """The reward's outcomes, at most `num_envs` at a time; without one a word passes or does not."""
        if self._reward is None:
            return [self._outcome(*pair) for pair in zip(task_ids, completions, strict=True)]
        outcomes: list[TextOutcome] = []
        for at in range(0, len(task_ids), self.num_envs):
            rows = slice(at, at + self.num_envs)
            outcomes += self._reward.judge(TextBatch(task_ids[rows], completions[rows]))
        return outcomes

    def close_extras(self, **kwargs: Any) -> None:
        """Close the compiled reward."""
        if self._reward is not None:
            self._reward.close()

    def _outcome(self, task_id: str, completion: str) -> TextOutcome:
        said = completion.strip().lower()
        if not any(letter.isalpha() for letter in said):
            return TextOutcome(verdict=Verdict.INVALID, score=0.0, detail="there is no word")
        if said == WORDS[self._number[task_id]]:
            return TextOutcome(verdict=Verdict.PASSED, score=1.0)
        return TextOutcome(verdict=Verdict.FAILED, score=0.0, detail=f"it is not {said[:40]!r}")


def accuracy(env: TextEnvironment, policy: TextPolicy, config: AccuracyConfig, context: Any) -> None:
    """Share of completions that pass, likeliest and drawn, of each split."""
    rng = np.random.default_rng(context.seed)
    for split, task_ids in env.splits.items():
        for name, each in (("greedy", 1), ("drawn", config.samples)):
            ids = list(task_ids) * each
            completions = policy.act(env.prompts(ids), deterministic=name == "greedy", rng=rng)
            passed = [outcome.verdict is Verdict.PASSED for outcome in env.score(ids, completions)]
            context.record(f"accuracy/{split}/{name}", 0, float(np.mean(passed)))
