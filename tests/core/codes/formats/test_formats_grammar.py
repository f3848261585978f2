"""What people write by hand: one reading each, and a refusal that names both where there are two."""

import json

import numpy as np
import pytest
import scipy.sparse

from qecforge.codes import StabilizerCode, known_codes, load_code, load_css
from qecforge.errors import CodeError

PAIR = ("XX", "ZZ")


@pytest.mark.parametrize(
    "text",
    [
        "XX\nZZ",
        "xx\nzz",
        "XX, ZZ",
        "XX; ZZ",
        "X X\nZ Z",
        "X, X\nZ, Z",
        "X0*X1\nZ0*Z1",
        "X0 X1\nZ0 Z1",
        "X0X1\nZ0Z1",
        "x0*x1\nz1*z0",
        "X_0*X_1, Z_0*Z_1",
        "XX\nZ0*Z1",
        "1. XX\n2. ZZ",
        "1) XX\n2) ZZ",
        "0: XX\n1: ZZ",
        "[1] XX\n[2] ZZ",
        "1 XX\n2 ZZ",
        "     1\tXX\n     2\tZZ",
        "# two\nXX\n\n  ZZ  # second",
        "// two\nXX // first\nZZ",
        "% two\nXX\nZZ % second",
        "[XX, ZZ]",
        '["XX", "ZZ"]',
        '["X X", "Z Z"]',
        '["X0*X1", "Z0*Z1"]',
        '[["X", "X"], ["Z", "Z"]]',
        "('XX', 'ZZ')",
        "XX\r\nZZ\r\n",
    ],
)
def test_paulis_with_one_reading(text):
    assert load_code(text).stabilizers == PAIR
    assert load_code(text.encode("utf-16")).stabilizers == PAIR
    assert load_code(text.encode("utf-8-sig")).stabilizers == PAIR


@pytest.mark.parametrize(
    "text",
    [
        "1100\n0011",
        "11 00\n00 11",
        "11|00\n00|11",
        "1 1 | 0 0\n0 0 | 1 1",
        "[1 1 | 0 0]\n[0,0,1,1]",
        "1,1,0,0\n0,0,1,1\n",
        "1, 1, 0, 0,\n0, 0, 1, 1,\n",
        "1\t1\t0\t0\n0\t0\t1\t1",
        "1 1 0 0; 0 0 1 1",
        "[[1,1,0,0],[0,0,1,1]]",
        "((1, 1, 0, 0), (0, 0, 1, 1))",
        "GF([[1, 1, 0, 0],\n    [0, 0, 1, 1]], order=2)",
        "H = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=np.uint8)",
        "1: 1 1 0 0\n2: 0 0 1 1",
        "1. 1100\n2. 0011",
        "# H\n1 1 0 0\n0 0 1 1 # last",
        "% H\n1 1 0 0 // first\n0 0 1 1",
        "1.0 1. 0.0 0\n0 0 1e0 1.000000000000000000e+00",
        '["1100", "0011"]',
        '["11|00", "00|11"]',
        "H := [ [ 1, 1, 0, 0 ], [ 0, 0, 1, 1 ] ];",
        "1. 1. -0. 0.\n0. 0. 1. 1.",
        "[[1,1,0,0],\n\n [0,0,1,1]]",
        "11|00\n\n00|11",
        "[[2, 0]] Quantum code over GF(2^2), stabilized by:\n[1 1|0 0]\n[0 0|1 1]",
    ],
)
def test_matrices_with_one_reading(text):
    assert load_code(text).stabilizers == PAIR
    assert load_code(text.encode("utf-16")).stabilizers == PAIR


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("XXXX IIII\nIIII ZZZZ", ("2 generators", "one on 8 qubits")),
        ("XX ZZ", ("2 generators", "one on 4 qubits")),
        ("X1 X2\nZ1 Z2", ("numbered from 1", "qubit 0 of 3 is acted on by none")),
        ("X0, X1", ("the product of these", "2 generators of weight 1")),
        ("1100,0011", ("one row of 8 entries", "2 rows")),
        ("-ixx\n+izz", ("the identity on the first qubit", "imaginary phase")),
    ],
)
def test_two_readings_are_refused_and_both_named(text, readings):
    with pytest.raises(CodeError) as caught:
        load_code(text, drop_redundant=True)
    assert all(reading in str(caught.value) for reading in readings), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["1111\n\n1111", "# X checks\n1111\n# Z checks\n1111", "[1 1 1 1]\n\n[1 1 1 1]", "1 1 0 0\n\n0 0 1 1\n"]
)
def test_rows_in_two_blocks_may_be_hx_and_hz(text):
    """With `drop_redundant`, the halves of [[4,2,2]] were read as the [[2,1]] code of YY."""
    for drop_redundant in (True, False):
        with pytest.raises(CodeError, match=r"or.* hx and hz of a CSS code on 4 qubits, one after") as caught:
            load_code(text, drop_redundant=drop_redundant)
        assert "[X | Z]" in str(caught.value)
    assert load_code(text, drop_redundant=True, symplectic=True).n == 2


