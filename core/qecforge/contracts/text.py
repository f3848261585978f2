"""What language models are trained on: tasks with prompts, and completions that are scored without any state.

    env.splits["train"]                                   # ids of tasks
    prompts = env.prompts(["add_3_4"])                    # a list of chat messages for each
    outcomes = env.score(["add_3_4"] * 2, ["7", "8"])     # one for each pair, in order
    [outcome.score for outcome in outcomes if outcome.valid]

Nothing is kept between two calls, so groups of completions of one prompt, their number and their order belong to the
agent, and a library's trainer may own its loop.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import numpy as np

from qecforge.contracts.agent import Agent
from qecforge.contracts.environment import BaseEnvironment
from qecforge.contracts.policy import SavedPolicy
from qecforge.contracts.reward import CompiledReward, RewardBuffers
from qecforge.errors import CheckpointError, ConfigurationError, PluginError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "COMPLETIONS",
    "CompiledTextReward",
    "Message",
    "Prompt",
    "TextAgent",
    "TextBatch",
    "TextEnvironment",
    "TextOutcome",
    "TextPolicy",
    "TextSubject",
    "Verdict",
    "plain_text",
]

COMPLETIONS = "text_completions"
"""What environments of text show to rewards (`EnvironmentSpec.shows`, `RewardSpec.scores`): batches of completions."""


class Message(TypedDict):
    """One message of a chat, as chat templates and other trainers take it."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt: TypeAlias = Sequence[Message]
"""What a model is asked: one message or more, the last of the user's; the completion is the assistant's answer. Not to
be written to. A model without chat template takes `plain_text` of it."""


def plain_text(prompt: Prompt) -> str:
    """The contents of the messages, a blank line between them: of one message its content, exactly."""
    return "\n\n".join(message["content"] for message in prompt)


class Verdict(StrEnum):
    """How a completion was judged."""

    PASSED = "passed"
    """It does what was asked."""
    FAILED = "failed"
    """It can be judged, and does not."""
    ERROR = "error"
    """It raised an error, or is not of the language that was asked for."""
    TIMEOUT = "timeout"
    """It took more time than it may."""
    MEMORY = "memory"
    """It took more memory than it may."""
    FORBIDDEN = "forbidden"
    """It did what it may not do."""
    INVALID = "invalid"
    """It holds nothing that could be judged, such as no program."""
    INFRASTRUCTURE = "infrastructure"
    """What judges is out of order: nothing is known of the completion, and there is no reward."""


@dataclass(frozen=True, kw_only=True)
class TextOutcome:
    """Verdict and score of a completion.

    Attributes:
        verdict: What became of it.
        score: 0..1; NaN exactly where the verdict is `INFRASTRUCTURE`, so that whoever forgets `valid` notices it.
        detail: What happened, for people; it may have several lines.
        components: Named finite numbers for the log, such as `tests_passed`.
    """

    verdict: Verdict
    score: float
    detail: str = ""
    components: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if math.isnan(self.score) == self.valid or not (math.isnan(self.score) or 0 <= self.score <= 1):
            expected = "a number from 0 to 1" if self.valid else "NaN"
            raise ConfigurationError(f"outcome {self.verdict.value}: got the score {self.score}, expected {expected}")
        for name, value in self.components.items():
            if not math.isfinite(value):
                raise ConfigurationError(f"outcome {self.verdict.value}: {name} is {value}, expected a finite number")

    @property
    def valid(self) -> bool:
        """Whether it may be learned from. What is not is left out of a group, counted and logged; it is never 0."""
        return self.verdict is not Verdict.INFRASTRUCTURE

    @classmethod
    def out_of_order(cls, detail: str) -> TextOutcome:
        """The outcome of a completion that could not be judged."""
        return cls(verdict=Verdict.INFRASTRUCTURE, score=math.nan, detail=detail)


