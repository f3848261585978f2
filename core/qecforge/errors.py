"""Every exception that qecforge raises on purpose.

    QecforgeError
    ├── UserError                 bad input; the CLI prints one line and exits with 2
    │   ├── ManifestError         a manifest that cannot be run (file, line and column when known)
    │   ├── ConfigurationError    a value that a Python caller passed and that cannot be used
    │   ├── PluginError           an unknown, broken, clashing or unfitting plugin
    │   ├── CodeError             what was given is not a stabilizer code
    │   ├── DecoderError          a decoder that cannot decode this error model, or is not installed
    │   ├── StoreError            a store that cannot be opened, read or written
    │   ├── CheckpointError       a checkpoint that is damaged or belongs to another run
    │   └── MissingDependency     an optional package is needed; names the extra to install
    ├── RunFailed                 a run ended with an error; the CLI exits with 1
    └── Interrupted               a run was cancelled and its state saved; the CLI exits with 130

A message says where, what was got, what was expected and what to do, on one line.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "CodeError",
    "ConfigurationError",
    "DecoderError",
    "Interrupted",
    "ManifestError",
    "MissingDependency",
    "PluginError",
    "QecforgeError",
    "RunFailed",
    "StoreError",
    "UserError",
]


class QecforgeError(Exception):
    """Base of all errors that qecforge raises on purpose."""


class UserError(QecforgeError):
    """Input that cannot be used. The message is one line and says what to do."""


class ManifestError(UserError):
    """A manifest that cannot be run.

    Args:
        message: What was got, what was expected, what to do; without the place.
        source: File name as the user gave it, or None for a manifest built in Python.
        line, column: 1-based position in the file, where known.
        path: Dotted path inside the manifest, such as `environment.n`.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        line: int | None = None,
        column: int | None = None,
        path: str | None = None,
    ) -> None:
        self.source, self.line, self.column, self.path = source, line, column, path
        place = ":".join(str(part) for part in (source, line, column) if part is not None)
        super().__init__(" ".join(part for part in (place, f"{path}:" if path else "", message) if part))


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


class CheckpointError(UserError):
    """A checkpoint that is damaged, or belongs to another run."""


class MissingDependency(UserError, ImportError):
    """An optional package is needed and absent; the message names the extra that installs it."""


class RunFailed(QecforgeError):
    """A run ended with an error. `__cause__` is the original exception."""


class Interrupted(QecforgeError):
    """A run was cancelled; its state is saved and the same command resumes it."""