def test_rows_with_a_line_between_each_are_no_blocks():
    assert load_code("11000000\n\n00110000\n\n00001111\n").n == 4


def test_other_generators_settle_what_words_are():
    assert load_code("XX ZZ\nXXXX\n").n == 4
    assert load_code("XXII IIXX\nZZZZ\n").stabilizers == ("XXII", "IIXX", "ZZZZ")
    assert load_code("X0*X1\nI0*Z2").stabilizers == ("XXI", "IIZ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iXXXX\niZZZZ", "iXXXX has an imaginary phase, which cannot stabilize anything"),
        ("-iXX\nZZ", "imaginary phase"),
        ("+i X X\nZ Z", "imaginary phase"),
        ("jXX", "imaginary phase"),
        ("xX", "'xX' is not a Pauli"),
        ("1. XX\n3. ZZ", "line 2 is numbered 3"),
        ("5: 1100\n6: 0011", "line 1 is numbered 5"),
        ("X0*Z0", "qubit 0 occurs twice"),
        ("X0*X99999999", "qubit 99999999; expected at most 8192 qubits"),
        ("XX\nZ0*Z2", "acts on qubit 2; other generators have 2 letters"),
        ("1010\n10", "ragged rows: row 1 has 2 entries and row 0 has 4"),
        ("1 1 0 0\n0 0 1", "ragged rows: row 1 has 3 entries"),
        ("2 0\n1", "entry '2'; expected 0 or 1"),
        ("[[1,1,0,0],[0,0,1]]", "ragged rows"),
        ("1|100\n0|011", "the bar stands after 1 of 4 entries"),
        ("1|1|0|0", "3 bars"),
        ("[[1,1,0,0],[0,0,1,1]]\n[[1,1,0,0],[0,0,1,1]]", "more than one matrix"),
        ("[[[1,1],[1,1]],[[1,1],[1,1]]]", "more than one matrix"),
        ("[[1,1,0,0],[0,0,1,1]", "a bracket is not closed"),
        ("[1,1,0,0]] 1", "a bracket closes that was not opened"),
        ("[1 1 0 0] 1", "stands outside brackets"),
        ("0.5 1 0 0", "entry '0.5'; expected 0 or 1"),
        ("1 0 1\n0 1 0", "a matrix of 3 columns, which is odd"),
        ("%%MatrixMarket matrix coordinate complex general\n1 1 0\n", "expected integer, real or pattern"),
        ("%%MatrixMarket matrix array integer symmetric\n2 3\n1\n1\n1\n", "2 rows and 3 columns of a symmetric"),
        ("%%MatrixMarket matrix coordinate integer symmetric\n2 2 2\n2 1 1\n1 2 1\n", "is 2.0; expected 0 or 1"),
        ("%%MatrixMarket matrix array integer symmetric\n2 2\n0\n-1\n0\n", "is -1.0; expected 0 or 1"),
        ("X & X \\\\\nZ & Z", "stim cannot read this circuit"),
        ("X\0X\0\n\0Z\0Z\0", "not text (UTF-16 without its mark?)"),
        (
            "<Compressed Sparse Row sparse array of dtype 'int64'\n\twith 2 stored elements and shape (1, 2)>\n",
            "0 of 2",
        ),
        ("%%MatrixMarket matrix coordinate integer general\n% c\n2 4 2\n1 1 1\n", "1 lines of entries; line 3 says 2"),
        ("%%MatrixMarket matrix coordinate integer general\n1 2 1\n1 3 1\n", "line 3: an entry outside"),
        ("%%MatrixMarket matrix coordinate integer general\n99999999 99999999 0\n", "expected at most"),
    ],
)
def test_what_has_no_reading(text, message):
    with pytest.raises(CodeError) as caught:
        load_code(text, drop_redundant=True)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


