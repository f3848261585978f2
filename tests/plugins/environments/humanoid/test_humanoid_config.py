"""Bad input: one line that says what to do."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv
from pydantic import ValidationError

from qecforge import Registry, load_manifest
from qecforge.errors import ManifestError, MissingDependency, UserError
from qecforge_humanoid import HumanoidConfig, make, making

MANIFEST = """\
qecforge: 1
name: bad
environment: {plugin: humanoid, ENVIRONMENT}
agent: {plugin: ppo, total_steps: 100}
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Humanoid-v6", r"is no environment of Gymnasium .* Did you mean 'Humanoid-v[45]' or 'Humanoid-v[45]' or "),
        ("hopper-v4", "Did you mean 'Hopper-v4'"),
        ("Pendulum", "Did you mean 'Pendulum-v1'"),
        ("xq", "gymnasium.pprint_registry"),
        ("CartPole-v1", "has the actions Discrete.2., which are not continuous: choose"),
        ("Blackjack-v1", "not continuous"),
        ("Humanoid-v3", "'Humanoid-v3' cannot be made"),
        ("no_such_module:Walk-v0", "'no_such_module' cannot be imported"),
    ],
)
def test_ids_that_cannot_be(name, said):
    with pytest.raises(ManifestError, match=said) as caught:
        load_manifest(MANIFEST.replace("ENVIRONMENT", f"id: {name!r}"), registry=Registry.load())
    assert "environment.id" in str(caught.value)
    assert str(caught.value).isprintable()


def test_spaces_without_bounds_and_other_observations_are_refused():
    class Free(gymnasium.Env):
        action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

    class Told(gymnasium.Env):
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
        observation_space = gymnasium.spaces.Discrete(3)

    for name, kind, said in (("Free-v0", Free, "unbounded actions"), ("Told-v0", Told, "Discrete observations")):
        gymnasium.register(name, kind)
        try:
            with pytest.raises(ValidationError, match=said):
                HumanoidConfig(id=name)
        finally:
            del gymnasium.registry[name]


def test_one_that_is_not_the_same_twice_is_refused():
    """Before a run of it is begun, which could not be resumed."""

    class Dicing(PendulumEnv):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=None)

    gymnasium.register("Dicing-v0", Dicing)
    with pytest.raises(ValidationError, match="not the same after the same seed and actions"):
        HumanoidConfig(id="Dicing-v0")
    del gymnasium.registry["Dicing-v0"]


def test_a_continuous_environment_is_no_place_for_a_discrete_agent():
    with pytest.raises(ManifestError, match="continuous"):
        load_manifest(MANIFEST.replace("ENVIRONMENT", "id: Pendulum-v1"), registry=Registry.load())


@pytest.mark.parametrize("package", ["mujoco", "imageio"])
def test_a_missing_extra_is_named(monkeypatch, package):
    found = making.find_spec
    monkeypatch.setattr(making, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(MissingDependency, match=rf"Humanoid-v4: {package} is not installed.*extra 'control'"):
        make(HumanoidConfig(), num_envs=1, seed=0, reward=None)


def test_what_gymnasium_misses_is_said(monkeypatch):
    def absent(*args, **given):
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed,\nrun `pip install box2d`")

    monkeypatch.setattr(gymnasium, "make", absent)
    with pytest.raises(MissingDependency, match="MountainCarContinuous-v0: Box2D is not installed, run"):
        making.make_single("MountainCarContinuous-v0")


def test_tasks_that_need_no_mujoco_do_without(monkeypatch):
    monkeypatch.setattr(making, "find_spec", lambda name: None)
    make(HumanoidConfig(id="Pendulum-v1"), num_envs=1, seed=0, reward=None).close()


def test_a_module_that_registers_an_environment(tmp_path, monkeypatch):
    (tmp_path / "walks.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import PendulumEnv\n"
        "gymnasium.register('Walk-v0', PendulumEnv, max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = make(HumanoidConfig(id="walks:Walk-v0"), num_envs=2, seed=0, reward=None)
    env.reset()
    ends = [env.step(np.zeros((2, 1), np.float32))[3].all() for _ in range(7)]
    assert ends == [False] * 6 + [True]
    env.close()
    del gymnasium.registry["Walk-v0"]


def test_a_step_before_a_reset():
    env = make(HumanoidConfig(id="Pendulum-v1"), num_envs=2, seed=0, reward=None)
    with pytest.raises(UserError, match="step without a reset"):
        env.step(np.zeros((2, 1), np.float32))
