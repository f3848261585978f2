"""What a model is asked: the prompt of a task, and after an error its own answer with what went wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from qecforge.contracts.text import Message, Prompt
from qecforge_qiskit_tasks.completions import PromptKind
from qecforge_qiskit_tasks.tasks import Task

__all__ = ["first_prompt", "question_seed", "repair_prompt"]

INSTRUCTION = {
    "standard": "Complete this Python program. Answer with the whole program in one block of code.",
    "hard": "Write a Python program. Answer with the whole program in one block of code.",
}
LONGEST_ERROR = 2000
"""Characters of an error that a model is told of."""


def first_prompt(task: Task, kind: PromptKind, *, instructed: bool) -> Prompt:
    """The task's prompt as a message.

    Args:
        instructed: With a sentence before it that says what to do, for models of chats. Base models, and policies that
            were trained on the prompt as it is, get it alone.

    Raises:
        ConfigurationError: the task has no prompt of this kind.
    """
    asked = task.asked(kind)
    if not instructed:
        return [{"role": "user", "content": asked}]
    shown = f"```python\n{asked.rstrip()}\n```" if kind == "standard" else asked
    return [{"role": "user", "content": f"{INSTRUCTION[kind]}\n\n{shown}"}]


def repair_prompt(before: Prompt, completion: str, error: str) -> Prompt:
    """The prompt before, the answer to it, and what went wrong with that."""
    shown = (
        error if len(error) <= LONGEST_ERROR else f"{error[: LONGEST_ERROR // 2]}\n...\n{error[-LONGEST_ERROR // 2 :]}"
    )
    answered: Message = {"role": "assistant", "content": completion}
    told: Message = {
        "role": "user",
        "content": f"That does not pass the tests:\n\n```\n{shown}\n```\n\nAnswer with the whole program, corrected.",
    }
    return [*before, answered, told]


def question_seed(seed: int, key: Sequence[str | int]) -> int:
    """The seed of one completion, of 31 bits: the same whatever was drawn before it."""
    text = "\0".join(map(str, (seed, *key)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
