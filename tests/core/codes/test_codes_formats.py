import json

import numpy as np
import pytest
import stim
from codes_reference import codes
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import qasm3
from qiskit.quantum_info import Clifford

from qecforge.codes import (
    StabilizerCode,
    css_from_alist,
    css_to_alist,
    dump_code,
    known_codes,
    load_code,
    verify_encoder,
)
from qecforge.errors import CodeError

FORMATS = ("paulis", "json", "stim", "qasm2", "qasm3", "alist", "mtx", "check_matrix")
PLACELESS = ("paulis", "check_matrix")


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)
@given(code=codes())
def test_every_format_round_trips(name, code):
    if code.n == code.k and name in PLACELESS:
        with pytest.raises(CodeError, match="no stabilizers"):
            dump_code(code, name)
        return
    text = dump_code(code, name)
    assert load_code(text) == code
    again = load_code(text, name, k=code.k)
    assert again == code
    if name in ("paulis", "json"):
        assert again.stabilizers == code.stabilizers
    if name == "json":
        assert np.array_equal(again.logical_x, code.logical_x)
        assert np.array_equal(again.logical_z, code.logical_z)
    if name in ("alist", "mtx", "check_matrix"):
        assert np.array_equal(again.check_matrix, code.check_matrix)


@pytest.mark.parametrize("name", FORMATS)
def test_from_a_file(name, tmp_path):
    path = tmp_path / "code.txt"
    path.write_text(dump_code(known_codes.steane(), name))
    assert load_code(path) == load_code(str(path)) == load_code(path.read_bytes()) == known_codes.steane()


def test_goldens():
    code = StabilizerCode.from_paulis(["XX"])
    assert dump_code(code, "paulis") == "XX\n"
    assert dump_code(code, "check_matrix") == "11|00\n"
    assert dump_code(code, "alist") == ("4 1\n1 2\n1 1 0 0\n2\n1\n1\n0\n0\n1 2\n# check matrix [X | Z] of 2n columns\n")
    document = json.loads(dump_code(code, "json"))
    assert document == {
        "format": "qecforge.stabilizer_code",
        "version": 1,
        "n": 2,
        "k": 1,
        "stabilizers": ["XX"],
        "logical_x": ["XI"],
        "logical_z": ["ZZ"],
    }
    encoder = "S 0\nH 1\nCX 1 0"
    verify_encoder(code, encoder)
    assert dump_code(code, "qasm3", encoder=encoder).splitlines()[2:] == [
        'include "stdgates.inc";',
        "qubit[2] q;",
        "s q[0];",
        "h q[1];",
        "cx q[1], q[0];",
    ]
    assert dump_code(code, "stim", encoder=encoder).splitlines()[1:] == encoder.splitlines()


@settings(deadline=None, max_examples=30)
@given(codes())
def test_qiskit_reads_our_qasm(code):
    circuit = qasm3.loads(dump_code(code, "qasm3"))
    rows = Clifford(circuit).symplectic_matrix[code.n + code.k :].astype(np.uint8)
    assert StabilizerCode(rows) == code


@pytest.mark.parametrize("gate", ["I", "X", "Y", "Z", "H", "S", "S_DAG", "SQRT_X", "SQRT_X_DAG", "C_XYZ", "H_YZ"])
def test_every_one_qubit_gate_survives_qasm(gate):
    tableau = stim.Circuit(f"H 0\nCX 0 1\n{gate} 1\nCX 1 0").to_tableau()
    code = StabilizerCode.from_stim_tableau(tableau, 1)
    text = dump_code(code, "qasm3", encoder=f"H 0\nCX 0 1\n{gate} 1\nTICK\nCX 1 0")
    again = load_code(text)
    assert again.stabilizers == code.stabilizers
    assert np.array_equal(again.logical_x, code.logical_x)


@pytest.mark.parametrize("gate", ["CX", "CY", "CZ", "SWAP", "ISWAP", "XCX", "SQRT_ZZ"])
def test_every_two_qubit_gate_survives_qasm(gate):
    encoder = f"H 0 1\nS 1\n{gate} 0 1\nH 0"
    code = StabilizerCode.from_circuit(encoder, 0)
    assert load_code(dump_code(code, "qasm3", encoder=encoder)).stabilizers == code.stabilizers


