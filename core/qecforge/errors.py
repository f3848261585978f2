"""Every exception that qecforge raises on purpose.

    QecforgeError
    ├── UserError                 bad input; the CLI prints one line and exits with 2
    │   ├── ManifestError         a manifest that cannot be run (file, line and column when known)
    │   ├── ConfigurationError    a value that a Python caller passed and that cannot be used
    │   ├── PluginError           an unknown, broken, clashing or unfitting plugin
    │   ├── CodeError             what was given is not a stabilizer code
    │   ├── DecoderError          a decoder that cannot decode this error model, or is not installed
    │   ├── StoreError            a store that cannot be opened, read or written
    │   │   └── OlderSchema       a store to be migrated, which was opened read-only
    │   ├── CheckpointError       a checkpoint that is damaged or belongs to another run
    │   ├── RunBusy               a run that another process carries out at this moment
    │   ├── InfrastructureError   what scores (a sandbox, a device) is out of order; the run resumes once it is not
    │   └── MissingDependency     an optional package is needed; names what to install
    ├── RunFailed                 a run ended with an error; the CLI exits with 1
    └── Interrupted               a run was cancelled and its state saved; the CLI exits with 130

A message says where, what was got, what was expected and what to do, see `did_you_mean`. Whatever text of a user's is
in it, it is one line that can be printed: `str` of an error makes it so.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "CodeError",
    "ConfigurationError",
    "DecoderError",
    "InfrastructureError",
    "Interrupted",
    "ManifestError",
    "MissingDependency",
    "OlderSchema",
    "PluginError",
    "QecforgeError",
    "RunBusy",
    "RunFailed",
    "StoreError",
    "UserError",
    "did_you_mean",
    "escaped",
    "nearest",
    "one_line",
    "printable",
]


def printable(text: str, *, keep: str = "\n\t") -> str:
    r"""The text with every character that cannot be printed, or would steer a terminal, as `\u001b`.

    These are control characters, marks of the direction of writing, other invisible ones, and lone surrogates. JSON
    stays the same JSON.

    Args:
        keep: Characters that stay although they cannot be printed.
    """
    if text.isprintable():
        return text
    return "".join(each if _is_shown(each) or each in keep else escaped(each) for each in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def escaped(character: str) -> str:
    r"""A character by its number, as JSON has it: `\u001b`."""
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def one_line(message: object, limit: int | None = None) -> str:
    """The message with every run of white space, line ends included, as one space, and what is not `printable` escaped.

    Args:
        limit: Characters after which it is cut; None for none.
    """
    text = str(message) if limit is None else str(message)[: 4 * limit]
    text = printable(" ".join(text.split()), keep="")
    return text if limit is None or len(text) <= limit else f"{text[: limit - 3]}..."


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three of `known` that `name` may be a misspelling of, best first; case does not count."""
    by_folded: dict[str, str] = {}
    for each in known:
        by_folded.setdefault(each.lower(), each)
    matches = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=0.6)
    return [by_folded[match] for match in matches]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'cx'?`, with a blank in front; empty where nothing known is like the name."""
    close = nearest(name, known)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


class QecforgeError(Exception):
    """Base of all errors that qecforge raises on purpose."""

    def __str__(self) -> str:
        """The message, on one line, whatever it quotes."""
        return one_line(super().__str__())


class UserError(QecforgeError):
    """Input that cannot be used. The message is one line and says what to do.

    Args:
        message: What was got, what was expected, what to do.
        parameter: The parameter of the library that was wrong, or that mends it, where there is one. The message has
            it in backticks; a command line puts its option there.
    """

    parameter: str | None = None

    def __init__(self, message: str = "", *, parameter: str | None = None) -> None:
        super().__init__(message)
        if parameter is not None:
            self.parameter = parameter


class ManifestError(UserError):
    """A manifest that cannot be run.

    Args:
        message: What was got, what was expected, what to do; without the place.
        source: File name as the user gave it, or None for a manifest built in Python.
        line, column: 1-based position in the file, where known.
        path: Dotted path inside the manifest, such as `environment.n`.
        parameter: As in `UserError`; given where `source` names it.

    Where several things are wrong with a manifest, the message is of the first and says how many more there are; `all`
    has them all.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        line: int | None = None,
        column: int | None = None,
        path: str | None = None,
        parameter: str | None = None,
    ) -> None:
        self.message, self.source, self.line, self.column, self.path = one_line(message), source, line, column, path
        self._all: tuple[ManifestError, ...] = ()
        place = ":".join(str(part) for part in (source, line, column) if part is not None)
        text = " ".join(part for part in (place, f"{path}:" if path else "", message) if part)
        super().__init__(text, parameter=parameter)

    @property
    def all(self) -> tuple[ManifestError, ...]:
        """Everything that is wrong, in the file's order: this error alone, or those that it counts."""
        return self._all or (self,)

    @classmethod
    def joined(cls, errors: Iterable[ManifestError]) -> ManifestError:
        """One error for all of these, each once: with the message of the first, which says how many more there are."""
        found = {str(each): each for error in errors for each in error.all}
        first = next(iter(found.values()))
        if len(found) == 1:
            return first
        ordered = sorted(found.values(), key=lambda each: (each.line or 0, each.column or 0))
        joined = cls(
            f"{first.message} (and {len(ordered) - 1} more)",
            source=first.source,
            line=first.line,
            column=first.column,
            path=first.path,
            parameter=first.parameter,
        )
        joined._all = tuple(ordered)
        return joined


class ConfigurationError(UserError, ValueError):
    """A value that a Python caller passed and that cannot be used."""


class PluginError(UserError):
    """An unknown, broken, clashing or unfitting plugin."""


class CodeError(UserError, ValueError):
    """What was given is not a stabilizer code; names the offending generators."""


class DecoderError(UserError):
    """A decoder that cannot decode this error model, or is not installed."""


class StoreError(UserError):
    """A store that cannot be opened, read or written."""


class OlderSchema(StoreError):
    """A store of an older schema that was opened read-only; opened for writing it is migrated."""


class CheckpointError(UserError):
    """A checkpoint that is damaged, or belongs to another run. `force` starts the run anew."""

    parameter = "force"


class RunBusy(UserError):
    """A run that another process carries out at this moment."""


class InfrastructureError(UserError):
    """What scores, such as a sandbox or a device, is out of order. Nothing is learned from that: the run is
    interrupted, and the same command resumes it from its last checkpoint."""


class MissingDependency(UserError, ImportError):
    """An optional package is needed and absent; the message says what to install
    (`qecforge.machine.extras.missing_dependency`)."""


class RunFailed(QecforgeError):
    """A run ended with an error. `__cause__` is the original exception."""


class Interrupted(QecforgeError):
    """A run was cancelled; its state is saved and the same command resumes it."""
