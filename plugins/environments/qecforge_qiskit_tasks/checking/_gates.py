"""What mutants know of Qiskit's gates: how their methods are called, and what is mistaken for what."""

from __future__ import annotations

__all__ = ["CALLED", "EXCHANGED", "SYMMETRIC"]

CALLED = {
    **dict.fromkeys(("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "id"), (0, 1)),
    **dict.fromkeys(("rx", "ry", "rz", "p"), (1, 1)),
    "u": (3, 1),
    **dict.fromkeys(("cx", "cy", "cz", "ch", "cs", "csdg", "csx", "swap", "iswap", "ecr", "dcx"), (0, 2)),
    **dict.fromkeys(("crx", "cry", "crz", "cp", "rxx", "ryy", "rzz", "rzx"), (1, 2)),
    "cu": (4, 2),
    **dict.fromkeys(("ccx", "ccz", "cswap"), (0, 3)),
    "measure": (0, 2),
    "reset": (0, 1),
}
"""Methods of a circuit: how many angles they take first, then how many qubits (of `measure` a qubit and a bit)."""

_PAIRS = {
    "h": "x", "x": "y", "y": "z", "z": "s", "s": "sdg", "sdg": "s", "t": "tdg", "tdg": "t", "sx": "sxdg", "sxdg": "sx",
    "rx": "ry", "ry": "rz", "rz": "rx", "p": "rx",
    "cx": "cz", "cy": "cx", "cz": "cx", "ch": "cx", "cs": "csdg", "csdg": "cs", "csx": "cx",
    "swap": "iswap", "iswap": "swap", "ecr": "cx", "dcx": "cx",
    "crx": "cry", "cry": "crz", "crz": "crx", "cp": "crx", "rxx": "ryy", "ryy": "rzz", "rzz": "rxx", "rzx": "rzz",
    "ccx": "ccz", "ccz": "ccx", "cswap": "ccx",
}  # fmt: skip
_CLASSES = {
    "HGate": "XGate", "XGate": "YGate", "YGate": "ZGate", "ZGate": "SGate", "SGate": "SdgGate", "SdgGate": "SGate",
    "TGate": "TdgGate", "TdgGate": "TGate", "SXGate": "SXdgGate",
    "RXGate": "RYGate", "RYGate": "RZGate", "RZGate": "RXGate", "PhaseGate": "RXGate",
    "CXGate": "CZGate", "CZGate": "CXGate", "SwapGate": "iSwapGate", "CCXGate": "CCZGate",
    "RXXGate": "RYYGate", "RYYGate": "RZZGate", "RZZGate": "RXXGate",
}  # fmt: skip
EXCHANGED = {**_PAIRS, **_CLASSES}
"""A gate that takes the same arguments and does something else, by method and by class."""

SYMMETRIC = frozenset({"cz", "cp", "cs", "csdg", "swap", "iswap", "rxx", "ryy", "rzz", "ccz"})
"""Gates that do the same with their qubits in any order."""
