"""Import and export of codes by format name.

| format | text |
| --- | --- |
| `paulis` | one generator a line, such as `XZZXI` or `-XZZXI`; `#` starts a comment |
| `json` | one object with n, k, generators and logical operators |
| `stim` | an encoding circuit; n and k stand in a comment |
| `qasm3` | the same in OpenQASM 3 |
| `alist` | the check matrix of 2n columns [X | Z] in MacKay's format; `css_to_alist` writes hx and hz apart |
| `check_matrix` | one generator a line, `10010|01100`, blanks and bars optional |
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _qasm3, _text
from qecforge.codes._alist import matrix_from_alist, matrix_to_alist
from qecforge.codes.stabilizer_code import StabilizerCode
from qecforge.errors import CodeError

__all__ = [
    "CodeFormat",
    "css_from_alist",
    "css_to_alist",
    "dump_code",
    "load_code",
]

CodeFormat: TypeAlias = Literal["paulis", "json", "stim", "qasm3", "alist", "check_matrix"]
_FORMATS: tuple[CodeFormat, ...] = get_args(CodeFormat)
_MAX_BYTES = 1 << 26
_SIZES = re.compile(r"(?:#|//) qecforge encoder: n=(\d{1,6}) k=(\d{1,6})\b")


def dump_code(code: StabilizerCode, format: CodeFormat, *, encoder: str | None = None) -> str:  # noqa: A002
    """The code as text that `load_code` reads back.

    Args:
        code: The code.
        format: One of the table above.
        encoder: For `stim` and `qasm3`: stim text of the encoding circuit to write, checked against the code; by
            default one is synthesised.

    Raises:
        CodeError: an unknown format, an encoder of another code, or a code without stabilizers in a format that has no
            place for n (`paulis`, `check_matrix`).
    """
    _require_format(format)
    if format in ("paulis", "check_matrix") and code.n == code.k:
        raise CodeError(f"{format}: the code has no stabilizers, and the format has no other place for n; use json")
    match format:
        case "paulis":
            return "".join(f"{text}\n" for text in code.stabilizers)
        case "json":
            return code.to_json() + "\n"
        case "stim":
            return _text.code_to_stim(code, encoder)
        case "qasm3":
            return _text.code_to_qasm3(code, encoder)
        case "alist":
            return code.to_alist()
        case "check_matrix":
            return "".join(f"{_digits(row[: code.n])}|{_digits(row[code.n :])}\n" for row in code.check_matrix)


def load_code(
    source: str | bytes | Path,
    format: CodeFormat | None = None,  # noqa: A002
    *,
    k: int | None = None,
    drop_redundant: bool = False,
) -> StabilizerCode:
    """A code from a file or from text.

    Args:
        source: A `Path`; a string that names an existing file; or the text itself.
        format: One of the table above; None recognises it by content.
        k: Logical qubits of an encoding circuit (`stim`, `qasm3`) whose comment does not say; elsewhere, and where the
            comment does, it must agree.
        drop_redundant: As for `StabilizerCode`.

    Raises:
        CodeError: the file cannot be read, or what it holds is not a code.
    """
    text, name = _read(source)
    if format is None:
        format = _recognise(text, name)  # noqa: A001
    _require_format(format)
    try:
        code = _parse(text, format, k, drop_redundant)
    except CodeError as error:
        raise CodeError(f"{name}: {error}") from error
    if k is not None and code.k != k:
        raise CodeError(f"{name}: k is {code.k}; {k} was expected")
    return code


def css_to_alist(code: StabilizerCode) -> tuple[str, str]:
    """Hx and hz of a CSS code, each as alist text. Raises `CodeError` for a code that is not CSS."""
    if code.css is None:
        raise CodeError("alist pair: the code is not CSS; use the format alist, whose matrix has 2n columns")
    return matrix_to_alist(code.css[0]), matrix_to_alist(code.css[1])


def css_from_alist(hx: str, hz: str, *, drop_redundant: bool = False) -> StabilizerCode:
    """The CSS code of two alist texts. Raises `CodeError` where they are not alist or give no code."""
    return StabilizerCode.from_css(matrix_from_alist(hx), matrix_from_alist(hz), drop_redundant=drop_redundant)


def _parse(text: str, format: CodeFormat, k: int | None, drop_redundant: bool) -> StabilizerCode:  # noqa: A002
    match format:
        case "paulis":
            return StabilizerCode.from_paulis(_pauli_tokens(text), drop_redundant=drop_redundant)
        case "json":
            return StabilizerCode.from_json(text)
        case "stim":
            return _code_from_stim(text, k)
        case "qasm3":
            return _code_from_qasm3(text, k)
        case "alist":
            return StabilizerCode(matrix_from_alist(text), drop_redundant=drop_redundant)
        case "check_matrix":
            return StabilizerCode(_binary_rows(text), drop_redundant=drop_redundant)


def _read(source: str | bytes | Path) -> tuple[str, str]:
    name = "code"
    if isinstance(source, str) and "\n" not in source and 0 < len(source) < 4096 and "\0" not in source:
        path = Path(source)
        source = path if _is_file(path) else source
    if isinstance(source, Path):
        name = str(source)
        try:
            with source.open("rb") as file:
                source = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise CodeError(f"{name}: cannot be read ({error.strerror or error}); expected a file of a code") from error
    if len(source) > _MAX_BYTES:
        raise CodeError(f"{name}: larger than {_MAX_BYTES >> 20} MiB; expected a code")
    if isinstance(source, bytes):
        try:
            source = source.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CodeError(f"{name}: not text; expected one of the formats {', '.join(_FORMATS)}") from error
    if not source.strip():
        raise CodeError(f"{name}: empty; expected a code as {', '.join(_FORMATS)}")
    return source, name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _recognise(text: str, name: str) -> CodeFormat:
    body = _without_comments(text)
    lines = body.split("\n")
    if body.startswith("{"):
        return "json"
    if re.search(r"^\s*OPENQASM\b", text, flags=re.MULTILINE):
        return "qasm3"
    if re.fullmatch(r"[+\-IXYZ_ixyz\s,;]+", body):
        return "paulis"
    if re.fullmatch(r"[01\s,|\[\]]+", body) and len({len(_binary(line)) for line in lines if _binary(line)}) == 1:
        return "check_matrix"
    if re.fullmatch(r"[\d\s]+", body) and len(lines[0].split()) == 2:
        return "alist"
    if re.match(r"[A-Z][A-Z_]*\b", body):
        return "stim"
    shown = " ".join(body.split())
    shown = repr(shown if len(shown) <= 40 else shown[:37] + "...")
    hint = ", and there is no file of that name" if name == "code" and "\n" not in text.strip() else ""
    raise CodeError(f"{name}: {shown} is no code in a format known here{hint}; expected one of {', '.join(_FORMATS)}")


def _without_comments(text: str) -> str:
    return "\n".join(line for line in (raw.split("#")[0].strip() for raw in text.splitlines()) if line)


def _pauli_tokens(text: str) -> list[str]:
    return [token for token in re.split(r"[\s,;]+", _without_comments(text)) if token]


def _binary(line: str) -> str:
    return re.sub(r"[\s,|\[\]]", "", line)


def _binary_rows(text: str) -> NDArray[np.uint8]:
    rows = [row for row in map(_binary, _without_comments(text).split("\n")) if row]
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]) or set(row) - {"0", "1"}:
            raise CodeError(f"check matrix row {index}: {row[:40]!r}; expected {len(rows[0])} digits 0 and 1")
    if not rows:
        raise CodeError("check matrix: no rows; expected one of 2n digits for each generator")
    return np.array([[int(digit) for digit in row] for row in rows], dtype=np.uint8)


def _digits(bits: NDArray[np.uint8]) -> str:
    return "".join(map(str, bits.tolist()))


def _require_format(name: str) -> None:
    if name not in _FORMATS:
        raise CodeError(f"unknown format {name!r}; expected one of {', '.join(_FORMATS)}")


def _code_from_stim(text: str, k: int | None) -> StabilizerCode:
    """The code of an encoding circuit; k from the argument or from the comment that `code_to_stim` writes."""
    n, k = _sizes(text, k)
    return StabilizerCode.from_circuit(text, k, n=n)


def _code_from_qasm3(text: str, k: int | None) -> StabilizerCode:
    """The code of an encoding circuit; k from the argument or from the comment that `code_to_qasm3` writes."""
    circuit, n = _qasm3.circuit_from_qasm3(text)
    return StabilizerCode.from_circuit(circuit, _sizes(text, k)[1], n=n)


def _sizes(text: str, k: int | None) -> tuple[int | None, int]:
    """(n, k) of an encoder's comment; n is None without one."""
    match = _SIZES.search(text)
    if match is None and k is None:
        raise CodeError("an encoding circuit does not say how many qubits carry the logical input; give k")
    if match is None:
        return None, int(k or 0)
    if k is not None and k != int(match[2]):
        raise CodeError(f"the comment says k={match[2]}; {k} was given")
    return int(match[1]), int(match[2])
