"""Environments of Gymnasium: the contract, what is refused, and resuming."""

import threading
from importlib.metadata import EntryPoint

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.contracts import PluginConfig, StepBuffers
from qecforge.environments import GymnasiumAdapter
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.hookspecs import EnvironmentSpec
from qecforge.runs.execute import execute
from qecforge.testing.environments import EnvironmentContract


class Config(PluginConfig):
    """Nothing to say."""


def spec(make_one, actions, **more):
    """A spec whose environment is the adapter around `make_one(num_envs)`."""

    def make(config, *, num_envs, seed, reward):
        return GymnasiumAdapter(lambda: make_one(num_envs), num_envs=num_envs, seed=seed, **more)

    resumes = more.get("resumes", "to_the_bit")
    about = {"name": "other", "summary": "Of Gymnasium.", "config": Config, "native_reward": True}
    return EnvironmentSpec(make=make, actions=actions, resumes=resumes, **about)


class Corridor(gymnasium.Env):
    """Masked actions from 1 on; observations are a dictionary; episodes are cut off after five steps."""

    def __init__(self):
        spaces = gymnasium.spaces
        self.observation_space = spaces.Dict({"place": spaces.Discrete(4), "noise": spaces.Box(0, 1, (2,), np.float64)})
        self.action_space = spaces.Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(3)), 0
        return self._shown(), self._info()

    def step(self, action):
        assert type(action) is int
        assert self._info()["action_mask"][action - 1], "a forbidden action"
        self.place, self.steps = self.place + (1 if action == 2 else -1), self.steps + 1
        return self._shown(), self.place / 4, self.place == 3, self.steps == 5, self._info()

    def _shown(self):
        return {"place": self.place, "noise": self.np_random.random(2)}

    def _info(self):
        return {"action_mask": np.array([self.place > 0, True], np.int8)}


class Forgetful(Corridor):
    """Its noise does not follow from the seed of the episode."""

    drawn = 0

    def _shown(self):
        Forgetful.drawn += 1
        return {"place": self.place, "noise": np.full(2, (Forgetful.drawn % 97) / 97)}


def cart_poles(mode):
    def make(num_envs):
        return SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * num_envs, autoreset_mode=mode)

    return make


class TestCartPole(EnvironmentContract):
    spec = spec(lambda num_envs: gymnasium.make("CartPole-v1"), "discrete")


class TestPendulum(EnvironmentContract):
    spec = spec(lambda num_envs: gymnasium.make("Pendulum-v1"), "continuous")


class TestMasksAndDictionaries(EnvironmentContract):
    spec = spec(lambda num_envs: Corridor(), "discrete")


class TestNumbersAsObservations(EnvironmentContract):
    spec = spec(lambda num_envs: gymnasium.make("FrozenLake-v1"), "discrete")


class TestBetweenEpisodes(EnvironmentContract):
    spec = spec(lambda num_envs: gymnasium.make("CartPole-v1"), "discrete", resumes="between_episodes")


class TestSameStep(EnvironmentContract):
    spec = spec(cart_poles(AutoresetMode.SAME_STEP), "discrete", resumes="between_episodes")


class TestNextStep(EnvironmentContract):
    spec = spec(cart_poles(AutoresetMode.NEXT_STEP), "discrete", resumes="between_episodes")


class TestDisabled(EnvironmentContract):
    spec = spec(cart_poles(AutoresetMode.DISABLED), "discrete", resumes="between_episodes")


class TestPendulums(EnvironmentContract):
    spec = spec(
        lambda num_envs: gymnasium.make_vec("Pendulum-v1", num_envs=num_envs, max_episode_steps=9),
        "continuous",
        resumes="between_episodes",
    )


def test_steps_are_those_of_gymnasium():
    """Each episode is what the environment itself does with that seed and those actions; then the next begins."""
    env = GymnasiumAdapter(lambda: gymnasium.make("Pendulum-v1", max_episode_steps=3), num_envs=2, seed=7)
    shown, infos = env.reset()
    assert infos == {}
    seeds = [int(np.random.SeedSequence(7, spawn_key=(member, 0)).generate_state(1)[0]) for member in range(2)]
    alone = [gymnasium.make("Pendulum-v1", max_episode_steps=3) for _ in seeds]
    np.testing.assert_array_equal(shown, [each.reset(seed=seed)[0] for each, seed in zip(alone, seeds, strict=True)])
    actions, earned = np.array([[1.5], [-2.0]], np.float32), np.zeros(2)
    for step in range(3):
        shown, rewards, terminated, truncated, infos = env.step(actions)
        expected = [each.step(action) for each, action in zip(alone, actions, strict=True)]
        np.testing.assert_array_equal(rewards, np.array([each[1] for each in expected], np.float32))
        earned += rewards
        assert not terminated.any()
        assert truncated.tolist() == [step == 2] * 2
        last = infos["final_obs"] if step == 2 else shown
        np.testing.assert_array_equal(last, [each[0] for each in expected])
    np.testing.assert_array_equal(infos["episode_return"], earned)
    assert infos["episode_length"].tolist() == [3, 3]
    assert not np.array_equal(shown, infos["final_obs"])


