"""One POST of JSON: what can go wrong on the way, in two kinds."""

from __future__ import annotations

import http.client
import json
import math
import socket
import ssl
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from qecforge.errors import one_line

__all__ = ["LARGEST_ANSWER", "Connections", "Refused", "Unanswered"]

LARGEST_ANSWER = 16 << 20
"""Bytes of an answer's body."""
_BLOCK = 1 << 16
_PASSING = {408, 409, 425, 429}
"""Statuses below 500 that may pass."""


class Unanswered(Exception):
    """There was no answer, or none that can be read: asking again may help.

    Attributes:
        pause: Seconds after which the server wants to be asked again; None where it does not say.
    """

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class Refused(Exception):
    """The server will not answer this request, however often."""


class Connections:
    """A connection for each request, to one server. Thread-safe.

    Args:
        url: Before the path of a request.
        timeout: Seconds for a whole answer.
        key: Bearer token; None for none. Sent to this server alone: redirections are not followed.
    """

    def __init__(self, url: str, timeout: float, key: str | None) -> None:
        parts = urlsplit(url)
        self._secure, self._host, self._port, self._path = (
            parts.scheme == "https",
            parts.hostname or "",
            parts.port,
            parts.path,
        )
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            if not (key.isascii() and key.isprintable()):
                raise ValueError("a key of printable ASCII characters was expected")
            self._headers["Authorization"] = f"Bearer {key}"
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()

    def post(self, path: str, content: Any) -> Any:
        """The JSON value that is answered.

        Raises:
            Unanswered, Refused: there is none.
        """
        deadline = time.monotonic() + self._timeout
        connection = self._connection()
        response: http.client.HTTPResponse | None = None
        try:
            connection.request("POST", self._path + path, json.dumps(content), self._headers)
            response = connection.getresponse()
            body = _body(connection, response, deadline)
        except TimeoutError:
            raise Unanswered(f"did not answer within {self._timeout:g} s") from None
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            raise Unanswered("closed the connection without an answer") from None
        except http.client.IncompleteRead as error:
            raise Unanswered(f"broke off after {len(error.partial):,} bytes of an answer") from None
        except http.client.HTTPException as error:
            raise Unanswered(f"answered what is no HTTP ({type(error).__name__} {one_line(error, 80)})") from None
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"its certificate cannot be trusted ({one_line(error.verify_message, 100)})") from None
        except (OSError, ValueError) as error:  # ValueError: a connection that was broken off meanwhile
            reason = getattr(error, "strerror", None) or str(error)
            raise Unanswered(f"cannot be reached ({one_line(reason, 100)})") from None
        finally:
            with self._lock:
                self._open.discard(connection)
            if response is not None:  # has the socket alone where the server says no length, or closes the connection
                response.close()
            connection.close()
        return _value(response, body)

    def break_off(self) -> None:
        """End all requests that are being answered; they raise `Unanswered`."""
        with self._lock:
            for connection in self._open:
                if connection.sock is not None:
                    try:
                        connection.sock.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        continue

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout)
        with self._lock:
            self._open.add(connection)
        return connection


def _body(connection: http.client.HTTPConnection, response: http.client.HTTPResponse, deadline: float) -> bytes:
    """All of an answer that comes before the deadline, however slowly. Raises `Refused` where it is too large."""
    blocks, size = [], 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
        block = response.read1(_BLOCK)
        if not block:
            break
        blocks.append(block)
        size += len(block)
        if size > LARGEST_ANSWER:
            raise Refused(f"answered more than {LARGEST_ANSWER:,} bytes, expected one completion; lower --max-tokens")
    if response.length:  # what `read1` does not complain about
        raise http.client.IncompleteRead(b"".join(blocks), response.length)
    return b"".join(blocks)


def _value(response: http.client.HTTPResponse, body: bytes) -> Any:
    status = response.status
    if status in _PASSING or status >= 500:
        raise Unanswered(f"answered {_said(response, body)}", _pause(response.getheader("Retry-After")))
    if 300 <= status < 400:
        raise Refused(f"answered {status}, elsewhere is {one_line(response.getheader('Location'), 100)}: give that URL")
    if status != 200:
        raise Refused(f"answered {_said(response, body)}: see the URL, the model's name, and OPENAI_API_KEY")
    if not body.strip():
        raise Unanswered("answered nothing")
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Unanswered("answered what is not UTF-8, expected JSON") from None
    except (ValueError, RecursionError):
        kind = one_line(response.getheader("Content-Type", "no type"), 60)
        start = one_line(body[:300].decode("utf-8", "replace"), 60)
        raise Unanswered(f"answered {kind} ({start}), expected JSON") from None


def _said(response: http.client.HTTPResponse, body: bytes) -> str:
    """The status, with what the server says of it."""
    said = body[:2000].decode("utf-8", "replace")
    try:
        content = json.loads(said)
        error = content.get("error", content.get("detail", said))
        said = error["message"] if isinstance(error, dict) else error
    except (ValueError, AttributeError, KeyError, RecursionError):
        if said.lstrip().startswith("<"):
            said = response.reason
    words = one_line(said, 160) or one_line(response.reason, 80)
    return f"{response.status} ({words})" if words else str(response.status)


def _pause(asked: str | None) -> float | None:
    """`Retry-After`: seconds, or a date."""
    if asked is None:
        return None
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
