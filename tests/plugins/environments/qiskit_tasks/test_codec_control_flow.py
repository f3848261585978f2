"""Branches and loops through the codec: equal ones come back, and what is none is refused."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, IfElseOp, Parameter, QuantumRegister, Qubit
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import XGate
from qiskit_aer import AerSimulator

from qecforge.sandbox.inside.codec import Codec, CodecError
from qecforge_qiskit_tasks.codec.circuits import flatten_circuit, rebuild_circuit
from qecforge_qiskit_tasks.codec.control_flow import inlined
from qecforge_qiskit_tasks.codec_types import CODEC_TYPES, notes

CODEC = Codec(CODEC_TYPES)


def through(value):
    return CODEC.decode(CODEC.encode(value))


def empty():
    return QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "c"), ClassicalRegister(1, "d"))


def branches():
    circuit = empty()
    with circuit.if_test((circuit.clbits[0], 1), label="first") as otherwise:
        circuit.x(0)
    with otherwise:
        circuit.cx(0, 1)
    with circuit.if_test((circuit.cregs[0], 2)):
        circuit.x(2)
    with circuit.box(label="kept"):
        circuit.cz(0, 2)
    return circuit


def loops():
    circuit, angle = empty(), Parameter("angle")
    with circuit.while_loop(expr.less(circuit.cregs[0], 3)):
        circuit.h(0)
        circuit.measure(0, 0)
        with circuit.if_test((circuit.cregs[1], 1)):
            circuit.break_loop()
        with circuit.if_test(expr.logic_not(circuit.clbits[1])):
            circuit.continue_loop()
    with circuit.for_loop(range(1, 7, 2), angle):
        circuit.rx(2 * angle, 1)
    with circuit.for_loop((4, 2)):
        circuit.h(1)
    return circuit


def switches():
    circuit = empty()
    with circuit.switch(circuit.cregs[0]) as case:
        with case(0, 1):
            circuit.x(0)
        with case(case.DEFAULT):
            circuit.z(1)
    with circuit.switch(expr.bit_xor(circuit.cregs[0], 2)) as case, case(3):
        circuit.x(0)
    with circuit.switch(circuit.clbits[0]) as case, case(True):
        circuit.y(0)
    return circuit


def conditions():
    circuit = empty()
    bit, register = circuit.clbits[0], circuit.cregs[0]
    for condition in (
        expr.bit_xor(bit, expr.index(register, 1)),
        expr.equal(expr.bit_not(register), 1),
        expr.logic_or(expr.cast(register, types.Bool()), expr.lift(False)),
        expr.greater_equal(expr.shift_left(register, 1), 2),
        expr.less(expr.lift(0.25), expr.lift(0.5)),
        expr.equal(expr.add(register, 1), expr.lift(3, types.Uint(2))),
        expr.equal(expr.lift(7), register),
    ):
        with circuit.if_test(condition):
            circuit.y(1)
    return circuit


@pytest.mark.parametrize("made", [branches, loops, switches, conditions])
def test_branches_and_loops_come_back_equal(made):
    circuit = made()
    assert through(circuit) == circuit


def test_bits_of_a_body_are_those_of_the_circuit_around_or_its_own():
    body = QuantumCircuit([Qubit()], [Clbit()])
    body.measure(0, 0)
    with body.if_test((body.clbits[0], 1)):
        body.x(0)
    circuit = empty()
    circuit.append(IfElseOp((circuit.cregs[1], 1), body), [2], [1])
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.z(1)
    back = through(circuit)
    assert back == circuit
    assert set(back.data[0].operation.blocks[0].qubits).isdisjoint(back.qubits)
    assert back.data[1].operation.blocks[0].qubits == [back.qubits[1]]
    assert back.data[1].operation.blocks[0].cregs == [back.cregs[0]]


def test_what_comes_back_can_be_run():
    """Teleportation of |1>: the corrections depend on two measurements."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "m"), ClassicalRegister(1, "out"))
    circuit.x(0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(2)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.z(2)
    circuit.measure(2, 2)
    counts = AerSimulator(seed_simulator=1).run(through(circuit), shots=200).result().get_counts()
    assert {name.split()[0] for name in counts} == {"1"}


def test_parameters_within_branches_can_be_bound():
    angle = Parameter("angle")
    circuit = QuantumCircuit(1, 1)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.rx(angle, 0)
    bound = through(circuit).assign_parameters({angle: 0.4})
    assert bound == circuit.assign_parameters({angle: 0.4})


def test_every_branch_and_each_turn_of_a_loop_is_counted():
    circuit = loops()
    assert inlined(circuit).count_ops() == {"h": 3, "rx": 3, "measure": 1}
    with pytest.raises(ValueError, match="a while loop has no bound"):
        inlined(circuit, endless=False)
    assert inlined(branches(), endless=False).count_ops() == {"x": 2, "cx": 1, "cz": 1}
    before = dict(notes())
    through(branches())
    assert notes()["gates"] - before["gates"] == 4
    assert notes()["two_qubit_gates"] - before["two_qubit_gates"] == 2


def test_variables_are_refused():
    circuit = QuantumCircuit(1)
    variable = circuit.add_var("flag", False)
    with circuit.if_test(variable):
        circuit.x(0)
    with pytest.raises(TypeError, match="has no form here"):
        CODEC.encode(circuit)


def flat_of(kind):
    made = {"if": branches, "box": branches, "switch": switches, "while": loops, "for": loops}
    flat = flatten_circuit(made[kind]())
    return flat, next(i for i, row in enumerate(flat["operations"]) if row[0] == kind)


BIT = ["bit", 0]


@pytest.mark.parametrize(
    ("kind", "place", "wrong"),
    [
        ("if", 1, ["is", ["bit", 9], 1]),
        ("if", 1, ["is", ["register", 0], 4]),
        ("if", 1, ["is", ["register", -1], 0]),
        ("if", 1, ["is", ["unary", "BIT_NOT", BIT], 1]),
        ("if", 1, ["register", 0]),
        ("if", 1, ["value", "bool", 2]),
        ("if", 1, ["value", 2, 4]),
        ("if", 1, ["value", 10**9, 1]),
        ("if", 1, ["value", "float", math.nan]),
        ("if", 1, ["unary", "__class__", BIT]),
        ("if", 1, ["binary", "lift", BIT, BIT]),
        ("if", 1, ["cast", BIT, "object", True]),
        ("if", 2, 3),
        ("if", 3, []),
        ("if", 3, [[{}, [], []]]),
        ("while", 1, None),
        ("for", 1, ["range", 0, 10**12, 1]),
        ("for", 1, ["range", 0, 1, 0]),
        ("for", 1, [1.5]),
        ("for", 2, 0.5),
        ("switch", 1, ["register", 5]),
        ("switch", 2, [[0]]),
        ("switch", 2, [[0], [0]]),
        ("switch", 2, [["0"], [None]]),
        ("box", 1, -1.0),
        ("box", 1, math.inf),
        ("box", 2, "years"),
    ],
)
def test_what_is_no_branch_or_loop_is_refused(kind, place, wrong):
    flat, row = flat_of(kind)
    rebuild_circuit(flat)
    flat["operations"][row][place] = wrong
    with pytest.raises(Exception):  # noqa: B017, PT011  # ours, or Qiskit's own refusal; the codec makes one of both
        rebuild_circuit(flat)


@pytest.mark.parametrize("places", [[[9], [0]], [[0, 0], [0]], [[None, None], [0]], [[True], [0]], ["0", [0]]])
def test_places_of_a_body_are_checked(places):
    circuit = QuantumCircuit(2, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    flat = flatten_circuit(circuit)
    body = flat["operations"][0][3][0]
    rebuild_circuit(flat)
    body[1:] = places
    with pytest.raises(ValueError, match="bit"):
        rebuild_circuit(flat)


def test_loops_in_loops_are_bounded():
    """Four loops of a thousand turns each are 10^12 operations."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    for _ in range(4):
        outer = QuantumCircuit(1)
        outer.for_loop(range(1000), None, circuit, [0], [])
        circuit = outer
    with pytest.raises(ValueError, match="more than 262,144 operations"):
        rebuild_circuit(flatten_circuit(circuit))


def test_depth_is_bounded():
    circuit = QuantumCircuit(1, 1)
    circuit.append(XGate(), [0])
    for _ in range(12):
        outer = QuantumCircuit(1, 1)
        outer.append(IfElseOp((outer.clbits[0], 1), circuit), [0], [0])
        circuit = outer
    with pytest.raises(TypeError, match="deeper"):
        flatten_circuit(circuit)
    condition = expr.lift(True)
    for _ in range(40):
        condition = expr.logic_not(condition)
    circuit = QuantumCircuit(1)
    with circuit.if_test(condition):
        circuit.x(0)
    with pytest.raises(TypeError, match="deeper"):
        flatten_circuit(circuit)


WORDS = ["is", "bit", "register", "value", "cast", "unary", "binary", "index", "range", "BIT_NOT", "LESS", "bool", "dt"]
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 70_000)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.just(np.zeros(1, np.int32)),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=12,
)
OF = {"if": branches, "box": branches, "switch": switches, "while": loops, "for": loops}


class Flat:
    """What a program writes that says it is a circuit."""

    def __init__(self, flat):
        self.flat = flat


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(OF)), st.integers(1, 5), PLAIN)
def test_a_branch_or_loop_with_anything_in_a_place_is_one_or_refused(kind, place, wrong):
    flat, row = flat_of(kind)
    entries = flat["operations"][row]
    entries[1 + place % (len(entries) - 1)] = wrong
    frame = next(each for each in CODEC_TYPES if each.name == "qiskit.circuit")
    liar = frame._replace(matches=lambda value: type(value) is Flat, flatten=lambda value: value.flat)
    try:
        assert isinstance(CODEC.decode(Codec([liar]).encode(Flat(flat))), QuantumCircuit)
    except CodecError:
        return
