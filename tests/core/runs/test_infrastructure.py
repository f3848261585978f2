"""A reward that cannot score interrupts a run, which learns nothing from it and resumes to the bit."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.contracts import CompiledReward, Reward
from qecforge.errors import InfrastructureError
from qecforge.runs.execute import execute
from qecforge_knill_laflamme.reward import KnillLaflamme

MANIFEST = """\
qecforge: 1
name: device
environment: {plugin: code_discovery, n: 4, k: 2, target_distance: 2, max_gates: 8, gates: [h, cx]}
reward: knill_laflamme
agent: {plugin: ppo, total_steps: 2048, num_envs: 16, horizon: 16, minibatch_size: 64}
seeds: [1]
"""


class Device(Reward):
    """Knill-Laflamme, measured by a device that stops to answer for member 3 after so many calls."""

    components = KnillLaflamme.components
    calls_left = 10**9

    def __init__(self, config):
        self.reward = KnillLaflamme(config)

    def compile(self, subject):
        return CompiledDevice(self.reward.compile(subject))


class CompiledDevice(CompiledReward):
    def __init__(self, compiled):
        self.compiled = compiled

    def score(self, batch, out=None):
        scores = self.compiled.score(batch, out)
        Device.calls_left -= 1
        scores.valid = None
        if Device.calls_left < 0:
            scores.valid = np.arange(len(scores.values)) != 3
            scores.values[3], scores.solved[3] = 0.0, False
        return scores


@pytest.fixture
def registry(monkeypatch):
    points = [EntryPoint(name, f"qecforge_{name}", "qecforge") for name in ("code_discovery", "knill_laflamme", "ppo")]
    monkeypatch.setattr("qecforge_knill_laflamme.reward.KnillLaflamme", Device)
    monkeypatch.setattr(Device, "calls_left", 10**9)
    return Registry.load(points)


def test_nothing_is_learned_from_what_could_not_be_scored(registry, tmp_path, monkeypatch):
    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    assert isinstance(plan.reward.spec.make(plan.reward.config), Device)
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts")]
    whole, parts = (RunOptions(url, checkpoint_seconds=1e-9) for url in urls)
    assert execute(plan, whole, RunListener()).status == "finished"
    assert Device.calls_left == 10**9 - 128
    monkeypatch.setattr(Device, "calls_left", 75)
    with pytest.raises(InfrastructureError, match="could not score 1 of 16 members: repair what it needs") as raised:
        execute(plan, parts, RunListener())
    with Store(urls[1]) as store:
        (run,) = store.runs()
        assert (run.status, run.error) == ("interrupted", str(raised.value))
        assert store.metrics(run.id, "episode_return").step.max() <= 4 * 256
    monkeypatch.setattr(Device, "calls_left", 10**9)
    assert execute(plan, parts, RunListener()).status == "finished"
    records = []
    for url in urls:
        with Store(url) as store:
            (run,) = store.runs()
            names = [name for name in store.metric_names(run.id) if not name.startswith("time/")]
            series = {name: store.metrics(run.id, name).value.tolist() for name in names}
            records.append((series, [each.sha256 for each in store.artifacts(run.id, kind="policy")]))
    assert records[0] == records[1]
    assert len(records[0][0]["episode_return"]) == 8
