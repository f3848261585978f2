"""`examples/steering/device_loop.py`: the shape of a real device's loop."""

import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qecforge import Registry, Store
from qecforge.reporting.views import run_figures, views_of
from qecforge_surface_steering import DetectionModel, TaggedCircuit, surface_code

SCRIPT = Path(__file__).parents[1] / "examples" / "steering" / "device_loop.py"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(SCRIPT))


def test_rates_are_means_over_a_stabilizers_detectors(example):
    circuit = TaggedCircuit(surface_code(3, 25, "z"))
    model = DetectionModel.from_circuits([circuit])
    events = np.zeros((4, circuit.circuit.num_detectors), bool)
    classes = model.detector_class[0]
    (of_first,) = np.nonzero((classes >= 0) & (np.append(model.objective, -1)[classes] == 0))
    events[0, of_first[:3]] = events[1, of_first[0]] = True
    rates = example["stabilizer_rates"](model, events)
    assert rates == pytest.approx([4 / (4 * len(of_first)), *[0] * (model.num_objectives - 1)])


def test_rates_of_many_shots_are_the_exact_ones(example):
    processor = example["Processor"](seed=1)
    model = DetectionModel.from_circuits([TaggedCircuit(surface_code(3, 25, "z"))])
    shots = 4000
    rates = example["stabilizer_rates"](model, processor.run(processor.initial_parameters, shots, epoch=0))
    deviation = np.sqrt(rates.mean() / (shots * 20 * model.num_objectives))  # about 20 detectors a stabilizer and shot
    assert rates.mean() == pytest.approx(processor.true_rate(processor.initial_parameters, 0), abs=6 * deviation)


def test_the_loop_holds_the_device_calibrated():
    """In less than 20 seconds; a script of its own, as a reader would start it."""
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *reports, summary = done.stdout.splitlines()
    assert len(reports) == 8
    assert all(re.fullmatch(r"epoch +\d+: detection rate 0\.\d{4}, sigma 0\.\d{3}", line) for line in reports)
    after = re.fullmatch(r"after 150 epochs: detection rate (0\.\d+), (0\.\d+) had control stayed fixed", summary)
    steered, fixed = map(float, after.groups())
    assert steered < 0.65 * fixed


def started(folder):
    command = [sys.executable, str(SCRIPT), "--epochs", "44", "--folder", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_and_started_again_it_ends_as_it_would_have(tmp_path):
    """SIGKILL between two epochs or within one: the same candidates, events and log as a loop that nobody killed."""
    whole, killed = started(tmp_path / "whole"), started(tmp_path / "killed")
    for line in killed.stdout:
        if line.startswith("epoch   20"):
            killed.send_signal(signal.SIGKILL)
            break
    assert killed.wait(timeout=60) == -signal.SIGKILL
    killed.stdout.close()
    killed.stderr.close()
    again = started(tmp_path / "killed")
    (expected, errors), (found, more) = whole.communicate(timeout=300), again.communicate(timeout=300)
    assert whole.returncode == again.returncode == 0, errors + more
    assert expected.splitlines()[0] == f"run {found.split()[1]} in sqlite:///{tmp_path / 'whole' / 'results.db'}"
    assert [line for line in found.splitlines() if line.startswith("epoch")] == expected.splitlines()[3:-1]
    assert found.splitlines()[-1] == expected.splitlines()[-1]
    with np.load(tmp_path / "whole" / "search.npz") as one, np.load(tmp_path / "killed" / "search.npz") as other:
        assert sorted(one) == sorted(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    series = []
    for name in ("whole", "killed"):
        with Store(f"sqlite:///{tmp_path / name / 'results.db'}", read_only=True) as store:
            (run,) = store.runs(name="device_loop", status="finished")
            series.append({metric: store.metrics(run.id, metric) for metric in store.metric_names(run.id)})
            if name == "killed":
                figures = run_figures(store, run, views_of(run, Registry.load())[0]).found
    assert {"cost", "sigma", "displacement"} <= series[0].keys() == series[1].keys()
    for metric, values in series[0].items():
        assert values.step.tolist() == list(range(1, 45))
        np.testing.assert_array_equal(values.value, series[1][metric].value)
    assert {"learning_curve", "search"} <= figures.keys()