def test_a_vector_environment_gives_the_same_whatever_its_autoreset():
    """Starts are drawn by each mode in its own way; dynamics, ends, returns and last observations are the same."""
    for mode in AutoresetMode:
        env = GymnasiumAdapter(lambda mode=mode: cart_poles(mode)(3), num_envs=3, seed=1)
        singles = [gymnasium.make("CartPole-v1").unwrapped for _ in range(3)]
        shown, _ = env.reset(seed=1)
        for single in singles:
            single.reset()
        rng, lengths = np.random.default_rng(0), np.zeros(3, int)
        for _ in range(60):
            actions = rng.integers(2, size=3)
            for single, start in zip(singles, shown, strict=True):
                single.state, single.steps_beyond_terminated = tuple(start), None
            before, (shown, rewards, terminated, truncated, infos) = shown, env.step(actions)
            lengths += 1
            for member, single in enumerate(singles):
                single.state = tuple(before[member].astype(np.float64))
                expected, reward, ended, _, _ = single.step(int(actions[member]))
                assert (rewards[member], terminated[member]) == (reward, ended), (mode, member)
                if not ended:
                    np.testing.assert_allclose(shown[member], expected, rtol=1e-4, atol=1e-5)
                else:
                    assert np.abs(shown[member]).max() <= 0.05, "the first observation of the next episode"
                    assert infos["episode_length"][member] == lengths[member]
                    lengths[member] = 0
            assert not truncated.any()
        env.close()


def test_what_is_no_environment_of_ours_is_refused():
    with pytest.raises(ConfigurationError, match="autoreset_mode is NEXT_STEP, expected SAME_STEP or DISABLED"):
        GymnasiumAdapter(lambda: gymnasium.make_vec("CartPole-v1", num_envs=2), num_envs=2, seed=0)
    with pytest.raises(ConfigurationError, match="a vector environment of 2 members, expected 3"):
        GymnasiumAdapter(lambda: cart_poles(AutoresetMode.SAME_STEP)(2), num_envs=3, seed=0)
    with pytest.raises(ConfigurationError, match="cannot resume to the bit: set `resumes` to between_episodes"):
        GymnasiumAdapter(lambda: cart_poles("SameStep")(2), num_envs=2, seed=0, resumes="to_the_bit")

    class TwoNumbers(Corridor):
        def __init__(self):
            super().__init__()
            self.action_space = gymnasium.spaces.MultiDiscrete([2, 3])

    with pytest.raises(
        ConfigurationError, match=r"TwoNumbers: its actions are MultiDiscrete\(\[2 3\]\), expected Disc"
    ):
        GymnasiumAdapter(TwoNumbers, num_envs=2, seed=0)


def test_members_are_closed_where_one_cannot_be_made():
    closed = []

    class Watched(Corridor):
        def close(self):
            closed.append(self)

    made = iter([Watched(), Watched()])
    with pytest.raises(StopIteration):
        GymnasiumAdapter(lambda: next(made), num_envs=3, seed=0)
    assert len(closed) == 2


def test_a_whole_number_is_asked_for():
    env = GymnasiumAdapter(lambda: gymnasium.make("CartPole-v1"), num_envs=2, seed=0)
    env.reset()
    with pytest.raises(ConfigurationError, match="got the action float64, expected a whole number from 0 to 1"):
        env.step(np.array([0.0, 1.0]))


def test_options_are_given_to_every_reset():
    limits = {"low": 0.01, "high": 0.02}
    env = GymnasiumAdapter(lambda: gymnasium.make("CartPole-v1"), num_envs=2, seed=0, reset_options=limits)
    shown, _ = env.reset()
    for _ in range(40):
        shown, _, terminated, _, _ = env.step(np.ones(2, int))
        assert ((shown[terminated] >= 0.01) & (shown[terminated] <= 0.02)).all()


