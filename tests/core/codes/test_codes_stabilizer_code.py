import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import stim
from codes_reference import codes, encoders, group_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Clifford, StabilizerState

from qecforge.codes import StabilizerCode, known_codes, verify_encoder
from qecforge.errors import CodeError


def anticommute(a, b):
    return not stim.PauliString(a).commutes(stim.PauliString(b))


def letters(row):
    n = len(row) // 2
    return "".join("IXZY"[x + 2 * z] for x, z in zip(row[:n], row[n:], strict=True))


@given(encoders())
def test_the_code_of_a_circuit_is_what_stim_says(drawn):
    text, n, k = drawn
    code = StabilizerCode.from_circuit(text, k, n=n)
    circuit = stim.Circuit(text)
    circuit.append("I", [n - 1])
    tableau = stim.Tableau.from_circuit(circuit)
    assert list(code.stabilizers) == [str(tableau.z_output(q)).replace("_", "I") for q in range(k, n)]
    assert [letters(row) for row in code.logical_x] == [
        str(tableau.x_output(q))[1:].replace("_", "I") for q in range(k)
    ]
    assert [letters(row) for row in code.logical_z] == [
        str(tableau.z_output(q))[1:].replace("_", "I") for q in range(k)
    ]


@given(codes())
def test_stabilizers_commute_and_logicals_are_paired(code):
    computed = StabilizerCode(code.check_matrix)
    for one in (code, computed):
        rows = [letters(row) for row in one.check_matrix]
        x, z = ([letters(row) for row in side] for side in (one.logical_x, one.logical_z))
        assert len(x) == len(z) == one.k
        assert not any(anticommute(a, b) for a in [*rows, *x] for b in [*rows, *x])
        assert not any(anticommute(a, b) for a in [*rows, *z] for b in [*rows, *z])
        assert all(anticommute(a, b) == (i == j) for i, a in enumerate(x) for j, b in enumerate(z))
    assert code == computed


@given(codes(css=True))
def test_css_codes_are_recognised_whatever_their_generators(code):
    assert code.css is not None
    hx, hz = code.css
    assert StabilizerCode.from_css(hx, hz) == code
    assert not (hx.astype(int) @ hz.T % 2).any()


@given(codes(max_qubits=4))
def test_css_exactly_when_pure_elements_generate_the_group(code):
    elements = {(): np.zeros(2 * code.n, dtype=np.uint8)}
    for row in code.check_matrix:
        elements |= {(*key, len(elements)): element ^ row for key, element in elements.items()}
    group = np.array(list(elements.values()))
    pure_x = int((~group[:, code.n :].any(axis=1)).sum())
    pure_z = int((~group[:, : code.n].any(axis=1)).sum())
    assert (code.css is not None) == (pure_x * pure_z == len(group))


@given(codes(), st.randoms(use_true_random=False))
def test_equal_and_of_one_hash_exactly_up_to_row_operations(code, rng):
    rows = code.check_matrix.copy()
    for _ in range(10):
        if len(rows) > 1:
            i, j = rng.sample(range(len(rows)), 2)
            rows[i] ^= rows[j]
    mixed = StabilizerCode(rows, signs=[rng.random() < 0.5 for _ in rows])
    assert mixed == code
    assert hash(mixed) == hash(code)
    assert mixed.digest == code.digest
    assert np.array_equal(mixed.canonical_check_matrix, code.canonical_check_matrix)
    assert code != "code"


@given(codes(max_qubits=3), codes(max_qubits=3))
def test_unequal_when_the_groups_differ(a, b):
    def group(code):
        rows = {"I" * code.n}
        for row in code.check_matrix:
            rows |= {
                str(stim.PauliString(r) * stim.PauliString(letters(row)))[-code.n :].replace("_", "I") for r in rows
            }
        return rows

    assert (a == b) == (a.n == b.n and group(a) == group(b))


def test_digest_is_stable():
    """The store identifies codes by it: it must not change between versions."""
    assert known_codes.five_qubit().digest == "c241407b1baeaa1297fd5de460d6a3f334cc1b504a6fa39474c93dea2ffad8a8"
    assert known_codes.steane().digest == "ff23d7142ccdebde0c663cbb9d24d613d6df1dd1f39044bd7d89d713e28ef1a2"
    assert StabilizerCode(np.zeros((0, 4))).digest == "b7213cf26055c0fda30f24ca6410fe65ae3d8ceda46f06bf9d91e1e2f5823894"


def test_digest_does_not_depend_on_the_process():
    program = "from qecforge.codes import known_codes; c = known_codes.steane(); print(c.digest, hash(c))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    code = known_codes.steane()
    assert printed == [code.digest, str(hash(code))]


