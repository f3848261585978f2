"""Qiskit's values through the codec: equal ones come back, and what is not ours is refused."""

import math
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import AncillaRegister, ClassicalRegister, Parameter, ParameterVector, QuantumRegister, Qubit
from qiskit.circuit.library import PauliEvolutionGate, QFTGate, RXGate, StatePreparation, XGate, efficient_su2
from qiskit.circuit.random import random_circuit
from qiskit.primitives import BitArray
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import (
    Choi,
    Clifford,
    Kraus,
    Operator,
    Pauli,
    PauliList,
    ScalarOp,
    SparsePauliOp,
    StabilizerState,
    Statevector,
    SuperOp,
    random_clifford,
    random_density_matrix,
    random_quantum_channel,
    random_statevector,
)
from qiskit.result import Counts
from qiskit.transpiler import CouplingMap

from qecforge.sandbox.inside.codec import Codec, CodecError
from qecforge_qiskit_tasks import warming
from qecforge_qiskit_tasks.codec.circuits import flatten_circuit, rebuild_circuit
from qecforge_qiskit_tasks.codec_types import CODEC_TYPES, notes

CODEC = Codec(CODEC_TYPES)


class Flat:
    """What a program writes that says it is of a type."""

    def __init__(self, flat):
        self.flat = flat


def frame_of(name, flat):
    kind = next(each for each in CODEC_TYPES if each.name == name)
    liar = kind._replace(matches=lambda value: type(value) is Flat, flatten=lambda value: value.flat)
    return Codec([liar]).encode(Flat(flat))


def through(value):
    return CODEC.decode(CODEC.encode(value))


@pytest.mark.parametrize("seed", range(12))
def test_random_circuits_come_back_equal(seed):
    circuit = random_circuit(5, 6, max_operands=4, measure=seed % 2 == 0, reset=seed % 3 == 0, seed=seed)
    assert through(circuit) == circuit


def test_registers_bits_and_names_come_back():
    circuit = QuantumCircuit(
        QuantumRegister(2, "a"), AncillaRegister(1, "anc"), ClassicalRegister(2, "c"), name="mine", global_phase=0.5
    )
    circuit.cx(0, 1, ctrl_state=0)
    circuit.x(2, label="flip")
    circuit.barrier([0, 2])
    circuit.delay(100, 1, "ns")
    circuit.measure([0, 1], [1, 0])
    back = through(circuit)
    assert back == circuit
    assert [(type(each), each.name, each.size) for each in back.qregs] == [
        (type(each), each.name, each.size) for each in circuit.qregs
    ]
    assert (back.name, back.global_phase, back.data[1].operation.label) == ("mine", 0.5, "flip")
    loose = QuantumCircuit([Qubit(), Qubit()])
    loose.add_register(QuantumRegister(bits=loose.qubits[::-1], name="turned"))
    loose.h(1)
    back = through(loose)
    assert [back.find_bit(bit).index for bit in back.qregs[0]] == [1, 0]
    assert back.find_bit(back.data[0].qubits[0]).index == 1


def test_gates_with_definitions():
    inner = QuantumCircuit(2, name="inner")
    inner.h(0)
    inner.cz(0, 1)
    circuit = QuantumCircuit(6)
    circuit.append(inner.to_gate(label="mine"), [1, 0])
    circuit.append(inner.to_gate().control(2, ctrl_state=1), [0, 1, 2, 3])
    circuit.append(QFTGate(3), [0, 1, 2])
    circuit.append(PauliEvolutionGate(SparsePauliOp(["XX", "ZZ"], [0.3, 0.2]), 0.7), [2, 3])
    circuit.mcx([0, 1, 2, 3], 4)
    circuit.unitary(Operator(inner).data, [3, 4])
    circuit.append(random_clifford(2, seed=1), [4, 5])
    back = through(circuit)
    assert back.count_ops() == circuit.count_ops()
    assert back.data[0].operation.label == "mine"
    expected = circuit.decompose("PauliEvolution")  # scipy warns of how Qiskit exponentiates
    assert np.allclose(Operator(back).data, Operator(expected).data)


def test_annotated_operations_and_preparations():
    circuit = QuantumCircuit(4)
    circuit.prepare_state([0.6, 0, 0, 0.8j], [0, 1])
    circuit.append(QFTGate(2).control(1, annotated=True).inverse(annotated=True), [0, 1, 2])
    back = through(circuit)
    assert np.allclose(Statevector(back).data, Statevector(circuit).data)
    begun = QuantumCircuit(1)
    begun.initialize([0.6, 0.8])
    assert np.allclose(Statevector(through(begun)).data, [0.6, 0.8])


