"""Circuits: counts, distance, determinism, tags and what is refused."""

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device import circuits
from qecforge_surface_steering.device.circuits import color_code, graphlike_distance, surface_code
from qecforge_surface_steering.device.tagged import TaggedCircuit


@pytest.mark.parametrize(("distance", "gates"), [(3, 41), (5, 129), (15, 1289)])
def test_surface_code_has_a_gate_for_each_qubit_and_coupler(distance, gates):
    circuit = TaggedCircuit(surface_code(distance, 2, "z"))
    assert circuit.num_gates == gates
    assert (circuit.arity == 1).sum() == 2 * distance**2 - 1
    assert (circuit.arity == 2).sum() == 4 * distance**2 - 4 * distance


@pytest.mark.parametrize("basis", ["x", "z"])
@pytest.mark.parametrize("distance", [3, 5, 7])
def test_surface_code_has_its_distance(distance, basis):
    assert graphlike_distance(TaggedCircuit(surface_code(distance, distance, basis))) == distance


def test_other_order_of_couplers_costs_distance(monkeypatch):
    monkeypatch.setattr(circuits, "_ORDER", {"x": circuits._ORDER["z"], "z": circuits._ORDER["x"]})
    assert graphlike_distance(TaggedCircuit(surface_code(5, 5, "x"))) == 3


def test_every_qubit_has_the_same_rhythm_in_a_cycle():
    (cycle,) = (block for block in surface_code(5, 3, "x") if isinstance(block, stim.CircuitRepeatBlock))
    uses = np.zeros(49, dtype=int)
    for instruction in cycle.body_copy():
        if instruction.name == "H":
            np.add.at(uses, [target.value for target in instruction.targets_copy()], 1)
    assert (uses == 2).all()


def test_both_bases_use_the_same_gates():
    x, z = (TaggedCircuit(surface_code(3, 2, basis)) for basis in ("x", "z"))
    assert x.gates == z.gates
    assert [gate.name for gate in x.gates][:2] == ["xy0", "xy1"]
    assert "cz1-9" in {gate.name for gate in x.gates}


@pytest.mark.parametrize("circuit", [surface_code(5, 3, "x"), surface_code(3, 1, "z"), color_code(5, 3)])
def test_noiseless_circuits_are_silent(circuit):
    detectors, observables = circuit.compile_detector_sampler(seed=1).sample(64, separate_observables=True)
    assert not detectors.any()
    assert not observables.any()
    assert circuit.num_observables == 1


MIXED = stim.Circuit(
    "QUBIT_COORDS(0.12345678901, 2) 0\nR 0 1\nX_ERROR[a\\Cb(d)\\Be](0.012345678901234) 0\nH[g] 0 0\n"
    "REPEAT 3 {\n CZ[cz{}] 0 1 0 1\n DEPOLARIZE1(0.0000012345678901) 1\n MR(0.001) 1\n"
    " DETECTOR[t](0.12345678901, 1) rec[-1]\n SHIFT_COORDS(0, 1)\n REPEAT 2 {\n  H[g] 0 0\n }\n}\n"
    "CX rec[-1] 0\nS[s{}] 1\nM !0\nOBSERVABLE_INCLUDE(3) rec[-1]"
)


@pytest.mark.parametrize("circuit", [surface_code(5, 3, "x"), color_code(3, 4), MIXED], ids=["surface", "color", "own"])
def test_noise_stands_where_it_belongs_digit_for_digit(circuit):
    tagged = TaggedCircuit(circuit, measurement_error=0.00123456789012, reset_error=1 / 3e3)
    p = np.random.default_rng(5).uniform(0, 0.01, tagged.num_gates)
    p[0] = 0.0
    assert tagged.with_noise(p) == one_by_one(tagged, circuit, p)
    assert tagged.fixed_noise() == one_by_one(tagged, circuit, 0 * p)