def test_immutable():
    code = known_codes.steane()
    with pytest.raises(AttributeError, match="immutable"):
        code.n = 3
    with pytest.raises(AttributeError, match="immutable"):
        del code.k
    for array in (code.check_matrix, code.canonical_check_matrix, code.logical_x, code.logical_z, *code.css):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    given_matrix = np.array([[1, 1, 0, 0]])
    code = StabilizerCode(given_matrix)
    given_matrix[0, 0] = 0
    assert code.stabilizers == ("XX",)


@given(codes())
def test_pickle_keeps_generators_signs_and_logicals(code):
    copy = pickle.loads(pickle.dumps(code))
    assert copy == code
    assert copy.stabilizers == code.stabilizers
    assert np.array_equal(copy.logical_x, code.logical_x)
    assert not copy.check_matrix.flags.writeable


@settings(deadline=None)
@given(codes())
def test_encoder_prepares_the_code(code):
    for one in (code, StabilizerCode(code.check_matrix)):
        text = str(one.encoder())
        verify_encoder(one, text)
        assert StabilizerCode.from_circuit(text, one.k, n=one.n) == one
        tableau = one.to_stim_tableau()
        again = StabilizerCode.from_stim_tableau(tableau, one.k)
        assert np.array_equal(again.check_matrix, one.check_matrix)
        assert np.array_equal(again.logical_x, one.logical_x)
        assert np.array_equal(again.logical_z, one.logical_z)


@settings(deadline=None, max_examples=50)
@given(codes())
def test_qiskit_agrees(code):
    circuit = code.to_qiskit()
    back = StabilizerCode.from_qiskit(circuit, code.k)
    assert back == code
    assert np.array_equal(back.signs, np.zeros(code.n - code.k) if code.signs is None else code.signs)
    clifford = Clifford(circuit)
    assert np.array_equal(clifford.symplectic_matrix[code.n + code.k :].astype(np.uint8), code.check_matrix)


def test_from_qiskit_reads_a_hand_made_circuit():
    circuit = QuantumCircuit(3)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.sdg(0)
    code = StabilizerCode.from_qiskit(circuit, 1)
    assert code.stabilizers == ("+IXX", "+IZZ")
    assert StabilizerState(circuit).is_valid()


def test_from_qiskit_refuses_what_is_not_clifford():
    circuit = QuantumCircuit(2)
    circuit.t(0)
    with pytest.raises(CodeError, match="qiskit cannot read the circuit as a Clifford"):
        StabilizerCode.from_qiskit(circuit, 1)
    measured = QuantumCircuit(1, 1)
    measured.measure(0, 0)
    with pytest.raises(CodeError, match="leave out measurements"):
        StabilizerCode.from_qiskit(measured, 0)


@given(codes(max_qubits=5), st.randoms(use_true_random=False))
def test_permuted_moves_the_letters(code, rng):
    order = list(range(code.n))
    rng.shuffle(order)
    moved = code.permuted(order)
    assert [letters(row) for row in moved.check_matrix] == [
        "".join(letters(row)[q] for q in order) for row in code.check_matrix
    ]
    assert group_weights(moved) == group_weights(code)


@given(codes(max_qubits=5), st.integers(0, 2**20))
def test_contains_and_syndrome(code, seed):
    rng = random.Random(seed)
    product = stim.PauliString(code.n)
    for row in code.check_matrix:
        if rng.random() < 0.5:
            product *= stim.PauliString(letters(row))
    assert code.contains(str(product)[-code.n :])
    error = "".join(rng.choice("IXYZ") for _ in range(code.n))
    x, z = [letter in "XY" for letter in error], [letter in "YZ" for letter in error]
    expected = [anticommute(error, letters(row)) for row in code.check_matrix]
    assert code.syndrome(np.array([x + z])).astype(bool).tolist() == [expected]
    if any(expected):
        assert not code.contains(error)


def test_codes_without_stabilizers_and_without_logicals():
    trivial = StabilizerCode(np.zeros((0, 6)))
    assert (trivial.n, trivial.k, trivial.stabilizers) == (3, 3, ())
    verify_encoder(trivial, str(trivial.encoder()))
    state = StabilizerCode.from_paulis(["XX", "ZZ"])
    assert (state.n, state.k) == (2, 0)
    assert state.logical_x.shape == (0, 4)
    assert "[[2,0]]" in repr(state)