def test_parameters_keep_their_identity():
    theta, phi = Parameter("theta"), Parameter("phi")
    vector = ParameterVector("v", 3)
    circuit = QuantumCircuit(2, global_phase=phi)
    circuit.rx(theta, 0)
    circuit.ry(2 * theta + phi / 3 - 1, 1)
    circuit.rz((theta * phi).sin() ** 2, 0)
    circuit.crx(vector[2] - vector[0], 0, 1)
    back, parameter = through([circuit, theta])
    assert back == circuit
    assert parameter == theta
    assert list(back.parameters) == list(circuit.parameters)
    values = {theta: 0.3, phi: 0.7, vector[0]: 0.1, vector[2]: 0.9}
    assert np.allclose(Operator(back.assign_parameters(values)).data, Operator(circuit.assign_parameters(values)).data)
    ansatz = efficient_su2(3, reps=1)
    assert through(ansatz) == ansatz


def test_parameters_within_definitions_can_be_bound():
    theta = Parameter("theta")
    inner = QuantumCircuit(1, name="inner")
    inner.rx(theta, 0)
    circuit = QuantumCircuit(1)
    circuit.append(inner.to_gate(), [0])
    bound = through(circuit).assign_parameters({theta: 0.4})
    expected = circuit.assign_parameters({theta: 0.4})
    assert np.allclose(Operator(bound).data, Operator(expected).data)


def test_layouts_come_back():
    backend = GenericBackendV2(5, coupling_map=[[0, 1], [1, 2], [2, 3], [3, 4]], seed=1)
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 2)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    done = transpile(circuit, backend, optimization_level=2, seed_transpiler=3)
    back = through(done)
    assert back.layout.initial_index_layout() == done.layout.initial_index_layout()
    assert back.layout.final_index_layout() == done.layout.final_index_layout()
    assert np.allclose(Operator.from_circuit(back).data, Operator.from_circuit(done).data)


