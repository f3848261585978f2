"""Lists of Paulis as text: as people, JSON, stim, qiskit and qLDPC write them.

The grammar. Comments (`#`, `//`, `%`) go first, then a numbering of the lines. A line is one generator: letters without
blanks (`-XZZXI`), letters apart (`X Z Z X I`, qLDPC), or letters with the numbers of their qubits (`X0*X1`, `X0 X1`,
stim). Commas, semicolons and quotation marks divide generators. Qubit 0 is the leftmost letter; but what names itself
as qiskit's (`PauliList([...])`) has it rightmost, as qiskit means it.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from qecforge.codes._pauli_objects import label_from_coefficient
from qecforge.codes.formats._lines import content_lines, shown, unnumbered
from qecforge.errors import CodeError

__all__ = ["PauliText", "is_pauli_text", "read_pauli_text"]

_MOST_QUBITS = 1 << 13
_MOST_LETTERS = 1 << 25
_ALPHABET = re.compile(r"[+\-IXYZ_ixyzj\d\s,;:.()\[\]\"'*]+")
_LETTER = re.compile(r"[IXYZixyz_]")
_GATE = re.compile(r"^\s*(?:[A-Za-z]|II)\s+\d", re.MULTILINE)  # a line of a stim circuit such as `X 0`
_DENSE = re.compile(r"[+-]?[ij]?[IXYZ_]+|[+-]?[ixyz_]+")
_APART = re.compile(r"([+-]?[ij]?)\s*((?:[IXYZ_]\s+)+[IXYZ_]|(?:[ixyz_]\s+)+[ixyz_])")
_FACTOR = re.compile(r"([IXYZ]|[ixyz])_?(\d{1,9})")
_SPARSE = re.compile(rf"([+-]?[ij]?)\s*((?:{_FACTOR.pattern})(?:\s*\*?\s*(?:{_FACTOR.pattern}))*)")
_QUOTED = re.compile(r"""(['"])((?:(?!\1).)*)\1""")

_STIM_STRING = re.compile(r"""stim\.PauliString\(\s*(['"])([^'"]*)\1\s*\)""")
_STIM_TABLEAU = re.compile(
    r"\s*stim\.Tableau\.from_conjugated_generators\(\s*xs=\[(.*?)\],\s*zs=\[(.*?)\],?\s*\)\s*", re.DOTALL
)
_STIM_GRID = re.compile(r"\s*\+(?:-xz)+-\s*(?:\n\|.*)+\s*")
_QISKIT_PAULI = re.compile(r"""\bPauli\(\s*(['"])([^'"]*)\1\s*\)""")
_QISKIT_LIST = re.compile(r"\s*(?:PauliList|StabilizerState)\(\s*\[(.*)\]\s*\)\s*", re.DOTALL)
_QISKIT_SUM = re.compile(r"\s*SparsePauliOp\(\s*\[(.*?)\]\s*,\s*coeffs=\[(.*?)\]\s*\)\s*", re.DOTALL)
_QISKIT_CLIFFORD = re.compile(r"\s*Clifford: Stabilizer = \[(.*?)\], Destabilizer = \[(.*?)\]\s*", re.DOTALL)
_QISKIT_PAIR = re.compile(r"\(\s*'([^']*)'\s*,\s*(?:np\.complex128)?\(([^()]*)\)\s*\)")
_PRINTERS = (_STIM_STRING, _STIM_TABLEAU, _STIM_GRID, _QISKIT_PAULI, _QISKIT_LIST, _QISKIT_SUM, _QISKIT_CLIFFORD)


class PauliText(NamedTuple):
    """What a text holds.

    Attributes:
        strings: Generators as letters of equal number, qubit 0 leftmost, each with a sign or none; of a tableau the
            images of Z_0..Z_{n-1}.
        x_images: Of a tableau the images of X_0..X_{n-1}; None for a list of generators.
    """

    strings: list[str]
    x_images: list[str] | None = None


def is_pauli_text(text: str) -> bool:
    """Whether a text is of the letters of a list of Paulis, and not of something else."""
    body = "\n".join(line for _, line in content_lines(text))
    if any(printer.match(body.lstrip(" [\n")) for printer in _PRINTERS) or _is_pair_list(body):
        return True
    return bool(_LETTER.search(body)) and _ALPHABET.fullmatch(body) is not None and not _GATE.search(body)


def read_pauli_text(text: str) -> PauliText:
    """The Paulis of a text in the grammar above.

    Raises:
        CodeError: what is no Pauli, entries that a printer left out, or text that has two readings, which the message
            names.
    """
    if "..." in text:
        raise CodeError("Paulis: letters are left out (...); print them all, for instance as PauliList.to_labels()")
    printed = _printed(text)
    if printed is not None:
        return printed
    lines = unnumbered(content_lines(text), letters=True)
    body = "\n".join(line for _, line in lines)
    if any(mark in body for mark in "[('\""):
        return PauliText(_aligned(_listed(body)))
    return PauliText(_aligned(_line_readings([(f"line {number}", line) for number, line in lines])))


def _printed(text: str) -> PauliText | None:
    """What stim and qiskit print of their own objects."""
    body = "\n".join(line for _, line in content_lines(text))
    if match := _STIM_TABLEAU.fullmatch(body):
        xs, zs = ([found[2] for found in _STIM_STRING.finditer(part)] for part in match.groups())
        return PauliText(zs, xs)
    if _STIM_GRID.fullmatch(body):
        return _tableau_of_grid(body)
    for constructor, name in ((_STIM_STRING, "stim.PauliString"), (_QISKIT_PAULI, "Pauli")):
        if constructor.search(body):
            if rest := constructor.sub("", body).strip("[]() \t\r\n,;"):
                raise CodeError(f"Paulis: {shown(rest)} stands beside {name}(...); expected a list of those")
            read = [match[2] for match in constructor.finditer(body)]
            return PauliText(read if constructor is _STIM_STRING else [_reversed(label) for label in read])
    if match := _QISKIT_CLIFFORD.fullmatch(body):
        stabilizers, destabilizers = (_labels(part) for part in match.groups())
        return PauliText(stabilizers, destabilizers)
    if match := _QISKIT_LIST.fullmatch(body):
        return PauliText(_labels(match[1]))
    if match := _QISKIT_SUM.fullmatch(body):
        labels, coefficients = _labels(match[1]), match[2].split(",")
        if len(labels) != len(coefficients):
            raise CodeError(
                f"SparsePauliOp: {len(labels)} labels and {len(coefficients)} coefficients; expected as many"
            )
        return PauliText([_signed(label, number) for label, number in zip(labels, coefficients, strict=True)])
    if _is_pair_list(body):
        return PauliText([_signed(_reversed(match[1]), match[2]) for match in _QISKIT_PAIR.finditer(body)])
    return None


def _tableau_of_grid(body: str) -> PauliText:
    """What `str` of a stim tableau draws: a column of two letters for the images of X_i and Z_i, signs on top, and a
    line for each qubit."""
    heading, signs, *rows = [line.strip().lstrip("|").split() for line in body.strip().splitlines()]
    n = heading[0].count("xz")
    if len(rows) != n or any(len(row) != n or {len(pair) for pair in row} != {2} for row in (signs, *rows)):
        raise CodeError(f"tableau: expected a line of signs and {n} lines of {n} pairs of letters below +-xz-")
    xs, zs = ([signs[i][which] + "".join(row[i][which] for row in rows) for i in range(n)] for which in (0, 1))
    return PauliText(zs, xs)


def _is_pair_list(text: str) -> bool:
    """Whether the text is what qiskit's `SparsePauliOp.to_list` prints."""
    return bool(_QISKIT_PAIR.search(text)) and not _QISKIT_PAIR.sub("", text).strip("[] \t\r\n,")


def _labels(part: str) -> list[str]:
    """Labels of qiskit, in quotation marks, with qubit 0 leftmost."""
    if rest := _QUOTED.sub("", part).strip(" \t\r\n,"):
        raise CodeError(f"Paulis: {shown(rest)} stands between labels; expected labels in quotation marks")
    return [_reversed(match[2]) for match in _QUOTED.finditer(part)]


def _reversed(label: str) -> str:
    sign = label[: len(label) - len(label.lstrip("+-ij"))]
    return sign + label[len(sign) :][::-1]


def _signed(label: str, coefficient: str) -> str:
    try:
        return label_from_coefficient(label, complex(re.sub(r"\s", "", coefficient)))
    except ValueError as error:
        if isinstance(error, CodeError):
            raise
        raise CodeError(f"{label}: {shown(coefficient)} is no number; expected its coefficient 1 or -1") from error


def _listed(body: str) -> list[_Generator]:
    """Generators of a list in brackets or quotation marks, wherever lines break."""
    quoted = [match[2] for match in _QUOTED.finditer(body)]
    if not quoted:  # [XX, ZZ]
        items = [item.strip() for item in re.split(r"[,;\n]", re.sub(r"[\[\]()]", "\n", body)) if item.strip()]
        return [_generator(item, f"item {index}") for index, item in enumerate(items)]
    rest = _QUOTED.sub("", body)
    if rest.strip("[]() \t\r\n,;"):
        raise CodeError(f"Paulis: {shown(rest)} stands outside quotation marks; expected one generator in each pair")
    rows = re.findall(r"[\[(]([^\[\]()]*)[\])]", body)
    if len(rows) > 1 or body.count("[") > 1:  # [["X", "X"], ["Z", "Z"]]: a letter a qubit
        return [
            _generator(" ".join(match[2] for match in _QUOTED.finditer(row)), f"row {index}")
            for index, row in enumerate(rows)
        ]
    return [_generator(item, f"item {index}") for index, item in enumerate(quoted)]


def _line_readings(lines: list[tuple[str, str]]) -> list[_Generator]:
    """Generators of lines; commas and semicolons divide them, blanks do not."""
    generators: list[_Generator] = []
    for where, line in lines:
        items = [item.strip() for item in re.split(r"[,;]", line) if item.strip()]
        if len(items) > 1 and all(re.fullmatch(r"[IXYZ_]|[ixyz_]", item) for item in items):
            items = [" ".join(items)]  # X, X, I
        elif len(items) > 1 and ";" not in line and all(_FACTOR.fullmatch(item) for item in items):
            raise CodeError(
                f"{where}: {shown(line)} is either one generator, the product of these (write it with * instead of "
                "commas), "
                f"or {len(items)} generators of weight 1 (write each on a line of its own)"
            )
        generators += [_generator(item, where) for item in items]
    return generators


def _generator(item: str, where: str) -> _Generator:
    """A generator's letters, or what becomes letters once the number of qubits is known."""
    if _DENSE.fullmatch(item):
        return item
    if match := _APART.fullmatch(item):
        return match[1] + re.sub(r"\s", "", match[2])
    if match := _SPARSE.fullmatch(item):
        return _sparse(match[1], match[2], where)
    words = item.split()
    if len(words) > 1 and all(_DENSE.fullmatch(word) for word in words):
        return _Words(words, where)
    raise CodeError(f"{where}: {shown(item)} is not a Pauli; expected letters I, X, Y, Z such as -XZZXI, or X0*Z1")


class _Words:
    """Words of letters with blanks between: several generators or one, as the others' number of qubits says."""

    def __init__(self, words: list[str], where: str) -> None:
        self.words, self.where = words, where

    def strings(self, n: int | None) -> list[str]:
        """The generators on n qubits. Raises `CodeError` where n is not known, so that both readings are possible."""
        lengths = [len(word.lstrip("+-")) for word in self.words]
        if n is not None and set(lengths) == {n}:
            return self.words
        if n is not None and sum(lengths) == n and not any(word[0] in "+-" for word in self.words[1:]):
            return ["".join(self.words)]
        raise CodeError(
            f"{self.where}: {shown(' '.join(self.words))} is either {len(self.words)} generators (write each on a "
            f"line of its own, or commas between them) or one on {sum(lengths)} qubits (write it without blanks)"
        )


class _Sparse:
    """A generator by the numbers of its qubits."""

    def __init__(self, sign: str, letters: dict[int, str], where: str) -> None:
        self.sign, self.letters, self.where = sign, letters, where

    def strings(self, n: int | None) -> list[str]:
        """Its letters on n qubits, in a list. Raises `CodeError` where it acts on more."""
        length = max(self.letters) + 1
        if n is None or n < length:
            raise CodeError(f"{self.where}: acts on qubit {length - 1}; other generators have {n} letters")
        row = ["I"] * n
        for qubit, letter in self.letters.items():
            row[qubit] = letter
        return [self.sign + "".join(row)]


_Generator: TypeAlias = str | _Words | _Sparse


def _sparse(sign: str, product: str, where: str) -> _Sparse:
    letters: dict[int, str] = {}
    for match in _FACTOR.finditer(product):
        qubit = int(match[2])
        if qubit in letters:
            raise CodeError(f"{where}: qubit {qubit} occurs twice in {shown(product)}; multiply its letters out")
        if qubit >= _MOST_QUBITS:
            raise CodeError(f"{where}: qubit {qubit}; expected at most {_MOST_QUBITS} qubits, numbered from 0")
        letters[qubit] = match[1].upper()
    return _Sparse(sign, letters, where)


def _aligned(generators: list[_Generator]) -> list[str]:
    """All generators as letters; sparse ones as long as the others, or up to the highest qubit that any names."""
    dense = [each for each in generators if isinstance(each, str)]
    n = len(dense[0].lstrip("+-")) if dense else None
    sparse = [each for each in generators if isinstance(each, _Sparse)]
    if n is None and sparse:
        n = max(max(each.letters) for each in sparse) + 1
        if not any(0 in each.letters for each in sparse):
            raise CodeError(
                "no generator names qubit 0: either qubits are numbered from 1 (number them from 0), or qubit 0 of "
                f"{n} is acted on by none of them (write I0 in one)"
            )
    if (n or 0) * len(generators) > _MOST_LETTERS:
        raise CodeError(f"{len(generators)} Paulis on {n} qubits; expected at most {_MOST_LETTERS} letters in all")
    strings: list[str] = []
    for each in generators:
        strings += [each] if isinstance(each, str) else each.strings(n)
    return strings
