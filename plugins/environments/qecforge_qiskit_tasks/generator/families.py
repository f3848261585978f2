"""Families of operations that tasks are composed of: what is said, what is written, and how it was written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["FAMILIES", "QUBITS", "Family", "Operation"]

QUBITS = 3
"""Of each circuit."""
ANGLES = ("pi / 2", "pi / 4", "pi / 8", "pi / 3", "0.1", "0.3", "0.7", "1.2")


@dataclass(frozen=True)
class Operation:
    """One member of a family.

    Attributes:
        family: Its name.
        said: In English, one of several ways.
        code: Lines of a function that has the circuit `qc`.
        outdated: The same with a call that Qiskit no longer has; empty where there was none.
        imports: Lines that they need.
    """

    family: str
    said: str
    code: tuple[str, ...]
    outdated: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """Operations of one kind.

    Attributes:
        qubits: How many different qubits it is told; `angle` whether an angle.
        said: Ways to say it, with {a}, {b}, {c} for qubits and {t} for the angle.
        code: Its lines.
        outdated: Its lines with removed calls.
        last: Whether nothing may follow it.
        of_all: Whether it changes all that stands before it, rather than adding to it.
    """

    name: str
    qubits: int
    said: tuple[str, ...]
    code: tuple[str, ...]
    outdated: tuple[str, ...] = ()
    angle: bool = False
    imports: tuple[str, ...] = ()
    last: bool = False
    of_all: bool = False

    def draw(self, rng: Random) -> Operation:
        """A member, its qubits, angle and words drawn."""
        chosen = rng.sample(range(QUBITS), self.qubits)
        values = dict(zip("abc", map(str, chosen), strict=False), t=rng.choice(ANGLES), n=str(QUBITS))
        values["p"] = "".join(rng.choices("XYZ", k=QUBITS))
        fill = [each.format(**values) for each in (rng.choice(self.said), *self.code, *self.outdated)]
        pi = ("from numpy import pi",) if self.angle and "pi" in values["t"] else ()
        ends = 1 + len(self.code)
        return Operation(self.name, fill[0], tuple(fill[1:ends]), tuple(fill[ends:]), (*self.imports, *pi))


def _gate(name: str, qubits: int, *said: str, angle: bool = False, was: str = "", call: str = "") -> Family:
    places = ", ".join(("{a}", "{b}", "{c}")[:qubits])
    given = f"({{t}}, {places})" if angle else f"({places})"
    shown = places.replace(", ", " ")
    ways = said or ((f"{name} {{t}} on {shown}", f"{name} of {{t}} on {shown}") if angle else ())
    ways = ways or (f"{name} on {shown}", f"apply {name} to {shown}")
    outdated = (f"qc.{was}{given}",) if was else ()
    return Family(name, qubits, tuple(ways), (call or f"qc.{name}{given}",), outdated, angle)


_CONTROLLED = "on {b} controlled by {a}"
PARAMETER = "from qiskit.circuit import Parameter"
_ALL: Sequence[Family] = (
    _gate("h", 1, "h on {a}", "hadamard on {a}"),
    _gate("x", 1, "x on {a}", "flip qubit {a}"),
    _gate("y", 1),
    _gate("z", 1, "z on {a}", "phase flip on {a}"),
    _gate("s", 1),
    _gate("sdg", 1, "sdg on {a}", "inverse s on {a}"),
    _gate("t", 1),
    _gate("sx", 1, "sx on {a}", "square root of x on {a}"),
    _gate("rx", 1, angle=True),
    _gate("ry", 1, angle=True),
    _gate("rz", 1, angle=True),
    _gate("p", 1, "phase {t} on {a}", "p {t} on {a}", angle=True, was="u1"),
    _gate("cx", 2, "cx {a} {b}", f"x {_CONTROLLED}", was="cnot"),
    _gate("cy", 2, "cy {a} {b}", f"y {_CONTROLLED}"),
    _gate("cz", 2, "cz {a} {b}", f"z {_CONTROLLED}"),
    _gate("ch", 2, "ch {a} {b}", f"h {_CONTROLLED}"),
    _gate("swap", 2, "swap {a} {b}", "exchange {a} and {b}"),
    _gate("iswap", 2, "iswap {a} {b}", "iswap of {a} and {b}"),
    _gate("cp", 2, "cp {t} {a} {b}", f"phase {{t}} {_CONTROLLED}", angle=True, was="cu1"),
    _gate("crx", 2, "crx {t} {a} {b}", f"rx {{t}} {_CONTROLLED}", angle=True),
    _gate("cry", 2, "cry {t} {a} {b}", f"ry {{t}} {_CONTROLLED}", angle=True),
    _gate("crz", 2, "crz {t} {a} {b}", f"rz {{t}} {_CONTROLLED}", angle=True),
    _gate("rxx", 2, angle=True),
    _gate("rzz", 2, angle=True),
    _gate("ccx", 3, "toffoli {a} {b} {c}", "x on {c} controlled by {a} and {b}", was="toffoli"),
    _gate("cswap", 3, "fredkin {a} {b} {c}", "swap {b} {c} controlled by {a}", was="fredkin"),
    Family("mcx", 3, ("mcx {a} {b} to {c}",), ("qc.mcx([{a}, {b}], {c})",), ("qc.mct([{a}, {b}], {c})",)),
    Family("u", 1, ("u {t} 0 pi on {a}",), ("qc.u({t}, 0, pi, {a})",), ("qc.u3({t}, 0, pi, {a})",), angle=True,
           imports=("from numpy import pi",)),
    Family("bell", 2, ("bell pair on {a} {b}", "entangle {a} and {b}"), ("qc.h({a})", "qc.cx({a}, {b})"),
           ("qc.h({a})", "qc.cnot({a}, {b})")),
    Family("layer", 0, ("h on all", "hadamard on every qubit"), ("qc.h(range({n}))",)),
    Family("pauli", 0, ("pauli {p}", "pauli string {p}"), ('qc.pauli("{p}", range({n}))',)),
    Family("inverse", 0, ("invert the circuit", "take the inverse"), ("qc = qc.inverse()",), of_all=True),
    Family("reverse", 0, ("reverse the qubits", "reverse bits"), ("qc = qc.reverse_bits()",), of_all=True),
    Family("bound", 1, ("bind theta to {t} in ry theta on {a}", "ry theta on {a} with theta bound to {t}"),
           ('theta = Parameter("theta")', "qc.ry(theta, {a})", "qc = qc.assign_parameters({{theta: {t}}})"),
           ('theta = Parameter("theta")', "qc.ry(theta, {a})", "qc = qc.bind_parameters({{theta: {t}}})"),
           angle=True, imports=(PARAMETER,)),
    Family("measured", 0, ("measure all", "measure every qubit"), ("qc.measure_all()",), last=True),
)  # fmt: skip
FAMILIES = {family.name: family for family in _ALL}
"""By name, in a fixed order."""
