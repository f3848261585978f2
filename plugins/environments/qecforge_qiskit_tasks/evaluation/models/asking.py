"""What every model is asked, and what it answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qecforge.contracts.text import Prompt
from qecforge.errors import ConfigurationError

__all__ = ["Answer", "Model", "Question", "Sampling"]


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn.

    Attributes:
        temperature: 0 for the likeliest completion.
        max_tokens: Most tokens of one completion.
        api: Of a server: `chat` for a chat's messages, `completions` for the prompt's text alone (base models).
        concurrency: Requests to a server at once, or prompts in one batch.
        timeout: Seconds for one answer of a server.
        attempts: How often a request is made before the evaluation stops.
    """

    temperature: float = 0.8
    max_tokens: int = 1024
    api: Literal["chat", "completions"] = "chat"
    concurrency: int = 8
    timeout: float = 300.0
    attempts: int = 6

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 100):
            raise ConfigurationError(f"--temperature: got {self.temperature}, expected 0 or more, such as 0.8")
        for option, value in (
            ("--max-tokens", self.max_tokens),
            ("--concurrency", self.concurrency),
            ("--requests", self.attempts),
        ):
            if value < 1:
                raise ConfigurationError(f"{option}: got {value}, expected 1 or more")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise ConfigurationError(f"--timeout: got {self.timeout}, expected seconds, more than 0")


@dataclass(frozen=True)
class Question:
    """A prompt of which one completion is wanted.

    Attributes:
        seed: Of this completion: servers and models that draw by seeds give the same one again.
    """

    task_id: str
    sample: int
    prompt: Prompt
    seed: int


@dataclass(frozen=True)
class Answer:
    """A completion.

    Attributes:
        cut: Whether it ended because of `Sampling.max_tokens`.
    """

    text: str
    cut: bool = False


class Model(ABC):
    """Answers questions.

    Attributes:
        identity: What the model is, as JSON values: another one makes another evaluation.
        says_errors: Whether it can be told of an error and asked again.
    """

    identity: Mapping[str, Any]
    says_errors: bool = True

    @abstractmethod
    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[Question, Answer]]:
        """One answer for each question, as they come.

        Raises:
            InfrastructureError: the model cannot be reached any more; what was given stays given.
        """

    def close(self) -> None:  # noqa: B027 (most have nothing to give back)
        """Give back what it holds."""