CODETABLES = """Construction of a [[5,1,3]] quantum code:
[1]:  [[5, 1, 3]] quantum code over GF(2^2)
     cyclic code of length 5 with generating polynomial w*x^4 + w*x^3 + 1
    stabilizer matrix:

      [1 0 0 1 0|0 1 1 0 0]
      [0 1 0 0 1|0 0 1 1 0]
      [1 0 1 0 0|0 0 0 1 1]
      [0 1 0 1 0|1 0 0 0 1]

last modified: 2005-06-24
"""


def test_text_of_codetables():
    assert load_code(CODETABLES) == known_codes.five_qubit()
    with pytest.raises(CodeError, match=r"4 rows of 10 entries; the heading says \[\[6,1\]\], so 5 rows of 12"):
        load_code(CODETABLES.replace("[[5, 1, 3]]", "[[6, 1, 3]]").replace("[[5,1,3]]", "[[6,1,3]]"))
    with pytest.raises(CodeError, match="no rows such as"):
        load_code("stabilizer matrix:\nnone")


HX_OF_CUBE = "8 1\n1 8\n1 1 1 1 1 1 1 1\n8\n" + "1\n" * 8 + "1 2 3 4 5 6 7 8\n"


@pytest.mark.parametrize("name", ["hx.alist", "code.alist", "BB_Hx.txt", "hx.npy", "72_hz.mtx", "H_X.csv"])
def test_half_of_a_css_code_is_not_taken_for_a_check_matrix(name, tmp_path):
    path, matrix = tmp_path / name, np.ones((1, 8), np.uint8)
    if name.endswith("alist"):
        path.write_text(HX_OF_CUBE)
    elif name.endswith("npy"):
        np.save(path, matrix)
    elif name.endswith("mtx"):
        path.write_text("%%MatrixMarket matrix array integer general\n1 8\n" + "1\n" * 8)
    else:
        path.write_text("11111111\n" if name.endswith("txt") else "1,1,1,1,1,1,1,1\n")
    for form in (None, "alist") if name.endswith("alist") else (None,):
        with pytest.raises(CodeError) as caught:
            load_code(path, form)
        for reading in ("check matrix [X | Z] of the [[4,3]] code", "one half of a CSS code on 8 qubits"):
            assert reading in str(caught.value)
    assert load_code(path, symplectic=True).stabilizers == ("YYYY",)
    cube = known_codes.cube()
    np.save(tmp_path / "z.npy", cube.css[1])
    assert load_css(path, tmp_path / "z.npy") == cube
    with pytest.raises(CodeError, match=r"hx has 8 columns and hz 7"):
        load_css(path, "1010101\n0110011\n0001111")


def test_a_pair_is_of_matrices():
    with pytest.raises(CodeError, match=r"hz: format paulis; expected a binary matrix"):
        load_css("1111", "ZZZZ")
    with pytest.raises(CodeError, match=r"hx: both halves of a code; expected the matrix hx alone"):
        load_css("11|11", "1111")


