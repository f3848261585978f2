"""Nested states as JSON, their arrays and tables of rows beside it.

In the JSON a list stands for a list or a tuple, and an object has one entry, whose name says what it stands for: `map`,
`pairs` (a mapping whose keys are not all strings), `int` (beyond 64 bits, in hexadecimal digits), `array` and `rows`
(numbers of an array and of a table).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.learning.rows import RowTable
from qecforge.runs._disk import CHUNK, bytes_of

if TYPE_CHECKING:
    import torch

__all__ = ["Array", "EncodedState", "bytes_in_order", "decode", "describe_array", "empty_array"]

Array: TypeAlias = "NDArray[Any] | torch.Tensor"

_KINDS = "biufcSUMm"
"""Kinds of numpy's dtypes that are plain bytes and whose name says all about them."""


@dataclass
class EncodedState:
    """A nested state, taken apart. Arrays and tables are not copied.

    Attributes:
        arrays, tables: In the order in which the JSON numbers them.
    """

    arrays: list[Array] = field(default_factory=list)
    tables: list[RowTable] = field(default_factory=list)

    def encode(self, value: Any, place: str) -> Any:
        """What `json` takes for `value`. Raises `TypeError`, which names the place, for an object of another type."""
        if isinstance(value, np.generic):
            return self._number(value, place)
        if value is None or isinstance(value, bool | float | str):
            return value
        if isinstance(value, int):
            return int(value) if value.bit_length() < 64 else {"int": hex(value)}
        if isinstance(value, Mapping):
            return self._mapping(value, place)
        if isinstance(value, list | tuple):
            return [self.encode(item, f"{place}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, RowTable):
            return {"rows": self._place_of(value)}
        if _is_array(value):
            self.arrays.append(value if isinstance(value, np.ndarray) else value.detach())
            return {"array": len(self.arrays) - 1}
        kind = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(
            f"{place}: {kind} cannot be kept in a checkpoint; use numbers, strings, arrays or tables of rows"
        )

    def _number(self, value: np.generic, place: str) -> Any:
        plain = value.item()
        if isinstance(plain, np.generic):
            raise TypeError(f"{place}: {value.dtype} cannot be kept in a checkpoint; use an array of it")
        return self.encode(plain, place)

    def _mapping(self, value: Mapping[Any, Any], place: str) -> dict[str, Any]:
        items = {key: self.encode(item, f"{place}[{key!r}]") for key, item in value.items()}
        if all(isinstance(key, str) for key in items):
            return {"map": items}
        for key in items:
            if not (key is None or isinstance(key, bool | int | float | str)):
                raise TypeError(f"{place}: a key is a {type(key).__name__}; use strings or numbers")
        return {"pairs": [[self.encode(key, place), item] for key, item in items.items()]}

    def _place_of(self, table: RowTable) -> int:
        for number, known in enumerate(self.tables):
            if known is table:
                return number
        self.tables.append(table)
        return len(self.tables) - 1


def decode(value: Any, arrays: Sequence[Array], tables: Sequence[RowTable]) -> Any:
    """The opposite of `EncodedState.encode`. Raises `LookupError`, `TypeError` or `ValueError` for something else."""
    if isinstance(value, list):
        return [decode(item, arrays, tables) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "map":
        return {key: decode(item, arrays, tables) for key, item in content.items()}
    if kind == "pairs":
        return {decode(key, arrays, tables): decode(item, arrays, tables) for key, item in content}
    if kind == "int":
        return int(content, 16)
    if kind == "array":
        return arrays[content]
    if kind == "rows":
        return tables[content]
    raise ValueError(f"an entry is of kind {kind!r}")


def _is_array(value: Any) -> bool:
    import torch

    if isinstance(value, np.ndarray):
        return value.dtype.kind in _KINDS
    return isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized


def describe_array(array: Array) -> dict[str, Any]:
    """Its type, for `empty_array`."""
    if isinstance(array, np.ndarray):
        return {"numpy": array.dtype.str, "shape": list(array.shape)}
    return {"torch": str(array.dtype).removeprefix("torch."), "shape": list(array.shape)}


def empty_array(description: Mapping[str, Any], length: int) -> tuple[Array, memoryview]:
    """A new array as it was described, and its memory, which is to be filled.

    Args:
        length: Bytes of it that there are.

    Raises:
        LookupError, TypeError, ValueError, MemoryError: The description makes no sense, or is of another length;
            no memory has been taken then.
    """
    import torch

    shape = tuple(description["shape"])
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array has shape {shape}")
    of_torch = "torch" in description
    dtype = getattr(torch, description["torch"], None) if of_torch else np.dtype(description["numpy"])
    if not (isinstance(dtype, torch.dtype) or (isinstance(dtype, np.dtype) and dtype.kind in _KINDS)):
        raise ValueError(f"an array is of {dtype}")
    expected = dtype.itemsize
    for size in shape:
        expected *= size
    if expected != length:
        raise ValueError(f"an array has {length} bytes, expected {expected}")
    array: Array = torch.empty(shape, dtype=dtype) if isinstance(dtype, torch.dtype) else np.empty(shape, dtype)
    return array, bytes_of(array if isinstance(array, np.ndarray) else _shared(array))


def bytes_in_order(array: Array) -> Iterator[memoryview]:
    """The elements' bytes in C order. What is not laid out like that, or lies on a device, is copied piece by piece."""
    if isinstance(array, np.ndarray):
        yield from _numpy_bytes(array)
    elif array.device.type == "cpu":
        yield from _numpy_bytes(_shared(array))
    else:
        flat, size = array.reshape(-1), CHUNK // array.itemsize
        for at in range(0, len(flat), size):
            yield bytes_of(_shared(flat[at : at + size].cpu()))


def _numpy_bytes(array: NDArray[Any]) -> Iterator[memoryview]:
    if array.flags.c_contiguous:
        yield bytes_of(array)
        return
    size = max(1, CHUNK // max(1, array.itemsize))
    with np.nditer(array, ("external_loop", "buffered", "zerosize_ok"), order="C", buffersize=size) as pieces:
        for piece in pieces:
            yield bytes_of(np.ascontiguousarray(piece))


def _shared(tensor: torch.Tensor) -> NDArray[Any]:
    """A CPU tensor's memory as a numpy array of integers as wide as its elements: numpy has no bfloat16."""
    import torch

    tensor = tensor.resolve_conj().resolve_neg()
    if tensor.itemsize == 16:
        tensor = torch.view_as_real(tensor)
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.itemsize]
    array: NDArray[Any] = tensor.view(bits).numpy()
    return array
