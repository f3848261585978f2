"""A worker's end of the mailbox."""

from __future__ import annotations

import pickle
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from qecforge.errors import Interrupted

__all__ = ["Answer", "Channel", "Question"]

_EVENT_SECONDS = 0.1
"""Time between two letters with events and log records: they come in thousands a second from small environments."""


@dataclass(frozen=True)
class Question:
    """What is asked of the driver: a method of its desk, and the method's arguments."""

    method: str
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """What the driver says: `value`, or what `error` it met; `given_up`: it listens to this attempt no longer."""

    kind: Literal["value", "error", "given_up"]
    content: Any = None


class Channel:
    """Asks the driver and tells it events. A context manager: at its end all events are sent.

    Args:
        mailbox: The actor.
        token: Of this attempt.
        stop: Set where the runs are to end, or where the driver does not listen any more.
    """

    def __init__(self, mailbox: Any, token: str, stop: threading.Event) -> None:
        self._mailbox, self._token, self._stop = mailbox, token, stop
        self._waiting: dict[str, list[Any]] = {"tell": [], "log": []}
        self._turn, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._send_events, name="events to the driver", daemon=True)
        self.given_up = False

    def __enter__(self) -> Channel:
        self._mailbox.stopped.remote().future().add_done_callback(lambda _future: self._stop.set())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        """What the driver answers; what it raises is raised here.

        Raises:
            Interrupted: the driver is gone, or has given this attempt up.
        """
        self._flush()
        # Waiting for a future does not give the task's resources back meanwhile, as `ray.get` would.
        try:
            waited = self._mailbox.ask.remote(self._token, pickle.dumps(Question(method, arguments, named))).future()
            answer: Answer = pickle.loads(waited.result())  # noqa: S301 (our own driver)
        except _ray_error() as error:
            self._stop.set()
            raise Interrupted("the driver is gone") from error
        if answer.kind == "given_up":
            self.given_up = True
            self._stop.set()
            raise Interrupted("the driver took this worker for lost, and carries the run out elsewhere")
        if answer.kind == "error":
            raise answer.content
        return answer.content

    def tell(self, event: Any) -> None:
        """Tell the driver an event, soon."""
        with self._turn:
            self._waiting["tell"].append(event)

    def log(self, record: Any) -> None:
        """Have the driver log a record, soon."""
        with self._turn:
            self._waiting["log"].append(record)

    def _send_events(self) -> None:
        while not self._ended.wait(_EVENT_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._turn:
            for method, waiting in self._waiting.items():
                if waiting:
                    with suppress(_ray_error()):
                        self._mailbox.tell.remote(self._token, pickle.dumps(Question(method, (waiting,))))
                    self._waiting[method] = []


def _ray_error() -> type[Exception]:
    from ray.exceptions import RayError

    return RayError
