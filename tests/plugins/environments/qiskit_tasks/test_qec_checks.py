"""What the checks of QEC tasks accept and refuse, against brute force and stim."""

import random
from itertools import product

import numpy as np
import pytest
import stim
from qiskit import QuantumCircuit
from qiskit.quantum_info import Clifford, Operator, Pauli, random_clifford

from qecforge.codes import StabilizerCode, find_distance
from qecforge_qiskit_tasks.checks import qec, qec_circuits, qec_codes, qec_memory


def test_labels_are_little_endian():
    pauli = qec.pauli_of("-XIZ")
    assert (pauli[0], pauli[1], pauli[2], pauli.sign) == (3, 0, 1, -1)
    assert qec.label_of(pauli) == "XIZ"
    assert qec.label_of(pauli, signed=True) == "-XIZ"
    assert qec.bits_of(["XIZ"]).tolist() == [[0, 0, 1, 1, 0, 0]]


@pytest.mark.parametrize("wrong", [3, "", "xz", "iXX", "X Z", "+-X", None])
def test_what_is_no_label_is_refused(wrong):
    with pytest.raises(AssertionError, match="Pauli string"):
        qec.pauli_of(wrong)


def test_the_group_is_that_of_all_products():
    group = qec.SignedGroup(["-XXZ", "ZZI"], 3)
    elements = {"+III", "-XXZ", "+ZZI", "+YYZ"}  # XXZ ZZI = (XZ)(XZ)Z = (-iY)(-iY)Z = -YYZ
    for letters in product("IXYZ", repeat=3):
        for sign in "+-":
            pauli = qec.pauli_of(sign + "".join(letters))
            found = qec.label_of(pauli, signed=True) in elements, qec.label_of(-pauli, signed=True) in elements
            expected = int(found[0]) - int(found[1])
            assert group.sign_of(pauli) == expected, pauli
    assert group.rank == 2
    assert qec.SignedGroup(["-XXZ", "ZZI", "YYZ"], 3).rank == 2
    with pytest.raises(AssertionError, match="minus the identity"):
        qec.SignedGroup(["ZZ", "-ZI", "IZ"], 2)


def test_the_tableau_is_the_circuits():
    circuit = random_clifford(4, seed=3).to_circuit()
    tableau = qec.tableau_of(circuit, 4)
    for letters in product("IXYZ", repeat=4):
        label = "".join(letters)
        expected = Pauli(label).evolve(Clifford(circuit), frame="s").to_label()
        assert qec.label_of(tableau(qec.pauli_of(label)), signed=True).lstrip("+") == expected


def test_an_encoder_may_have_its_input_anywhere():
    circuit = QuantumCircuit(3)
    circuit.cx(2, 0)
    circuit.cx(2, 1)
    code = ["ZZI", "IZZ"]
    qec.is_encoder(circuit, code, {"X": "XXX", "Z": "ZII"}, inputs=[2])
    with pytest.raises(AssertionError, match="does not encode"):
        qec.is_encoder(circuit, code)
    with pytest.raises(AssertionError, match=r"Z on the logical input becomes \+ZII, expected XXX"):
        qec.is_encoder(circuit, code, {"Z": "XXX"}, inputs=[2])
    circuit.x(0)
    with pytest.raises(AssertionError, match="sign"):
        qec.is_encoder(circuit, code, inputs=[2])


def test_the_inputs_of_an_encoder_have_an_order():
    circuit = QuantumCircuit(2)
    circuit.cx(1, 0)
    qec.is_encoder(circuit, ["ZZ"], {"X": "XX"}, inputs=[1])
    swapped = QuantumCircuit(4)
    swapped.cx([0, 1], 2)
    swapped.h(3)
    swapped.cx(3, [0, 1, 2])
    images = {"IX": "IXIX", "XI": "IXXI"}
    qec.is_encoder(swapped, ["XXXX", "ZZZZ"], images, inputs=[0, 1])
    with pytest.raises(AssertionError, match="becomes"):
        qec.is_encoder(swapped, ["XXXX", "ZZZZ"], images, inputs=[1, 0])


