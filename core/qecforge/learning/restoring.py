"""States of checkpoints, checked against what may be in them before anything is made of them.

A checkpoint whose checksum is right may still hold anything: it may come from elsewhere, or from other code. Kernels do
not look where an index leads, and an optimizer does not compare shapes. So what `load_state_dict` takes over is taken
through these functions; whatever does not fit is a `CheckpointError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from qecforge.errors import CheckpointError, one_line

__all__ = ["restored_array", "restored_int", "restored_number", "restored_parts", "restoring"]

_ADVICE = "restore the checkpoint with the manifest that wrote it, or start the run anew with `force`"
MOST = 2**62
"""More steps than any run takes."""


@contextmanager
def restoring(what: str) -> Iterator[None]:
    """In the block, an error of Python or of a library is a `CheckpointError` that names `what`."""
    try:
        yield
    except CheckpointError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, AssertionError) as error:
        raise CheckpointError(
            f"{what}: this checkpoint does not fit ({type(error).__name__}: {one_line(error, 200)}): {_ADVICE}"
        ) from error


def restored_parts(state: object, names: Sequence[str], what: str) -> Mapping[str, Any]:
    """A mapping that has these names at least. Raises `CheckpointError`."""
    if not isinstance(state, Mapping):
        _refuse(what, type(state).__name__, "a mapping")
    if missing := [name for name in names if name not in state]:
        _refuse(what, f"no {', '.join(missing)}", "all of it")
    return state


def restored_array(
    value: object,
    dtype: DTypeLike,
    shape: Sequence[int | None],
    what: str,
    *,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    nan: bool = False,
) -> NDArray[Any]:
    """An array of exactly this type and shape; a torch tensor's numbers as an array.

    Args:
        shape: None for a length that is free.
        low, high: Bounds of its elements, included.
        nan: Whether elements may be NaN or infinite.

    Raises:
        CheckpointError: It is something else.
    """
    array = value if isinstance(value, np.ndarray) else _of_tensor(value, what)
    wanted = np.dtype(dtype)
    fits = array.ndim == len(shape) and all(b is None or a == b for a, b in zip(array.shape, shape, strict=True))
    if array.dtype != wanted or not fits:
        words = ", ".join("any" if length is None else str(length) for length in shape)
        _refuse(what, f"{array.dtype} of shape {array.shape}", f"{wanted} of shape ({words})")
    if not nan and wanted.kind == "f" and not np.isfinite(array).all():
        _refuse(what, "numbers that are not finite", "finite ones")
    if (low is not None and (array < low).any()) or (high is not None and (array > high).any()):
        _refuse(what, "numbers out of range", _range(low, high))
    return array


def restored_int(value: object, what: str, *, low: int = 0, high: int = MOST) -> int:
    """A whole number between the bounds, included; of digits too. Raises `CheckpointError`."""
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdecimal() and len(value) <= 60:
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        _refuse(what, one_line(repr(value), 80), f"a whole number, {_range(low, high)}")
    return value


def restored_number(
    value: object, what: str, *, low: float = -math.inf, high: float = math.inf, nan: bool = False
) -> float:
    """A number between the bounds, included. Raises `CheckpointError`."""
    if type(value) not in (int, float) or not (math.isfinite(value) or nan):  # type: ignore[arg-type]
        _refuse(what, one_line(repr(value), 80), "a number")
    number = float(value)  # type: ignore[arg-type]
    if number < low or number > high:
        _refuse(what, str(number), _range(low, high))
    return number


def _of_tensor(value: object, what: str) -> NDArray[Any]:
    import torch

    if not isinstance(value, torch.Tensor) or value.dtype == torch.bfloat16:
        _refuse(what, type(value).__name__, "an array")
    array: NDArray[Any] = value.detach().cpu().numpy()
    return array


def _range(low: object, high: object) -> str:
    def plain(bound: object) -> str:
        return "" if bound is None else str(bound) if np.ndim(bound) == 0 else "the bounds"  # type: ignore[arg-type]

    return f"{plain(low)}..{plain(high)}"


def _refuse(what: str, got: str, expected: str) -> NoReturn:
    raise CheckpointError(f"{what}: this checkpoint does not fit: it has {got}, expected {expected}: {_ADVICE}")
