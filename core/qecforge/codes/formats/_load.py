"""Codes from files and text; see the table of the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qecforge.codes._alist import CHECK_MATRIX_MARK, matrix_from_alist
from qecforge.codes._numbers import as_integer
from qecforge.codes._pauli import parse_paulis
from qecforge.codes.encoders import parsed_circuit
from qecforge.codes.formats._arrays import matrices_from_npz, matrix_from_mtx, matrix_from_npy
from qecforge.codes.formats._binary_text import read_binary_text
from qecforge.codes.formats._pauli_text import PauliText, read_pauli_text
from qecforge.codes.formats._qasm_reader import circuit_from_qasm
from qecforge.codes.formats._source import CodeSource, ReadableFormat, read_source, recognised, require_format
from qecforge.codes.stabilizer_code import StabilizerCode
from qecforge.errors import CodeError

__all__ = ["css_from_alist", "load_code", "load_css"]

_SIZES = re.compile(r"(?:#|//) qecforge encoder: n=(\d{1,6}) k=(\d{1,6})\b")
_HALF_NAME = re.compile(r"(?:^|[^a-z])h_?[xz](?:[^a-z]|$)", re.IGNORECASE)
_MATRICES = ("check_matrix", "alist", "mtx", "npy", "npz")


def load_code(
    source: str | bytes | Path,
    format: ReadableFormat | None = None,  # noqa: A002
    *,
    k: int | None = None,
    drop_redundant: bool = False,
    symplectic: bool = False,
) -> StabilizerCode:
    """A code from a file or from text.

    Args:
        source: A `Path`; a string that names an existing file; or the content itself.
        format: One of the package's table; None recognises it by content.
        k: Logical qubits of an encoder (`stim`, `qasm2`, `qasm3`, a tableau) that does not say; elsewhere, and where it
            does, it must agree.
        drop_redundant: As for `StabilizerCode`.
        symplectic: Says that a matrix is the check matrix [X | Z] of 2n columns, where it could as well be one half
        of a
            CSS code: an alist, any file named after hx or hz, and rows that blank lines or comments divide into
            blocks. Those are refused without.

    Raises:
        CodeError: the file cannot be read, what it holds is not a code, or it has two readings, which the message
        names.
    """
    read = read_source(source)
    k = None if k is None else as_integer(k, "k")
    try:
        if format is None:
            format = recognised(read)  # noqa: A001
        require_format(format)
        code = _parse(read, format, k, drop_redundant, symplectic)
    except CodeError as error:
        raise CodeError(f"{read.name}: {error}") from error
    if k is not None and code.k != k:
        raise CodeError(f"{read.name}: k is {code.k}; {k} was expected")
    return code


def load_css(
    hx: str | bytes | Path,
    hz: str | bytes | Path,
    format: ReadableFormat | None = None,  # noqa: A002
    *,
    drop_redundant: bool = False,
) -> StabilizerCode:
    """The CSS code of two files (or texts), each a binary matrix of n columns.

    Args:
        hx, hz: The X-type and the Z-type checks, as for `load_code`.
        format: `check_matrix`, `alist`, `mtx`, `npy` or `npz`; None recognises each by its content.
        drop_redundant: As for `StabilizerCode`.

    Raises:
        CodeError: a file that cannot be read or holds no binary matrix, or matrices that give no code.
    """
    halves = []
    for given, half in ((hx, "hx"), (hz, "hz")):
        read = read_source(given)
        try:
            found = _matrix(read, format or recognised(read))
            matrix = found.matrix
            if found.barred or not isinstance(matrix, np.ndarray):
                raise CodeError(f"both halves of a code; expected the matrix {half} alone")
        except CodeError as error:
            raise CodeError(f"{half}: {error}" if read.name == "code" else f"{read.name}: {error}") from error
        halves.append(matrix)
    return StabilizerCode.from_css(*halves, drop_redundant=drop_redundant)


def css_from_alist(hx: str, hz: str, *, drop_redundant: bool = False) -> StabilizerCode:
    """The CSS code of two alist texts. Raises `CodeError` where they are not alist or give no code."""
    return StabilizerCode.from_css(matrix_from_alist(hx), matrix_from_alist(hz), drop_redundant=drop_redundant)


def _parse(
    read: CodeSource,
    format: ReadableFormat,  # noqa: A002
    k: int | None,
    drop_redundant: bool,
    symplectic: bool,
) -> StabilizerCode:
    if format in _MATRICES:
        found = _matrix(read, format)
        if not isinstance(found.matrix, np.ndarray):
            return StabilizerCode.from_css(*found.matrix, drop_redundant=drop_redundant)
        named = format == "alist" or bool(_HALF_NAME.search(Path(read.name).stem))
        other = ""
        if not (found.barred or symplectic) and (named or found.divided):
            qubits = f"a CSS code on {found.matrix.shape[1]} qubits"
            other = f"one half of {qubits}" if named else f"hx and hz of {qubits}, one after the other"
        return _code_of_matrix(found.matrix, other, drop_redundant)
    match format:
        case "paulis":
            return _code_of_paulis(read_pauli_text(read.text), k, drop_redundant)
        case "json":
            return StabilizerCode.from_json(read.text)
        case "stim":
            if k is None and _SIZES.search(read.text) is None:
                parsed_circuit(read.text)  # what is no circuit lacks more than k
            n, k = _sizes(read.text, k)
            return StabilizerCode.from_circuit(read.text, k, n=n)
        case _:
            circuit, n = circuit_from_qasm(read.text, format)
            return StabilizerCode.from_circuit(circuit, _sizes(read.text, k)[1], n=n)


class _Matrix(NamedTuple):
    """A matrix, or the pair hx and hz; whether it says itself that it is [X | Z]; whether its rows stand in blocks."""

    matrix: Any
    barred: bool = False
    divided: bool = False


def _matrix(read: CodeSource, format: ReadableFormat) -> _Matrix:  # noqa: A002
    match format:
        case "check_matrix":
            binary = read_binary_text(read.text)
            return _Matrix(binary.matrix, binary.barred, binary.divided)
        case "alist":
            return _Matrix(matrix_from_alist(read.text), CHECK_MATRIX_MARK in read.text)
        case "mtx":
            return _Matrix(matrix_from_mtx(read.text.lstrip()), CHECK_MATRIX_MARK in read.text)
        case "npy":
            return _Matrix(matrix_from_npy(read.binary))
        case "npz":
            return _Matrix(matrices_from_npz(read.binary))
        case _:
            raise CodeError(f"format {format}; expected a binary matrix ({', '.join(_MATRICES)})")


def _code_of_matrix(matrix: NDArray[np.uint8], other: str, drop_redundant: bool) -> StabilizerCode:
    """The code of [X | Z], unless there is an `other` reading."""
    rows, columns = matrix.shape
    if columns % 2:
        raise CodeError(
            f"a matrix of {columns} columns, which is odd; expected 2n columns [X | Z], or hx and hz of a CSS code "
            "as a pair"
        )
    try:
        code = StabilizerCode(matrix, drop_redundant=drop_redundant)
    except CodeError as error:
        if not other:
            raise
        raise CodeError(f"read as [X | Z], {error}; or, if this is {other}, give the pair hx and hz") from error
    if other:
        raise CodeError(
            f"{rows} rows of {columns} columns are either the check matrix [X | Z] of the [[{code.n},{code.k}]] code "
            f"(say symplectic), or {other} (give the pair hx and hz)"
        )
    return code


def _code_of_paulis(read: PauliText, k: int | None, drop_redundant: bool) -> StabilizerCode:
    if read.x_images is None:
        return StabilizerCode.from_paulis(read.strings, drop_redundant=drop_redundant)
    if k is None:
        raise CodeError("a tableau does not say how many qubits carry the logical input; give k (0 for a state)")
    matrix, signs = parse_paulis(read.strings)
    if not 0 <= k <= len(matrix) or 2 * len(matrix) != matrix.shape[1] or len(read.x_images) != len(matrix):
        raise CodeError(f"k is {k}; expected 0 to n = {len(matrix)} logical qubits, and as many images of X as of Z")
    if k == 0:
        return StabilizerCode(matrix, signs=signs)
    logical_x = parse_paulis(read.x_images, "image of X")[0]
    return StabilizerCode(
        matrix[k:], signs=None if signs is None else signs[k:], logical_x=logical_x[:k], logical_z=matrix[:k]
    )


def _sizes(text: str, k: int | None) -> tuple[int | None, int]:
    """(n, k) of an encoder: k from the argument or from the comment that writers leave; n is None without one."""
    match = _SIZES.search(text)
    if match is None and k is None:
        raise CodeError("an encoding circuit does not say how many qubits carry the logical input; give k")
    if match is None:
        return None, int(k or 0)
    if k is not None and k != int(match[2]):
        raise CodeError(f"the comment says k={match[2]}; {k} was given")
    return int(match[1]), int(match[2])
