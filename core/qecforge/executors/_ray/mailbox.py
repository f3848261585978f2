"""The actor through which workers and driver speak."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any

__all__ = ["Letter", "Mailbox", "open_mailbox"]


@dataclass(frozen=True)
class Letter:
    """What a worker sends.

    Attributes:
        sender: The token of the attempt that sends it.
        number: Of the answer that is waited for; None where none is.
        content: Pickled; the mailbox does not look into it.
    """

    sender: str
    number: int | None
    content: bytes


class Mailbox:
    """Keeps letters until the driver takes them, and lets workers wait for their answers. Its methods run on one
    event loop."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._came, self._stop = asyncio.Event(), asyncio.Event()
        self._awaited: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = itertools.count()

    async def ask(self, sender: str, content: bytes) -> bytes:
        """A worker's: the driver's answer, once it is there."""
        number = next(self._numbers)
        self._awaited[number] = asyncio.get_running_loop().create_future()
        self._post(Letter(sender, number, content))
        try:
            return await self._awaited[number]
        finally:
            del self._awaited[number]

    async def tell(self, sender: str, content: bytes) -> None:
        """A worker's: a letter without answer."""
        self._post(Letter(sender, None, content))

    async def stopped(self) -> None:
        """A worker's: returns once the runs are to end."""
        await self._stop.wait()

    async def exchange(self, answers: list[tuple[int, bytes]]) -> list[Letter]:
        """The driver's: hand over answers, and take the letters that came, at least one."""
        for number, content in answers:
            awaited = self._awaited.get(number)
            if awaited is not None and not awaited.done():
                awaited.set_result(content)
        await self._came.wait()
        self._came.clear()
        letters, self._letters = self._letters, []
        return letters

    async def stop(self) -> None:
        """The driver's: have all runs save their state and end."""
        self._stop.set()

    def _post(self, letter: Letter) -> None:
        self._letters.append(letter)
        self._came.set()


def open_mailbox(ray: Any) -> Any:
    """A new mailbox, on the driver's node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # Each worker waits in two calls at a time; the driver in one.
    actor = ray.remote(num_cpus=0, max_concurrency=100_000)(Mailbox)
    return actor.options(scheduling_strategy=here).remote()