def test_what_is_no_clifford_circuit_is_no_encoder():
    circuit = QuantumCircuit(2)
    circuit.t(0)
    with pytest.raises(AssertionError, match="Clifford"):
        qec.tableau_of(circuit, 2)
    with pytest.raises(AssertionError, match="2 qubits, expected 3"):
        qec.tableau_of(circuit, 3)
    with pytest.raises(AssertionError, match="expected a QuantumCircuit, got str"):
        qec.tableau_of("circuit", 3)


def test_a_group_has_many_generators():
    expected = qec_codes.known("five_qubit")
    qec.generate(qec_codes.known("five_qubit")[::-1], expected)
    product_of_two = qec.label_of(qec.pauli_of(expected[0]) * qec.pauli_of(expected[1]), signed=True)
    qec.generate([product_of_two, *expected[1:]], expected, independent=True)
    with pytest.raises(AssertionError, match="wrong sign"):
        qec.generate(["-" + expected[0], *expected[1:]], expected)
    with pytest.raises(AssertionError, match="3 of the Pauli strings are independent, expected 4"):
        qec.generate(expected[:3], expected)
    with pytest.raises(AssertionError, match="5 Pauli strings, of which 4"):
        qec.generate([*expected, product_of_two], expected, independent=True)
    with pytest.raises(AssertionError, match="not in the group"):
        qec.generate(["XXXXX"], expected)


def test_logical_operators_come_in_pairs():
    code = ["XXXX", "ZZZZ"]
    qec.are_logicals(["IXIX", "IXXI"], ["ZIIZ", "ZIZI"], code)
    for x, z, reason in (
        (["IXIX", "IXXI"], ["ZIZI", "ZIIZ"], "commute"),
        (["IXIX", "XXXX"], ["ZIIZ", "ZIZI"], "commute"),
        (["IXIX", "IIIX"], ["ZIIZ", "ZIZI"], "anticommutes with the stabilizer"),
        (["IXIX"], ["ZIIZ"], "1 operators, expected k = 2"),
        ("IXIX", ["ZIIZ", "ZIZI"], "expected a list"),
    ):
        with pytest.raises(AssertionError, match=reason):
            qec.are_logicals(x, z, code)


def test_a_transversal_gate_acts_as_it_should():
    circuit = QuantumCircuit(7)
    circuit.s(range(7))
    code = qec_codes.known("steane")
    qec.acts_as(circuit, code, {"X" * 7: "Y" * 7, "Z" * 7: "Z" * 7})
    with pytest.raises(AssertionError, match="expected -YYYYYYY"):
        qec.acts_as(circuit, code, {"X" * 7: "-" + "Y" * 7})
    circuit.h(0)
    with pytest.raises(AssertionError, match="no stabilizer"):
        qec.acts_as(circuit, code, {})


@pytest.mark.parametrize("name", ["four_two_two", "five_qubit", "steane", "cube", "shor", "surface_3"])
def test_distances_are_those_of_the_proof(name):
    expected = find_distance(qec_codes.KNOWN[name]()).value
    assert qec.distance_of(qec_codes.known(name)) == expected
    assert qec.distance_of(qec_codes.disguised(qec_codes.known(name))) == expected


def test_distances_of_random_codes():
    for _ in range(5):
        labels = qec_codes.random_code(5, 2)
        assert qec.distance_of(labels) == find_distance(qec.code_of(labels)).value, labels


def test_random_generators_have_the_rank_that_was_asked():
    for _ in range(10):
        labels = qec_codes.random_generators(6, 3, 7)
        assert len(labels) == 7
        assert StabilizerCode.from_paulis(labels, drop_redundant=True).k == 3, labels


