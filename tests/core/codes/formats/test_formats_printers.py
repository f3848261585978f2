"""What numpy, json, scipy, stim, qiskit and qLDPC print reads back as what it was."""

import io
import json
import sys

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import stim
import sympy
from codes_reference import codes
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.quantum_info import Clifford, PauliList, SparsePauliOp, StabilizerState

from qecforge.codes import StabilizerCode, known_codes, load_code, load_css
from qecforge.errors import CodeError

WITH_STABILIZERS = codes().filter(lambda code: code.n > code.k)


def savetxt(matrix, **options):
    text = io.StringIO()
    np.savetxt(text, matrix, **options)
    return text.getvalue()


def everything(printer):
    def full(matrix):
        with np.printoptions(threshold=sys.maxsize):
            return printer(matrix)

    return full


MATRIX_PRINTERS = {
    "str": everything(str),
    "repr": everything(repr),
    "repr of bool": everything(lambda matrix: repr(matrix.astype(bool))),
    "str of float": everything(lambda matrix: str(matrix.astype(float))),
    "repr of int64": everything(lambda matrix: f"H = np.{matrix.astype(np.int64)!r}"),
    "list": lambda matrix: str(matrix.tolist()),
    "json": lambda matrix: json.dumps(matrix.tolist()),
    "json of bool": lambda matrix: json.dumps(matrix.astype(bool).tolist()),
    "json, indented": lambda matrix: json.dumps(matrix.tolist(), indent=1),
    "json of digits": lambda matrix: json.dumps(["".join(map(str, row)) for row in matrix.tolist()]),
    "savetxt": savetxt,
    "savetxt %d": lambda matrix: savetxt(matrix, fmt="%d"),
    "savetxt csv": lambda matrix: savetxt(matrix, fmt="%d", delimiter=",", header="check matrix"),
    "matlab": lambda matrix: "[" + "; ".join(" ".join(map(str, row)) for row in matrix.tolist()) + "];",
    "list of numpy's integers": lambda matrix: str([list(row) for row in matrix]),
    "list of numpy's booleans": lambda matrix: str([list(row) for row in matrix.astype(bool)]),
    "list of arrays": everything(lambda matrix: str(list(matrix))),
    "sympy": lambda matrix: repr(sympy.Matrix(matrix)),
    "sparse": lambda matrix: str(scipy.sparse.csr_array(matrix, maxprint=matrix.size)),
    "sparse of float": lambda matrix: str(scipy.sparse.coo_matrix(matrix.astype(float), maxprint=matrix.size)),
    "sparse of bool": lambda matrix: str(scipy.sparse.csc_matrix(matrix.astype(bool), maxprint=matrix.size)),
    "magma": lambda matrix: "\n".join(
        f"[{' '.join(map(str, row[: len(row) // 2]))}|{' '.join(map(str, row[len(row) // 2 :]))}]"
        for row in matrix.tolist()
    ),
}


@pytest.mark.parametrize("name", MATRIX_PRINTERS)
@settings(deadline=None, max_examples=40)
@given(code=WITH_STABILIZERS)
def test_matrices_as_numpy_and_json_print_them(name, code):
    text = MATRIX_PRINTERS[name](code.check_matrix)
    assert np.array_equal(load_code(text).check_matrix, code.check_matrix)


@pytest.mark.parametrize("name", ["str", "repr", "str of float"])
def test_rows_that_numpy_breaks_over_lines(name):
    code = known_codes.gross()
    text = MATRIX_PRINTERS[name](code.check_matrix)
    assert max(map(len, text.split("\n"))) < 100
    assert np.array_equal(load_code(text).check_matrix, code.check_matrix)


@pytest.mark.parametrize("printer", [str, repr])
def test_entries_that_numpy_leaves_out_are_missed(printer):
    with pytest.raises(CodeError, match=r"entries are left out \(\.\.\.\); print them all"):
        load_code(printer(known_codes.gross().check_matrix))


