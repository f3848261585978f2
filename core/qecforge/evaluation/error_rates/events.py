"""Detection events as laboratories record them: stim's formats of results, and numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stim
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError, did_you_mean, one_line
from qecforge.machine.files import require_regular, why_not

__all__ = ["EVENT_FORMATS", "RecordedEvents", "read_events", "read_observables"]

EVENT_FORMATS = ("b8", "01", "dets", "hits", "r8", "npy")
"""Endings of files, and what is in them: stim's result formats, and `npy`, an array (S, D) of truth values or 0, 1."""


@dataclass(frozen=True, eq=False)
class RecordedEvents:
    """S shots. Arrays are not to be written to.

    Attributes:
        events: (S, ceil(D/8)) uint8, detection events, bits from the lowest.
        observables: (S, ceil(L/8)) uint8 likewise, which logical observables flipped; None where none were recorded.
    """

    events: NDArray[np.uint8]
    observables: NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.events)


def read_events(path: Path, *, detectors: int, observables: int = 0, form: str | None = None) -> RecordedEvents:
    """Shots of a file.

    Args:
        detectors: D, of the circuit.
        observables: L that follow the detectors in each shot, as stim writes them with `--append_observables` (in
            `dets`, those called `L0`, ...); 0 where the file has none.
        form: One of `EVENT_FORMATS`; None: by the file's ending.

    Raises:
        ConfigurationError: The file cannot be read, has no shots, or its width does not fit.
    """
    bits = _read(path, detectors, observables, form)
    events, flips = bits[:, :detectors], bits[:, detectors:]
    return RecordedEvents(_packed(events), _packed(flips) if observables else None)


def read_observables(path: Path, *, observables: int, shots: int, form: str | None = None) -> NDArray[np.uint8]:
    """Logical observables of a file of their own, as stim's `--obs_out` writes it.

    Args:
        observables: L, of the circuit.
        shots: How many are expected.

    Returns:
        (shots, ceil(L/8)) uint8, bits from the lowest.

    Raises:
        ConfigurationError: As for `read_events`; or there are more or fewer shots.
    """
    bits = _read(path, observables, 0, form, what="observables")
    if len(bits) != shots:
        raise ConfigurationError(
            f"{path}: {len(bits)} shots of observables, expected {shots}, as there are of events: "
            "give the file that was recorded with them"
        )
    return _packed(bits)


def _read(path: Path, detectors: int, observables: int, form: str | None, what: str = "detectors") -> NDArray[np.bool_]:
    """(S, D + L)."""
    form = form or path.suffix.removeprefix(".")
    if form not in EVENT_FORMATS:
        known = ", ".join(EVENT_FORMATS)
        raise ConfigurationError(
            f"{path}: the format {one_line(form, 60)!r} is unknown.{did_you_mean(form, EVENT_FORMATS)} Known: {known}"
        )
    try:
        require_regular(path)
        path.open("rb").close()
        bits = _array(path) if form == "npy" else _stim(path, form, detectors, observables, what)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({why_not(error)}): choose another file") from error
    width = detectors + observables
    if bits.ndim != 2 or bits.shape[1] != width:
        raise ConfigurationError(
            f"{path}: an array of shape {bits.shape}, expected (shots, {width}): {_width(detectors, observables, what)}"
        )
    if not len(bits):
        raise ConfigurationError(f"{path}: it has no shot: give a file with 1 or more")
    return bits


def _array(path: Path) -> NDArray[np.bool_]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ConfigurationError(f"{path}: no numpy array ({one_line(error, 80)}): write it with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biu" or ((array != 0) & (array != 1)).any():
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ConfigurationError(f"{path}: an array of {kind}, expected truth values, or whole numbers 0 and 1")
    return array.astype(np.bool_)


def _stim(path: Path, form: str, detectors: int, observables: int, what: str) -> NDArray[np.bool_]:
    if form == "b8":
        _check_bytes(path, detectors, observables, what)
    kinds = {"num_measurements": detectors + observables}
    if form == "dets":
        kinds = {"num_detectors": detectors, "num_observables": observables}
    try:
        bits: NDArray[np.bool_] = stim.read_shot_data_file(path=path, format=form, **kinds)
    except ValueError as error:
        raise ConfigurationError(
            f"{path}: no shots of format {form} ({one_line(error, 120)}): {_width(detectors, observables, what)}"
        ) from error
    return bits


def _check_bytes(path: Path, detectors: int, observables: int, what: str) -> None:
    """Whether the bytes are whole shots whose unused bits are 0. The format does not say how wide a shot is: half the
    width passes where both are whole bytes."""
    width = detectors + observables
    each = -(-width // 8)
    content = np.fromfile(path, np.uint8)
    said = _width(detectors, observables, what)
    if len(content) % each:
        raise ConfigurationError(
            f"{path}: {len(content)} bytes, expected a multiple of {each} for {width} bits: {said}"
        )
    if width % 8 and (content.reshape(-1, each)[:, -1] >> width % 8).any():
        raise ConfigurationError(f"{path}: bits after the {width}th of a shot are not 0: {said}")


def _width(detectors: int, observables: int, what: str) -> str:
    after = f" and {observables} observables" if observables else ""
    return f"the circuit has {detectors} {what}{after}; give its own file"


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.packbits(bits, axis=1, bitorder="little")
