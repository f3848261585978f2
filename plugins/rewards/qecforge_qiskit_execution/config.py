"""What a manifest may say about the reward."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from qecforge.contracts import PluginConfig, check_written_file

__all__ = ["QiskitExecutionConfig"]


class QiskitExecutionConfig(PluginConfig):
    """Pass or fail, or the fraction of tests that passed."""

    score: Literal["pass", "fraction"] = Field(
        "pass",
        description="pass: 1 where every test passed, else 0. fraction: which part of them, as in arXiv 2508.20907.",
    )
    prompt: Literal["standard", "hard"] = Field(
        "standard", description="Which prompt the completions answer: the same as the environment's."
    )
    cells: int | None = Field(None, ge=1, description="Programs run at the same time; null: one for each core.")
    profile: Literal["bubblewrap", "landlock"] = Field(
        "bubblewrap", description="The sandbox's profile; landlock is weaker, for where containers forbid namespaces."
    )
    in_process: bool = Field(
        False, description="Whether tasks whose tests run in the program's process are scored: it can be forged."
    )
    transcripts: str | None = Field(
        None,
        description="File of programs and their results, seen from the current folder; a program that is in it is not "
        "run again. null: none.",
    )

    @field_validator("transcripts")
    @classmethod
    def _written_here(cls, value: str | None) -> str | None:
        return None if value is None else check_written_file(value)
