"""That what was made is closed: by the suites here, and by environments, which close the rewards that they compile.

`qecforge.testing.environments.EnvironmentContract` asks for `check_closing`; no test calls it by hand.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from qecforge.contracts.environment import BaseEnvironment
from qecforge.contracts.reward import Reward
from qecforge.testing.checks._rewards import replaced, watched

__all__ = ["Make", "check_closing", "closes_what_it_made"]

Make: TypeAlias = Callable[[int, int], Any]
"""`make(num_envs, seed)` -> a fresh environment."""


def closes_what_it_made(check: Callable[[Make], None]) -> Callable[[Make], None]:
    """The check, whose environments are closed at its end."""

    @functools.wraps(check)
    def checked(make: Make) -> None:
        with ExitStack() as made:

            def making(num_envs: int, seed: int) -> Any:
                env = make(num_envs, seed)
                made.callback(env.close)
                return env

            check(making)

    return checked


def check_closing(make: Make, reward: Reward | None = None) -> None:
    """Closed twice, an environment ends once what it compiled, and leaves the reward that it was given.

    Args:
        reward: What `make` gives to its environments; None for the native reward.
    """
    with _counted(reward) as counts:
        env = make(5, 0)
        open_at_first = not env.closed
        env.close()
        env.close()
    assert isinstance(env, BaseEnvironment)
    assert open_at_first, "a new environment is closed"
    assert env.closed, "close() was overridden: override close_extras(), which is called once"
    for what, closes in counts.items():
        expected = 0 if what == _GIVEN else 1
        assert closes == expected, f"{what} was closed {closes} times, expected {expected}"


@contextmanager
def _counted(reward: Reward | None) -> Iterator[Counter[str]]:
    """How often `reward` is closed, and each reward that is compiled from it in the block."""
    counts: Counter[str] = Counter()
    if reward is None:
        yield counts
        return

    def count_closes(thing: Any, what: str) -> None:
        counts[what], close = 0, thing.close

        def closed() -> None:
            counts[what] += 1
            close()

        replaced(thing, "close", closed)

    count_closes(reward, _GIVEN)
    try:
        with watched(reward, lambda compiled: count_closes(compiled, f"compiled reward {len(counts)}")):
            yield counts
    finally:
        object.__delattr__(reward, "close")


_GIVEN = "the reward that it was given"
