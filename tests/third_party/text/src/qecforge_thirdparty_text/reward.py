"""The reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qecforge.contracts import CompiledTextReward, Reward, TextBatch, TextOutcome, TextSubject, Verdict
from qecforge.errors import ConfigurationError
from qecforge_thirdparty_text import LettersConfig

__all__ = ["Letters"]


class Letters(Reward):
    """The share of the word's letters that are in place; letters beyond its end count as wrong ones."""

    components = ("in_place",)

    def __init__(self, config: LettersConfig) -> None:
        self.config = config

    def compile(self, subject: Any) -> CompiledTextReward:
        """`subject` has a word for each task. Raises `ConfigurationError` for anything else."""
        if not isinstance(subject, TextSubject) or not all(isinstance(word, str) for word in subject.tasks.values()):
            raise ConfigurationError(f"letters: got {type(subject).__name__}, expected the words of tasks of text")
        return _CompiledLetters(self.config, subject.tasks)


class _CompiledLetters(CompiledTextReward):
    components = Letters.components

    def __init__(self, config: LettersConfig, words: Mapping[str, str]) -> None:
        self.case, self.words = config.case, words

    def judge(self, batch: TextBatch) -> Sequence[TextOutcome]:
        """The word in capital letters passes too, unless `case`."""
        return [
            self._outcome(self.words[task], said) for task, said in zip(batch.task_ids, batch.completions, strict=True)
        ]

    def _outcome(self, word: str, completion: str) -> TextOutcome:
        said = completion.strip()
        if not self.case:
            said = said.lower()
        if not said:
            return TextOutcome(verdict=Verdict.INVALID, score=0.0, components={"in_place": 0.0})
        in_place = sum(mine == theirs for mine, theirs in zip(said, word, strict=False))
        return TextOutcome(
            verdict=Verdict.PASSED if said == word else Verdict.FAILED,
            score=in_place / max(len(word), len(said)),
            components={"in_place": float(in_place)},
        )