def one_by_one(tagged, circuit, p):
    """The noisy circuit, put together from instructions."""
    names = {gate.name: error for gate, error in zip(tagged.gates, p, strict=True)}
    noisy = stim.Circuit()
    for instruction in circuit:
        if isinstance(instruction, stim.CircuitRepeatBlock):
            noisy.append(
                stim.CircuitRepeatBlock(instruction.repeat_count, one_by_one(tagged, instruction.body_copy(), p))
            )
            continue
        name, targets, arguments = instruction.name, instruction.targets_copy(), instruction.gate_args_copy()
        if stim.gate_data(name).is_unitary and not any(target.is_measurement_record_target for target in targets):
            width = 2 if stim.gate_data(name).is_two_qubit_gate else 1
            groups = [targets[at : at + width] for at in range(0, len(targets), width)]
            qubits = [[target.value for target in group] for group in groups]
            tags = [instruction.tag.replace("{}", "-".join(map(str, group))) for group in qubits]
            busy, start = set(), 0
            for at, group in enumerate([*qubits, None]):
                if group is None or busy & set(group):
                    noisy.append(name, [q for each in qubits[start:at] for q in each])
                    for each, tag in zip(qubits[start:at], tags[start:at], strict=True):
                        if names[tag]:
                            noisy.append(f"DEPOLARIZE{width}", each, names[tag])
                    busy, start = set(), at
                busy |= set(group or ())
            continue
        if name in ("M", "MX", "MR"):
            own = arguments[0] if arguments else 0.0
            arguments = [own + tagged.measurement_error - 2 * own * tagged.measurement_error]
        noisy.append(name, targets, arguments, tag=instruction.tag)
        if name in ("R", "MR"):
            noisy.append("X_ERROR", targets, tagged.reset_error)
    return noisy


def test_colour_code_is_stims():
    plain = stim.Circuit.generated("color_code:memory_xyz", distance=5, rounds=4)
    assert str(color_code(5, 4)).replace("[xy{}]", "").replace("[cx{}]", "") == str(plain)


@pytest.mark.parametrize("distance", [-1, 1, 2, 4])
def test_distance_is_odd(distance):
    with pytest.raises(ConfigurationError, match=rf"distance: {distance} is not an odd number, 3 or more: set"):
        surface_code(distance, 3, "x")
    with pytest.raises(ConfigurationError, match="is not an odd number"):
        color_code(distance, 3)


def test_rounds():
    with pytest.raises(ConfigurationError, match="rounds: 0 is too few: this circuit needs 1 or more"):
        surface_code(3, 0, "x")
    with pytest.raises(ConfigurationError, match="rounds: 1 is too few: this circuit needs 2 or more"):
        color_code(3, 1)


def test_noise_comes_after_its_gate():
    circuit = TaggedCircuit(
        stim.Circuit(
            """
            R 0 1
            REPEAT 2 {
                H[h{}] 0 1
                CZ[cz{}] 0 1
                H[h{}] 0 1
            }
            M 0 1
            DETECTOR rec[-1]
            """
        ),
        measurement_error=0.25,
        reset_error=0.125,
    )
    assert [gate.name for gate in circuit.gates] == ["h0", "h1", "cz0-1"]
    assert circuit.with_noise([0.1, 0, 0.2]) == stim.Circuit(
        """
        R 0 1
        X_ERROR(0.125) 0 1
        REPEAT 2 {
            H 0 1
            DEPOLARIZE1(0.1) 0
            CZ 0 1
            DEPOLARIZE2(0.2) 0 1
            H 0 1
            DEPOLARIZE1(0.1) 0
        }
        M(0.25) 0 1
        DETECTOR rec[-1]
        """
    )


def test_a_line_that_uses_a_qubit_twice_is_noisy_in_between():
    text = "R 0 1 2\nCX[cx{}] 0 1 1 2\nM 2\nDETECTOR rec[-1]"
    noisy = TaggedCircuit(stim.Circuit(text)).with_noise([0.1, 0.2])
    assert noisy == stim.Circuit(
        "R 0 1 2\nCX 0 1\nDEPOLARIZE2(0.1) 0 1\nCX 1 2\nDEPOLARIZE2(0.2) 1 2\nM 2\nDETECTOR rec[-1]"
    )