@pytest.mark.parametrize(
    "value",
    [
        random_statevector(6, seed=1),
        random_statevector((2, 3), seed=1),
        random_density_matrix((2, 2), seed=2),
        Operator(np.arange(8).reshape(2, 4) + 1j),
        SparsePauliOp(["XIZ", "YYI"], [0.5, -2j]),
        random_clifford(3, seed=4),
        Pauli("-iXYZ"),
        PauliList(["XX", "-ZI"]),
        BitArray.from_counts({"01101": 3, "10010": 2}),
        Choi(random_quantum_channel(2, 4, seed=1)),
        SuperOp(random_quantum_channel(4, 2, seed=2)),
        Kraus(random_quantum_channel(2, 2, seed=3)),
        Kraus(([np.eye(2), np.diag([0, 1])], [np.eye(2), np.diag([1, 0])])),
        ScalarOp((2, 3), 0.5j),
        StabilizerState(random_clifford(3, seed=5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_equal(value):
    back = through(value)
    assert type(back) is type(value)
    assert np.all(back == value)


def test_coupling_maps_come_back():
    edges = [(0, 1), (1, 0), (3, 1)]
    back = through(CouplingMap(edges))
    assert (back.size(), list(back.get_edges())) == (4, edges)


def test_counts_come_back_as_counts():
    back = through({"here": Counts({"00": 10, "11": 5})})["here"]
    assert back == {"00": 10, "11": 5}
    assert type(back) is Counts


def circuit_flat():
    circuit = QuantumCircuit(2, 1)
    circuit.rx(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.measure(1, 0)
    return flatten_circuit(circuit)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("name", 3),
        ("bits", [2, -1]),
        ("bits", [10**9, 1]),
        ("bits", [2, True]),
        ("registers", [["q", "q", [0, 5]]]),
        ("registers", [["q", "q", [0, 0]], ["c", "c", [0]]]),
        ("registers", [["evil", "q", [0, 1]]]),
        ("phase", math.nan),
        ("phase", ["exec", "x"]),
        ("operations", [["s", "__import__", [], None, None]]),
        ("operations", [["s", "rx", [math.inf], None, None]]),
        ("operations", [["s", "rx", [1, 2], None, None]]),
        ("operations", [["s", "h", [], None, 7]]),
        ("operations", [["g", "h", 1, 0, [], None, None, None]]),
        ("operations", [["u", np.eye(2) * 2 + 0j, None]]),
        ("operations", [["u", np.full((2, 2), np.nan + 0j), None]]),
        ("operations", [["b", 10**9, None]]),
        ("steps", np.array([9], np.int32)),
        ("steps", np.array([1, 0, 0], np.int32)),
        ("steps", np.array([1, 0], np.int32)),
        ("steps", np.array([-1, 0], np.int32)),
        ("steps", [0, 0]),
        ("layout", [[0, 0], None, 2]),
        ("parameters", [["a", b"short"]]),
        ("parameters", [["v", bytes(16), 10**9, 1]]),
    ],
)
def test_what_is_no_circuit_is_refused(key, wrong):
    flat = circuit_flat()
    rebuild_circuit(flat)
    with pytest.raises(Exception):  # noqa: B017, PT011  # ours, or Qiskit's own refusal; the codec makes one of both
        rebuild_circuit({**flat, key: wrong})


def test_definitions_that_multiply_are_refused():
    """Ten levels of ten uses each are 10^10 operations in a few hundred bytes."""
    definition = {**flatten_circuit(QuantumCircuit(1))}
    definition.pop("parameters")
    definition["operations"], definition["steps"] = [["s", "x", [], None, None]], np.array([0, 0] * 10, np.int32)
    for level in range(8):
        row = ["g", f"level_{level}", 1, 0, [], None, definition, None]
        definition = {**definition, "operations": [row]}
    with pytest.raises(ValueError, match="more than 262,144 operations"):
        rebuild_circuit({**definition, "parameters": []})


@pytest.mark.parametrize(
    ("name", "flat"),
    [
        ("qiskit.statevector", [[2, 2], np.zeros(3, complex)]),
        ("qiskit.statevector", [[2], np.array([np.nan, 0], complex)]),
        ("qiskit.operator", [[[2], [2]], np.eye(4, dtype=complex)]),
        ("qiskit.sparse_pauli_op", [["XQ"], np.ones(1, complex)]),
        ("qiskit.sparse_pauli_op", [["X", "XX"], np.ones(2, complex)]),
        ("qiskit.clifford", np.zeros((4, 5), bool)),
        ("qiskit.counts", {"0x": 3}),
        ("qiskit.counts", {"00": -1}),
        ("qiskit.counts", {"00": math.nan}),
        ("qiskit.bit_array", [3, np.full((2, 1), 255, np.uint8)]),
        ("qiskit.pauli", ["X; import os"]),
        ("qiskit.choi", [[[2], [2]], np.eye(2, dtype=complex)]),
        ("qiskit.superop", [[[2], [3]], np.eye(4, dtype=complex)]),
        ("qiskit.kraus", [[[2], [2]], []]),
        ("qiskit.kraus", [[[2], [2]], [np.zeros((1, 2, 2), complex), np.zeros((2, 2, 2), complex)]]),
        ("qiskit.scalar_op", [[2], math.nan]),
        ("qiskit.scalar_op", [[10**9, 10**9], 1.0]),
        ("qiskit.stabilizer_state", np.zeros((4, 5), bool)),
        ("qiskit.coupling_map", [10**9, []]),
        ("qiskit.coupling_map", [2, [[0, 2]]]),
    ],
)
def test_what_is_no_value_is_refused(name, flat):
    with pytest.raises(CodecError):
        CODEC.decode(frame_of(name, flat))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 70_000) | st.floats() | st.text(max_size=4) | st.binary(max_size=16),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.sampled_from(["s", "p", "g", "u", "b", "d", "a", "+", "sin"]).map(lambda k: [k])
    ),
    max_leaves=12,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(CODEC_TYPES), PLAIN)
def test_anything_else_gives_one_kind_of_error(kind, flat):
    frame = frame_of(kind.name, flat)
    try:
        CODEC.decode(frame)
    except CodecError:
        return


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(circuit_flat())), PLAIN)
def test_a_circuit_with_anything_in_a_place_is_one_or_refused(key, flat):
    frame = frame_of("qiskit.circuit", {**circuit_flat(), key: flat})
    try:
        assert isinstance(CODEC.decode(frame), QuantumCircuit)
    except CodecError:
        return


def test_cliffords_are_clifford():
    assert isinstance(through(Clifford(QuantumCircuit(2))), Clifford)


def test_single_operations_come_back():
    assert through(XGate()) == XGate()
    assert through(RXGate(0.3)) == RXGate(0.3)
    prepared = through(StatePreparation(2, 2))
    assert np.allclose(np.abs(Operator(prepared).data[:, 0]), [0, 0, 1, 0])


def test_what_fork_servers_use_once_is_not_counted():
    """Nor does it leave a thread, without which none could fork."""
    before = threading.active_count()
    warming.use_once()
    assert set(notes().values()) == {0.0}
    assert threading.active_count() <= before
