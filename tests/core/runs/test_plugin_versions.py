"""After the version of a plugin has risen, what earlier runs left is still of use, as far as it can be built."""

import json
from importlib.metadata import Distribution, EntryPoint

import numpy as np
import onnxruntime
import pytest
import torch
from cli_harness import invoke
from torch import nn

import qecforge_ppo
from qecforge import RunListener, RunOptions, Store, load_manifest, load_policy
from qecforge.errors import CheckpointError, PluginError
from qecforge.inference.described import described_policy
from qecforge.inference.module_policy import ModulePolicy
from qecforge.registry import Registry
from qecforge.runs.execute import execute
from qecforge.runs.policies import kept_files, policy_of_run

LOAD = Registry.load.__func__
FLOAT = """\
qecforge: 1
name: float
environment: {plugin: walk, find_at: 100_000}
agent: {plugin: ppo, total_steps: 128, num_envs: 8, horizon: 16, minibatch_size: 64, policy: {hidden_sizes: [6, 5]}}
"""
STUDENT = FLOAT.replace("name: float", "name: student") + 'quantizer: {plugin: ptq, teacher: {run: "RUN"}}\n'


class Versioned(Distribution):
    def __init__(self, version):
        self.text = f"Metadata-Version: 2.1\nName: science\nVersion: {version}\n"

    def read_text(self, filename):
        return self.text if filename == "METADATA" else None

    def locate_file(self, path):
        raise NotImplementedError


@pytest.fixture
def at_version(monkeypatch):
    """Has `Registry.load()` find the plugins as of one version."""

    def load(version):
        def given(cls, entry_points=None):
            modules = {"toy": "toy_plugin", "ppo": "qecforge_ppo", "ptq": "qecforge_ptq"}
            points = [EntryPoint(name, module, "qecforge") for name, module in modules.items()]
            for point in points:
                vars(point).update(dist=Versioned(version))
            return LOAD(cls, points)

        monkeypatch.setattr(Registry, "load", classmethod(given))
        return Registry.load()

    return load


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/results.db"


@pytest.fixture
def trained(at_version, url):
    """Id of the float run of version 1; version 2 is installed now."""
    (plan,) = load_manifest(FLOAT, registry=at_version("1")).runs()
    outcome = execute(plan, RunOptions(url), RunListener())
    assert outcome.status == "finished", outcome.error
    at_version("2")
    return outcome.run_id


@pytest.fixture
def without_ppo(monkeypatch):
    """The new version of the agent has none of the settings that the run was made with."""

    def nothing():
        return []

    monkeypatch.setattr(qecforge_ppo, "qecforge_agents", nothing)


def logits(policy):
    return policy.logits(np.arange(9, dtype=np.float32)[:, None])


def onnx_logits(path):
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: np.arange(9, dtype=np.float32)[:, None]})[0]


def test_the_policy_can_be_played(trained, url):
    with Store(url) as store:
        env, policy = load_policy(store, trained, registry=Registry.load())
        env.close()
        assert np.isfinite(logits(policy)).all()


@pytest.mark.parametrize("agent", ["there", "gone"])
def test_the_policy_is_exported(trained, url, tmp_path, request, agent):
    before = tmp_path / "before.onnx"
    arguments = ("runs", "export-policy", trained, "--format", "onnx", "--store", url, "--out")
    assert invoke(*arguments, before).exit_code == 0
    if agent == "gone":
        request.getfixturevalue("without_ppo")
    result = invoke(*arguments, tmp_path / "after.onnx")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(onnx_logits(before), onnx_logits(tmp_path / "after.onnx"))
    with Store(url) as store:
        (file,) = kept_files(store, trained).values()
        np.testing.assert_allclose(onnx_logits(before), logits(described_policy(file)), rtol=1e-4, atol=1e-5)


def test_the_policy_is_a_teacher(trained, url):
    (plan,) = load_manifest(STUDENT.replace("RUN", trained), registry=Registry.load()).runs()
    outcome = execute(plan, RunOptions(url), RunListener())
    assert outcome.status == "finished", outcome.error
    with Store(url) as store:
        assert len(store.artifacts(outcome.run_id, kind="quantized")) == 1
        (taught,) = store.events(outcome.run_id, kind="teacher")
        assert taught.payload == {"run": trained}


def test_what_cannot_be_built_is_refused_with_both_versions(trained, url, without_ppo):
    """The agent is gone, and the policy does not describe itself."""
    with Store(url) as store:
        run, (file,) = store.run(trained), kept_files(store, trained).values()
        (artifact,) = store.artifacts(trained, kind="policy")
        bare = ModulePolicy.files(
            type("Bare", (ModulePolicy,), {"module": property(lambda self: nn.Identity())})(
                described_policy(file).module, described_policy(file).value_module
            )
        )
        store.add_artifact(trained, artifact.kind, artifact.name, bare["policy.safetensors"])
        with pytest.raises(PluginError, match="unknown agent 'ppo'"):
            policy_of_run(run, kept_files(store, trained), Registry.load())


def test_settings_that_are_gone_are_said_with_both_versions(trained, url, monkeypatch):
    from qecforge.contracts import PluginConfig

    class Other(PluginConfig):
        pace: int = 1

    (spec,) = [each for each in qecforge_ppo.qecforge_agents() if each.name == "ppo"]
    object.__setattr__(spec, "config", Other)
    monkeypatch.setattr(
        qecforge_ppo, "qecforge_agents", qecforge_ppo.hookimpl(specname="qecforge_agents")(lambda: [spec])
    )
    with (
        Store(url) as store,
        pytest.raises(
            PluginError,
            match=r"was made with agent ppo of science 1, and science 2.*cannot build what it left .*unknown",
        ),
    ):
        load_policy(store, trained, registry=Registry.load())


def test_a_described_policy_is_the_policy():
    """Flattened observations, no bias, any activation, another first action."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4, bias=False), nn.SiLU(), nn.Linear(4, 3))
    policy = ModulePolicy(module, nn.Sequential(nn.Flatten(), nn.Linear(6, 1)), start=2)
    (content,) = policy.files().values()
    again = described_policy(content)
    observations = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(again.logits(observations), policy.logits(observations))
    assert again.start == 2
    assert again.state_dict().keys() == policy.state_dict().keys()
    assert described_policy(ModulePolicy(nn.Sequential(nn.Conv1d(1, 1, 1))).files()["policy.safetensors"]) is None
    assert described_policy(b"") is None


@pytest.mark.parametrize(
    "policy",
    [[["linear", 6, -1, True]], [["linear", 2**20, 2**20, True]], ["magic"], [], [["linear", 5, 3, True]], "flatten"],
)
def test_a_damaged_description_is_one_line(policy):
    from qecforge.contracts.policy import weights_of

    plain = ModulePolicy(nn.Sequential(nn.Linear(6, 3)))
    text = json.dumps({"format": 1, "start": 0, "policy": policy, "value": None})
    with pytest.raises(CheckpointError) as caught:
        described_policy(weights_of(plain, {"qecforge.network": text}))
    assert "\n" not in str(caught.value)