def test_one_tag_without_braces_is_one_gate():
    circuit = TaggedCircuit(stim.Circuit("R 0 1\nX[global] 0 1\nX[global] 0 1\nM 0\nDETECTOR rec[-1]"))
    assert circuit.num_gates == 1
    assert str(circuit.with_noise([0.5])).count("DEPOLARIZE1(0.5) 0 1") == 2


def test_noise_of_the_users_own_stays_and_adds_up():
    circuit = TaggedCircuit(
        stim.Circuit("R 0\nH[h] 0\nZ_ERROR(0.3) 0\nH[h] 0\nM(0.1) 0\nDETECTOR rec[-1]"), measurement_error=0.2
    )
    fixed = circuit.fixed_noise()
    assert "Z_ERROR(0.3) 0" in str(fixed)
    (measurement,) = (instruction for instruction in fixed if instruction.name == "M")
    assert measurement.gate_args_copy() == pytest.approx([0.1 * 0.8 + 0.9 * 0.2])


def test_classical_control_is_no_gate():
    circuit = TaggedCircuit(stim.Circuit("R 0 1\nH[h] 0\nH[h] 0\nM 0\nCX rec[-1] 1\nM 1\nDETECTOR rec[-1]"))
    assert [gate.name for gate in circuit.gates] == ["h"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("R 0\nH 0\nM 0\nDETECTOR rec[-1]", r"the gate 'H 0' has no tag: name it, as in H\[h\{\}\] 0$"),
        ("R 0\nH[h] 0\nM 0", "it has no detectors"),
        ("R 0\nM 0\nDETECTOR rec[-1]", "it has no gates"),
        (
            "R 0 1\nH[g] 0\nH[g] 0\nCZ[g] 0 1\nM 1\nDETECTOR rec[-1]",
            "'g' names a single-qubit and a two-qubit op",
        ),
        ("R 0\nH[h] 0\nM 0\nDETECTOR rec[-1]", "non-deterministic detectors: make detectors"),
        ("R 0 1\nM 1\nCX[a] rec[-1] 0 0 1\nM 1\nDETECTOR rec[-1]", "gates on one or two qubits"),
        ("R 0 1 2\nSPP[a] Z0*Z1*Z2\nM 1\nDETECTOR rec[-1]", "gates on one or two qubits"),
    ],
)
def test_circuits_that_cannot_be_steered(text, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        TaggedCircuit(stim.Circuit(text))
    assert str(caught.value).startswith("circuit: ")
    assert "\n" not in str(caught.value)


def test_probabilities_that_are_none():
    text = stim.Circuit("R 0\nX[x] 0\nM 0\nDETECTOR rec[-1]")
    with pytest.raises(
        ConfigurationError, match=r"measurement_error: got 0.5, expected a probability inside \[0, 1/2\)"
    ):
        TaggedCircuit(text, measurement_error=0.5)
    with pytest.raises(ConfigurationError, match=r"reset_error: got -0.1, expected a probability inside"):
        TaggedCircuit(text, reset_error=-0.1)
    circuit = TaggedCircuit(text)
    with pytest.raises(ConfigurationError, match=r"x has 0.8, outside 0..0.75"):
        circuit.with_noise([0.8])
    with pytest.raises(ConfigurationError, match="x has nan"):
        circuit.with_noise([np.nan])
    with pytest.raises(ConfigurationError, match=r"shape \(2,\): give \(1,\)"):
        circuit.with_noise([0.1, 0.1])


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=8))
def test_any_tag_is_a_name(tag):
    circuit = stim.Circuit("R 0")
    circuit.append("X", [0], tag=tag)
    circuit += stim.Circuit("M 0\nDETECTOR rec[-1]")
    assert TaggedCircuit(circuit).gates[0].name == tag.replace("{}", "0")