@pytest.mark.parametrize("printer", [str, repr])
def test_entries_that_scipy_leaves_out_are_missed(printer):
    with pytest.raises(CodeError, match=r"of 792 entries are here, the others are left out; save it with"):
        load_code(printer(scipy.sparse.csr_array(known_codes.gross().check_matrix)))


def test_one_line_of_json_is_what_it_was():
    assert load_code("[[1,1,1,1,0,0,0,0],[0,0,0,0,1,1,1,1]]").stabilizers == ("XXXX", "ZZZZ")


def saved(write, matrix):
    file = io.BytesIO()
    write(file, matrix)
    return file.getvalue()


FILES = {
    "npy": lambda matrix: saved(np.save, matrix),
    "npy of float": lambda matrix: saved(np.save, matrix.astype(float)),
    "npy in Fortran's order": lambda matrix: saved(np.save, np.asfortranarray(matrix)),
    "npz": lambda matrix: saved(lambda file, each: np.savez(file, H=each), matrix),
    "npz compressed": lambda matrix: saved(np.savez_compressed, matrix),
    "csr": lambda matrix: saved(scipy.sparse.save_npz, scipy.sparse.csr_matrix(matrix)),
    "csc": lambda matrix: saved(scipy.sparse.save_npz, scipy.sparse.csc_array(matrix)),
    "coo": lambda matrix: saved(scipy.sparse.save_npz, scipy.sparse.coo_array(matrix)),
    "mtx": lambda matrix: saved(scipy.io.mmwrite, scipy.sparse.coo_array(matrix)),
    "mtx of float": lambda matrix: saved(scipy.io.mmwrite, scipy.sparse.coo_array(matrix.astype(float))),
    "mtx dense": lambda matrix: saved(lambda f, m: scipy.io.mmwrite(f, m, symmetry="general"), matrix.astype(int)),
    "mtx of unsigned integers": lambda matrix: saved(
        scipy.io.mmwrite, scipy.sparse.coo_array(matrix.astype(np.uint64))
    ),
    "mtx pattern": lambda matrix: saved(
        lambda file, each: scipy.io.mmwrite(file, each, field="pattern", symmetry="general"),
        scipy.sparse.coo_array(matrix),
    ),
}


@pytest.mark.parametrize("name", FILES)
@settings(deadline=None, max_examples=25)
@given(code=WITH_STABILIZERS)
def test_files_of_numpy_scipy_and_matrix_market(name, code):
    content = FILES[name](code.check_matrix)
    assert np.array_equal(load_code(content).check_matrix, code.check_matrix)


@pytest.mark.parametrize("name", FILES)
def test_pairs_of_files(name, tmp_path):
    steane = known_codes.steane()
    for half, matrix in zip(("hx", "hz"), steane.css, strict=True):
        (tmp_path / half).write_bytes(FILES[name](matrix))
    assert load_css(tmp_path / "hx", tmp_path / "hz") == steane


@pytest.mark.parametrize("make", [np.array, scipy.sparse.coo_array])
def test_symmetric_matrices_of_matrix_market(make):
    ring = np.array([[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]])
    content = saved(scipy.io.mmwrite, make(ring))
    assert content.split(b"\n")[0].endswith(b"symmetric")
    with pytest.raises(CodeError, match=r"anticommute"):
        load_css(content, content)
    assert np.array_equal(load_css(content, "0 0 0 0", drop_redundant=True).css[0], ring)


@pytest.mark.parametrize("make", [scipy.sparse.bsr_array, scipy.sparse.dia_array])
def test_other_sparse_formats_are_named(make):
    name = make(np.eye(2)).format
    with pytest.raises(CodeError, match=rf"npz: a sparse matrix of format '{name}'; expected csr, csc or coo$"):
        load_code(saved(scipy.sparse.save_npz, make(np.eye(2))))


@pytest.mark.parametrize("names", [("hx", "hz"), ("Hx", "Hz"), ("H_X", "H_Z")])
def test_a_pair_in_one_npz(names):
    cube = known_codes.cube()
    content = saved(lambda file, pair: np.savez(file, **dict(zip(names, pair, strict=True))), cube.css)
    assert load_code(content) == cube


