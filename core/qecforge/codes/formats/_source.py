"""Where a code comes from: a file, bytes or text; and in which format it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from qecforge.codes.formats._binary_text import is_binary_text
from qecforge.codes.formats._lines import shown
from qecforge.codes.formats._pauli_text import is_pauli_text
from qecforge.errors import CodeError, did_you_mean
from qecforge.machine.files import size_words, too_large

__all__ = ["CodeFormat", "CodeSource", "ReadableFormat", "read_source", "recognised", "require_format"]

CodeFormat: TypeAlias = Literal["paulis", "json", "stim", "qasm3", "alist", "check_matrix", "qasm2", "mtx"]
ReadableFormat: TypeAlias = Literal[
    "paulis", "json", "stim", "qasm3", "alist", "check_matrix", "qasm2", "mtx", "npy", "npz"
]
_FORMATS: tuple[ReadableFormat, ...] = get_args(ReadableFormat)
_MAX_BYTES = 64_000_000
_MAGIC: dict[bytes, ReadableFormat] = {b"\x93NUMPY": "npy", b"PK\x03\x04": "npz"}
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_WORD = re.compile(r"\s*([A-Za-z][A-Za-z_0-9]*)(?=[\s(\[{]|$)")
_STIM_CIRCUIT = re.compile(r"\s*stim\.Circuit\(\s*\'\'\'(.*)\'\'\'\s*\)\s*", re.DOTALL)


@dataclass(frozen=True)
class CodeSource:
    """What was read.

    Attributes:
        name: The file's name, or `code`.
        content: Bytes of a binary format, else the text.
    """

    name: str
    content: bytes | str

    @property
    def text(self) -> str:
        """The text. Raises `CodeError` where the format is binary."""
        if isinstance(self.content, bytes):
            raise CodeError("a file of numpy; expected text (or the format npy or npz)")
        return self.content

    @property
    def binary(self) -> bytes:
        """The bytes. Raises `CodeError` where it is text."""
        if isinstance(self.content, str):
            raise CodeError("text; expected a file that numpy wrote")
        return self.content


def read_source(source: str | bytes | Path) -> CodeSource:
    """Read a `Path`, a string that names an existing file, or take the text or bytes themselves.

    Text is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        CodeError: the file cannot be read, is empty, too large, or neither text nor numpy's.
    """
    name = "code"
    if isinstance(source, str) and "\n" not in source and 0 < len(source) < 4096 and "\0" not in source:
        path = Path(source)
        source = path if _is_file(path) else source
    if isinstance(source, Path):
        name = str(source)
        try:
            with source.open("rb") as file:
                source = file.read(_MAX_BYTES + 1)
                large = too_large(file, _MAX_BYTES) if len(source) > _MAX_BYTES else ""
        except OSError as error:
            raise CodeError(f"{name}: cannot be read ({error.strerror or error}); expected a file of a code") from error
        if large:
            raise CodeError(f"{name}: {large}: give the file of a code")
    if len(source) > _MAX_BYTES:
        raise CodeError(f"{name}: has more than {size_words(_MAX_BYTES)}: give a code")
    if isinstance(source, bytes) and not any(source.startswith(magic) for magic in _MAGIC):
        encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if source.startswith(mark)), "utf-8")
        try:
            source = source.decode(encoding)
            if not any("!" <= letter <= "~" for letter in source) and source.strip():
                raise UnicodeDecodeError(encoding, b"", 0, 0, "no letter that a code is written in")
        except UnicodeDecodeError as error:
            raise CodeError(f"{name}: not text; expected one of the formats {', '.join(_FORMATS)}") from error
    if isinstance(source, str):
        source = _circuit_inside(source.removeprefix("\ufeff"))
        if "\0" in source:
            raise CodeError(f"{name}: not text (UTF-16 without its mark?); expected one of {', '.join(_FORMATS)}")
    if not source.strip():
        raise CodeError(f"{name}: empty; expected a code as {', '.join(_FORMATS)}")
    return CodeSource(name, source)


def _circuit_inside(text: str) -> str:
    """The circuit of stim's `repr` of one; any other text as it is."""
    match = _STIM_CIRCUIT.fullmatch(text)
    return text if match is None else match[1]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def recognised(source: CodeSource) -> ReadableFormat:
    """The format of a source, by its content alone. Raises `CodeError` where there is none."""
    if isinstance(source.content, bytes):
        return next(name for magic, name in _MAGIC.items() if source.content.startswith(magic))
    text = source.content
    if text.lstrip().lower().startswith("%%matrixmarket"):
        return "mtx"
    if text.lstrip().startswith("{"):
        return "json"
    version = re.search(r"^\s*OPENQASM\s+([0-9.]+)?", text, flags=re.MULTILINE)
    if version:
        return "qasm2" if (version[1] or "").startswith("2") else "qasm3"
    if is_pauli_text(text):
        return "paulis"
    if _is_alist(text):
        return "alist"
    if is_binary_text(text):
        return "check_matrix"
    if _begins_with_gate(text):
        return "stim"
    alone = source.name == "code" and "\n" not in text.strip()
    hint = ", and there is no file of that name" if alone else ""
    raise CodeError(f"{shown(text)} is not a code in a known format{hint}; expected one of {', '.join(_FORMATS)}")


def _is_alist(text: str) -> bool:
    """Whether the text is whole numbers that begin as an alist does, and no matrix of 0 and 1."""
    lines = [line for line in (re.sub(r"(?:#|//|%).*", "", raw).split() for raw in text.splitlines()) if line]
    tokens = [token for line in lines for token in line]
    if not all(token.isdecimal() for token in tokens):
        return False
    if len(lines) < 2 or len(lines[0]) != 2 or len(lines[1]) != 2:
        return False
    if any(set(token) - {"0", "1"} for token in tokens):
        return True
    # Sizes such as `10 1` look like digits of a matrix; only in an alist do as many weights follow.
    return int(lines[0][0]) > 2 and len(lines) > 2 and len(lines[2]) == int(lines[0][0])


def _begins_with_gate(text: str) -> bool:
    """Whether the first word is one of stim's, in any case."""
    import stim

    body = "\n".join(line for line in (raw.split("#")[0].strip() for raw in text.splitlines()) if line)
    word = _WORD.match(body)
    if word is None:
        return False
    if word[1].upper() == "REPEAT":
        return True
    try:
        stim.gate_data(word[1].upper())
    except (IndexError, ValueError, KeyError):
        return False
    return True


def require_format(name: str, *, written: bool = False) -> None:
    """Raise `CodeError` unless `name` is a format, one that can be written where `written`."""
    known = get_args(CodeFormat) if written else _FORMATS
    if name not in known:
        raise CodeError(f"unknown format {name!r}; expected one of {', '.join(known)}.{did_you_mean(str(name), known)}")
