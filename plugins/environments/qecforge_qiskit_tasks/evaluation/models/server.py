"""Any server that speaks OpenAI's HTTP interface, as vLLM, llama.cpp, `transformers serve` and others do."""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from qecforge.contracts.text import plain_text
from qecforge.errors import InfrastructureError, one_line
from qecforge_qiskit_tasks.evaluation.models.asking import Answer, Model, Question, Sampling
from qecforge_qiskit_tasks.evaluation.models.http import Connections, Refused, Unanswered
from qecforge_qiskit_tasks.evaluation.models.naming import ModelName

__all__ = ["KEY_VARIABLE", "Server"]

KEY_VARIABLE = "OPENAI_API_KEY"
"""Environment variable whose value, where it is set, goes to the server as bearer token."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LONGEST_ASKED_FOR = 900.0
"""Seconds; a server that asks for a longer pause is not waited for."""


class Server(Model):
    """A model behind HTTP. Requests that fail for a while are made again: 408, 409, 425, 429 and 500 to 599, no
    connection, no answer, an answer that breaks off or is none.

    Args:
        name: URL and the name that the server knows the model by.
        pause: Waits so many seconds, or until the model is closed; for tests.
    """

    def __init__(self, name: ModelName, sampling: Sampling, *, pause: Callable[[float], object] | None = None) -> None:
        self.identity = {"kind": "server", "url": name.place, "name": name.name, "api": sampling.api}
        self.says_errors = sampling.api == "chat"
        self._url, self._name, self._sampling = name.place, name.name, sampling
        self._path = "/chat/completions" if sampling.api == "chat" else "/completions"
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self._connections = Connections(self._url, sampling.timeout, os.environ.get(KEY_VARIABLE))

    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[Question, Answer]]:
        """See `Model.answers`; in the order in which the server answers."""
        threads = ThreadPoolExecutor(self._sampling.concurrency, thread_name_prefix="model server")
        ready: queue.SimpleQueue[tuple[Question, Answer | Exception]] = queue.SimpleQueue()
        failure: Exception | None = None
        try:
            for question in questions:
                threads.submit(self._put_answer, question, ready)
            for _ in questions:
                question, found = ready.get()
                if isinstance(found, Answer):
                    yield question, found
                    continue
                failure = failure or found
            if failure is not None:
                raise failure
        finally:
            self._stop()
            threads.shutdown(wait=True, cancel_futures=True)
            self._stopped.clear()

    def close(self) -> None:
        """Break off what is being asked."""
        self._stop()

    def _stop(self) -> None:
        self._stopped.set()
        self._connections.break_off()

    def _put_answer(self, question: Question, ready: queue.SimpleQueue[tuple[Question, Answer | Exception]]) -> None:
        try:
            ready.put((question, self._answer(question)))
        except Exception as error:
            self._stopped.set()  # what is being answered still comes; nothing more is asked
            ready.put((question, error))

    def _answer(self, question: Question) -> Answer:
        for attempt in range(1, self._sampling.attempts + 1):
            if self._stopped.is_set():
                raise InfrastructureError(f"{self._url}: stopped")
            try:
                return self._read(self._connections.post(self._path, self._request(question)))
            except Refused as error:
                raise InfrastructureError(f"{self._url}: {error}") from None
            except Unanswered as error:
                if attempt == self._sampling.attempts:
                    raise InfrastructureError(
                        f"{self._url}: {error}, at each of {attempt} attempts; expected a completion of {self._name}: "
                        "see the server's log"
                    ) from None
                self._wait(attempt, error)
        raise AssertionError  # `Sampling` has at least one attempt

    def _wait(self, attempt: int, error: Unanswered) -> None:
        if error.pause is None:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * (1 + 0.25 * random.random())
        elif error.pause > LONGEST_ASKED_FOR:
            raise InfrastructureError(
                f"{self._url}: {error} and asks for a pause of {error.pause:,.0f} s: try again after it"
            )
        else:
            pause = error.pause
        self._pause(pause)

    def _request(self, question: Question) -> dict[str, Any]:
        asked: dict[str, Any] = (
            {"messages": [dict(message) for message in question.prompt]}
            if self._sampling.api == "chat"
            else {"prompt": plain_text(question.prompt)}
        )
        return {
            "model": self._name,
            **asked,
            "temperature": self._sampling.temperature,
            "max_tokens": self._sampling.max_tokens,
            "seed": question.seed,
            "stream": False,
        }

    def _read(self, content: Any) -> Answer:
        """The completion in an answer. Raises `Unanswered` where there is none."""
        try:
            choice = content["choices"][0]
            text = choice["message"]["content"] if self._sampling.api == "chat" else choice["text"]
        except (KeyError, IndexError, TypeError):
            raise Unanswered(f"answered JSON without a completion ({one_line(content, 120)})") from None
        if text is None:  # the whole answer was thought, or refused
            text = ""
        if not isinstance(text, str):
            raise Unanswered(f"answered a completion that is {type(text).__name__}, expected text")
        return Answer(text, choice.get("finish_reason") == "length")