@pytest.mark.parametrize(
    ("stabilizers", "message"),
    [
        (["XX", "ZI"], r"generators 0 \(XX\) and 1 \(ZI\) anticommute"),
        (["XII", "ZII", "YII", "XIX"], r"0 \(XII\) and 1 \(ZII\), .* and 2 more pairs anticommute"),
        (["XXXX", "XXXX"], r"generator 1 \(XXXX\) is the product of 0 \(XXXX\)"),
        (["XX", "ZZ", "YY"], r"generator 2 \(YY\) is the product of 0 \(XX\), 1 \(ZZ\); .*drop_redundant"),
        (["II"], r"generator 0 \(II\) is the identity"),
        (["XX", "+ZZ", "+YY"], r"generators 0, 1, 2 multiply to minus the identity \(2 \(YY\) has the wrong sign"),
        (["-II"], "multiply to minus the identity"),
        (["XX", "XXX"], r"stabilizer 1 \(XXX\): acts on 3 qubits; stabilizer 0 acts on 2"),
        (["XA"], "stabilizer 0: 'XA' is not a Pauli string"),
        ([3], "stabilizer 0: 3 is not a Pauli string"),
        ([], "no stabilizers given"),
        ([""], "stabilizer 0: '' is not a Pauli string"),
    ],
)
def test_what_is_no_code_is_refused_by_name(stabilizers, message):
    with pytest.raises(CodeError, match=message) as caught:
        StabilizerCode.from_paulis(stabilizers)
    assert "\n" not in str(caught.value)


def test_redundant_generators_are_dropped_on_request():
    code = StabilizerCode.from_paulis(["XX", "ZZ", "-YY"], drop_redundant=True)
    assert code.stabilizers == ("+XX", "+ZZ")
    with pytest.raises(CodeError, match="minus the identity"):
        StabilizerCode.from_paulis(["+XX", "+ZZ", "+YY"], drop_redundant=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"check_matrix": [[1, 0, 1]]}, "3 columns; expected 2n"),
        ({"check_matrix": np.zeros((1, 0))}, "0 columns; expected 2n"),
        ({"check_matrix": [[1, 1, 0, 0]], "signs": [True, False]}, "one boolean for each of 1 generators"),
        ({"check_matrix": [[1, 1, 0, 0]], "logical_x": [[1, 0, 0, 0]]}, "give both or neither"),
        (
            {"check_matrix": [[1, 1, 0, 0]], "logical_x": [[1, 0, 0, 0]], "logical_z": [[0, 0, 1, 0]]},
            r"logical_z 0 \(ZI\) anticommutes with generator 0 \(XX\)",
        ),
        (
            {"check_matrix": [[1, 1, 0, 0]], "logical_x": [[1, 0, 0, 0]], "logical_z": [[0, 1, 0, 0]]},
            "logical_x 0 and logical_z 0 commute",
        ),
        (
            {"check_matrix": [[1, 1, 0, 0]], "logical_x": [[1, 0, 0, 0]] * 2, "logical_z": [[0, 0, 1, 1]] * 2},
            r"logical_x: shape \(2, 4\); expected \(k, 2n\) = \(1, 4\)",
        ),
    ],
)
def test_constructor_refuses(arguments, message):
    with pytest.raises(CodeError, match=message):
        StabilizerCode(**arguments)


@pytest.mark.parametrize(
    ("circuit", "k", "message"),
    [
        ("H 0\nM 0", 0, "not a Clifford circuit"),
        ("DEPOLARIZE1(0.1) 0", 0, "not a Clifford circuit"),
        ("H 0\nR 0", 0, "resets qubit 0 after a gate acted on it"),
        ("R 0", 1, "resets qubit 0, which carries the logical input"),
        ("FOO 0", 0, "stim cannot read"),
        ("H 0", 2, "k is 2; expected 0 to n = 1"),
        ("H 0", -1, "k is -1"),
        ("", 0, "acts on 0 qubits"),
        ("REPEAT 1000000000000 {\nH 0\n}", 0, "operations; expected at most"),
        ("H 2000", 0, "2001 qubits"),
    ],
)
def test_from_circuit_refuses(circuit, k, message):
    with pytest.raises(CodeError, match=message):
        StabilizerCode.from_circuit(circuit, k)


def test_from_css_refuses_unequal_halves():
    with pytest.raises(CodeError, match="hx has 3 columns and hz 2"):
        StabilizerCode.from_css([[1, 1, 1]], [[1, 1]])


def test_importing_codes_imports_nothing_heavy():
    program = (
        "import sys, qecforge.codes; "
        "print(sorted({'numba', 'scipy', 'qiskit', 'torch', 'pandas', 'ldpc', 'sinter'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
