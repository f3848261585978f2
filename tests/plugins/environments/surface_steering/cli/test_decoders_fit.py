"""`qecforge decoders fit` and `qecforge steering tag`: recorded events become gate errors and a prior."""

import json
from contextlib import suppress

import numpy as np
import pytest
import stim
from cli_harness import invoke, one_line

from qecforge.errors import ConfigurationError
from qecforge.evaluation import RecordedEvents, read_events
from qecforge_surface_steering import TaggedCircuit, surface_code
from qecforge_surface_steering.decoding.fitting import compare_recorded, fit_gate_errors
from qecforge_surface_steering.decoding.priors import nominal_by_family
from qecforge_surface_steering.device.tagging import tag_circuit

CIRCUIT = surface_code(3, 5, "z")
RAN = TaggedCircuit(CIRCUIT)
NOMINAL = nominal_by_family(RAN.family, one_qubit=1e-3, two_qubit=5e-3)
BAD = next(g for g, gate in enumerate(RAN.gates) if gate.arity == 2)
SHOTS = 6_000


@pytest.fixture(scope="module")
def device():
    """A device with one gate eight times as bad as believed, and its shots."""
    errors = NOMINAL.copy()
    errors[BAD] *= 8
    return errors, RAN.with_noise(errors).compile_detector_sampler(seed=5).sample(SHOTS, separate_observables=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def files(folder, device):
    _, (events, flips) = device
    (folder / "ran.stim").write_text(str(CIRCUIT))
    for name, data in (
        ("events.b8", events),
        ("flips.01", flips),
        ("both.b8", np.concatenate([events, flips], axis=1)),
        ("both.01", np.concatenate([events, flips], axis=1)),
    ):
        stim.write_shot_data_file(
            data=data, path=str(folder / name), format=name.rpartition(".")[2], num_measurements=data.shape[1]
        )
    return folder


def packed(bits):
    return np.packbits(bits, axis=1, bitorder="little")


def test_the_bad_gate_is_found_and_decoding_gets_better(device):
    errors, (events, flips) = device
    found = fit_gate_errors(RAN, RecordedEvents(packed(events), packed(flips)), NOMINAL)
    assert found.errors[BAD] == pytest.approx(errors[BAD], rel=0.3)
    others = np.delete(np.arange(len(errors)), BAD)
    assert (found.errors[others] < 4 * NOMINAL[others]).all()
    assert found.improvement.shots == SHOTS // 2
    assert found.improvement.failing[1] <= found.improvement.failing[0]


def test_paired_rates_of_recorded_shots_by_counting(device):
    """Rates are counts over shots, and their covariance that of shots that fail with both or one of the priors."""
    errors, (events, flips) = device
    recorded = RecordedEvents(packed(events), packed(flips))
    found, decoder = compare_recorded(RAN, recorded, [NOMINAL, errors, NOMINAL], decoder="pymatching")
    assert decoder == "pymatching"
    np.testing.assert_allclose(found.rates, found.failing / SHOTS)
    first, _, again = found.rates
    assert first == again > 0
    assert found.covariance[0, 0] == pytest.approx(first * (1 - first) / SHOTS)
    assert found.ratio(2).low == pytest.approx(1.0)
    assert found.ratio(2).high == pytest.approx(1.0)
    assert found.ratio(1).high > found.ratio(1).low


def test_the_command_writes_a_prior(files):
    result = invoke(
        "decoders", "fit", "ran.stim", "events.b8", "--observables", "flips.01", "--out", "p.dem", "--format", "json"
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["gate"] for row in rows] == [gate.name for gate in RAN.gates]
    assert max(rows, key=lambda row: row["ratio"])["gate"] == RAN.gates[BAD].name
    assert f"{SHOTS} shots of {CIRCUIT.num_detectors} detectors" in result.stderr
    assert f"{SHOTS // 2} shots that the fit has not seen" in result.stderr
    model = stim.DetectorErrorModel.from_file("p.dem")
    assert (model.num_detectors, model.num_observables) == (CIRCUIT.num_detectors, 1)
    appended = invoke("decoders", "fit", "ran.stim", "both.b8", "--appended", "--format", "json")
    assert appended.stdout == result.stdout
    alone = invoke("decoders", "fit", "ran.stim", "events.b8", "--format", "json")
    assert alone.stdout == result.stdout
    assert "has not seen" not in alone.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.stim", "events.b8"), "none.stim: cannot be read (No such file or directory)"),
        (("flips.01", "events.b8"), "flips.01: not a circuit in stim's format"),
        (("ran.stim", "flips.01"), "no shots of format 01"),
        (("ran.stim", "both.01"), f"the circuit has {CIRCUIT.num_detectors} detectors; give its own file"),
        (("ran.stim", "both.b8", "--appended", "--observables", "flips.01"), "give only the one that says where"),
        (("ran.stim", "events.b8", "--decoder", "foo"), "--decoder: got 'foo', but it is only used with recorded"),
        (("ran.stim", "/dev/zero", "--events-format", "b8"), "/dev/zero: cannot be read (it is no regular file)"),
        (("ran.stim", ".", "--events-format", "b8"), ".: cannot be read (it is no regular file)"),
        (("ran.stim", "events.b8", "--events-format", "x" * 300), "the format 'xxx"),
        (("x" * 300, "events.b8"), "cannot be read (File name too long)"),
        *(
            (("ran.stim", "events.b8", f"{option}={number}"), f"{option}: got {float(number):g}, expected a ")
            for option, numbers in {
                "--one-qubit": ("0", "0.75", "-1", "nan", "inf", "1e400"),
                "--two-qubit": ("0", "1", "nan"),
                "--measurement": ("0.5", "-1e-9", "nan"),
                "--reset": ("1", "nan"),
                "--spread": ("0", "nan", "inf", "-1"),
            }.items()
            for number in numbers
        ),
    ],
)
def test_what_cannot_be_fitted(files, arguments, words):
    line = one_line(invoke("decoders", "fit", *arguments))
    assert words in line
    assert len(line) < 500