@pytest.mark.parametrize("comment", ["# hx of a cube\n", "// made by hand\n\n% twice\n"])
def test_alist_behind_comments(comment):
    code = StabilizerCode.from_paulis(PAIR)
    text = comment + code.to_alist().replace("1 2\n", "1 2 # columns\n", 1)
    assert load_code(text) == code
    with pytest.raises(CodeError, match=r"alist line \d+: more lines"):
        load_code(text + "1 2\n")


def test_large_alist_and_its_limit():
    n = 3321
    rows = [f"{q + 1} {q + 2}" for q in range(n - 1)]
    columns = ["1", *(f"{q} {q + 1}" for q in range(1, n - 1)), f"{n - 1}"]
    weights = [" ".join(str(len(each.split())) for each in lists) for lists in (columns, rows)]
    hx = "\n".join([f"{n} {n - 1}", "2 2", *weights, *columns, *rows])
    code = load_css(hx, np.array2string(np.zeros((1, n), int), threshold=n + 1), drop_redundant=True)
    assert (code.n, code.k) == (n, 1)
    with pytest.raises(
        CodeError, match=r"20000 columns and 20000 rows are too many; expected at most 67108864 entries"
    ):
        load_code("20000 20000\n3 3\n")


def test_nothing_is_unpickled(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for save in (np.save, lambda path, array: np.savez(path, H=array)):
        path = tmp_path / ("code.npy" if save is np.save else "code.npz")
        save(path, np.array([Payload()], dtype=object))
        with pytest.raises(CodeError, match="Python objects, which are not unpickled"):
            load_code(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93NUMPY", "npy: cannot be read"),
        (
            b"\x93NUMPY\x01\x00\x46\x00{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 99999999)}\n",
            "npy: ",
        ),
        (b"PK\x03\x04", "npz: cannot be read"),
    ],
)
def test_damaged_files_of_numpy(content, message):
    with pytest.raises(CodeError, match=message):
        load_code(content)


def test_sparse_matrices_and_arrays_in_python():
    steane = known_codes.steane()
    for make in (scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_array, scipy.sparse.lil_array):
        assert StabilizerCode.from_css(*map(make, steane.css)) == steane
        assert StabilizerCode(make(steane.check_matrix)) == steane


def test_one_text_is_not_a_list():
    with pytest.raises(CodeError, match="got one text 'XX'; expected a list"):
        StabilizerCode.from_paulis("XX")
    with pytest.raises(CodeError, match="got int; expected a list"):
        StabilizerCode.from_paulis(7)


def test_lower_case_circuits_and_fresh_resets():
    expected = StabilizerCode.from_circuit("H 1\nCX 1 2 0 1", 1)
    for text in ("h 1\ncx 1 2 0 1", "R 1 2\nH 1\nCX 1 2 0 1", "RX 1\nCX 1 2 0 1", "H 1\nR 2\nCX 1 2\nTICK\nCX 0 1"):
        assert load_code(text, k=1).stabilizers == expected.stabilizers
    qasm = 'OPENQASM 3.0; include "stdgates.inc"; qubit[3] q; bit[3] c; reset q[1]; reset q[2]; h q[1]; cx q[1], q[2]; '
    assert load_code(qasm + "cx q[0], q[1];", k=1).stabilizers == expected.stabilizers
    assert load_code("RY 0", k=0).stabilizers == ("+Y",)
    for text, message in (
        ("R 0 1 2\nH 1", "R resets qubit 0, which carries the logical input"),
        ("H 1\nR 1", "R resets qubit 1 after a gate acted on it"),
        ("REPEAT 2 {\n  H 1\n}\nR 1", "R resets qubit 1 after a gate acted on it"),
    ):
        with pytest.raises(CodeError, match=message):
            load_code(text, k=1)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ("gate g a { h b; } g q[0];", "line 1: gate g: 'b' is none of its qubits"),
        ("gate g a { g a; } g q[0];", "'g a' is not a known Clifford gate"),
        ("gate g a { h a; }\n\ng q[0], q[1];", r"line 3: g on 2 operand\(s\); expected 1"),
        ("gate g(t) a { rz(t) a; } g(pi/3) q[0];", "a rotation by 1.0472 is not a Clifford gate"),
        ("gate g(t) a { rz(t) a; } g q[0];", r"g with 0 angle\(s\); its definition has 1"),
        ("rz(__import__('os')) q[0];", "cannot be read"),
        ("rz(2**9) q[0];", "cannot be read"),
        ("rz(theta) q[0];", "'theta' is no number"),
        ("measure q[0];", "is not a known Clifford gate"),
        ("if (c == 1) x q[0];", "is not a known Clifford gate"),
    ],
)
def test_openqasm_that_is_no_encoder(statements, message):
    with pytest.raises(CodeError, match=message) as caught:
        load_code(f"OPENQASM 3.0; qubit[2] q; {statements}", k=0)
    assert "\n" not in str(caught.value)


