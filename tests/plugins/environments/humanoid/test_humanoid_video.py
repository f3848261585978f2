"""Episodes as GIFs."""

import io
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.errors import MissingDependency
from qecforge.runs.execute import execute
from qecforge.testing.contexts import RecordingEvaluation
from qecforge_humanoid import HumanoidConfig, evaluate_video, make
from qecforge_humanoid.config import EpisodeVideoConfig
from qecforge_humanoid.video import gl_backend

pytest.importorskip("mujoco", reason="needs the extra control")
Image = pytest.importorskip("PIL.Image", reason="needs the extra control")

NOTHING_DRAWS = dict.fromkeys(("egl", "osmesa", "glfw"), "raise SystemExit(1)")


@pytest.fixture(scope="module")
def backend():
    try:
        return gl_backend()
    except MissingDependency as error:
        pytest.skip(str(error))


class Limp:
    """Does nothing."""

    def act(self, observations, *, action_mask=None, deterministic=True, rng=None):
        return np.zeros((len(observations), 17), np.float32)


def test_frames_of_whole_episodes(backend, monkeypatch, tmp_path):
    """A GIF for each episode: a frame of the start and of every so many steps, of the size that was asked for, that
    show something which moves. Nothing is written to the working directory."""
    monkeypatch.chdir(tmp_path)
    env = make(HumanoidConfig(normalize_observations=True), num_envs=2, seed=0, reward=None)
    context = RecordingEvaluation(3)
    evaluate_video(env, Limp(), EpisodeVideoConfig(episodes=2, width=64, height=48, every=5), context)
    episodes = context.payloads["episodes"][0]["episodes"]
    assert len(episodes) == 2
    for number, episode in enumerate(episodes):
        gif = Image.open(io.BytesIO(context.artifacts[f"episode_{number}.gif"]))
        assert gif.format == "GIF"
        assert gif.size == (64, 48)
        assert gif.n_frames == episode["frames"] == 1 + (episode["length"] - 1) // 5
        frames = []
        for index in range(gif.n_frames):
            gif.seek(index)
            frames.append(np.asarray(gif.convert("RGB"), np.int64))
        assert frames[0].std() > 10, "a picture of one colour"
        assert np.abs(frames[-1] - frames[0]).max() > 50, "nothing moves"
        assert gif.info["duration"] == 70, "5 steps of 0.015 s, in hundredths of a second"
        assert episode["return"] > 0
    assert context.reports[-1] == (2, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [("none_such", "MUJOCO_GL is 'none_such', expected one of egl, osmesa, glfw"), ("", "tried egl, osmesa, glfw")],
)
def test_where_nothing_draws_the_packages_are_named(monkeypatch, asked, said):
    monkeypatch.setenv("MUJOCO_GL", asked)
    monkeypatch.setattr("qecforge_humanoid.video._GL", NOTHING_DRAWS)
    with pytest.raises(MissingDependency, match=said) as caught:
        gl_backend()
    assert str(caught.value).isprintable()
    if not asked:
        assert "libosmesa6" in str(caught.value)


def test_a_library_that_is_asked_for_and_absent(tmp_path):
    """MuJoCo itself is then not imported: whoever trains is told, too."""
    (tmp_path / "OpenGL").mkdir()
    (tmp_path / "OpenGL" / "__init__.py").write_text("raise AttributeError('as PyOpenGL does')")
    program = (
        "from qecforge_humanoid import HumanoidConfig, make\n"
        "try:\n"
        "    make(HumanoidConfig(), num_envs=1, seed=0, reward=None)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    environment = {"PATH": "", "MUJOCO_GL": "osmesa", "PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    )
    assert done.stdout.startswith(
        "MissingDependency environment humanoid: Humanoid-v4: MuJoCo cannot be imported with "
    )
    assert "libosmesa6" in done.stdout
    assert done.stdout.count("\n") == 1


MANIFEST = """\
qecforge: 1
name: hop
environment: {plugin: humanoid, id: Hopper-v4, max_episode_steps: 20}
agent: {plugin: cross_entropy, total_steps: 160, candidates: 4, horizon: 40}
evaluation:
  episode_video: {width: 48, height: 48, every: 8}
seeds: [3]
"""


def test_where_nothing_draws_the_policy_is_kept_and_the_run_goes_on(backend, tmp_path, monkeypatch):
    """The same command, once there is a library, films without training again."""
    plugins = {"humanoid": "qecforge_humanoid", "agents": "control_agent"}
    registry = Registry.load([EntryPoint(name, module, "qecforge") for name, module in plugins.items()])
    (plan,) = load_manifest(MANIFEST, registry=registry).runs()
    url = f"sqlite:///{tmp_path}/results.db"
    with monkeypatch.context() as without:
        without.setattr("qecforge_humanoid.video._GL", NOTHING_DRAWS)
        with pytest.raises(MissingDependency, match="cannot draw here"):
            execute(plan, RunOptions(url), RunListener())
    with Store(url) as store:
        (run,) = store.runs()
        assert run.status == "interrupted"
        (kept,) = store.artifacts(run.id, kind="policy")
    monkeypatch.setattr("toy_continuous.CrossEntropy.train", None)
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    with Store(url) as store:
        assert store.artifacts(run.id, kind="policy") == [kept]
        (gif,) = store.artifacts(run.id, kind="evaluation")
        assert gif.name == "episode_video/episode_0.gif"
        assert store.read_artifact(gif).startswith(b"GIF89a")


def test_a_package_of_gymnasiums_own_drawing_is_named(monkeypatch):
    """Pendulums are drawn by pygame, which is no part of the extra."""
    monkeypatch.setitem(sys.modules, "pygame", None)
    env = make(HumanoidConfig(id="Pendulum-v1"), num_envs=1, seed=0, reward=None)
    with pytest.raises(MissingDependency, match="episode_video: pygame is not installed"):
        evaluate_video(env, Limp(), EpisodeVideoConfig(), RecordingEvaluation(1))
