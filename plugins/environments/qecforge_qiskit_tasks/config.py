"""What a manifest may say about the tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from qecforge.contracts import PluginConfig, check_written_file
from qecforge_qiskit_tasks.generator.config import GeneratorConfig

__all__ = ["QiskitTasksConfig"]


class QiskitTasksConfig(PluginConfig):
    """Tasks for models that write Qiskit; pass or fail, by tests in another process than the program."""

    tasks: str = Field(
        "shipped",
        min_length=1,
        description="`shipped`; a file or folder of tasks, seen from the manifest's folder and not packed; or "
        "the id of a "
        "data set on a hub, which must be allowed by that id (`allow`).",
    )
    outdated_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the demonstrations that use calls which Qiskit no longer has, of those tasks that have a "
        "program with such calls among their wrong ones.",
    )
    generator: GeneratorConfig | None = Field(
        None, description="Composes tasks in place of those of `tasks`; null for none."
    )
    tasks_sha256: str | None = Field(
        None, description="SHA-256 of the tasks; filled in while the manifest is read, refused where they changed."
    )
    prompt: Literal["standard", "hard"] = Field(
        "standard", description="Which prompt is asked: Python to be continued, or prose that names the function."
    )
    levels: tuple[Literal["basic", "intermediate", "difficult"], ...] = Field(
        ("basic", "intermediate", "difficult"), min_length=1, description="Levels of the tasks that are used."
    )
    tags: tuple[str, ...] = Field((), description="Only tasks with one of these tags; none for all.")
    test_share: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of the tasks in the split `test`, by a hash of their ids; not where they say their splits.",
    )
    cells: int | None = Field(None, ge=1, description="Programs run at the same time; null: one for each core.")
    profile: Literal["bubblewrap", "landlock"] = Field(
        "bubblewrap", description="The sandbox's profile; landlock is weaker, for where containers forbid namespaces."
    )
    in_process: bool = Field(
        False,
        description="Whether tasks whose tests run in the program's process are taken: such a verdict can be forged.",
    )
    transcripts: str | None = Field(
        None,
        description="File of programs and their results, seen from the current folder; a program that is in it is not "
        "run again. null: none.",
    )

    @property
    def source(self) -> str:
        """Where the tasks are from, as messages name it."""
        return "the generator" if self.generator is not None else self.tasks

    @field_validator("transcripts")
    @classmethod
    def _written_here(cls, value: str | None) -> str | None:
        return None if value is None else check_written_file(value)

    @model_validator(mode="after")
    def _one_source(self) -> QiskitTasksConfig:
        if self.generator is not None and self.tasks != "shipped":
            raise ValueError(f"generator: cannot be combined with tasks {self.tasks}; leave one of the two out")
        return self

    @model_validator(mode="after")
    def _tags_once(self) -> QiskitTasksConfig:
        if len(set(self.tags)) != len(self.tags):
            raise ValueError("tags: a tag is there twice; give each once")
        return self