def test_weights_are_the_lightest_of_the_coset():
    stabilizers = qec_codes.known("steane")
    rng = np.random.default_rng(5)
    x, z = rng.random((20, 7)) < 0.4, rng.random((20, 7)) < 0.4
    got, got_css = (qec.lightest_weights(x, z, stabilizers, css=css) for css in (False, True))
    group = [stim.PauliString(7)]
    for label in stabilizers:
        group += [each * qec.pauli_of(label) for each in group]
    for row in range(20):
        error = stim.PauliString.from_numpy(xs=x[row], zs=z[row])
        cosets = [(error * each).to_numpy() for each in group]
        assert got[row] == min(int((xs | zs).sum()) for xs, zs in cosets)
        assert got_css[row] == max(min(int(xs.sum()) for xs, _ in cosets), min(int(zs.sum()) for _, zs in cosets))


def test_circuits_are_read_as_they_are():
    """Gates by their unitaries, custom gates by their definitions, rotations by quarter turns."""
    rng = random.Random(7)
    inner = QuantumCircuit(2, name="inner")
    inner.cx(1, 0)
    inner.ry(np.pi / 2, 1)
    circuit = QuantumCircuit(3)
    for name in ("h", "s", "sdg", "sx", "sxdg", "x", "y", "z", "cx", "cy", "cz", "swap", "iswap", "ecr", "dcx"):
        two = name in ("cx", "cy", "cz", "swap", "iswap", "ecr", "dcx")
        getattr(circuit, name)(*rng.sample(range(3), 2 if two else 1))
    for name in ("rz", "rx", "p"):
        for turns in (1, 2, 3):
            getattr(circuit, name)(turns * np.pi / 2, rng.randrange(3))
    circuit.append(inner.to_gate(), [2, 0])
    tableau = qec_circuits.read_circuit(circuit).stim_circuit().to_tableau()
    unitary = Operator(circuit).data
    for letters in product("IXYZ", repeat=3):
        label = "".join(letters)
        image = qec.label_of(tableau(qec.pauli_of(label)), signed=True)
        expected = unitary @ Pauli(label).to_matrix() @ unitary.conj().T
        assert np.allclose(expected, Pauli(image).to_matrix()), label


def test_the_last_measurement_of_a_bit_counts():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    circuit.measure(1, 0)
    qec_circuits.measures(circuit, [0, 1], {"ZI": 0}, kept=[])
    with pytest.raises(AssertionError, match="should tell the value of IZ"):
        qec_circuits.measures(circuit, [0, 1], {"IZ": 0}, kept=[])


def test_rotations_that_are_no_quarter_turns_are_refused():
    circuit = QuantumCircuit(1)
    circuit.rz(0.3, 0)
    with pytest.raises(AssertionError, match=r"rz\(0.3\) is not a Clifford gate"):
        qec_circuits.read_circuit(circuit)
    controlled = QuantumCircuit(1, 1)
    with controlled.if_test((controlled.clbits[0], 1)):
        controlled.x(0)
    with pytest.raises(AssertionError, match="if_else is neither"):
        qec_circuits.read_circuit(controlled)


def parity_check(flagged):
    circuit = QuantumCircuit(6, 2)
    circuit.h(4)
    for step in range(4):
        if flagged and step in (1, 3):
            circuit.cx(4, 5)
        circuit.cx(4, step)
    circuit.h(4)
    circuit.measure([4, 5], [0, 1])
    return circuit


def test_faults_are_those_of_a_tableau_simulation():
    """Each fault's effect, from a run with that Pauli in its place, against one without."""
    circuit = parity_check(flagged=True)
    read = qec_circuits.read_circuit(circuit)
    faults = qec_circuits.single_faults(read, range(4))
    number = 0
    for step, (name, on) in enumerate(read.operations):
        kinds = ["X"] if name == "M" else ["X", "Y", "Z"] if len(on) == 1 else qec_circuits._TWO
        for letters in kinds:
            expected = propagated(read, step, dict(zip(on, letters, strict=True)), before=name == "M")
            assert qec.label_of(stim.PauliString.from_numpy(xs=faults.x[number], zs=faults.z[number])) == expected[0]
            assert faults.flips[number].tolist() == expected[1], faults.places[number]
            number += 1
    assert number == len(faults.places) == len(faults.x)


