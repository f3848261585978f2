"""Names that Qiskit no longer has: gone indeed, found in programs, blamed by errors."""

import importlib

import pytest
from qiskit import QuantumCircuit

from qecforge_qiskit_tasks.evaluation.removed_api import blamed_names, removed_names
from qecforge_qiskit_tasks.evaluation.removed_names import REMOVED


def resolved(name):
    """What stands under a dotted name, imported as far as there are modules; AttributeError where nothing does."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


@pytest.mark.parametrize("name", [name for name in REMOVED if not name.endswith("*")])
def test_the_installed_qiskit_has_none_of_them(name):
    if name.startswith("QuantumCircuit."):
        circuit = QuantumCircuit(1)
        assert not hasattr(circuit, name.partition(".")[2])
        assert not hasattr(circuit.x(0), name.partition(".")[2])
    else:
        with pytest.raises(AttributeError):
            resolved(name)


def test_no_fake_backend_is_left():
    provider = importlib.import_module("qiskit.providers.fake_provider")
    assert [name for name in dir(provider) if name.startswith("Fake")] == []


@pytest.mark.parametrize(
    "name",
    [each.instead for each in REMOVED.values() if each.instead.startswith("qiskit.") and " " not in each.instead],
)
def test_what_replaces_them_is_there(name):
    assert resolved(name) is not None


@pytest.mark.parametrize(
    "method",
    [
        each.instead.partition("(")[0]
        for each in REMOVED.values()
        if each.name.startswith("QuantumCircuit.") and " " not in each.instead.partition("(")[0]
        and not each.instead.startswith("qiskit.")
    ],
)  # fmt: skip
def test_methods_that_replace_them_are_there(method):
    assert hasattr(QuantumCircuit(1), method)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from qiskit import QuantumCircuit, execute, Aer", {"qiskit.execute", "qiskit.Aer"}),
        ("import qiskit\nqiskit.execute(1)", {"qiskit.execute"}),
        ("import qiskit as qk\nqk.Aer.get_backend('qasm_simulator')", {"qiskit.Aer"}),
        ("from qiskit.providers.aer import AerSimulator", {"qiskit.providers.aer"}),
        ("from qiskit.providers.aer.noise import NoiseModel as N", {"qiskit.providers.aer"}),
        ("import qiskit.providers.aer as aer", {"qiskit.providers.aer"}),
        ("from qiskit.providers import aer", {"qiskit.providers.aer"}),
        ("from qiskit import *\nexecute(qc)", {"qiskit.execute"}),
        ("from qiskit.providers.fake_provider import FakeLagosV2", {"qiskit.providers.fake_provider.Fake*"}),
        ("def f(qc):\n    qc.cnot(0, 1)\n    return qc.bind_parameters({})", {
            "QuantumCircuit.cnot", "QuantumCircuit.bind_parameters"}),
        ("qc.x(0).c_if(c, 1)", {"QuantumCircuit.c_if"}),
        ("from qiskit.primitives import Sampler", {"qiskit.primitives.Sampler"}),
        ("from qiskit.primitives import StatevectorSampler, BackendSamplerV2", set()),
        ("from qiskit_aer import AerSimulator\nimport qiskit_aer.primitives", set()),
        ("from qiskit.providers.fake_provider import GenericBackendV2", set()),
        ("found = []\nfound.extend([1])\nx = a.diagonal()\nm.i", set()),
        ("execute(1)", set()),
        ("from . import execute", set()),
        ("def f(:", set()),
        ("x = '\x00'", set()),
        ("(" * 5000, set()),
        ("", set()),
    ],
)  # fmt: skip
def test_what_a_program_uses(source, expected):
    assert removed_names(source) == expected


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("ImportError: cannot import name 'execute' from 'qiskit' (/x/__init__.py)", {"qiskit.execute"}),
        ("ModuleNotFoundError: No module named 'qiskit.providers.aer'", {"qiskit.providers.aer"}),
        ("AttributeError: module 'qiskit' has no attribute 'Aer'", {"qiskit.Aer"}),
        ("test_a: AttributeError: 'QuantumCircuit' object has no attribute 'cnot'", {"QuantumCircuit.cnot"}),
        ("AttributeError: 'InstructionSet' object has no attribute 'c_if'", {"QuantumCircuit.c_if"}),
        ("AttributeError: 'list' object has no attribute 'i'", set()),
        ("ImportError: cannot import name 'nothing' from 'qiskit'", set()),
        ("ModuleNotFoundError: No module named 'torch'", set()),
        ("AssertionError: the state is wrong", set()),
        ("", set()),
    ],
)
def test_what_an_error_blames(detail, expected):
    assert blamed_names(detail) == expected
