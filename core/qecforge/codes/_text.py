"""Codes from and to JSON and encoding circuits as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qecforge.codes import _pauli, _qasm
from qecforge.codes._structure import CodeParts, CodeStructure
from qecforge.codes.encoders import encoding_circuit, parsed_circuit, verify_encoder
from qecforge.errors import CodeError

if TYPE_CHECKING:
    import stim

__all__ = ["code_from_json", "code_to_json", "code_to_qasm", "code_to_stim"]

_JSON_FORMAT = "qecforge.stabilizer_code"
_JSON_VERSION = 1


def code_to_json(code: CodeStructure) -> str:
    """See `StabilizerCode.to_json`."""
    return json.dumps(
        {
            "format": _JSON_FORMAT,
            "version": _JSON_VERSION,
            "n": code.n,
            "k": code.k,
            "stabilizers": list(code.stabilizers),
            "logical_x": [_pauli.format_pauli(row) for row in code.logical_x],
            "logical_z": [_pauli.format_pauli(row) for row in code.logical_z],
        }
    )


def code_from_json(text: str | bytes | Mapping[str, Any]) -> CodeParts:
    """See `StabilizerCode.from_json`."""
    if isinstance(text, Mapping):
        document: Any = dict(text)
    else:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CodeError(f"JSON: cannot be read ({error}); expected what `StabilizerCode.to_json` writes") from error
    if not isinstance(document, dict) or document.get("format") != _JSON_FORMAT:
        raise CodeError(f'JSON: not a stabilizer code; expected an object with "format": "{_JSON_FORMAT}"')
    if document.get("version") != _JSON_VERSION:
        raise CodeError(f"JSON: version {document.get('version')!r} is not known; expected {_JSON_VERSION}")
    n, k = document.get("n"), document.get("k")
    if type(n) is not int or type(k) is not int or not 0 <= k <= n or n < 1:
        raise CodeError(f"JSON: n is {n!r} and k is {k!r}; expected integers with 0 <= k <= n")
    rows: dict[str, Any] = {}
    signs = None
    for name, length in (("stabilizers", n - k), ("logical_x", k), ("logical_z", k)):
        value = document.get(name)
        if not isinstance(value, list) or len(value) != length:
            got = f"{len(value)} entries" if isinstance(value, list) else type(value).__name__
            raise CodeError(f"JSON: {name} is {got}; expected a list of {length} Pauli strings")
        matrix, negative = _pauli.parse_paulis(value, name) if value else (np.zeros((0, 2 * n), np.uint8), None)
        if matrix.shape[1] != 2 * n:
            raise CodeError(f"JSON: {name} act on {matrix.shape[1] // 2} qubits; n is {n}")
        rows[name] = matrix
        signs = negative if name == "stabilizers" else signs
    return CodeParts(rows["stabilizers"], signs, rows["logical_x"], rows["logical_z"])


def code_to_stim(code: CodeStructure, encoder: str | None = None) -> str:
    """See `StabilizerCode.to_stim`; `encoder` replaces the synthesised circuit once it is verified."""
    return f"# {_heading(code)}\n{_encoder(code, encoder)}\n"


def code_to_qasm(code: CodeStructure, encoder: str | None = None, *, version: Literal[2, 3] = 3) -> str:
    """See `StabilizerCode.to_qasm3`; `encoder` replaces the synthesised circuit once it is verified."""
    head, *lines = _qasm.circuit_to_qasm(_encoder(code, encoder), code.n, version).splitlines()
    return "\n".join([head, f"// {_heading(code)}", *lines]) + "\n"


def _heading(code: CodeStructure) -> str:
    return f"qecforge encoder: n={code.n} k={code.k}; qubits 0..k-1 carry the logical input, the others start in |0>"


def _encoder(code: CodeStructure, encoder: str | None) -> stim.Circuit:
    if encoder is None:
        return encoding_circuit(code)
    verify_encoder(code, encoder)
    return parsed_circuit(encoder)
