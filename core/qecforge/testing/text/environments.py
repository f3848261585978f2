"""The suite of environments of text, and a trivial one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest

from qecforge.contracts.reward import Reward
from qecforge.contracts.text import Prompt, TextEnvironment, TextOutcome, Verdict, plain_text
from qecforge.errors import CheckpointError, UserError
from qecforge.hookspecs import EnvironmentSpec
from qecforge.testing.checks.closing import check_closing
from qecforge.testing.contexts import through_checkpoint

__all__ = ["HOSTILE", "DigitTask", "TextEnvironmentContract"]

HOSTILE = (
    "",
    " ",
    "\0",
    "\n" * 1000,
    "a" * 1_000_000,
    "é\u202e\ufeff\U0001f600",
    "\ud800",
    "```python\nx = (\n```",
    "%s{}[0]",
)
"""Completions that no model was asked for, and some will give."""


class DigitTask(TextEnvironment):
    """Score 1 for the digit that the prompt names, else 0.

    Args:
        num_envs: See `TextEnvironment.num_envs`.
        digits: Tasks of the split `train`; the other digits are those of `test`.
        out_of_order: Each n-th completion that is judged, counted over all calls, has no score; 0: none of them.
    """

    def __init__(self, num_envs: int = 8, *, digits: int = 5, out_of_order: int = 0) -> None:
        self.num_envs, self.out_of_order = num_envs, out_of_order
        ids = tuple(f"digit_{digit}" for digit in range(10))
        self._splits = {"train": ids[:digits], "test": ids[digits:]}
        self._judged = 0

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """`train` and `test`."""
        return self._splits

    def prompt(self, task_id: str) -> Prompt:
        """One message."""
        return [{"role": "user", "content": f"Write the digit {task_id[-1]}."}]

    def demonstrations(self, split: str = "train") -> Sequence[tuple[str, str]]:
        """Each task nine times with the right digit, and once with each of the others: half of them are right."""
        return tuple(
            (task_id, str(digit))
            for task_id in self._splits[split]
            for digit in range(10)
            for _ in range(9 if task_id == f"digit_{digit}" else 1)
        )

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> Sequence[TextOutcome]:
        """Passed or failed."""
        outcomes = []
        for task_id, completion in zip(task_ids, completions, strict=True):
            self._judged += 1
            if self.out_of_order and self._judged % self.out_of_order == 0:
                outcomes.append(TextOutcome.out_of_order("out of order on purpose"))
                continue
            passed = completion.strip() == task_id[-1]
            outcomes.append(TextOutcome(verdict=Verdict.PASSED if passed else Verdict.FAILED, score=float(passed)))
        return outcomes


class TextEnvironmentContract:
    """Subclass it in a test module and say what to test.

    Attributes:
        spec: The environment's spec.
        settings: Fields of its configuration.
        reward: Given to `spec.make`; None for the native reward.
        sample: So many tasks of each split are looked at, evenly chosen.
    """

    spec: ClassVar[EnvironmentSpec]
    settings: ClassVar[Mapping[str, Any]] = {}
    reward: ClassVar[Reward | None] = None
    sample: ClassVar[int] = 5

    def solution(self, env: TextEnvironment, task_id: str) -> str:
        """A completion that passes."""
        raise NotImplementedError("give `solution`: a completion that passes")

    def make(self, num_envs: int = 4, seed: int = 0) -> TextEnvironment:
        """A fresh environment."""
        config = self.spec.config.model_validate(dict(self.settings))
        env = self.spec.make(config, num_envs=num_envs, seed=seed, reward=self.reward)
        assert isinstance(env, TextEnvironment), f"{type(env).__name__} is no TextEnvironment"
        return env

    @contextmanager
    def opened(self, num_envs: int = 4, seed: int = 0) -> Iterator[TextEnvironment]:
        """A fresh environment, closed at the end."""
        env = self.make(num_envs, seed)
        try:
            yield env
        finally:
            env.close()

    def sampled(self, env: TextEnvironment) -> list[str]:
        """Some ids of every split."""
        chosen = []
        for ids in env.splits.values():
            chosen += [ids[at] for at in sorted({round(at) for at in np.linspace(0, len(ids) - 1, self.sample)})]
        return chosen

    def pairs(self, env: TextEnvironment) -> tuple[list[str], list[str]]:
        """Ids and completions, good and bad ones, every task several times."""
        ids = self.sampled(env)
        solutions = [self.solution(env, task_id) for task_id in ids]
        return ids * 3, [*solutions, *solutions[1:], solutions[0], *("no solution of anything" for _ in ids)]

    def test_spec(self) -> None:
        """A name, one line, a kind of action `text`, and settings that are described and refuse unknown keys."""
        assert re.fullmatch(r"[a-z][a-z0-9_]*", self.spec.name)
        assert self.spec.summary
        assert "\n" not in self.spec.summary
        assert self.spec.actions == "text"
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{self.spec.name}.{name} has no description"
        with pytest.raises(ValueError, match="no_such_key"):
            self.spec.config(**{**self.settings, "no_such_key": 1})

    def test_splits(self) -> None:
        """`train` and others; ids are texts, each of them in one split, in an order that never changes."""
        with self.opened() as env, self.opened(9, seed=1) as other:
            splits = {name: list(ids) for name, ids in env.splits.items()}
            assert splits == {name: list(ids) for name, ids in other.splits.items()}
            assert splits == {name: list(ids) for name, ids in env.splits.items()}
            assert splits.get("train"), "there is no task to train on"
            every = [task_id for ids in splits.values() for task_id in ids]
            assert all(isinstance(task_id, str) and task_id for task_id in every)
            assert len(set(every)) == len(every), "an id is in two splits, or twice in one"
            assert env.num_envs == 4

    def test_prompts(self) -> None:
        """Chat messages, the last of them the user's; the same whenever they are asked for, in any order."""
        with self.opened() as env, self.opened(seed=1) as other:
            ids = self.sampled(env)
            prompts = env.prompts(ids)
            assert len(prompts) == len(ids)
            for prompt in prompts:
                assert prompt, "a prompt has one message or more"
                for message in prompt:
                    assert set(message) == {"role", "content"}
                    assert message["role"] in ("system", "user", "assistant")
                    assert isinstance(message["content"], str)
                assert prompt[-1]["role"] == "user"
                assert plain_text(prompt).strip(), "a prompt says nothing"
            assert env.prompts(ids[::-1]) == prompts[::-1]
            assert other.prompts(ids) == prompts
            assert env.prompts([ids[0]] * 3) == [prompts[0]] * 3
            assert env.prompts([]) == []

    def test_solutions_pass_and_others_do_not(self) -> None:
        """A solution has verdict `passed` and scores more than what solves nothing."""
        with self.opened() as env:
            ids = self.sampled(env)
            passed = env.score(ids, [self.solution(env, task_id) for task_id in ids])
            failed = env.score(ids, ["no solution of anything"] * len(ids))
            for task_id, good, bad in zip(ids, passed, failed, strict=True):
                assert good.verdict is Verdict.PASSED, f"{task_id}: {good}"
                assert bad.verdict is not Verdict.PASSED, f"{task_id}: {bad}"
                assert good.score > bad.score, f"{task_id}: {good.score} against {bad.score}"

    def test_outcomes(self) -> None:
        """One for each pair, with a score from 0 to 1, and everywhere the same components."""
        with self.opened() as env:
            ids, completions = self.pairs(env)
            outcomes = env.score(ids, completions)
            assert len(outcomes) == len(ids)
            for outcome in outcomes:
                _check_outcome(outcome)
            silent = (Verdict.INVALID, Verdict.INFRASTRUCTURE)
            judged = [set(outcome.components) for outcome in outcomes if outcome.verdict not in silent]
            assert all(names == judged[0] for names in judged), "a component is missing somewhere"
            assert env.score([], []) == []

    def test_no_state_between_calls(self) -> None:
        """The same pair, the same outcome: alone, in another order and batch, again, and in another environment."""
        with self.opened() as env, self.opened(2, seed=5) as other:
            ids, completions = self.pairs(env)
            outcomes = env.score(ids, completions)
            state = through_checkpoint(env.state_dict())
            order = list(np.random.default_rng(0).permutation(len(ids)))
            shuffled = env.score([ids[i] for i in order], [completions[i] for i in order])
            for i, outcome in zip(order, shuffled, strict=True):
                _same_outcome(outcome, outcomes[i], f"{ids[i]} in another order")
            for i in order[:4]:
                _same_outcome(env.score([ids[i]], [completions[i]])[0], outcomes[i], f"{ids[i]} alone")
            for i, outcome in enumerate(other.score(ids, completions)):
                _same_outcome(outcome, outcomes[i], f"{ids[i]} in another environment")
            assert through_checkpoint(env.state_dict()) == state, "score() changed the state"
            other.load_state_dict(state)
            with pytest.raises(CheckpointError):
                other.load_state_dict({"foreign": 1})

    def test_any_text_is_judged(self) -> None:
        """Hostile completions are judged like all others, and do not pass."""
        with self.opened() as env:
            task_id = env.splits["train"][0]
            for completion, outcome in zip(HOSTILE, env.score([task_id] * len(HOSTILE), HOSTILE), strict=True):
                _check_outcome(outcome)
                assert outcome.verdict is not Verdict.PASSED, f"{completion[:20]!r} passed"
            good = env.score([task_id], [self.solution(env, task_id)])[0]
            assert good.verdict is Verdict.PASSED, "after hostile completions a solution did not pass"

    def test_bad_calls_are_refused(self) -> None:
        """An unknown task, a completion too few, one that is no text, texts in the place of lists: one line each."""
        with self.opened() as env:
            (task_id, *_) = ids = self.sampled(env)
            bad: list[tuple[Any, Any]] = [
                ([task_id, "no_such_task"], ["a", "b"]),
                (ids, ["a"] * (len(ids) - 1)),
                ([task_id], [None]),
                ([task_id], "a"),
                (task_id, ["a"] * len(task_id)),
            ]
            for task_ids, completions in bad:
                with pytest.raises(UserError) as refused:
                    env.score(task_ids, completions)
                assert "\n" not in str(refused.value)
            with pytest.raises(UserError, match="no_such_task"):
                env.prompts(["no_such_task"])

    def test_closing(self) -> None:
        """See `qecforge.testing.checks.closing.check_closing`."""
        check_closing(self.make, self.reward)


def _check_outcome(outcome: TextOutcome) -> None:
    assert isinstance(outcome, TextOutcome)
    assert isinstance(outcome.verdict, Verdict)
    assert math.isnan(outcome.score) != outcome.valid
    assert isinstance(outcome.detail, str)
    assert all(isinstance(name, str) for name in outcome.components)


def _same_outcome(one: TextOutcome, other: TextOutcome, what: str) -> None:
    """Both agree but for `detail`, unless what judges was out of order for one of them."""
    if one.valid and other.valid:
        same = (one.verdict, one.score, dict(one.components)) == (other.verdict, other.score, dict(other.components))
        assert same, f"{what}: {one}, and {other} before"