def test_qasm_by_hand():
    text = """OPENQASM 3;   // a comment
    include "stdgates.inc";
    /* two
       registers */
    qubit a; qubit[2] b;
    h b; barrier b;
    cx a, b[1]; sxdg b[0];
    cz b[0], b[1];
    """
    code = load_code(text, k=1)
    assert code == StabilizerCode.from_circuit("H 1 2\nCX 0 2\nSQRT_X_DAG 1\nCZ 1 2", 1)


@given(codes(css=True))
def test_css_pairs_round_trip(code):
    assert css_from_alist(*css_to_alist(code)) == code


def test_css_pair_of_another_code_is_refused():
    with pytest.raises(CodeError, match="not CSS"):
        css_to_alist(known_codes.five_qubit())


def test_alist_of_the_hamming_code():
    """MacKay's own layout, unpadded lists allowed."""
    text = "7 3\n3 4\n1 1 2 1 2 2 3\n4 4 4\n1\n2\n1 2\n3\n1 3\n2 3\n1 2 3\n1 3 5 7\n2 3 6 7\n4 5 6 7\n"
    assert css_from_alist(text, text) == known_codes.steane()


def test_comments_blanks_and_layouts():
    assert load_code("# five\nXZZXI IXZZX\nxixzz, ZXIXZ # last\n") == known_codes.five_qubit()
    assert load_code("[1 1 | 0 0]\n[0,0,1,1]\n") == StabilizerCode.from_paulis(["XX", "ZZ"])
    assert load_code("X_X\n") == StabilizerCode.from_paulis(["XIX"])


