"""Codes to text; see the table of the package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _text
from qecforge.codes._alist import CHECK_MATRIX_MARK, matrix_to_alist
from qecforge.codes.formats._arrays import matrix_to_mtx
from qecforge.codes.formats._source import CodeFormat, require_format
from qecforge.codes.stabilizer_code import StabilizerCode
from qecforge.errors import CodeError

__all__ = ["css_to_alist", "dump_code"]


def dump_code(code: StabilizerCode, format: CodeFormat, *, encoder: str | None = None) -> str:  # noqa: A002
    """The code as text that `load_code` reads back.

    Args:
        code: The code.
        format: One of the package's table, but `npy` and `npz`.
        encoder: For `stim`, `qasm2` and `qasm3`: stim text of the encoding circuit to write, checked against the
        code; by
            default one is synthesised.

    Raises:
        CodeError: an unknown format, an encoder of another code, or a code without stabilizers in a format that has no
            place for n (`paulis`, `check_matrix`).
    """
    require_format(format, written=True)
    if format in ("paulis", "check_matrix") and code.n == code.k:
        raise CodeError(f"{format}: the code has no stabilizers, and the format has no other place for n; use json")
    match format:
        case "paulis":
            return "".join(f"{text}\n" for text in code.stabilizers)
        case "json":
            return code.to_json() + "\n"
        case "stim":
            return _text.code_to_stim(code, encoder)
        case "qasm2" | "qasm3":
            return _text.code_to_qasm(code, encoder, version=2 if format == "qasm2" else 3)
        case "alist":
            return code.to_alist()
        case "mtx":
            return matrix_to_mtx(code.check_matrix, CHECK_MATRIX_MARK)
        case "check_matrix":
            return "".join(f"{_digits(row[: code.n])}|{_digits(row[code.n :])}\n" for row in code.check_matrix)


def css_to_alist(code: StabilizerCode) -> tuple[str, str]:
    """Hx and hz of a CSS code, each as alist text. Raises `CodeError` for a code that is not CSS."""
    if code.css is None:
        raise CodeError("alist pair: the code is not CSS; use the format alist, whose matrix has 2n columns")
    return matrix_to_alist(code.css[0]), matrix_to_alist(code.css[1])


def _digits(bits: NDArray[np.uint8]) -> str:
    return "".join(map(str, bits.tolist()))
