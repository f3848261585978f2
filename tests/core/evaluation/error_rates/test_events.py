"""Detection events of every format: what stim writes is read as it was drawn, and what does not fit is one line."""

import numpy as np
import pytest
import stim

from qecforge.errors import ConfigurationError
from qecforge.evaluation import read_events, read_observables

CIRCUIT = stim.Circuit.generated(
    "surface_code:rotated_memory_z", distance=3, rounds=2, after_clifford_depolarization=0.02
)
D, L = CIRCUIT.num_detectors, CIRCUIT.num_observables
FORMS = ("b8", "01", "dets", "hits", "r8")


def drawn(seed=0, shots=37):
    return CIRCUIT.compile_detector_sampler(seed=seed).sample(shots, separate_observables=True)


def unpacked(packed, width):
    return np.unpackbits(packed, axis=1, count=width, bitorder="little").astype(bool)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("appended", [False, True])
def test_what_stim_writes(tmp_path, form, appended):
    path, flips_path = tmp_path / f"events.{form}", tmp_path / "flips.01"
    events, flips = drawn()
    shots = np.concatenate([events, flips], axis=1) if appended else events
    kinds = {"num_detectors": D, "num_observables": L if appended else 0}
    stim.write_shot_data_file(data=shots, path=str(path), format=form, **kinds)
    stim.write_shot_data_file(data=flips, path=str(flips_path), format="01", num_measurements=L)
    assert events.any()
    found = read_events(path, detectors=D, observables=L if appended else 0)
    assert len(found) == 37
    np.testing.assert_array_equal(unpacked(found.events, D), events)
    observables = found.observables if appended else read_observables(flips_path, observables=L, shots=37)
    np.testing.assert_array_equal(unpacked(observables, L), flips)
    assert appended or found.observables is None


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_arrays(tmp_path, dtype):
    events, flips = drawn()
    path = tmp_path / "events.npy"
    np.save(path, np.concatenate([events, flips], axis=1).astype(dtype))
    found = read_events(path, detectors=D, observables=L)
    np.testing.assert_array_equal(unpacked(found.events, D), events)
    np.testing.assert_array_equal(unpacked(found.observables, L), flips)


def test_the_format_may_be_said(tmp_path):
    path = tmp_path / "run-7.dat"
    stim.write_shot_data_file(data=drawn()[0], path=str(path), format="b8", num_measurements=D)
    np.testing.assert_array_equal(unpacked(read_events(path, detectors=D, form="b8").events, D), drawn()[0])


def refused(path, **given):
    with pytest.raises(ConfigurationError) as refusal:
        read_events(path, **{"detectors": D, **given})
    text = str(refusal.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("detectors", [D - 1, D + 1])
def test_events_of_another_circuit(tmp_path, form, detectors):
    path = tmp_path / f"events.{form}"
    CIRCUIT.compile_detector_sampler(seed=0).sample_write(37, filepath=str(path), format=form)
    if form in ("dets", "hits") and detectors > D:
        return  # they name those that fired alone, and do not say how many there are
    assert f"the circuit has {detectors} detectors; give its own file" in refused(path, detectors=detectors)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((5, D + 1), bool), f"shape (5, {D + 1}), expected (shots, {D})"),
        (np.zeros(D, bool), f"shape ({D},), expected (shots, {D})"),
        (np.zeros((0, D), bool), "it has no shot"),
        (np.full((5, D), 2), "expected truth values, or whole numbers 0 and 1"),
        (np.zeros((5, D)), "an array of float64, expected truth values"),
    ],
)
def test_other_arrays(tmp_path, array, words):
    np.save(tmp_path / "events.npy", array)
    assert words in refused(tmp_path / "events.npy")


def test_files_that_are_none(tmp_path):
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "none.b8")
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "none.01")
    assert "the format 'txt' is unknown" in refused(tmp_path / "events.txt")
    assert "Did you mean 'dets'" in refused(tmp_path / "events.det")
    (tmp_path / "events.npy").write_bytes(b"no array")
    assert "no numpy array" in refused(tmp_path / "events.npy")
    (tmp_path / "empty.b8").write_bytes(b"")
    assert "it has no shot" in refused(tmp_path / "empty.b8")
    np.save(tmp_path / "flips.npy", np.zeros((3, L), bool))
    with pytest.raises(ConfigurationError, match="3 shots of observables, expected 37"):
        read_observables(tmp_path / "flips.npy", observables=L, shots=37)
