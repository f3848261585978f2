"""What MuJoCo does here is what Gymnasium does, also after a resumption, to the bit."""

import hashlib
import itertools
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path  # noqa: F401 - by the program of `RESUMED`

import gymnasium
import numpy as np
import pytest
from damaged_states import altered_states

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.errors import CheckpointError, InfrastructureError, MissingDependency
from qecforge.runs.checkpoints import checkpoint_step, load_checkpoint, save_checkpoint
from qecforge.runs.execute import checkpoint_path, execute
from qecforge_humanoid import HumanoidConfig, make

pytest.importorskip("mujoco", reason="needs the extra control")
pytest.importorskip("imageio", reason="needs the extra control")

MUJOCO = sorted(
    name
    for name, spec in gymnasium.registry.items()
    if str(spec.entry_point).startswith("gymnasium.envs.mujoco.") and (spec.version or 0) >= 4
)


def control(num_envs=1, seed=0, **settings):
    return make(HumanoidConfig(**settings), num_envs=num_envs, seed=seed, reward=None)


def actions_of(env, step, seed=0):
    """Random ones that depend on the step alone, small enough for a humanoid to stand a while."""
    space = env.single_action_space
    rng = np.random.default_rng([seed, step])
    return rng.uniform(space.low, space.high, (env.num_envs, *space.shape)).astype(space.dtype)


def played(env, steps, first=0):
    """(arrays of each step, episodes that ended)."""
    arrays, ended = [], 0
    for step in range(first, first + steps):
        observations, rewards, terminated, truncated, infos = env.step(actions_of(env, step))
        ended += int((terminated | truncated).sum())
        arrays += [observations, rewards, terminated, truncated, infos["episode_return"], infos["episode_length"]]
    return arrays, ended


def end_of(call):
    """The error that a call ends with; None where it returns."""
    try:
        call()
    except Exception as error:
        return error
    return None


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()


