"""One task: what is asked, a solution, and tests that judge any other."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qecforge.errors import ConfigurationError
from qecforge.sandbox import Limits

__all__ = ["Level", "Task"]

Level: TypeAlias = Literal["basic", "intermediate", "difficult"]

TEST = re.compile(r"^def (test_\w+)\s*\(", re.MULTILINE)


class Task(BaseModel):
    """A task, as in our files; unknown keys are refused.

    `tests` is a module of functions `test_...(program)`. They run in another process than the program: a call of
    `program.NAME(...)` calls its function NAME, and what it returns is rebuilt from plain data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=200, description="Its name, such as `circuits/bell`.")
    prompt: str = Field("", description="Python with imports, signature and docstring; a completion continues it.")
    hard_prompt: str = Field(
        "", description="Prose that names the function and what it takes and returns; a completion is the program."
    )
    entry_point: str = Field(pattern=r"^[A-Za-z_]\w*$", description="The function that is asked for.")
    reference: str = Field(min_length=1, description="A whole program that passes.")
    tests: str = Field(description="Functions `test_NAME(program)`, at least one.")
    wrong: tuple[str, ...] = Field((), description="Whole programs, each of which fails a test.")
    level: Level = Field("intermediate", description="basic, intermediate or difficult.")
    tags: tuple[str, ...] = Field((), description="What it is about.")
    limits: Mapping[str, Any] = Field({}, description="Fields of `qecforge.sandbox.Limits` that differ from its own.")
    in_process: bool = Field(
        False, description="Whether the tests need live objects and run in the program's process: they can be forged."
    )
    equivalent: Mapping[str, str] = Field(
        {}, description="Mutants that mean the same: the change, as `qecforge tasks check` prints it, and the reason."
    )
    split: str = Field("train", pattern=r"^[a-z_]+$", description="Which split of an environment it is in.")

    @field_validator("id")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable() or value != value.strip():
            raise ValueError("it has unprintable characters, or spaces at its ends; rename it")
        return value

    @field_validator("tests")
    @classmethod
    def _has_tests(cls, value: str) -> str:
        if TEST.search(value) is None:
            raise ValueError("there is no function `test_...`; write at least one test")
        try:
            ast.parse(value)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            where = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ValueError(f"not valid Python ({where}{said}); write tests that can be compiled") from None
        return value

    @field_validator("equivalent")
    @classmethod
    def _has_reasons(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if bare := [change for change, reason in value.items() if not reason.strip()]:
            raise ValueError(f"{bare[0]}: the reason is missing; say why it is equivalent")
        return dict(value)

    @field_validator("limits")
    @classmethod
    def _are_limits(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        known = [each.name for each in fields(Limits)]
        for name in value:
            if name not in known:
                raise ValueError(f"unknown limit {name!r}, expected some of {', '.join(known)}")
        try:
            Limits(**value)
        except (TypeError, ConfigurationError) as error:
            raise ValueError(str(error).removeprefix("Limits.__init__() ")) from error
        return dict(value)

    def model_post_init(self, context: Any) -> None:
        """Refuse a task that asks nothing."""
        if not (self.prompt.strip() or self.hard_prompt.strip()):
            raise ValueError("prompt: neither `prompt` nor `hard_prompt` is given; give one")

    @property
    def test_names(self) -> tuple[str, ...]:
        """Of the tests, in order."""
        return tuple(TEST.findall(self.tests))

    @property
    def own_limits(self) -> Limits:
        """What a program of it may use."""
        return Limits(**self.limits)

    def asked(self, kind: Literal["standard", "hard"] = "standard") -> str:
        """The prompt of a kind. Raises `ConfigurationError` where the task has none."""
        text = self.prompt if kind == "standard" else self.hard_prompt
        if not text.strip():
            other = "hard" if kind == "standard" else "standard"
            raise ConfigurationError(f"task {self.id} has no {kind} prompt; ask for the {other} one")
        return text
