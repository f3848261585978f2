import pickle
from dataclasses import FrozenInstanceError

import pytest
import stim
from codes_reference import encoders
from hypothesis import given
from hypothesis import strategies as st

from qecforge.codes import DiscoveredCode, StabilizerCode, known_codes, verify_encoder
from qecforge.errors import CodeError


@given(encoders())
def test_the_circuit_that_made_a_code_encodes_it(drawn):
    text, n, k = drawn
    code = StabilizerCode.from_circuit(text, k, n=n)
    verify_encoder(code, text)
    verify_encoder(StabilizerCode(code.check_matrix), text)


@given(encoders(), encoders())
def test_another_circuit_passes_exactly_when_its_code_is_the_same(one, other):
    (text, n, k), (other_text, other_n, _) = one, other
    if other_n > n:
        return
    unsigned = StabilizerCode(StabilizerCode.from_circuit(text, k, n=n).check_matrix)
    if StabilizerCode.from_circuit(other_text, k, n=n) == unsigned:
        verify_encoder(unsigned, other_text)
    else:
        with pytest.raises(CodeError, match="not in the stabilizer group"):
            verify_encoder(unsigned, other_text)


def test_signs_count_where_the_code_knows_them():
    code = StabilizerCode.from_paulis(["+XX", "-ZZ"])
    verify_encoder(code, "X 1\nH 0\nCX 0 1")
    with pytest.raises(CodeError, match=r"maps Z_1 to \+ZZ, whose sign .* opposite"):
        verify_encoder(code, "H 0\nCX 0 1")
    verify_encoder(StabilizerCode.from_paulis(["XX", "ZZ"]), "X 1\nH 0\nCX 0 1")
    # YY = -(XX)(ZZ): the sign of a product of generators is worked out too.
    verify_encoder(
        StabilizerCode.from_paulis(["+XX", "+ZZ"]),
        "H 0\nCX 0 1\nCZ 0 1\nS 0 1\nSQRT_X 0 1\nSQRT_X_DAG 0 1\nS_DAG 0 1\nCZ 0 1",
    )
    with pytest.raises(CodeError, match="opposite"):
        verify_encoder(StabilizerCode.from_paulis(["+XX", "-YY"]), "H 0\nCX 0 1\nZ 0")


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("H 0", "maps Z_1 to IZIII, which is not in the stabilizer group"),
        ("M 0", "not a Clifford circuit"),
        ("FOO", "stim cannot read"),
        ("H 5", r"acts on 6 qubits; expected 1 to 5"),
        ("R 1 2 3 4", "maps Z_1 to IZIII, which is not in the stabilizer group"),
        ("R 0", "carries the logical input"),
        ("H 1\nR 1", "resets of fresh qubits alone"),
    ],
)
def test_wrong_encoders(encoder, message):
    with pytest.raises(CodeError, match=message):
        verify_encoder(known_codes.five_qubit(), encoder)


def make(**changes):
    code = known_codes.five_qubit()
    values = {
        "code": code,
        "encoder": str(code.encoder()),
        "gate_count": 12,
        "two_qubit_gate_count": 6,
        "target_distance": 3,
        "step": 100,
        "attributes": {"bias": 1.5, "css": False, "note": None},
    }
    return DiscoveredCode(**{**values, **changes})


def test_discovered_code_is_frozen_and_pickles():
    found = make()
    assert pickle.loads(pickle.dumps(found)) == found
    assert hash(found) == hash(make(attributes={}))
    with pytest.raises(FrozenInstanceError):
        found.step = 3
    with pytest.raises(TypeError):
        found.attributes["bias"] = 2


def test_attributes_are_copied():
    attributes = {"bias": 1}
    found = make(attributes=attributes)
    attributes["bias"] = 2
    assert found.attributes["bias"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"two_qubit_gate_count": 13},
        {"two_qubit_gate_count": -1},
        {"target_distance": 0},
        {"step": -1},
        {"attributes": {"Bias": 1}},
        {"attributes": {"bias": [1]}},
        {"attributes": {"bias": float("nan")}},
    ],
)
def test_discovered_code_refuses(changes):
    with pytest.raises(CodeError, match=r"discovered code: .*expected"):
        make(**changes)


def test_verify_encoder_against_a_simulation():
    """The encoded state of each logical input is stabilized, measured with stim's simulator."""
    code = known_codes.cube()
    simulator = stim.TableauSimulator()
    simulator.do(stim.Circuit("H 0\nX 1"))
    simulator.do(code.encoder())
    assert all(simulator.peek_observable_expectation(stim.PauliString(row)) == 1 for row in code.stabilizers)


@given(encoders(), st.data())
def test_signs_are_those_that_the_circuit_gives(drawn, data):
    text, n, k = drawn
    code = StabilizerCode.from_circuit(text, k, n=n)
    paulis = "\n".join(f"{data.draw(st.sampled_from('IXYZ'))} {qubit}" for qubit in range(n))
    turned = StabilizerCode(code.check_matrix, signs=code.signs).prepared_by(f"{text}\n{paulis}")
    verify_encoder(turned, f"{text}\n{paulis}")
    assert turned.prepared_by(text).signs.tolist() == code.signs.tolist()


def test_signs_of_a_circuit_for_another_code_are_refused():
    with pytest.raises(CodeError, match=r"generator 0 \(ZZ\) is not among those that it prepares"):
        StabilizerCode.from_paulis(["ZZ"]).prepared_by("H 0")
