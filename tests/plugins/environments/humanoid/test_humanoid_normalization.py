"""Running normalisation: its numbers, and where it stands still."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest, load_policy
from qecforge.errors import CheckpointError
from qecforge.runs.execute import execute
from qecforge.testing.contexts import through_checkpoint
from qecforge_humanoid import HumanoidConfig, make
from qecforge_humanoid.environment import ContinuousControl
from qecforge_humanoid.normalization import RunningNormalization


def pendulum(num_envs=3, seed=0, *, normalized=True):
    config = HumanoidConfig(id="Pendulum-v1", normalize_observations=normalized, max_episode_steps=40)
    return make(config, num_envs=num_envs, seed=seed, reward=None)


def test_mean_and_variance_are_those_of_two_passes():
    """Rows come in batches of any size, far from zero, one of their numbers constant."""
    rng = np.random.default_rng(0)
    rows = rng.normal([0.0, 1e3, -5.0, 7.0], [1.0, 0.1, 50.0, 0.0], (1000, 4)).astype(np.float32)
    running = RunningNormalization((4,))
    for batch in np.split(rows, [1, 2, 5, 100, 101, 640]):
        running.update(batch)
    exact = rows.astype(np.float64)
    assert running.count == 1000
    np.testing.assert_allclose(running.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(running.variance, exact.var(0), rtol=1e-9, atol=1e-12)
    shown = running.apply(rows)
    np.testing.assert_allclose(shown[:, :3].mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(shown[:, :3].std(0), 1.0, atol=1e-4)
    assert not shown[:, 3].any()


def test_every_observation_is_counted_once():
    """What an environment without normalisation shows: starts, and the last of episodes too."""
    env, plain = pendulum(), pendulum(normalized=False)
    env.reset(seed=1)
    seen = [plain.reset(seed=1)[0]]
    rng = np.random.default_rng(1)
    for _ in range(100):
        actions = rng.uniform(-2.0, 2.0, (3, 1)).astype(np.float32)
        shown, *_, infos = env.step(actions)
        raw, _, _, truncated, told = plain.step(actions)
        if truncated.any():
            seen.append(told["final_obs"])
            assert infos["final_obs"].shape == (3, 3)
        seen.append(raw)
    rows = np.concatenate(seen).astype(np.float64)
    np.testing.assert_array_equal(env.fitted_state()["count"], len(rows))
    np.testing.assert_allclose(env.fitted_state()["mean"], rows.mean(0), atol=1e-12)
    np.testing.assert_allclose(env.fitted_state()["squares"] / len(rows), rows.var(0), rtol=1e-9)
    expected = np.clip((raw - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-8), -10, 10)
    np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_a_seed_begins_the_count_anew_and_a_resumption_does_not():
    env = pendulum()
    env.reset(seed=1)
    env.step(np.zeros((3, 1), np.float32))
    assert env.fitted_state()["count"] == 6
    other = pendulum()
    other.load_state_dict(through_checkpoint(env.state_dict()))
    other.reset(seed=5)
    assert other.fitted_state()["count"] == 9, "new episodes of a resumed training"
    other.reset(seed=5)
    assert other.fitted_state()["count"] == 3


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True)])
def test_policies_of_the_other_setting_are_refused(ours, theirs):
    env, other = pendulum(normalized=ours), pendulum(normalized=theirs)
    with pytest.raises(CheckpointError, match="normalize_observations"):
        env.load_fitted_state(other.fitted_state())
    with pytest.raises(CheckpointError, match="normalize_observations"):
        env.load_state_dict(other.state_dict())


MANIFEST = """\
qecforge: 1
name: swing
environment: {plugin: humanoid, id: Pendulum-v1, max_episode_steps: 50, normalize_observations: true}
agent: {plugin: cross_entropy, total_steps: 4_000, horizon: 50}
evaluation: {returns: {episodes: 8}}
seeds: [3]
"""


def test_what_training_has_counted_is_kept_with_the_policy(tmp_path, monkeypatch):
    """An evaluation and a policy that is loaded later see observations by the training's mean, which moves no more."""
    plugins = {"humanoid": "qecforge_humanoid", "agents": "control_agent"}
    registry = Registry.load([EntryPoint(name, module, "qecforge") for name, module in plugins.items()])
    made, init = [], ContinuousControl.__init__
    monkeypatch.setattr(
        ContinuousControl, "__init__", lambda self, *args, **given: made.append(self) or init(self, *args, **given)
    )
    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    url = f"sqlite:///{tmp_path}/results.db"
    outcome = execute(plan, RunOptions(url), RunListener())
    assert outcome.status == "finished", outcome.error
    trained, tested, evaluated = (each.fitted_state() for each in made)
    assert trained["count"] > 4_000
    with Store(url) as store:
        env, _ = load_policy(store, outcome.run_id, registry=registry)
    env.reset(seed=1)
    for state in (tested, evaluated, env.fitted_state()):
        for name, array in trained.items():
            np.testing.assert_array_equal(state[name], array)
    env.close()