class TextEnvironment(BaseEnvironment):
    """Tasks for a language model: kind of action `text`.

    A completion is an episode of one step. The same pair of task and completion gets the same outcome whenever it is
    asked for, in any order and beside any others, unless what judges is out of order. Where that is a sandbox or a
    device, it is tried again first; then the outcome says so (`Verdict.INFRASTRUCTURE`), or `InfrastructureError` is
    raised, where nothing can be judged any more.

    Attributes:
        num_envs: How many completions the agent means to have scored at once: for how many processes or buffers are
            made ready. `score` takes any number.
    """

    @property
    @abstractmethod
    def splits(self) -> Mapping[str, Sequence[str]]:
        """Ids of tasks by split, in a fixed order; no id is in two. Agents train on `train`, which is always there."""

    @abstractmethod
    def prompt(self, task_id: str) -> Prompt:
        """What is asked; `task_id` is one of `splits`."""

    @abstractmethod
    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> Sequence[TextOutcome]:
        """One outcome for each pair, in order; `score` has checked what it is given. Never raises for what a completion
        says: any text is judged, also one without end, without letters, or with a NUL."""

    def demonstrations(self, split: str = "train") -> Sequence[tuple[str, str]]:
        """Pairs of task and completion that a model may imitate before it learns from scores; none by default.

        They need not pass: how many do is the environment's to say. The same ones each time, in a fixed order.
        """
        return ()

    def prompts(self, task_ids: Sequence[str]) -> list[Prompt]:
        """What is asked in each task. Raises `ConfigurationError` for an unknown id."""
        self._check_ids(task_ids)
        return [self.prompt(task_id) for task_id in task_ids]

    def score(self, task_ids: Sequence[str], completions: Sequence[str]) -> list[TextOutcome]:
        """Judge completions of tasks; the same task may come any number of times.

        Raises:
            ConfigurationError: as many ids as completions were expected, an id is unknown, or a completion is no text.
            InfrastructureError: nothing can be judged any more.
        """
        if isinstance(completions, str) or len(task_ids) != len(completions):
            got = "one text" if isinstance(completions, str) else f"{len(completions)} completions"
            raise ConfigurationError(
                f"{type(self).__name__}: got {len(task_ids)} task ids and {got}, expected one completion for each id"
            )
        self._check_ids(task_ids)
        for task_id, completion in zip(task_ids, completions, strict=True):
            if not isinstance(completion, str):
                raise ConfigurationError(
                    f"{type(self).__name__}: a completion of {task_id} is {type(completion).__name__}, expected text"
                )
        outcomes = list(self.judge(task_ids, completions)) if task_ids else []
        if len(outcomes) != len(task_ids):
            raise PluginError(
                f"{type(self).__name__}.judge() gave {len(outcomes)} outcomes for {len(task_ids)} completions: "
                "report it to the plugin's authors"
            )
        return outcomes

    def state_dict(self) -> dict[str, Any]:
        """Nothing: there is no state between two calls."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises `CheckpointError` where there is any."""
        if state:
            raise CheckpointError(
                f"{type(self).__name__}: an environment of text has no state, got {', '.join(sorted(state))}: the "
                "checkpoint is of another environment"
            )

    def _check_ids(self, task_ids: Sequence[str]) -> None:
        if isinstance(task_ids, str):
            raise ConfigurationError(f"{type(self).__name__}: got the text {task_ids[:60]!r}, expected task ids")
        for task_id in task_ids:
            if task_id not in self._known:
                hint = did_you_mean(str(task_id), self._known) or f" There are {len(self._known)}, see `splits`."
                raise ConfigurationError(f"{type(self).__name__}: there is no task {str(task_id)[:60]!r}.{hint}")

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(task_id for ids in self.splits.values() for task_id in ids)


class TextPolicy(SavedPolicy):
    """A model that answers prompts."""

    @abstractmethod
    def act(
        self, prompts: Sequence[Prompt], *, deterministic: bool = True, rng: np.random.Generator | None = None
    ) -> list[str]:
        """A completion of each prompt.

        Args:
            deterministic: The likeliest (greedy) completion instead of a drawn one.
            rng: All randomness comes from it: generators in the same state give the same completions. The core passes
                one always.

        Raises:
            ConfigurationError: `rng` is missing, or a prompt does not fit into the model.
        """


TextAgent: TypeAlias = Agent[TextEnvironment, TextPolicy]
"""Learns to answer the prompts of the split `train`. It logs the mean score of the completions that have one as
`episode_return`, and how many had none as `invalid_rewards`; its steps are completions."""


@dataclass(frozen=True)
class TextSubject:
    """What a reward of completions is compiled for.

    Attributes:
        tasks: What is known of each task, by id; of which class is between environment and reward.
        num_envs: Largest batch.
    """

    tasks: Mapping[str, Any]
    num_envs: int


@dataclass(frozen=True)
class TextBatch:
    """B completions with the ids of their tasks."""

    task_ids: Sequence[str]
    completions: Sequence[str]


class CompiledTextReward(CompiledReward, ABC):
    """A reward of completions (`COMPLETIONS`), made ready for a `TextSubject`. What judges gives outcomes; `score` has
    them as numbers.

    Attributes:
        components: Names of the components that outcomes have; one that an outcome lacks is 0.
    """

    components: Sequence[str] = ()

    @abstractmethod
    def judge(self, batch: TextBatch) -> Sequence[TextOutcome]:
        """One outcome for each completion, in order."""

    def score(self, batch: TextBatch, out: RewardBuffers | None = None) -> RewardBuffers:
        """See `CompiledReward.score`; a completion is solved where it passed."""
        outcomes = self.judge(batch)
        size = len(outcomes)
        if out is None:
            components = {name: np.empty(size) for name in self.components}
            out = RewardBuffers(np.empty(size, np.float32), np.empty(size, np.bool_), components)
        valid: NDArray[np.bool_] = np.array([outcome.valid for outcome in outcomes], np.bool_)
        out.values[:size] = [outcome.score if outcome.valid else 0.0 for outcome in outcomes]
        if out.solved is not None:
            out.solved[:size] = [outcome.verdict is Verdict.PASSED for outcome in outcomes]
        for name, array in out.components.items():
            array[:size] = [outcome.components.get(name, 0.0) for outcome in outcomes]
        out.valid = None if valid.all() else valid
        return out
