"""Binary matrices as text: rows of 0 and 1, as people, numpy, JSON, MATLAB, Magma and codetables.de write them.

The grammar. Comments (`#`, `//`, `%`) go first, then a numbering of the lines. Without brackets a line is a row; so
is what stands between semicolons. With brackets an innermost pair of them is a row, wherever lines break, unless
semicolons divide it. In a row, entries are 0 and 1, also as `1.0`, `1.000e+00` or `True`, apart by blanks or commas;
or words of digits, `10010`, that follow each other. One bar may stand in the middle of a row, between [X | Z].
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qecforge.codes.formats._lines import content_lines, shown, unnumbered
from qecforge.codes.formats._sparse_text import is_sparse_text, matrix_from_sparse_text
from qecforge.errors import CodeError

__all__ = ["BinaryText", "is_binary_text", "read_binary_text"]

_OPENING = re.compile(r"^\s*(?:\w+\s*=\s*)?(?:(?:np|numpy|galois|sympy)\.)?(?:array|matrix|asarray|GF|Matrix)\s*\(\s*")
_CLOSING = re.compile(r"\s*(?:,\s*(?:dtype|order|shape)\s*=\s*(?:[\w.<>|'\"^]+|\([\d, ]*\)))*\s*,?\s*\)\s*;?\s*$")
_ASSIGNMENT = re.compile(r"^\s*[A-Za-z]\w*\s*:?=\s*(?=\[)")
_ALPHABET = re.compile(r"(?:[\d\s.,:;|\[\]()+\-'\"eE]|True|False|true|false|\.\.\.)+")
_INNER_ARRAY = re.compile(r"\barray\(\s*(\[[^\[\]()]*\])\s*(?:,\s*dtype=[\w.]+\s*)?\)")
_SCALAR = re.compile(r"\b(?:np|numpy)\.(?:(?:u?int|float)\d*\(([^()]*)\)|(True|False)_)")
_NESTED = re.compile(r"[\[(]\s*[\[(]")
_MINUS_ZERO = re.compile(r"-0(?:\.0*)?")
_ENTRY = re.compile(r"\+?([01])(?:\.0*)?(?:[eE][+-]?0+)?|(True|true)|(False|false)")
_TRUTH = {"True": "1", "true": "1", "False": "0", "false": "0"}
_WORD = re.compile(r"[01]{2,}")
_PARAMETERS = re.compile(r"\[\[\s*(\d{1,6})\s*,\s*(\d{1,6})\s*[,\]]")
_HEADING = re.compile(r"^(?:.*,)?[ \t]*stabili[sz](?:er matrix|ed by):?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_BARRED_ROW = re.compile(r"\s*\[[01 \t]+\|[01 \t]+\]\s*")
_QUOTED = re.compile(r"""['"]([^'"]*)['"]""")
_MOST_ENTRIES = 1 << 26


@dataclass(frozen=True)
class BinaryText:
    """A matrix and what its text says of it.

    Attributes:
        matrix: (m, c) uint8.
        barred: Whether a bar divides rows into an X half and a Z half.
        divided: Whether blank lines or lines of comment divide the rows into blocks, as they do where hx and hz follow
            each other. (Of rows with a line between each, there are no blocks.)
    """

    matrix: NDArray[np.uint8]
    barred: bool
    divided: bool = False


def is_binary_text(text: str) -> bool:
    """Whether a text is of the letters of a binary matrix, and not of something else."""
    if _HEADING.search(text) or is_sparse_text(text):
        return True
    bare = _unwrapped("\n".join(line for _, line in content_lines(text)))
    return bool(re.search(r"\d|True|False|true|false", bare)) and _ALPHABET.fullmatch(bare) is not None


def read_binary_text(text: str) -> BinaryText:
    """The matrix of a text in the grammar above.

    Raises:
        CodeError: entries other than 0 and 1, ragged rows, bars out of place, entries that a printer left out, or text
            that has two readings, which the message names.
    """
    if _HEADING.search(text):
        return _of_codetables(text)
    if is_sparse_text(text):
        return BinaryText(matrix_from_sparse_text(text), False)
    lines = unnumbered(content_lines(text), letters=False)
    body = _unwrapped("\n".join(line for _, line in lines))
    if "..." in body:
        raise CodeError(
            "check matrix: entries are left out (...); print them all, for instance with "
            "numpy.set_printoptions(threshold=sys.maxsize), or save the matrix with numpy.save or numpy.savetxt"
        )
    rows = _rows(body)
    entries = [_entries(row, index) for index, row in enumerate(row for row in rows if row.strip(" \t\r\n,"))]
    read = _matrix(entries)
    divided = not _NESTED.match(body) and _in_blocks([number for number, _ in lines])
    return BinaryText(read.matrix, read.barred, divided)


def _in_blocks(numbers: list[int]) -> bool:
    """Whether lines of these numbers form several blocks."""
    starts = [0, *(i for i in range(1, len(numbers)) if numbers[i] > numbers[i - 1] + 1), len(numbers)]
    sizes = [end - start for start, end in pairwise(starts)]
    return len(sizes) == 2 or (len(sizes) > 2 and max(sizes) > 1)


def _unwrapped(body: str) -> str:
    """Without `array(` ... `, dtype=uint8)` or `H =` around it, rows and entries without `array(...)` and
    `np.int64(...)`."""
    body = _INNER_ARRAY.sub(r"\1", _SCALAR.sub(lambda match: match[1] or match[2], body))
    opening = _OPENING.match(body)
    if opening is not None:
        closing = _CLOSING.search(body, opening.end())
        if closing is not None:
            return body[opening.end() : closing.start()]
    return _ASSIGNMENT.sub("", body).strip().rstrip(";")


def _rows(body: str) -> list[str]:
    quoted: list[str] = [match[1] for match in _QUOTED.finditer(body)]
    if any(len(word) > 1 for word in quoted):
        rest = _QUOTED.sub("", body)
        if rest.strip("[]() \t\r\n,;"):
            raise CodeError(
                f"check matrix: {shown(rest)} stands outside quotation marks; expected one row in each pair"
            )
        return quoted
    if "[" in body or "(" in body:
        return _bracketed_rows(body)
    return [part for line in body.split("\n") for part in line.split(";")]


def _of_codetables(text: str) -> BinaryText:
    heading = _HEADING.search(text)
    assert heading is not None
    rows = []
    for line in text[heading.end() :].splitlines():
        if _BARRED_ROW.fullmatch(line):
            rows.append(line.strip().strip("[]"))
        elif rows:
            break
    if not rows:
        raise CodeError("stabilizer matrix: no rows such as [1 0 0 1 0|0 1 1 0 0] follow that heading; expected n - k")
    read = _matrix([_entries(row, index) for index, row in enumerate(rows)])
    parameters = _PARAMETERS.search(text[: heading.end()])
    if parameters is not None:
        n, k = int(parameters[1]), int(parameters[2])
        if read.matrix.shape != (n - k, 2 * n):
            raise CodeError(
                f"stabilizer matrix: {read.matrix.shape[0]} rows of {read.matrix.shape[1]} entries; the heading says "
                f"[[{n},{k}]], so {n - k} rows of {2 * n} were expected"
            )
    return read


def _bracketed_rows(body: str) -> list[str]:
    """What stands in each innermost pair of brackets."""
    rows: list[str] = []
    depth, start, deepest, closed, tops = 0, 0, 0, False, 0
    for place, letter in enumerate(body):
        if letter in "[(":
            if depth and not closed and body[start:place].strip(" \t\r\n,"):
                raise CodeError(
                    f"check matrix: {shown(body[start:place])} stands between brackets; expected rows alone"
                )
            depth, start, closed = depth + 1, place + 1, False
            deepest = max(deepest, depth)
            tops += depth == 1
        elif letter in "])":
            if not closed:
                rows += body[start:place].split(";")
            elif body[start:place].strip(" \t\r\n,;"):
                raise CodeError(
                    f"check matrix: {shown(body[start:place])} stands between brackets; expected rows alone"
                )
            depth, start, closed = depth - 1, place + 1, True
            if depth < 0:
                raise CodeError(
                    "check matrix: a bracket closes that was not opened; expected rows such as [1, 0, 0, 1]"
                )
        elif depth == 0 and letter not in " \t\r\n,;":
            raise CodeError(
                f"check matrix: {shown(body[place:])} stands outside brackets; expected rows such as [1, 0]"
            )
    if depth:
        raise CodeError("check matrix: a bracket is not closed; expected rows such as [1, 0, 0, 1]")
    if deepest > 2 or (deepest == 2 and tops > 1):
        raise CodeError(
            "check matrix: more than one matrix; expected one, its rows [X | Z]; give hx and hz of a CSS code as a pair"
        )
    return rows


def _entries(row: str, index: int) -> tuple[str, int | None]:
    """(digits of a row, where its bar stands or None)."""
    halves = row.split("|")
    digits = [_digits(half, index) for half in halves]
    if len(halves) > 2:
        raise CodeError(f"check matrix row {index}: {len(halves) - 1} bars; expected at most one, between X and Z")
    return "".join(digits), len(digits[0]) if len(halves) == 2 else None


def _digits(half: str, index: int) -> str:
    words = half.replace(",", " ").replace("'", " ").replace('"', " ").split()
    if "," in half.strip(" \t\r\n,") and any(_WORD.fullmatch(word) for word in words):
        raise CodeError(
            f"check matrix row {index}: {shown(half.strip())} is either one row of {sum(map(len, words))} entries "
            "(write it "
            f"without commas) or {len(words)} rows (write each on a line of its own)"
        )
    digits = []
    for word in words:
        if word in ("0", "1") or _WORD.fullmatch(word):
            digits.append(word)
            continue
        if _MINUS_ZERO.fullmatch(word):
            digits.append("0")
            continue
        entry = _ENTRY.fullmatch(word)
        if entry is None:
            raise CodeError(f"check matrix row {index}: entry {shown(word, 24)}; expected 0 or 1")
        digits.append(entry[1] or _TRUTH[word])
    return "".join(digits)


def _matrix(entries: list[tuple[str, int | None]]) -> BinaryText:
    if not entries or not entries[0][0]:
        raise CodeError("check matrix: no rows; expected one of 2n digits for each generator")
    width = len(entries[0][0])
    for index, (digits, bar) in enumerate(entries):
        if len(digits) != width:
            raise CodeError(
                f"check matrix: ragged rows: row {index} has {len(digits)} entries and row 0 has {width}; expected "
                "2n in each"
            )
        if bar is not None and 2 * bar != width:
            raise CodeError(
                f"check matrix row {index}: the bar stands after {bar} of {width} entries; expected it in the middle"
            )
    if len(entries) * width > _MOST_ENTRIES:
        raise CodeError(
            f"check matrix: {len(entries)} rows of {width} entries; expected at most {_MOST_ENTRIES} entries"
        )
    flat = np.frombuffer("".join(digits for digits, _ in entries).encode("ascii"), dtype=np.uint8)
    return BinaryText((flat - ord("0")).reshape(len(entries), width), any(bar is not None for _, bar in entries))
