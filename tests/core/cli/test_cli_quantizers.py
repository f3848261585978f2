"""Quantizers that cannot be used as asked: one line on stderr, exit code 2."""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
import pytest
import toy_plugin
from cli_harness import LOAD, invoke, one_line
from torch import nn

from qecforge import Store
from qecforge.registry import Registry

QUANTIZERS = ("apq", "distil", "lsq", "ptq", "smoothquant")
CONTINUOUS_TOO = ("ptq", "distil", "auto")

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 200}
quantizer: {plugin: ptq}
seeds: [5]
"""

CONTINUOUS = """\
qecforge: 1
name: steering
environment: {plugin: surface_steering, distance: 3}
agent: {plugin: parameter_ppo}
quantizer: {plugin: ptq}
"""


PENDULUM = """\
qecforge: 1
name: pendulum
environment: {{plugin: humanoid, id: Pendulum-v1}}
agent: {{plugin: td3, block: pqc}}
quantizer: {{plugin: {0}}}
"""


PLUGIN_OF = {"apq": "plugin: apq, safe: none"}
"""As a manifest names it for an environment that cannot look ahead."""


@pytest.fixture
def quantizers(folder, monkeypatch):
    """The toy environment and agent beside the quantizers that come with qecforge."""
    ours = [each for each in entry_points(group="qecforge") if each.name in QUANTIZERS]
    points = [*ours, EntryPoint("toy", "toy_plugin", "qecforge")]
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: LOAD(cls, points)))
    return folder


def network(monkeypatch, *layers):
    """The toy agent's policies have this network."""
    module = nn.Sequential(*layers)
    monkeypatch.setattr(toy_plugin.WalkerPolicy, "module", property(lambda policy: module))


def refused(text, name):
    """What `qecforge run` says of the run with the quantizer `name`, which fails after its teacher."""
    Path("m.yaml").write_text(text.replace("plugin: ptq", PLUGIN_OF.get(name, f"plugin: {name}")))
    result = invoke("run", "m.yaml")
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    *progress, last = result.stderr.splitlines()
    assert all(each.startswith(("walk seed 5: ", "walk-teacher seed 5: ")) for each in progress), result.stderr
    line = progress[-1].partition("failed: ConfigurationError: ")[2]
    assert line, result.stderr
    assert last.startswith(f"1 of 1 runs failed, the first with ConfigurationError: {line}; ")
    with Store("sqlite:///results.db") as store:
        assert not store.artifacts(kind="quantized")
    return line


@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize(("bits", "limit"), [(1, "expected 2 or more"), (9, "expected 8 or less")])
def test_bits_outside_2_to_8(quantizers, name, bits, limit):
    Path("m.yaml").write_text(MANIFEST.replace("plugin: ptq", f"plugin: {name}, bits: {bits}"))
    for command in ("validate", "run"):
        line = one_line(invoke(command, "m.yaml"))
        assert line.startswith("m.yaml:5:")
        assert f"quantizer.bits: got {bits}, {limit}" in line
    assert not Path("results.db").exists()


@pytest.mark.parametrize("name", QUANTIZERS)
def test_too_few_calibration_states(quantizers, name):
    Path("m.yaml").write_text(MANIFEST.replace("plugin: ptq", f"plugin: {name}, calibration_states: 3"))
    assert "quantizer.calibration_states: got 3, expected 16 or more" in one_line(invoke("run", "m.yaml"))


@pytest.mark.parametrize("name", QUANTIZERS)
def test_an_agent_of_continuous_actions(folder, name):
    Path("m.yaml").write_text(CONTINUOUS.replace("plugin: ptq", f"plugin: {name}"))
    for command in ("validate", "run"):
        line = one_line(invoke(command, "m.yaml"))
        assert line.startswith("m.yaml:5:")
        assert f"quantizer.plugin: {name} quantizes policies for " in line
        assert "but environment surface_steering takes parameters: " in line
    assert not Path("results.db").exists()


@pytest.mark.parametrize("name", [*QUANTIZERS, "auto"])
def test_an_actor_with_a_block(folder, name):
    """A circuit is no network: refused before a teacher is trained."""
    Path("m.yaml").write_text(PENDULUM.format(name))
    for command in ("validate", "run"):
        line = one_line(invoke(command, "m.yaml"))
        if name in CONTINUOUS_TOO:
            assert line.startswith("m.yaml:4:")
            assert "a quantizer needs an actor that is one plain network, and block pqc stands in this one" in line
        else:
            assert f"quantizer.plugin: {name} quantizes policies for discrete actions, but" in line
    assert not Path("results.db").exists()


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_policy_without_a_network(quantizers, name):
    assert refused(MANIFEST, name).startswith("WalkerPolicy has no network, which quantizers and ONNX need: ")


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_policy_without_a_linear_layer(quantizers, monkeypatch, name):
    network(monkeypatch, nn.Flatten(), nn.GELU())
    assert "the policy network (Sequential) has no linear layer to quantize" in refused(MANIFEST, name)


@pytest.mark.parametrize("rate", ["step_learning_rate", "step_epsilon"])
@pytest.mark.parametrize("name", ["apq", "distil", "lsq"])
def test_rates_of_zero_for_steps(quantizers, name, rate):
    Path("m.yaml").write_text(MANIFEST.replace("plugin: ptq", f"plugin: {name}, {rate}: 0"))
    for command in ("validate", "run"):
        line = one_line(invoke(command, "m.yaml"))
        assert line.startswith("m.yaml:5:")
        assert f"quantizer.{rate}: got 0, expected more than 0" in line


@pytest.mark.parametrize("name", ["distil", "auto"])
def test_the_agent_fine_tunes_nothing_for_distillation(quantizers, name):
    Path("m.yaml").write_text(MANIFEST.replace("plugin: ptq", f"plugin: {name}, fine_tune: {{total_steps: 9}}"))
    assert f"quantizer {name} is distillation, the agent trains nothing for it: remove it" in one_line(
        invoke("validate", "m.yaml")
    )


def test_observations_with_nan_end_the_teacher(quantizers, monkeypatch):
    """Nothing is calibrated on them."""
    seen = toy_plugin.WalkEnvironment.observe
    monkeypatch.setattr(
        toy_plugin.WalkEnvironment, "observe", lambda env: np.where(seen(env) == 3, np.float32(np.nan), seen(env))
    )
    Path("m.yaml").write_text(MANIFEST)
    result = invoke("run", "m.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    (line, *_) = (each for each in result.stderr.splitlines() if "failed: " in each)
    assert line.startswith("walk-teacher seed 5: failed: QecforgeError: environment walk: gave nan for member ")


@pytest.mark.parametrize("name", ["ptq", "apq"])
def test_a_teacher_from_another_environment(quantizers, monkeypatch, name):
    network(monkeypatch, nn.Linear(1, 2))
    float_text = MANIFEST.replace("quantizer: {plugin: ptq}\n", "")
    Path("other.yaml").write_text(float_text.replace("size: 9", "size: 12"))
    named = MANIFEST.replace("plugin: ptq", "plugin: ptq, teacher: {manifest: other.yaml}")
    Path("m.yaml").write_text(named.replace("plugin: ptq", PLUGIN_OF.get(name, f"plugin: {name}")))
    line = one_line(invoke("run", "m.yaml"))
    assert "the teacher is from another environment (its environment.size is 12, this run's is 9)" in line
    assert line.endswith("name a teacher that was trained in this one")
    assert not Path("results.db").exists(), "the teacher was not trained for nothing"