STIM_PRINTERS = {
    "repr of a list": lambda strings: repr(strings),
    "a string a line": lambda strings: "\n".join(map(str, strings)),
    "list of str": lambda strings: str([str(each) for each in strings]),
    "a repr a line": lambda strings: "\n".join(map(repr, strings)),
}


@pytest.mark.parametrize("name", STIM_PRINTERS)
@settings(deadline=None, max_examples=25)
@given(code=WITH_STABILIZERS)
def test_stabilizers_as_stim_prints_them(name, code):
    strings = code.to_stim_tableau().to_stabilizers()[code.k :]
    signed = code.prepared_by(str(code.encoder()))
    assert load_code(STIM_PRINTERS[name](strings)).stabilizers == signed.stabilizers
    assert StabilizerCode.from_paulis(strings).stabilizers == signed.stabilizers


@settings(deadline=None, max_examples=25)
@given(code=codes())
def test_tableaus_as_stim_and_qiskit_print_them(code):
    tableau = code.to_stim_tableau()
    expected = StabilizerCode.from_stim_tableau(tableau, code.k)
    clifford = Clifford(code.to_qiskit())
    for text in (repr(tableau), str(tableau), str(clifford)):
        read = load_code(text, k=code.k)
        assert read.stabilizers == expected.stabilizers
        assert np.array_equal(read.logical_x, expected.logical_x)
        assert np.array_equal(read.logical_z, expected.logical_z)
        with pytest.raises(CodeError, match="give k"):
            load_code(text)


def unsigned_plus(code):
    """Generators without the plus that qiskit prints or leaves out."""
    return [text.removeprefix("+") for text in code.stabilizers]


def qiskit_labels(code):
    """qiskit's labels: qubit 0 is the rightmost letter."""
    return [text[0] + text[:0:-1] if text[0] in "+-" else text[::-1] for text in code.stabilizers]


@settings(deadline=None, max_examples=25)
@given(code=WITH_STABILIZERS)
def test_paulis_as_qiskit_prints_them(code):
    code = code.prepared_by(str(code.encoder()))
    paulis = PauliList(qiskit_labels(code))
    signs = [-1 if label[0] == "-" else 1 for label in qiskit_labels(code)]
    total = SparsePauliOp([label.lstrip("+-") for label in qiskit_labels(code)], signs)
    for given_as in (paulis, list(paulis), total):
        assert unsigned_plus(StabilizerCode.from_paulis(given_as)) == unsigned_plus(code)
    singly = list(PauliList(qiskit_labels(code)))
    for text in (
        repr(paulis),
        repr(total),
        str(total),
        str(total.to_list()),
        str(singly),
        "\n".join(map(repr, singly)),
    ):
        assert unsigned_plus(load_code(text)) == unsigned_plus(code)


def test_states_as_qiskit_prints_them():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.x(2)
    state = StabilizerState(circuit)
    expected = StabilizerCode.from_qiskit(circuit, 0)
    for read in (load_code(str(state)), load_code(repr(state)), StabilizerCode.from_paulis(state)):
        assert sorted(read.stabilizers) == sorted(expected.stabilizers) == ["+XXI", "+ZZI", "-IIZ"]


def test_labels_that_do_not_name_qiskit_are_read_from_the_left():
    labels = Clifford(known_codes.steane().to_qiskit()).to_labels(mode="S")[1:]
    assert load_code(str(labels)) == StabilizerCode.from_paulis(labels)
    assert load_code(str(PauliList(labels))) == StabilizerCode.from_paulis(labels)
    assert load_code(json.dumps(labels)) == StabilizerCode.from_paulis(labels)


def test_letters_that_qiskit_leaves_out_are_missed():
    with pytest.raises(CodeError, match=r"letters are left out \(\.\.\.\)"):
        load_code(repr(PauliList(["X" * 200, "Z" * 200])))


