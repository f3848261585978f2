"""Circuits in files, for the commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qecforge.errors import ConfigurationError, one_line
from qecforge.machine.files import read_limited, why_not, write_whole

if TYPE_CHECKING:
    import stim

__all__ = ["read_circuit", "write_file"]

MAX_BYTES = 256_000_000


def read_circuit(path: Path) -> stim.Circuit:
    """The circuit of a file. Raises `ConfigurationError` where there is none."""
    import stim

    try:
        return stim.Circuit(read_limited(path, MAX_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({why_not(error)}): choose another file") from error
    except ValueError as error:
        raise ConfigurationError(
            f"{path}: not a circuit in stim's format ({one_line(error, 160)}): correct it"
        ) from error


def write_file(path: Path, text: str) -> None:
    """Write it whole, or not at all. Raises `ConfigurationError` where it cannot be."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({why_not(error)}): choose another file") from error