def test_redundant_rows_on_request():
    with pytest.raises(CodeError, match="is the product of"):
        load_code("XX\nZZ\nYY")
    assert load_code("XX\nZZ\nYY", drop_redundant=True).k == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("garbage", "not a code in a known format, and there is no file of that name"),
        ("some/code.json", "there is no file of that name"),
        ("", "empty"),
        (" \n ", "empty"),
        (b"\xff\xfe\x00\x01", "not text"),
        ("{}", "not a stabilizer code"),
        ("{", "cannot be read"),
        ("[1, 2]", "row 0: entry '2'; expected 0 or 1"),
        ("1 2 3", "row 0: entry '2'; expected 0 or 1"),
        ("1010\n10", "ragged rows: row 1 has 2 entries and row 0 has 4"),
        ("XX\nZI", r"generators 0 \(XX\) and 1 \(ZI\) anticommute"),
        ("11|00\n00|10", r"generators 0 \(XX\) and 1 \(ZI\) anticommute"),
        ("H 0", "give k"),
        ("# qecforge encoder: n=1 k=0\nM 0", "not a Clifford circuit"),
        ("# qecforge encoder: n=1 k=0\nCX 0 1", "acts on 2 qubits; expected 1 to 1"),
        ("# qecforge encoder: n=1 k=2\nH 0", "k is 2"),
        ("OPENQASM 3; qubit[2] q; rz(0.3) q[0];", "line 1: .* is not a Clifford gate"),
        ("OPENQASM 3;\nqubit[2] q;\nh q[2];", "line 3: .*out of range"),
        ("OPENQASM 3;\nqubit[2] q;\ncx q[0], q[0];", "line 3: .*twice"),
        ("OPENQASM 3;\nqubit[2] q;\ncx q[0];", r"line 3: cx on 1 operand\(s\); expected 2"),
        ("OPENQASM 3;\nqubit[2] q;\nh p[0];", "line 3: .*not a declared qubit"),
        ("OPENQASM 3;\nqubit[2] q; qubit q;", "line 2: cannot declare"),
        ("OPENQASM 3;\nqubit[99999] q;", "line 2: cannot declare"),
        ("OPENQASM 3;\nqubit[2] q; qubit[3] r; cx q, r;", "unequal size"),
        ("OPENQASM 3;\nqubit[2] q; h q[0]", "does not end in a semicolon"),
        ("OPENQASM 3;", "no qubits declared"),
        ("OPENQASM 2.0;\nqreg q[2];", "give k"),
        ("4 1\n1 2\n1 1 1\n2\n1\n1\n\n\n1 2", "alist line 3"),
        ("4 1\n1 2\n1 1 0 0\n2\n1\n1\n0\n0\n1 3", "different matrices"),
        ("4 1\n1 2\n1 1 0 0\n2\n1\n1\n0\n0\n1", "alist line 9: 1 indices"),
        ("4 1\n1 2\n1 1 0 0\n2\n1\n1\n0\n0\n1 5", "alist line 9: an index outside 1..4"),
        ("4 1\n1 2\n1 1 0 0\n2\n1\n1\n0\n0\n1 2\n7", "alist line 10: more lines"),
        ("99999999 99999999\n1 2", "alist line 1: 99999999 columns and 99999999 rows are too many"),
    ],
)
def test_what_is_no_code_gives_one_clean_line(text, message):
    with pytest.raises(CodeError, match=message) as caught:
        load_code(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def json_with(**changes):
    document = json.loads(known_codes.five_qubit().to_json())
    document.update(changes)
    return json.dumps({key: value for key, value in document.items() if value != "absent"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a stabilizer code"),
        ({"version": 2}, "version 2 is not known"),
        ({"n": "5"}, "n is '5'"),
        ({"n": True}, "n is True"),
        ({"k": 6}, "k is 6"),
        ({"n": 10**9}, "stabilizers is 4 entries; expected a list of 999999999"),
        ({"stabilizers": "absent"}, "stabilizers is NoneType"),
        ({"stabilizers": ["XZZXI", "IXZZX", "XIXZZ", 4]}, "4 is not a Pauli string"),
        ({"stabilizers": ["XX", "ZZ", "YY", "II"]}, "act on 2 qubits; n is 5"),
        ({"logical_x": ["IIIII"]}, "logical_x 0 and logical_z 0 commute"),
        ({"logical_x": []}, "logical_x is 0 entries"),
    ],
)
def test_json_that_is_no_code(changes, message):
    with pytest.raises(CodeError, match=message):
        load_code(json_with(**changes))


def loaded_or_message(text, **options):
    """(code, "") or (None, what the refusal says); any other exception is a failure."""
    try:
        return load_code(text, **options), ""
    except CodeError as error:
        return None, str(error)


@given(st.text(max_size=60))
def test_any_text_is_a_code_or_one_clean_error(text):
    code, message = loaded_or_message(text, k=0)
    assert "\n" not in message
    assert code is None or code.k == 0


@given(codes(), st.sampled_from(FORMATS), st.data())
def test_damaged_files_are_a_code_or_one_clean_error(code, name, data):
    if code.n == code.k and name in PLACELESS:
        return
    text = dump_code(code, name)
    place = data.draw(st.integers(0, len(text) - 1))
    damage = data.draw(st.sampled_from(["", "X", "1", "\n", "{", "\0", "9999"]))
    _, message = loaded_or_message(text[:place] + damage + text[place + 1 :])
    assert "\n" not in message


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(CodeError, match="cannot be read"):
        load_code(tmp_path)
    with pytest.raises(CodeError, match="cannot be read"):
        load_code(tmp_path / "absent.json")


def test_wrong_k_format_and_encoder():
    text = dump_code(known_codes.steane(), "stim")
    with pytest.raises(CodeError, match="k=1; 2 was given"):
        load_code(text, k=2)
    with pytest.raises(CodeError, match="k is 1; 2 was expected"):
        load_code(dump_code(known_codes.steane(), "paulis"), k=2)
    with pytest.raises(CodeError, match="unknown format 'yaml'"):
        load_code(text, "yaml")
    with pytest.raises(CodeError, match="unknown format 'yaml'"):
        dump_code(known_codes.steane(), "yaml")
    with pytest.raises(CodeError, match="not in the stabilizer group"):
        dump_code(known_codes.steane(), "stim", encoder="H 0")
