"""The end of what holds processes, files or connections: on every path, and without hiding the first error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from qecforge.errors import RunFailed, one_line

__all__ = ["Closable", "close", "closing", "closing_on_error"]


class Closable(Protocol):
    """Something to be closed: a reward or an environment. Whoever makes it closes it; a second call does nothing."""

    def close(self) -> None:
        """Stop what it has started, such as processes."""
        ...


T = TypeVar("T", bound=Closable)


def close(thing: Closable, what: str) -> None:
    """End `thing`.

    Args:
        what: How the error names it, such as `environment code_discovery`.

    Raises:
        RunFailed: its `close` raised; one line, with the original as cause.
    """
    try:
        thing.close()
    except Exception as error:
        raise RunFailed(f"{what} cannot be closed: {type(error).__name__}: {one_line(error, 300)}") from error


@contextmanager
def closing_on_error(thing: T, what: str) -> Iterator[T]:
    """Close `thing` if the block raises; otherwise it stays open.

    The block's error goes on, and what the `close` raised becomes a note of it.
    """
    try:
        yield thing
    except BaseException as first:
        try:
            close(thing, what)
        except RunFailed as second:
            first.add_note(str(second))
        raise


@contextmanager
def closing(thing: T, what: str) -> Iterator[T]:
    """Close `thing` at the end of the block, however that ends; as `closing_on_error` where the block raises.

    Raises:
        RunFailed: the block ended well and `close` raised.
    """
    with closing_on_error(thing, what):
        yield thing
    close(thing, what)