def propagated(read, step, letters, *, before):
    """By hand: a Pauli moved through the gates that follow; measurements are at the end of this circuit."""
    pauli = stim.PauliString(read.qubits)
    if before:  # a wrong result alone
        bit = next(
            bit for bit, record in read.record.items() if record == sum(n == "M" for n, _ in read.operations[:step])
        )
        return "IIII", [each == bit for each in sorted(read.record)]
    for qubit, letter in letters.items():
        pauli[qubit] = letter
    flips = [False] * len(read.record)
    for name, on in read.operations[step + 1 :]:
        if name == "M":
            bit = next(b for b, record in read.record.items() if read.operations[-2 + record][1] == on)
            flips[bit] = pauli[on[0]] in (1, 2)
        else:
            operation = stim.Circuit()
            operation.append(name, on)
            operation.append("I", [read.qubits - 1])
            pauli = pauli.after(operation)
    return qec.label_of(pauli[:4]), flips


def test_a_flag_makes_the_difference():
    with_flag, without = (qec_circuits.measures(parity_check(each), range(4), {"XXXX": 0}) for each in (True, False))
    qec_circuits.is_deterministic(with_flag, range(4), [1])
    qec_circuits.tolerates_one_fault(with_flag, range(4), ["XXXX"], [1])
    with pytest.raises(AssertionError, match="leaves an error of weight 2"):
        qec_circuits.tolerates_one_fault(without, range(4), ["XXXX"], [1])
    with pytest.raises(AssertionError, match="should be 0"):
        qec_circuits.is_deterministic(with_flag, range(4), [0])


def test_data_may_end_elsewhere():
    circuit = QuantumCircuit(3, 1)
    circuit.cx([0, 1], 2)
    circuit.measure(2, 0)
    circuit.swap(1, 2)
    qec_circuits.measures(circuit, [0, 1], {"ZZ": 0}, ends=[0, 2])
    with pytest.raises(AssertionError, match="disturbed"):
        qec_circuits.measures(circuit, [0, 1], {"ZZ": 0})


def test_what_is_measured_besides_is_noticed():
    circuit = QuantumCircuit(3, 2)
    circuit.cx([0, 1], 2)
    circuit.measure(2, 0)
    circuit.measure(0, 1)
    with pytest.raises(AssertionError, match="disturbed: XX"):
        qec_circuits.measures(circuit, [0, 1], {"ZZ": 0})


def test_prepared_states():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    read = qec_circuits.read_circuit(circuit)
    qec_circuits.prepares(read, [0, 1], ["XX", "ZZ", "-YY"])
    for label in ("-XX", "ZI"):
        with pytest.raises(AssertionError, match="should have the value"):
            qec_circuits.prepares(read, [0, 1], [label])


def generated(distance, rounds):
    return stim.Circuit.generated("surface_code:rotated_memory_z", distance=distance, rounds=rounds).flattened()


def test_noise_is_that_of_stims_generator():
    expected = stim.Circuit.generated(
        "repetition_code:memory",
        distance=3,
        rounds=2,
        after_clifford_depolarization=0.01,
        after_reset_flip_probability=0.01,
        before_measure_flip_probability=0.01,
    )
    noisy = qec_memory.with_noise(
        stim.Circuit.generated("repetition_code:memory", distance=3, rounds=2).flattened(), 0.01
    )
    qec_memory.same_errors(noisy.detector_error_model(), expected.detector_error_model())
    with pytest.raises(AssertionError, match="has probability"):
        qec_memory.same_errors(
            noisy.detector_error_model(),
            qec_memory.with_noise(
                stim.Circuit.generated("repetition_code:memory", distance=3, rounds=2).flattened(), 0.02
            ).detector_error_model(),
        )


