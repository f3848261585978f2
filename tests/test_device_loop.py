"""`examples/steering/device_loop.py`: the shape of a real device's loop."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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
    rates = example["stabilizer_rates"](model, processor.run(processor.initial_parameters, shots))
    deviation = np.sqrt(rates.mean() / (shots * 20 * model.num_objectives))  # about 20 detectors a stabilizer and shot
    assert rates.mean() == pytest.approx(processor.true_rate(processor.initial_parameters), abs=6 * deviation)


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