def test_definitions_come_before_known_gates_and_cannot_explode():
    swapped = "OPENQASM 2.0; gate cx a,b { CX b,a; } qreg q[2]; h q[0]; cx q[1],q[0];"
    assert load_code(swapped, k=0).stabilizers == ("+XX", "+ZZ")
    doubling = "".join(f"gate g{i} a {{ g{i - 1} a; g{i - 1} a; }}\n" for i in range(1, 60))
    with pytest.raises(CodeError, match="more gates than 2000000"):
        load_code(f"OPENQASM 3.0; gate g0 a {{ h a; }}\n{doubling} qubit q; g59 q;", k=0)


def test_the_version_is_that_of_the_format():
    with pytest.raises(CodeError, match=r"'OPENQASM 2.0'; expected version 3"):
        load_code("OPENQASM 2.0; qreg q[1];", "qasm3", k=0)


@pytest.mark.parametrize("k", [1.0, np.int64(1), np.float32(1.0), np.uint8(1)])
def test_integers_of_every_kind(k):
    circuit = "H 1\nCX 1 2 0 1"
    expected = StabilizerCode.from_circuit(circuit, 1)
    assert StabilizerCode.from_circuit(circuit, k, n=3 * k) == expected
    assert StabilizerCode.from_stim_tableau(expected.to_stim_tableau(), k) == expected
    assert StabilizerCode.from_qiskit(expected.to_qiskit(), k) == expected
    assert load_code(circuit, k=k) == expected
    assert expected.permuted(np.arange(3) * k) == expected
    assert known_codes.singleton_bound(5 * k, k) == 3
    assert known_codes.rotated_surface(3 * k).n == 9
    assert expected.distance(seed=k).value == 1


@pytest.mark.parametrize("k", [1.5, "1", None, True, float("nan"), 1j])
def test_what_is_no_integer_is_refused(k):
    code = known_codes.five_qubit()
    calls = [
        lambda: StabilizerCode.from_circuit("H 1", k),
        lambda: StabilizerCode.from_stim_tableau(code.to_stim_tableau(), k),
        lambda: StabilizerCode.from_qiskit(code.to_qiskit(), k),
        lambda: code.permuted([k, 1, 2, 3, 4]),
        lambda: code.permuted(k),
        lambda: known_codes.singleton_bound(5, k),
        lambda: known_codes.rotated_surface(k),
        lambda: code.distance(seed=k),
    ]
    for call in calls:
        with pytest.raises(CodeError, match=r"expected an integer|expected a sequence of integers") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["Y[a", "REPEAT 2 {\nY[a", "H 0\nREPEAT[a"])
def test_a_tag_that_the_end_cuts_off(text):
    with pytest.raises(CodeError, match="stim cannot read this circuit"):
        load_code(text, k=0)


def test_json_of_something_else_says_so():
    with pytest.raises(CodeError, match="not a stabilizer code"):
        load_code(json.dumps({"hx": [[1, 1]], "hz": [[1, 1]]}))