@pytest.mark.parametrize("name", ["Humanoid-v4", "Hopper-v5"])
def test_plays_what_gymnasium_plays(name):
    """Rewards, observations and ends of its own environment, which is wrapped as `gymnasium.make` does, from the seeds
    that the docstring names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = [gymnasium.make(name) for _ in range(2)]
    env = control(2, 5, id=name)
    assert env.single_action_space == theirs[0].action_space
    episodes = [0, 0]

    def begin(member):
        seed = np.random.SeedSequence(5, spawn_key=(member, episodes[member])).generate_state(1)[0]
        return theirs[member].reset(seed=int(seed))[0].astype(np.float32)

    observations, _ = env.reset()
    np.testing.assert_array_equal(observations, [begin(member) for member in range(2)])
    ended = 0
    for step in range(150):
        actions = actions_of(env, step)
        observations, rewards, terminated, truncated, _ = env.step(actions)
        for member, single in enumerate(theirs):
            shown, reward, over, cut, _ = single.step(actions[member])
            assert rewards[member] == np.float32(reward)
            assert (terminated[member], truncated[member]) == (over, cut)
            if over or cut:
                episodes[member] += 1
                ended += 1
                shown = begin(member)
            np.testing.assert_array_equal(observations[member], shown.astype(np.float32))
    assert ended > 2
    for single in theirs:
        single.close()


RESUMED = """\
import sys
sys.path[:0] = {paths!r}
import test_humanoid_state as tests
env = tests.control(2, 99)
env.load_state_dict(tests.load_checkpoint(tests.Path({checkpoint!r})))
print(tests.digest(tests.played(env, 900, first=705)[0]))
"""


def test_a_killed_training_goes_on_to_the_bit(tmp_path):
    """3,210 steps of two humanoids that fall again and again, cut off in the middle of episodes and taken up from the
    checkpoint's file: in the same environment, in another one, and in another process."""
    env = control(2, 7)
    env.reset()
    _, fallen = played(env, 705)
    path = tmp_path / "training.ckpt"
    save_checkpoint(path, env.state_dict())
    assert (load_checkpoint(path)["lengths"] > 0).all(), "in mid-episode"
    future, fell = played(env, 900, first=705)
    assert fallen > 20
    assert fell > 20
    for other in (env, control(2, 8)):
        other.load_state_dict(load_checkpoint(path))
        again, _ = played(other, 900, first=705)
        assert digest(again) == digest(future)
    program = RESUMED.format(paths=sys.path, checkpoint=str(path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [digest(future)]


@pytest.mark.parametrize("name", [name for name in MUJOCO if name != "Pusher-v4"])
def test_all_of_gymnasium_in_mujoco_resume_to_the_bit(name):
    env, other = control(1, 3, id=name), control(1, 4, id=name)
    env.reset()
    played(env, 12)
    state = env.state_dict()
    expected, _ = played(env, 25, first=12)
    other.load_state_dict(state)
    assert digest(played(other, 25, first=12)[0]) == digest(expected)
    for each in (env, other):
        each.close()


@pytest.mark.parametrize("settings", [{"id": "Hopper-v4", "normalize_observations": True}, {"id": "Pendulum-v1"}])
def test_states_that_cannot_be_are_refused(settings):
    """Whatever else is let through can be gone on with."""
    env, refused = control(2, 1, **settings), 0
    env.reset()
    played(env, 15)
    for what, state in altered_states(env.state_dict()):
        error = end_of(lambda state=state: env.load_state_dict(state))
        if error is not None:
            refused += 1
            assert isinstance(error, CheckpointError), (what, error)
            assert str(error).isprintable(), what
        elif state["playing"]:
            error = end_of(lambda: played(env, 2))
            assert error is None or isinstance(error, InfrastructureError), (what, error)
    assert refused > 60


def test_one_that_needs_an_earlier_mujoco_says_so():
    with pytest.raises(MissingDependency, match=r"Pusher-v4.*mujoco<3"):
        control(id="Pusher-v4")


def test_a_simulation_that_blows_up_leaves_no_file_and_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    env = control()
    env.reset()
    env._members.envs[0].data.qvel[:] = 1e20
    env.step(np.zeros((1, 17), np.float32))
    assert list(tmp_path.iterdir()) == []
    assert "The simulation is unstable" in caplog.text


def test_an_observation_that_is_nan_is_named(monkeypatch):
    env = control(2, id="Hopper-v4")
    env.reset()
    played(env, 3)
    single = env._members.envs[1]
    whole = single._get_obs
    monkeypatch.setattr(single, "_get_obs", lambda: np.where(np.arange(11) == 4, np.nan, whole()))
    with pytest.raises(InfrastructureError, match="Hopper-v4: observation 4 of member 1 is nan after 4 steps"):
        played(env, 1)


MANIFEST = """\
qecforge: 1
name: hop
environment: {plugin: humanoid, id: Hopper-v4}
agent: {plugin: cross_entropy, total_steps: 640, candidates: 4, horizon: 40}
seeds: [3]
"""


def test_a_run_that_meets_nan_keeps_its_checkpoint(tmp_path, monkeypatch):
    """One line, and the same command goes on once the simulation is in order."""
    plugins = {"humanoid": "qecforge_humanoid", "agents": "control_agent"}
    registry = Registry.load([EntryPoint(name, module, "qecforge") for name, module in plugins.items()])
    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    options = RunOptions(f"sqlite:///{tmp_path}/results.db", checkpoint_seconds=0)
    from gymnasium.envs.mujoco.hopper_v4 import HopperEnv

    calls, whole = itertools.count(), HopperEnv._get_obs
    with monkeypatch.context() as broken:
        broken.setattr(HopperEnv, "_get_obs", lambda env: whole(env) * (np.nan if next(calls) > 450 else 1.0))
        with pytest.raises(InfrastructureError, match=r"Hopper-v4: observation 0 of member .* is nan") as caught:
            execute(plan, options, RunListener())
    assert str(caught.value).isprintable()
    with Store(options.store_url) as store:
        (run,) = store.runs()
        assert run.status == "interrupted"
        step = checkpoint_step(checkpoint_path(store, run.id))
    assert 0 < step < 640
    assert execute(plan, options, RunListener()).status == "finished"
    with Store(options.store_url) as store:
        assert [each.kind for each in store.events(run.id)].count("resumed") == 1


def test_episodes_that_time_ends_are_truncated():
    """`final_obs` is what Gymnasium shows last, and the next episode begins in the same step."""
    env = control(2, 6, id="HalfCheetah-v5", max_episode_steps=7)
    single = gymnasium.make("HalfCheetah-v5")
    single.reset(seed=int(np.random.SeedSequence(6, spawn_key=(1, 0)).generate_state(1)[0]))
    env.reset()
    for step in range(7):
        actions = actions_of(env, step)
        observations, _, terminated, truncated, infos = env.step(actions)
        last, *_ = single.step(actions[1])
        assert truncated.tolist() == [step == 6] * 2
        assert not terminated.any()
        assert ("final_obs" in infos) == (step == 6)
    np.testing.assert_array_equal(infos["final_obs"][1], last.astype(np.float32))
    first, _ = single.reset(seed=int(np.random.SeedSequence(6, spawn_key=(1, 1)).generate_state(1)[0]))
    np.testing.assert_array_equal(observations[1], first.astype(np.float32))
    assert infos["episode_length"].tolist() == [7, 7]
    single.close()


def test_a_humanoid_that_stands_is_truncated_after_a_thousand_steps(monkeypatch):
    env = control(1, 2)
    env.reset()
    monkeypatch.setattr(type(env._members.envs[0]), "terminated", property(lambda self: False))
    ends = [env.step(np.zeros((1, 17), np.float32))[3][0] for _ in range(1000)]
    assert ends == [False] * 999 + [True]
