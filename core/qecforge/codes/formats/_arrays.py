"""Binary matrices in files of numpy, scipy and Matrix Market. Nothing is unpickled; sizes are checked before memory
is taken."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.codes._gf2 import as_binary_matrix
from qecforge.errors import CodeError, one_line

__all__ = ["matrices_from_npz", "matrix_from_mtx", "matrix_from_npy", "matrix_to_mtx"]

_MOST_BYTES = 1 << 28
_MOST_ENTRIES = 1 << 26
_CSS_NAMES = ({"hx", "hz"}, {"x", "z"})
_BANNER = "%%MatrixMarket"


def matrix_from_npy(content: bytes, what: str = "npy") -> NDArray[np.uint8]:
    """The binary matrix of a `.npy` file. Raises `CodeError` for anything else, an array of objects too."""
    return as_binary_matrix(_array(content, what), what)


def matrices_from_npz(content: bytes) -> NDArray[np.uint8] | tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The matrix of a `.npz` file: its only array, or a scipy sparse matrix; or (hx, hz) where it holds two arrays of
    these names.

    Raises:
        CodeError: a damaged archive, other arrays, or entries other than 0 and 1.
    """
    arrays = _members(content)
    if {"format", "shape"} <= set(arrays) or {"row", "col", "shape"} <= set(arrays):
        return _sparse(arrays)
    if len(arrays) == 1:
        ((name, array),) = arrays.items()
        return as_binary_matrix(array, f"npz array {name}")
    named = {name.lower().replace("_", ""): array for name, array in arrays.items()}
    if set(named) in _CSS_NAMES:
        x, z = (as_binary_matrix(named[name], f"npz array {name}") for name in sorted(named))
        return x, z
    raise CodeError(
        f"npz: arrays {', '.join(sorted(arrays))[:80]}; expected one matrix, hx and hz of a CSS code, or a scipy "
        "sparse matrix"
    )


