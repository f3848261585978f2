"""A reward whose compiled ones are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qecforge.contracts.reward import CompiledReward, Reward

__all__ = ["replaced", "watched"]


def replaced(thing: Any, name: str, by: Callable[..., Any]) -> None:
    """Give `thing` itself a method in the place of its class's, also where it is frozen."""
    object.__setattr__(thing, name, by)


@contextmanager
def watched(reward: Reward, on_compile: Callable[[CompiledReward], None]) -> Iterator[None]:
    """Show `on_compile` each reward that is compiled from `reward` in the block."""
    compile_ = reward.compile

    def compiled(subject: Any) -> CompiledReward:
        made = compile_(subject)
        on_compile(made)
        return made

    replaced(reward, "compile", compiled)
    try:
        yield
    finally:
        object.__delattr__(reward, "compile")