def test_noise_stands_between_gates_that_share_a_qubit():
    """stim joins equal gates to one instruction; noise behind it would forget what the first does to the second."""
    noisy = qec_memory.with_noise(stim.Circuit("R 0 1 2\nCX 0 1\nCX 0 2"), 0.1)
    names = [each.name for each in noisy]
    assert names == ["R", "X_ERROR", "R", "X_ERROR", "R", "X_ERROR", "CX", "DEPOLARIZE2", "CX", "DEPOLARIZE2"]


def test_distances_under_noise():
    assert qec_memory.distance_under_noise(generated(3, 2)) == 3
    without = stim.Circuit(str(generated(3, 2)))
    fewer = stim.Circuit()
    for each in without:
        if each.name != "DETECTOR":
            fewer.append(each)
    with pytest.raises(AssertionError):
        assert qec_memory.distance_under_noise(fewer) == 3
    with pytest.raises(AssertionError, match="not deterministic"):
        qec_memory.model_under_noise(stim.Circuit("R 0\nH 0\nM 0\nDETECTOR rec[-1]"))


def test_error_rate_is_that_of_matching():
    """The lookup of one and two errors is a little worse than matching, at a rate where three are rare."""
    import pymatching

    circuit, p, shots = generated(3, 2), 2e-3, 100_000
    noisy = qec_memory.with_noise(circuit, p)
    matching = pymatching.Matching.from_detector_error_model(noisy.detector_error_model(decompose_errors=True))
    detectors, observables = noisy.compile_detector_sampler(seed=1).sample(shots, separate_observables=True)
    expected = float((matching.decode_batch(detectors)[:, 0] != observables[:, 0]).mean())
    got = qec_memory.error_rate(circuit, p, shots)
    assert 0.3 * expected < got < 2 * expected, (got, expected)


@pytest.mark.parametrize("text", [3, "NO_GATE 1", "REPEAT 1000000000 {\nM 0\n}", "M 0\n" * 400_000])
def test_texts_that_are_no_circuit(text):
    with pytest.raises(AssertionError, match=r"expected|cannot read|too long"):
        qec_memory.circuit_of(text)


def test_projecting_rounds():
    body = stim.Circuit("CX 0 3 1 3 1 4 2 4\nM 3 4")
    qec_memory.projects_onto(body, ["IZZ", "ZZI"], ["XXX", "IIZ"])
    with pytest.raises(AssertionError, match="does not measure the stabilizer ZZI"):
        qec_memory.projects_onto(stim.Circuit("CX 0 3 1 3\nM 3"), ["IZZ", "ZZI"], [])
    with pytest.raises(AssertionError, match="disturbs XXX"):
        qec_memory.projects_onto(stim.Circuit("M 0 1 2"), ["IZZ", "ZZI"], ["XXX"])


def test_the_inner_part_of_an_experiment():
    circuit = stim.Circuit("R 0 1 2\nCX 0 2 1 2\nMR 2\nDETECTOR rec[-1]\nM 0 1")
    assert str(qec_memory.inner_part(circuit, [0, 1], "Z")) == "R 2\nCX 0 2 1 2\nMR 2"
    with pytest.raises(AssertionError, match="the first operation on data qubit 0 is not RX"):
        qec_memory.inner_part(circuit, [0, 1], "X")


def test_every_pair_of_a_weight_is_there():
    labels = qec.paulis_of_weight(3, 2)
    assert len(labels) == len(set(labels)) == 27
    assert {sum(letter != "I" for letter in label) for label in labels} == {2}
    assert qec.syndrome_of("IXZ", ["ZZZ", "XII", "IZX"]) == (1, 0, 0)