def _members(content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _MOST_BYTES or len(members) > 64:
                raise CodeError(f"npz: larger than {_MOST_BYTES >> 20} MiB or 64 arrays; expected a check matrix")
            contents = {}
            for member in members:
                with archive.open(member) as file:
                    contents[member.filename.removesuffix(".npy")] = file.read(_MOST_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise CodeError(f"npz: cannot be read ({one_line(error, 80)}); expected what numpy.savez writes") from error
    return {name: _array(each, f"npz array {one_line(name, 40)}") for name, each in contents.items()}


def _array(content: bytes, what: str) -> NDArray[Any]:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are not unpickled")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > len(content) - file.tell():
            raise ValueError("it is cut short")
        file.seek(0)
        array: NDArray[Any] = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, TokenError, TypeError, MemoryError) as error:
        raise CodeError(f"{what}: cannot be read ({one_line(error, 80)}); expected a matrix of 0 and 1") from error
    return array


def _sparse(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """The dense matrix of what `scipy.sparse.save_npz` writes, in any of its formats but bsr and dia."""
    shape = arrays["shape"]
    if (
        shape.shape != (2,)
        or shape.dtype.kind not in "ui"
        or shape.min() < 0
        or math.prod(shape.tolist()) > _MOST_ENTRIES
    ):
        raise CodeError(
            f"npz: a sparse matrix of shape {shape.tolist()!s:.40}; expected at most {_MOST_ENTRIES} entries"
        )
    rows, columns = shape.tolist()
    name = arrays.get("format", np.array(b"coo" if "row" in arrays else b"")).item()
    name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
    if name not in ("coo", "csr", "csc"):
        raise CodeError(f"npz: a sparse matrix of format {one_line(name, 20)!r}; expected csr, csc or coo")
    entries = arrays.get("data")
    try:
        if name == "coo":
            at = arrays["row"], arrays["col"]
        else:
            counts = np.diff(arrays["indptr"])
            major = np.repeat(np.arange(len(counts)), counts)
            at = (major, arrays["indices"]) if name == "csr" else (arrays["indices"], major)
        if entries is None or entries.shape != at[0].shape or at[0].shape != at[1].shape:
            raise ValueError("arrays of unequal length")
        if any(one.size and (one.min() < 0 or one.max() >= end) for one, end in zip(at, (rows, columns), strict=True)):
            raise ValueError("an index outside the matrix")
        dense = np.zeros((rows, columns), dtype=np.float64 if entries.dtype.kind == "f" else np.int64)
        np.add.at(dense, at, entries)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise CodeError(f"npz: a damaged sparse matrix ({one_line(error, 60)}); expected scipy's save_npz") from error
    return as_binary_matrix(dense, "npz sparse matrix")


def matrix_to_mtx(matrix: NDArray[np.uint8], comment: str) -> str:
    """Matrix Market text of a binary matrix: the places of its ones."""
    at = np.argwhere(matrix.T)[:, ::-1] + 1
    lines = [
        f"{_BANNER} matrix coordinate integer general",
        f"% {comment}",
        f"{matrix.shape[0]} {matrix.shape[1]} {len(at)}",
    ]
    return "\n".join([*lines, *(f"{row} {column} 1" for row, column in at.tolist())]) + "\n"


def matrix_from_mtx(text: str) -> NDArray[np.uint8]:
    """The binary matrix of Matrix Market text: `coordinate` or `array`, of `integer`, `real` or `pattern` entries,
    `general` or `symmetric`.

    Raises:
        CodeError: another kind of file, with the line; or entries other than 0 and 1.
    """
    banner, *rest = text.splitlines()
    words = banner.lower().split()
    if len(words) != 5 or words[:2] != [_BANNER.lower(), "matrix"] or words[2] not in ("coordinate", "array"):
        raise CodeError(f"mtx line 1: got {banner[:60]!r}; expected '{_BANNER} matrix coordinate integer general'")
    if words[3] not in ("integer", "unsigned-integer", "real", "pattern") or words[4] not in ("general", "symmetric"):
        raise CodeError(
            f"mtx line 1: a matrix {words[3][:20]} {words[4][:20]}; expected integer, real or pattern, and general or "
            "symmetric"
        )
    symmetric = words[4] == "symmetric"  # the lower triangle alone is listed
    lines = [(number, line.split("%")[0].split()) for number, line in enumerate(rest, 2)]
    lines = [(number, tokens) for number, tokens in lines if tokens]
    if not lines:
        raise CodeError("mtx: no line of sizes; expected rows, columns and the number of entries")
    number, sizes = lines[0]
    dense = words[2] == "array"
    if len(sizes) != 3 - dense or not all(size.isdecimal() and len(size) <= 9 for size in sizes):
        raise CodeError(f"mtx line {number}: got {' '.join(sizes)[:40]!r}; expected {3 - dense} numbers")
    rows, columns = int(sizes[0]), int(sizes[1])
    if rows * columns > _MOST_ENTRIES:
        raise CodeError(
            f"mtx line {number}: {rows} rows and {columns} columns; expected at most {_MOST_ENTRIES} entries"
        )
    if symmetric and rows != columns:
        raise CodeError(f"mtx line {number}: {rows} rows and {columns} columns of a symmetric matrix; expected as many")
    listed = rows * (rows + 1) // 2 if symmetric else rows * columns
    expected = listed if dense else int(sizes[2])
    if len(lines) - 1 != expected:
        raise CodeError(f"mtx: {len(lines) - 1} lines of entries; line {number} says {expected}")
    if dense:
        values = np.array([_value(tokens, 1, number)[0] for number, tokens in lines[1:]])
        return as_binary_matrix(_by_columns(values, rows, columns, symmetric), "mtx")
    matrix = np.zeros((rows, columns))
    length = 2 if words[3] == "pattern" else 3
    for number, tokens in lines[1:]:
        row, column, *value = _value(tokens, length, number)
        if not (1 <= row <= rows and 1 <= column <= columns and row == int(row) and column == int(column)):
            raise CodeError(f"mtx line {number}: an entry outside {rows} rows and {columns} columns")
        matrix[int(row) - 1, int(column) - 1] += value[0] if value else 1.0
        if symmetric and row != column:
            matrix[int(column) - 1, int(row) - 1] += value[0] if value else 1.0
    return as_binary_matrix(matrix, "mtx")


def _by_columns(values: NDArray[Any], rows: int, columns: int, symmetric: bool) -> NDArray[Any]:
    if not symmetric:
        return values.reshape(columns, rows).T
    upper = np.zeros((rows, rows))
    upper[np.triu_indices(rows)] = values  # the columns of the lower triangle are the rows of the upper one
    return upper + np.triu(upper, 1).T


def _value(tokens: list[str], length: int, number: int) -> list[float]:
    try:
        values = [float(token) for token in tokens]
    except ValueError:
        values = []
    if len(values) != length or not all(map(math.isfinite, values)):
        raise CodeError(f"mtx line {number}: got {' '.join(tokens)[:40]!r}; expected {length} numbers")
    return values