def test_a_prior_that_cannot_be_written(files):
    result = invoke("decoders", "fit", "ran.stim", "events.b8", "--out", "no/p.dem")
    assert result.exit_code == 2
    assert "no/p.dem: cannot be written" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("form", ["b8", "01", "dets", "hits", "r8", "npy"])
def test_events_of_any_bytes_are_read_or_one_line(files, form):
    rng = np.random.default_rng(7)
    for length in (0, 1, 3, 24, 400):
        for content in (rng.bytes(length), bytes(rng.choice(list(b"01 \nshotDL,.-9"), length).tolist())):
            (files / f"any.{form}").write_bytes((b"\x93NUMPY" if form == "npy" else b"") + content)
            with suppress(ConfigurationError):  # any other exception would be a traceback
                assert len(read_events(files / f"any.{form}", detectors=CIRCUIT.num_detectors)) > 0


UNTAGGED = """\
R 0 1 2
REPEAT 3 {
    X 0
    CX[mine{}] 0 1
    CX 2 1
    CX rec[-1] 2
    MR 1
    DETECTOR rec[-1]
}
"""


def test_gates_are_tagged_by_kind_and_qubits():
    circuit = stim.Circuit("M 0\n" + UNTAGGED)
    done = tag_circuit(circuit)
    assert (done.given, done.kept) == ({"x{}": 1, "cx{}": 1}, 1)
    assert [gate.name for gate in TaggedCircuit(done.circuit).gates] == ["x0", "mine0-1", "cx2-1"]
    bare = stim.Circuit(str(done.circuit).replace("[x{}]", "").replace("[cx{}]", ""))
    assert bare == circuit
    assert tag_circuit(done.circuit).circuit == done.circuit


def test_the_command_tags(folder):
    (folder / "in.stim").write_text("M 0\n" + UNTAGGED)
    result = invoke("steering", "tag", "in.stim", "out.stim")
    assert result.exit_code == 0, result.output
    assert (
        "out.stim: 3 gates; tags given: x{} on 1, cx{} on 1 (instructions); 1 instructions had a tag before"
        in result.stderr
    )
    assert stim.Circuit.from_file("out.stim") == tag_circuit(stim.Circuit("M 0\n" + UNTAGGED)).circuit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("H 0\nM 0", "detector"),
        ("FOO 0", "in.stim: not a circuit in stim's format"),
        ("CY 0 1 2 3\nM 0\nDETECTOR rec[-1]", ""),
    ],
)
def test_what_cannot_be_tagged(folder, text, words):
    (folder / "in.stim").write_text(text)
    result = invoke("steering", "tag", "in.stim", "out.stim")
    if words:
        assert words in one_line(result)
        assert not (folder / "out.stim").exists()
    else:
        assert result.exit_code == 0, result.output
