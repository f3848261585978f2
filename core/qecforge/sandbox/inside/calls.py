"""Calls from a judge to a program: requests and replies on two pipes, each with a number.

The program's end is `serve`; whatever a program writes there itself is at most a reply, whose value is rebuilt by the
codec and then tested. A reply with another number, or one that is no value, ends the conversation.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
import types
from typing import Any

from qecforge.sandbox.inside.child import described
from qecforge.sandbox.inside.codec import Codec, CodecError
from qecforge.sandbox.inside.frames import FrameError, read_frame, write_frame

__all__ = ["Here", "ProgramError", "ProgramGone", "There", "serve"]

MESSAGE, NAME = 2000, 100


class ProgramError(Exception):
    """The program raised an exception when it was called, or gave what is no value.

    Attributes:
        kind: Name of the exception's type, as the program says.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind


class ProgramGone(ProgramError):
    """The program has ended, or wrote what is no reply: nothing more can be asked of it."""

    def __init__(self, message: str) -> None:
        super().__init__("ProgramGone", message)


def serve(module: types.ModuleType, report: dict[str, Any], codec: Codec, requests: int, replies: int) -> None:
    """In the program's process: say how it was loaded, then answer until the judge has gone."""
    _flush()
    write_frame(replies, codec.encode([0, "loaded", report]))
    while True:
        try:
            number, name, positional, named = codec.decode(read_frame(requests, codec.bounds.size))
        except FrameError:
            return
        try:
            value = getattr(module, name)(*positional, **named)
            reply = codec.encode([number, "value", value])
        except BaseException as error:
            kind = "NotAValue" if isinstance(error, CodecError) else type(error).__name__
            message = described(error).removeprefix(f"{type(error).__name__}: ")[:MESSAGE]
            reply = codec.encode([number, "error", [kind[:NAME], message]])
        _flush()
        write_frame(replies, reply)


def _flush() -> None:
    """What the program printed, as it is ended without warning once the judge has done."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


class There:
    """In the judge: a program in another process. Attributes are its functions.

    program.add(1, 2)                     # raises ProgramError
    """

    def __init__(self, codec: Codec, requests: int, replies: int) -> None:
        self._codec, self._requests, self._replies = codec, requests, replies
        self._number = 0
        self._gone = ""

    def _load(self) -> dict[str, Any]:
        """Wait until the program is loaded; its report. Raises `ProgramGone`."""
        report = self._reply("loaded")
        if not isinstance(report, dict) or set(report) != {"verdict", "detail"}:
            raise self._end("it wrote what is no report")
        if not all(type(each) is str for each in report.values()):
            raise self._end("it wrote what is no report")
        return {name: value[:MESSAGE] for name, value in report.items()}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *positional, **named: self._call(name, positional, named)

    def _call(self, name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._gone:
            raise ProgramGone(self._gone)
        self._number += 1
        request = self._codec.encode([self._number, name, list(positional), named])
        try:
            write_frame(self._requests, request)
        except OSError:
            raise self._end("it has ended") from None
        return self._reply("value")

    def _reply(self, expected: str) -> Any:
        try:
            reply = self._codec.decode(read_frame(self._replies, self._codec.bounds.size))
        except FrameError as error:
            raise self._end("it has ended" if "gone" in str(error) else str(error)) from None
        except CodecError as error:
            raise self._end(f"it wrote what is no value ({error})") from None
        if not (isinstance(reply, list) and len(reply) == 3 and type(reply[0]) is int and reply[0] == self._number):
            raise self._end("it wrote what is no reply to the call")
        _, kind, content = reply
        if kind == expected:
            return content
        if expected == "value" and kind == "error" and isinstance(content, list) and len(content) == 2:
            name, message = content
            if type(name) is str and type(message) is str:
                raise ProgramError(name[:NAME], message[:MESSAGE])
        raise self._end("it wrote what is no reply to the call")

    def _end(self, why: str) -> ProgramGone:
        self._gone = why
        return ProgramGone(why)


class Here:
    """In the program's own process (`in_process`): the same face, with live objects. What tests find can be forged."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def called(*positional: Any, **named: Any) -> Any:
            try:
                return getattr(self._module, name)(*positional, **named)
            except Exception as error:
                raise ProgramError(type(error).__name__, str(error)[:MESSAGE]) from error

        return called


def line_of(error: BaseException, file: str) -> str:
    """Number and text of the last line of `file` that an exception came through; empty where there is none."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == file]
    return f"line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
