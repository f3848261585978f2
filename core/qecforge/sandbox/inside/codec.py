"""The typed codec: values as bytes between a program that may lie and a judge that must not be fooled.

A value is one byte for its type and then its content, little-endian; lengths are u32. What comes out of `decode` is of
exact built-in types, or a `numpy.ndarray` of a numeric dtype, or what `rebuild` of a registered type makes of such
values: nothing that is decoded brings code, methods or classes along. A frame is refused as a whole (`CodecError`)
where anything in it is not as described here.

    N none   T F bool   I int (two's complement)   D float   C complex   S text (UTF-8)   B bytes
    L list   U tuple   E set   M dict   A array (dtype, dimensions, shape as u64, C order)   X registered type
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Bounds", "Codec", "CodecError", "CodecType", "codec_of"]


class CodecError(Exception):
    """A value that has no form in the codec, or bytes that are none."""


class CodecType(NamedTuple):
    """A type beyond Python's and numpy's own.

    Attributes:
        name: In the bytes; at most 40 characters.
        matches: Whether a value is of the type; asked in the process that encodes.
        flatten: The value as built-in types and arrays.
        rebuild: The value from these, which may be anything: it checks all of it and raises `CodecError`, or any other
            exception, where they are not what `flatten` gives.
    """

    name: str
    matches: Callable[[Any], bool]
    flatten: Callable[[Any], Any]
    rebuild: Callable[[Any], Any]


@dataclass(frozen=True)
class Bounds:
    """What a frame may hold at most."""

    size: int = 64 << 20
    """Bytes."""
    depth: int = 100
    """Values within values."""
    items: int = 1 << 20
    """Values, all told."""
    digits: int = 8192
    """Bytes of an int."""


DTYPES = ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16")
MAX_DIMENSIONS = 32
NAME_LENGTH = 40
U32, U64, F64, C128 = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct("<d"), struct.Struct("<dd")


class Codec:
    """Encodes and decodes values of the built-in types, of numpy and of the registered types.

    Args:
        types: Registered types; the first that matches is taken.
        bounds: For what is decoded and for what is encoded.
        observers: Each gives named numbers about the values that it has seen rebuilt.
    """

    def __init__(
        self,
        types: Iterable[CodecType] = (),
        bounds: Bounds = Bounds(),
        observers: Iterable[Callable[[], Mapping[str, float]]] = (),
    ) -> None:
        self.types = {each.name: each for each in types}
        self.bounds = bounds
        self._observers = tuple(observers)

    def notes(self) -> dict[str, float]:
        """Named numbers about the values that were rebuilt in this process."""
        return {name: float(value) for each in self._observers for name, value in each().items()}

    def encode(self, value: Any) -> bytes:
        """Raises `CodecError` where a type has no form, values hold themselves, or the bounds are exceeded."""
        writer = _Writer(self)
        writer.write(value, 0)
        return bytes(writer.out)

    def decode(self, frame: bytes) -> Any:
        """Raises `CodecError`, and nothing else, where the bytes are not one whole value within the bounds."""
        if len(frame) > self.bounds.size:
            raise CodecError(f"a value of {len(frame):,} bytes is larger than {self.bounds.size:,}")
        reader = _Reader(self, frame)
        try:
            value = reader.read(0)
        except CodecError:
            raise
        except Exception as error:  # of numpy, or of a registered type's own comparison
            raise CodecError(f"no value: {type(error).__name__}") from None
        if reader.at != len(frame):
            raise CodecError("bytes follow the value")
        return value


class _Writer:
    def __init__(self, codec: Codec) -> None:
        self.out = bytearray()
        self.codec, self.bounds, self.items = codec, codec.bounds, 0

    def write(self, value: Any, depth: int) -> None:
        self.items += 1
        if depth > self.bounds.depth:
            raise CodecError(f"values are nested deeper than {self.bounds.depth}")
        if self.items > self.bounds.items or len(self.out) > self.bounds.size:
            raise CodecError(f"more than {self.bounds.items:,} values or {self.bounds.size:,} bytes")
        method = _WRITERS.get(type(value))
        if method is not None:
            method(self, value, depth)
        else:
            self.other(value, depth)

    def other(self, value: Any, depth: int) -> None:
        for each in self.codec.types.values():
            if each.matches(value):
                self.out += b"X"
                self._sized(each.name.encode())
                self.write(each.flatten(value), depth + 1)
                return
        if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
            self.array(value, depth)
            return
        for kind, method in _WRITERS.items():
            if kind is not type(None) and isinstance(value, kind):
                method(self, value, depth)
                return
        raise CodecError(f"a value of type {type(value).__name__} cannot be given to another process")

    def none(self, value: None, depth: int) -> None:
        self.out += b"N"

    def boolean(self, value: bool, depth: int) -> None:
        self.out += b"T" if value else b"F"

    def integer(self, value: int, depth: int) -> None:
        length = int.bit_length(value) // 8 + 1
        if length > self.bounds.digits:
            raise CodecError(f"an int of more than {self.bounds.digits} bytes")
        self.out += b"I"
        self._sized(int.to_bytes(value, length, "little", signed=True))

    def real(self, value: float, depth: int) -> None:
        self.out += b"D" + F64.pack(float.__float__(value))

    def complex_number(self, value: complex, depth: int) -> None:
        self.out += b"C" + C128.pack(value.real, value.imag)

    def text(self, value: str, depth: int) -> None:
        self.out += b"S"
        try:
            self._sized(str.encode(value, "utf-8"))
        except UnicodeEncodeError:
            raise CodecError("a text that has no form in UTF-8") from None

    def octets(self, value: bytes | bytearray, depth: int) -> None:
        self.out += b"B"
        self._sized(bytes(value))

    def sequence(self, value: Any, depth: int) -> None:
        tag = b"L" if isinstance(value, list) else b"U" if isinstance(value, tuple) else b"E"
        self._room_for(len(value))
        items = sorted(value, key=repr) if tag == b"E" else value
        self.out += tag + U32.pack(len(items))
        for each in items:
            self.write(each, depth + 1)

    def mapping(self, value: dict[Any, Any], depth: int) -> None:
        self._room_for(2 * len(value))
        self.out += b"M" + U32.pack(len(value))
        for key, each in dict.items(value):
            self.write(key, depth + 1)
            self.write(each, depth + 1)

    def array(self, value: Any, depth: int) -> None:
        """Arrays, and numpy's scalars as Python's own."""
        import numpy as np

        if not isinstance(value, np.ndarray):
            self.write(value.item(), depth)
            return
        exact = np.ascontiguousarray(value.view(np.ndarray)).astype(value.dtype.newbyteorder("<"), copy=False)
        name = exact.dtype.str
        if name not in DTYPES:
            raise CodecError(f"an array of dtype {value.dtype} cannot be given to another process")
        self.out += b"A" + bytes((DTYPES.index(name), value.ndim))
        for length in value.shape:
            self.out += U64.pack(length)
        if len(self.out) + exact.nbytes > self.bounds.size:
            raise CodecError(f"more than {self.bounds.size:,} bytes")
        self.out += exact.tobytes()

    def _room_for(self, items: int) -> None:
        """Refused before any of them is written, so that it costs as little as they are many."""
        if self.items + items > self.bounds.items:
            raise CodecError(f"more than {self.bounds.items:,} values")

    def _sized(self, content: bytes) -> None:
        if len(self.out) + len(content) > self.bounds.size:
            raise CodecError(f"more than {self.bounds.size:,} bytes")
        self.out += U32.pack(len(content)) + content


_WRITERS: dict[type, Callable[[_Writer, Any, int], None]] = {
    type(None): _Writer.none,
    bool: _Writer.boolean,
    int: _Writer.integer,
    float: _Writer.real,
    complex: _Writer.complex_number,
    str: _Writer.text,
    bytes: _Writer.octets,
    bytearray: _Writer.octets,
    list: _Writer.sequence,
    tuple: _Writer.sequence,
    set: _Writer.sequence,
    frozenset: _Writer.sequence,
    dict: _Writer.mapping,
}


class _Reader:
    def __init__(self, codec: Codec, frame: bytes) -> None:
        self.frame, self.at = frame, 0
        self.codec, self.bounds, self.items = codec, codec.bounds, 0

    def read(self, depth: int) -> Any:
        self.items += 1
        if depth > self.bounds.depth:
            raise CodecError(f"values are nested deeper than {self.bounds.depth}")
        if self.items > self.bounds.items:
            raise CodecError(f"more than {self.bounds.items:,} values")
        method = _READERS.get(self._take(1))
        if method is None:
            raise CodecError("an unknown type of value")
        return method(self, depth)

    def integer(self, depth: int) -> int:
        content = self._sized()
        if not 1 <= len(content) <= self.bounds.digits:
            raise CodecError(f"an int of {len(content):,} bytes")
        return int.from_bytes(content, "little", signed=True)

    def real(self, depth: int) -> float:
        (value,) = F64.unpack(self._take(8))
        return float(value)

    def complex_number(self, depth: int) -> complex:
        return complex(*C128.unpack(self._take(16)))

    def text(self, depth: int) -> str:
        try:
            return self._sized().decode("utf-8")
        except UnicodeDecodeError:
            raise CodecError("a text that is not UTF-8") from None

    def octets(self, depth: int) -> bytes:
        return self._sized()

    def list_(self, depth: int) -> list[Any]:
        return [self.read(depth + 1) for _ in range(self._count(1))]

    def tuple_(self, depth: int) -> tuple[Any, ...]:
        return tuple(self.list_(depth))

    def set_(self, depth: int) -> set[Any]:
        values = self.list_(depth)
        try:
            found = set(values)
        except TypeError:
            raise CodecError("a member of a set that cannot be one") from None
        if len(found) != len(values):
            raise CodecError("a member of a set twice")
        return found

    def dict_(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for number in range(self._count(2)):
            key, value = self.read(depth + 1), self.read(depth + 1)
            try:
                found[key] = value
            except TypeError:
                raise CodecError("a key that cannot be one") from None
            if len(found) != number + 1:
                raise CodecError("a key twice")
        return found

    def array(self, depth: int) -> Any:
        import numpy as np

        kind, dimensions = self._take(2)
        if kind >= len(DTYPES) or dimensions > MAX_DIMENSIONS:
            raise CodecError("an array of an unknown dtype or of too many dimensions")
        dtype = np.dtype(DTYPES[kind])
        shape = [U64.unpack(self._take(8))[0] for _ in range(dimensions)]
        size = dtype.itemsize
        for length in shape:
            size *= max(1, length)  # also where another length is 0: numpy refuses such shapes
            if size > self.bounds.size:
                raise CodecError(f"an array of {size:,} bytes")
        content = self._take(0 if 0 in shape else size)
        if dtype.kind == "b" and content.strip(b"\x00\x01"):
            raise CodecError("a truth value that is neither 0 nor 1")
        return np.frombuffer(content, dtype).reshape(shape).copy()

    def registered(self, depth: int) -> Any:
        name = self._sized()
        known = self.codec.types.get(name.decode("ascii", "replace")) if len(name) <= NAME_LENGTH else None
        if known is None:
            raise CodecError("a type that is not registered")
        flat = self.read(depth + 1)
        try:
            return known.rebuild(flat)
        except CodecError:
            raise
        except MemoryError:
            raise CodecError(f"a {known.name} that is too large") from None
        except Exception as error:
            raise CodecError(f"no {known.name}: {type(error).__name__}: {str(error)[:200]}") from None

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.frame):
            raise CodecError("the bytes end within a value")
        taken = self.frame[self.at : end]
        self.at = end
        return taken

    def _sized(self) -> bytes:
        return self._take(U32.unpack(self._take(4))[0])

    def _count(self, least: int) -> int:
        (count,) = U32.unpack(self._take(4))
        if count * least > len(self.frame) - self.at:
            raise CodecError("more values than bytes")
        if self.items + count * least > self.bounds.items:
            raise CodecError(f"more than {self.bounds.items:,} values")
        return int(count)


_READERS: dict[bytes, Callable[[_Reader, int], Any]] = {
    b"N": lambda reader, depth: None,
    b"T": lambda reader, depth: True,
    b"F": lambda reader, depth: False,
    b"I": _Reader.integer,
    b"D": _Reader.real,
    b"C": _Reader.complex_number,
    b"S": _Reader.text,
    b"B": _Reader.octets,
    b"L": _Reader.list_,
    b"U": _Reader.tuple_,
    b"E": _Reader.set_,
    b"M": _Reader.dict_,
    b"A": _Reader.array,
    b"X": _Reader.registered,
}


def codec_of(names: tuple[str, ...], bounds: Bounds) -> Codec:
    """The codec with the types that modules list as `CODEC_TYPES`, observed by those that have `notes`."""
    from importlib import import_module

    modules = [import_module(name) for name in names]
    observers = [each.notes for each in modules if hasattr(each, "notes")]
    return Codec([each for module in modules for each in module.CODEC_TYPES], bounds, observers)