def test_buffers_take_the_mask():
    env = GymnasiumAdapter(Corridor, num_envs=2, seed=0)
    out = StepBuffers(
        np.ones((2, 6)), np.ones(2, np.float32), np.ones(2, bool), np.ones(2, bool), np.zeros((2, 2), bool)
    )
    _, infos = env.reset(out=out)
    assert infos["action_mask"] is out.action_mask
    assert out.action_mask[:, 1].all()


def played(env, steps=7):
    env.reset(seed=3)
    for _ in range(steps):
        env.step(np.full(env.num_envs, 2))
    return env.state_dict()


def test_what_does_not_follow_from_seeds_is_found_out():
    state = played(GymnasiumAdapter(Forgetful, num_envs=2, seed=0))
    with pytest.raises(CheckpointError, match="Forgetful: member 0 is not where the checkpoint left it after the same"):
        GymnasiumAdapter(Forgetful, num_envs=2, seed=0).load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_envs", 3),
        ("seed", -1),
        ("seed", None),
        ("seed", "x"),
        ("group_size", 0),
        ("group_size", 3),
        ("episodes", np.zeros(3, int)),
        ("episodes", np.full(2, -2)),
        ("observations", np.zeros((2, 5))),
        ("returns", [1.0]),
        ("actions", [np.zeros(1, int)] * 2),
        ("actions", [np.full(1, 9)] * 2),
        ("actions", []),
        ("actions", [np.zeros((1, 4))] * 2),
        ("mask", np.zeros((3, 2), bool)),
    ],
)
def test_a_state_that_cannot_be_its_own_is_refused(name, value):
    state = played(GymnasiumAdapter(Corridor, num_envs=2, seed=0))
    env = GymnasiumAdapter(Corridor, num_envs=2, seed=0)
    for changed in ({**state, name: value}, {key: entry for key, entry in state.items() if key != name}):
        with pytest.raises(CheckpointError) as refused:
            env.load_state_dict(changed)
        assert "\n" not in str(refused.value)


def test_a_spec_that_promises_too_much_is_found_out():
    """A vector environment whose spec says `to_the_bit` would be stepped without a reset when its run is resumed."""
    env = GymnasiumAdapter(lambda: cart_poles("SameStep")(2), num_envs=2, seed=0)
    env.reset()
    state = env.state_dict()
    env.load_state_dict(state)
    with pytest.raises(ConfigurationError, match="its spec has to say resumes='between_episodes'"):
        env.step(np.zeros(2, int))


MANIFEST = """\
qecforge: 1
name: pole
environment: NAME
agent: {plugin: ppo, total_steps: 16_384, num_envs: 8, horizon: 64, minibatch_size: 128, update_epochs: 8,
        learning_rate: 3.0e-3, gamma: 0.98, gae_lambda: 0.9, entropy: 0.0, policy: {hidden_sizes: [32]}}
evaluation: {returns: {episodes: 8}}
"""


@pytest.fixture(scope="module")
def registry():
    modules = {"poles": "gymnasium_plugin", "ppo": "qecforge_ppo"}
    return Registry.load([EntryPoint(name, module, "qecforge") for name, module in modules.items()])


class CancelAt(RunListener):
    """Cancels once the agent has reported `step`."""

    def __init__(self, step):
        self.step, self.stop = step, threading.Event()

    def on_progress(self, plan, step, total, metrics):
        if step >= self.step:
            self.stop.set()


def trained(registry, name, url, *stops):
    """Weights and returns of the run, stopped and resumed at these steps."""
    (plan,) = load_manifest(MANIFEST.replace("NAME", name), registry=registry).runs()
    for step in stops:
        listener = CancelAt(step)
        assert execute(plan, RunOptions(url), listener, listener.stop.is_set).status == "interrupted"
    assert execute(plan, RunOptions(url), RunListener()).status == "finished"
    with Store(url) as store:
        (run,) = store.runs()
        series = store.metrics(run.id, "episode_return")
        files = [each.sha256 for each in store.artifacts(run.id, kind="policy")]
        return files, series.step.tolist(), series.value.tolist()


def test_ppo_balances_a_pole_and_is_resumed_to_the_bit(registry, tmp_path):
    whole = trained(registry, "poles", f"sqlite:///{tmp_path}/whole.db")
    assert trained(registry, "poles", f"sqlite:///{tmp_path}/parts.db", 1_000, 5_000) == whole
    returns = whole[2]
    assert returns[0] < 40
    assert max(returns) > 100, "PPO learns to balance the pole"


def test_a_batch_is_resumed_between_episodes(registry, tmp_path):
    _, steps, returns = trained(registry, "poles_at_once", f"sqlite:///{tmp_path}/parts.db", 5_000)
    assert steps == sorted(set(steps))
    assert max(returns) > 100