def test_coefficients_that_are_no_signs():
    with pytest.raises(CodeError, match=r"coefficient is \(0\.5\+0j\); expected 1 or -1"):
        load_code(repr(SparsePauliOp(["XX", "ZZ"], [1, 0.5])))
    with pytest.raises(CodeError, match="imaginary phase"):
        StabilizerCode.from_paulis(PauliList(["iXX"]))
    with pytest.raises(CodeError, match="imaginary phase"):
        StabilizerCode.from_paulis([stim.PauliString("iXX")])


def qldpc_strings(code):
    """`QuditCode.get_strings` of qLDPC: letters with blanks between."""
    return [" ".join(text.lstrip("+-")) for text in code.stabilizers]


@settings(deadline=None, max_examples=25)
@given(code=WITH_STABILIZERS.filter(lambda code: code.n > 1))
def test_strings_of_qldpc(code):
    strings = qldpc_strings(code)
    for text in ("\n".join(strings), str(strings), json.dumps(strings)):
        assert np.array_equal(load_code(text).check_matrix, code.check_matrix)


def test_letters_apart_are_one_generator():
    assert load_code("Z Z I\nI Z Z", drop_redundant=True).stabilizers == ("ZZI", "IZZ")


@settings(deadline=None, max_examples=25)
@given(code=codes())
def test_circuits_as_stim_prints_them(code):
    encoder = code.encoder()
    expected = StabilizerCode.from_circuit(encoder, code.k)
    for text in (str(encoder), repr(encoder)):
        assert load_code(text, k=code.k).stabilizers == expected.stabilizers
    assert load_code("II 0 1\nH 0", k=1) == load_code("H 0\nII 0 1", k=1)


@settings(deadline=None, max_examples=25)
@given(code=codes(), version=st.sampled_from([qasm2, qasm3]))
def test_circuits_as_qiskit_dumps_them(code, version):
    text = version.dumps(code.to_qiskit())
    read = load_code(text, k=code.k)
    assert read.stabilizers == StabilizerCode.from_qiskit(code.to_qiskit(), code.k).stabilizers


@pytest.mark.parametrize("version", [qasm2, qasm3])
@pytest.mark.parametrize(
    "gate", ["x", "y", "z", "h", "s", "sdg", "sx", "sxdg", "id", "cx", "cy", "cz", "swap", "iswap", "ecr", "dcx"]
)
def test_every_clifford_gate_of_qiskit_survives_its_dump(gate, version):
    circuit = QuantumCircuit(3, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    getattr(circuit, gate)(*([1, 2] if gate in ("cx", "cy", "cz", "swap", "iswap", "ecr", "dcx") else [1]))
    circuit.s(2)
    circuit.cx(2, 0)
    read = load_code(version.dumps(circuit), k=1)
    expected = StabilizerCode.from_qiskit(circuit, 1)
    assert read.stabilizers == expected.stabilizers
    assert np.array_equal(read.logical_x, expected.logical_x)


@pytest.mark.parametrize("version", [qasm2, qasm3])
@pytest.mark.parametrize("gate", ["rx", "ry", "rz", "p", "rxx", "ryy", "rzz", "rzx"])
def test_rotations_by_quarter_turns(gate, version):
    for turns in (-1, 0, 1, 2, 3):
        circuit = QuantumCircuit(2)
        circuit.h([0, 1])
        circuit.s(0)
        angle = turns * np.pi / 2
        getattr(circuit, gate)(angle, *([0] if gate in ("rx", "ry", "rz", "p") else [0, 1]))
        assert load_code(version.dumps(circuit), k=0).stabilizers == StabilizerCode.from_qiskit(circuit, 0).stabilizers


def test_u_gates():
    circuit = QuantumCircuit(2)
    circuit.u(np.pi / 2, 0, np.pi, 0)
    circuit.cx(0, 1)
    assert load_code(qasm3.dumps(circuit), k=0).stabilizers == ("+XX", "+ZZ")
    assert load_code("OPENQASM 2.0; qreg q[2]; u2(0,pi) q[0]; cx q[0],q[1];", k=0).stabilizers == ("+XX", "+ZZ")
