"""What every environment must do.

    from qecforge.testing.environments import EnvironmentContract

    class TestMyEnvironment(EnvironmentContract):
        spec = my_spec              # qecforge.hookspecs.EnvironmentSpec
        settings = {"size": 4}      # a configuration whose episodes, if it has any, end within a few dozen steps
        reward = None               # a qecforge.contracts.reward.Reward, where the environment has none of its own

Outside pytest, `check_environment(make)` runs the same checks and says which failed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment, ParameterEnvironment, StepBuffers
from qecforge.contracts.reward import Reward
from qecforge.errors import CheckpointError, UserError
from qecforge.hookspecs import EnvironmentSpec
from qecforge.testing._bad_actions import bad_actions
from qecforge.testing.closing import check_closing, closes_what_it_made
from qecforge.testing.views import check_view

__all__ = ["CHECKS", "EnvironmentContract", "MakeEnvironment", "check_environment", "new_buffers", "sample_actions"]

MakeEnvironment: TypeAlias = Callable[[int, int], Environment]
"""`make(num_envs, seed)` -> a fresh environment, always of the same configuration."""

_MEMBERS = 5
_STEPS = 120


def sample_actions(env: Environment, rng: np.random.Generator, mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Random actions, one for each member, allowed where there is a mask.

    Raises:
        TypeError: Actions that are neither discrete nor boxes.
    """
    space = env.single_action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        if mask is None:
            return int(space.start) + rng.integers(int(space.n), size=env.num_envs)
        return int(space.start) + np.array([rng.choice(np.flatnonzero(row)) for row in mask])
    if isinstance(space, gymnasium.spaces.Box):
        low, high = np.maximum(space.low, -1e3), np.minimum(space.high, 1e3)
        return rng.uniform(low, high, size=(env.num_envs, *space.shape)).astype(space.dtype)
    raise TypeError(f"no random actions for {space}: the contract covers Discrete and Box")


def new_buffers(env: Environment) -> StepBuffers:
    """Buffers of the shapes and dtypes that `env` fills, each entry set to what it should overwrite."""
    observations, infos = env.reset()
    actions = sample_actions(env, np.random.default_rng(0), infos.get("action_mask"))
    _, rewards, terminated, truncated, _ = env.step(actions)
    mask = infos.get("action_mask")
    return StepBuffers(
        observations=np.full_like(observations, 1),
        rewards=np.full_like(rewards, np.nan),
        terminated=np.ones_like(terminated),
        truncated=np.ones_like(truncated),
        action_mask=None if mask is None else np.zeros_like(mask),
    )


@closes_what_it_made
def check_spaces(make: MakeEnvironment) -> None:
    """Observations lie in their space; the batch spaces fit; autoreset is SAME_STEP."""
    env = make(_MEMBERS, 0)
    assert env.num_envs == _MEMBERS
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observations, infos = env.reset(seed=1)
    rng = np.random.default_rng(1)
    for _ in range(_STEPS):
        assert observations.shape == (_MEMBERS, *(env.single_observation_space.shape or ()))
        assert observations.dtype == env.single_observation_space.dtype
        assert all(env.single_observation_space.contains(row) for row in observations), "outside the observation space"
        actions = sample_actions(env, rng, infos.get("action_mask"))
        assert env.single_action_space.contains(actions[0])
        observations, *_, infos = env.step(actions)
    assert env.observation_space.shape == observations.shape
    assert env.action_space.shape == actions.shape


@closes_what_it_made
def check_step(make: MakeEnvironment) -> None:
    """`step` returns float32 rewards, scalar or vector, and bool flags, for every member."""
    env = make(_MEMBERS, 0)
    _, infos = env.reset(seed=2)
    masked = "action_mask" in infos
    rng = np.random.default_rng(2)
    width: tuple[int, ...] | None = None
    for _ in range(_STEPS):
        _, rewards, terminated, truncated, infos = env.step(sample_actions(env, rng, infos.get("action_mask")))
        width = rewards.shape[1:] if width is None else width
        assert rewards.dtype == np.float32
        assert rewards.shape == (_MEMBERS, *width)
        assert len(width) <= 1, "rewards are (B,) or (B, m)"
        assert np.isfinite(rewards).all()
        for flags in (terminated, truncated):
            assert flags.dtype == np.bool_
            assert flags.shape == (_MEMBERS,)
        assert ("action_mask" in infos) == masked, "action_mask is always there, or never"


@closes_what_it_made
def check_determinism(make: MakeEnvironment) -> None:
    """Same seed and actions: same arrays, in another environment and after `reset(seed=...)`."""
    first, second = make(_MEMBERS, 3), make(_MEMBERS, 3)
    played = list(_play(first, np.random.default_rng(3), None))
    _same_play(played, list(_play(second, np.random.default_rng(3), None)))
    anew = list(_play(first, np.random.default_rng(4), 5))
    _same_play(anew, list(_play(second, np.random.default_rng(4), 5)))
    _same_play(anew, list(_play(first, np.random.default_rng(4), 5)))


@closes_what_it_made
def check_buffers(make: MakeEnvironment) -> None:
    """With `out` its arrays are filled and returned; without, arrays are fresh and stay as they were."""
    plain, given = make(_MEMBERS, 6), make(_MEMBERS, 6)
    out = new_buffers(given)
    observations, infos = plain.reset(seed=7)
    returned, given_infos = given.reset(seed=7, out=out)
    assert returned is out.observations
    np.testing.assert_array_equal(returned, observations)
    rng = np.random.default_rng(7)
    kept: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for _ in range(_STEPS):
        _same(given_infos.get("action_mask"), infos.get("action_mask"), "action_mask")
        actions = sample_actions(plain, rng, infos.get("action_mask"))
        fresh = plain.step(actions)
        filled = given.step(actions, out=out)
        infos, given_infos = fresh[4], filled[4]
        for array, buffer, mine in zip(
            filled[:4], (out.observations, out.rewards, out.terminated, out.truncated), fresh[:4], strict=True
        ):
            assert array is buffer, "the arrays of `out` are what is returned"
            np.testing.assert_array_equal(buffer, mine)
            kept.append((mine, mine.copy()))
        if out.action_mask is not None:
            np.testing.assert_array_equal(out.action_mask, infos["action_mask"])
    for array, as_it_was in kept:
        np.testing.assert_array_equal(array, as_it_was, err_msg="an array returned without `out` changed later")


@closes_what_it_made
def check_episodes(make: MakeEnvironment) -> None:
    """Episodes end; `episode_return` and `episode_length` count what was earned; the next one starts at once.

    In a `ParameterEnvironment` none ends.
    """
    env = make(_MEMBERS, 8)
    _, infos = env.reset(seed=8)
    rng = np.random.default_rng(8)
    if isinstance(env, ParameterEnvironment):
        for _ in range(_STEPS):
            _, _, terminated, truncated, _ = env.step(sample_actions(env, rng))
            assert not (terminated | truncated).any(), "no episode of a ParameterEnvironment ends"
        return
    total: Any = 0.0
    length = np.zeros(_MEMBERS, np.int64)
    ended = 0
    for _ in range(8 * _STEPS):
        observations, rewards, terminated, truncated, infos = env.step(
            sample_actions(env, rng, infos.get("action_mask"))
        )
        total = total + rewards.astype(np.float64)
        length += 1
        over = terminated | truncated
        if over.any():
            np.testing.assert_array_equal(np.asarray(infos["episode_length"])[over], length[over])
            earned = np.asarray(infos["episode_return"], np.float64)[over]
            np.testing.assert_allclose(earned, total[over], rtol=1e-4, atol=1e-5)
            total[over], length[over] = 0, 0
            ended += int(over.sum())
        if truncated.any():
            assert "final_obs" in infos, "truncation needs infos['final_obs']"
            last = infos["final_obs"]
            assert last.shape == observations.shape, f"infos['final_obs'] has shape {last.shape}"
            inside = all(env.single_observation_space.contains(row) for row in last[truncated])
            assert inside, "infos['final_obs'] lies outside the observation space"
    assert ended, f"no episode ended within {8 * _STEPS} steps of random actions: shorten the configuration's episodes"


@closes_what_it_made
def check_state(make: MakeEnvironment) -> None:
    """`state_dict` holds plain values, is a copy, and brings back the same future, bit for bit, in mid-episode."""
    env = make(_MEMBERS, 9)
    rng = np.random.default_rng(9)
    masks = [step[5] for step in _play(env, rng, 9, steps=_STEPS // 3 + 1)]
    state = env.state_dict()
    _plain(state, "state_dict()")
    kept = copy.deepcopy(state)
    future = list(_continue(env, np.random.default_rng(10), masks[-1]))
    _same_state(state, kept, "state_dict() (it changed while the environment went on)")
    other = make(_MEMBERS, 99)
    other.load_state_dict(copy.deepcopy(kept))
    _same_state(other.state_dict(), kept, "state_dict() after load_state_dict()")
    _same_play(future, list(_continue(other, np.random.default_rng(10), masks[-1])))
    _same_state(other.state_dict(), env.state_dict(), "state_dict() after the same future")
    env.load_state_dict(kept)
    _same_play(future, list(_continue(env, np.random.default_rng(10), masks[-1])))
    try:
        make(_MEMBERS + 1, 9).load_state_dict(kept)
    except CheckpointError:
        return
    raise AssertionError("a state of another number of members must raise CheckpointError")


@closes_what_it_made
def check_masks(make: MakeEnvironment) -> None:
    """A mask is (B, A) bool and allows at least one action to every member."""
    env = make(_MEMBERS, 11)
    _, infos = env.reset(seed=11)
    if "action_mask" not in infos:
        return
    assert isinstance(env.single_action_space, gymnasium.spaces.Discrete), "masks are for discrete actions"
    rng = np.random.default_rng(11)
    for _ in range(_STEPS):
        mask = infos["action_mask"]
        assert mask.dtype == np.bool_
        assert mask.shape == (_MEMBERS, int(env.single_action_space.n))
        assert mask.any(axis=1).all(), "no action is allowed"
        infos = env.step(sample_actions(env, rng, mask))[4]


@closes_what_it_made
def check_bad_actions(make: MakeEnvironment) -> None:
    """An action out of range, or too few of them, is refused with a `UserError` and changes nothing.

    Continuous ones are refused too where they are not finite, of another shape, or out of bounds; parameters where they
    are not finite.
    """
    env = make(_MEMBERS, 12)
    _, infos = env.reset(seed=12)
    good = sample_actions(env, np.random.default_rng(12), infos.get("action_mask"))
    before = env.state_dict()
    for what, actions in bad_actions(env, good):
        try:
            env.step(actions)
        except UserError as error:
            message: str | None = str(error)
        else:
            message = None
        assert message is not None, f"{what}: step({actions}) was not refused"
        assert "\n" not in message, f"{what}: a message is one line"
        _same_state(env.state_dict(), before, f"{what}: state_dict() after a refused step")


@closes_what_it_made
def check_peek(make: MakeEnvironment) -> None:
    """`peek` leaves everything as it is and foretells what `step` brings, for present and for earlier states."""
    env = make(_MEMBERS, 13)
    if not env.can_peek:
        return
    _, infos = env.reset(seed=13)
    rng = np.random.default_rng(13)
    states, earned, taken = [], [], []
    for _ in range(_STEPS):
        actions = sample_actions(env, rng, infos.get("action_mask"))
        other = sample_actions(env, rng, infos.get("action_mask"))
        before = env.state_dict()
        states.append(np.copy(env.compact_states()))
        ahead = env.peek(np.stack([actions, other], axis=1))
        _same_state(env.state_dict(), before, "state_dict() after peek()")
        for name, values in ahead.items():
            expected = (_MEMBERS,) if name.startswith("now_") else (_MEMBERS, 2)
            assert values.shape == expected, f"{name} has shape {values.shape}, not {expected}"
        _, rewards, *_, infos = env.step(actions)
        np.testing.assert_allclose(ahead["reward"][:, 0], rewards, rtol=1e-5, atol=1e-5)
        earned.append(rewards.copy())
        taken.append(actions)
    again = env.peek(np.concatenate(taken)[:, None], states=np.concatenate(states))
    np.testing.assert_allclose(again["reward"][:, 0], np.concatenate(earned), rtol=1e-5, atol=1e-5)


@closes_what_it_made
def check_parameters(make: MakeEnvironment) -> None:
    """A `ParameterEnvironment` describes its parameters and its objectives; they fit together and do not change."""
    env = make(_MEMBERS, 15)
    if not isinstance(env, ParameterEnvironment):
        return
    _, infos = env.reset(seed=15)
    assert isinstance(env.single_action_space, gymnasium.spaces.Box)
    (P,) = env.single_action_space.shape
    assert len(env.parameter_names) == P
    assert len(set(env.parameter_names)) == P, "two parameters have one name"
    described = {}
    for name in ("initial_parameters", "exploration_scale"):
        array = described[name] = getattr(env, name).copy()
        assert array.shape == (P,), f"{name} has shape {array.shape}, not {(P,)}"
        assert array.dtype == np.float64
        assert np.isfinite(array).all()
    assert (env.exploration_scale > 0).all()
    observations, rewards, _, _, infos = env.step(np.tile(env.initial_parameters, (_MEMBERS, 1)))
    assert observations.shape == (_MEMBERS, 1)
    assert env.reward_space.shape == (rewards.shape[1:] or (1,))
    assert all(env.reward_space.contains(np.atleast_1d(row)) for row in rewards), "outside the reward space"
    assert np.isclose(infos["cost"], -rewards.mean(dtype=np.float64), rtol=1e-5, atol=1e-7)
    graph = env.factor_graph
    if rewards.ndim == 1:
        assert graph is None, "a scalar reward has no factor graph"
    elif graph is not None:
        assert (graph.num_objectives, graph.num_parameters) == (rewards.shape[1], P)
        assert not len(graph.unconnected_parameters()), "a parameter that no objective depends on"
    _check_assess(env)
    for name, array in described.items():
        np.testing.assert_array_equal(getattr(env, name), array, err_msg=f"{name} changed with a step")


def _check_assess(env: ParameterEnvironment) -> None:
    """`assess` gives finite numbers, the same ones when asked again, and the next step is as it would be without."""
    actions = np.tile(env.initial_parameters, (env.num_envs, 1))
    before = env.state_dict()
    expected = env.step(actions)
    env.load_state_dict(before)
    found, again = (dict(env.assess(env.initial_parameters)) for _ in range(2))
    assert found == again, f"assess gave {found}, then {again}"
    assert all(np.isfinite(value) for value in found.values()), f"assess gave {found}"
    np.testing.assert_array_equal(env.step(actions)[1], expected[1], err_msg="assess changed the next step")


@closes_what_it_made
def check_discoveries(make: MakeEnvironment) -> None:
    """`take_discoveries` hands each one over once."""
    env = make(_MEMBERS, 14)
    for _ in _play(env, np.random.default_rng(14), 14):
        pass
    steps = [found.step for found in env.take_discoveries()]
    assert steps == sorted(steps), "oldest first"
    assert len(env.take_discoveries()) == 0, "a discovery was handed over twice"


CHECKS: Mapping[str, Callable[[MakeEnvironment], None]] = {
    "spaces": check_spaces,
    "step": check_step,
    "determinism": check_determinism,
    "buffers": check_buffers,
    "episodes": check_episodes,
    "state": check_state,
    "masks": check_masks,
    "bad_actions": check_bad_actions,
    "peek": check_peek,
    "parameters": check_parameters,
    "discoveries": check_discoveries,
    "closing": check_closing,
}
"""Name -> check; a check raises `AssertionError` where the contract is broken."""


def check_environment(make: MakeEnvironment) -> dict[str, Exception | None]:
    """Run every check: name -> None where it holds, else what it raised."""
    results: dict[str, Exception | None] = {}
    for name, check in CHECKS.items():
        try:
            check(make)
        except Exception as error:
            results[name] = error
        else:
            results[name] = None
    return results


class EnvironmentContract:
    """Subclass it in a test module and say what to test.

    Attributes:
        spec: The environment's spec.
        settings: Fields of its configuration; random actions should end episodes, if there are any, within a few dozen
            steps.
        reward: Given to `spec.make`; None for the native reward.
    """

    spec: ClassVar[EnvironmentSpec]
    settings: ClassVar[Mapping[str, Any]] = {}
    reward: ClassVar[Reward | None] = None

    def make(self, num_envs: int, seed: int) -> Environment:
        """A fresh environment."""
        config = self.spec.config.model_validate(dict(self.settings))
        return self.spec.make(config, num_envs=num_envs, seed=seed, reward=self.reward)

    def test_spaces(self) -> None:
        """See `check_spaces`."""
        check_spaces(self.make)

    def test_step(self) -> None:
        """See `check_step`."""
        check_step(self.make)

    def test_determinism(self) -> None:
        """See `check_determinism`."""
        check_determinism(self.make)

    def test_buffers(self) -> None:
        """See `check_buffers`."""
        check_buffers(self.make)

    def test_episodes(self) -> None:
        """See `check_episodes`."""
        check_episodes(self.make)

    def test_state(self) -> None:
        """See `check_state`."""
        check_state(self.make)

    def test_masks(self) -> None:
        """See `check_masks`."""
        check_masks(self.make)

    def test_bad_actions(self) -> None:
        """See `check_bad_actions`."""
        check_bad_actions(self.make)

    def test_peek(self) -> None:
        """See `check_peek`."""
        check_peek(self.make)

    def test_parameters(self) -> None:
        """See `check_parameters`."""
        check_parameters(self.make)

    def test_discoveries(self) -> None:
        """See `check_discoveries`."""
        check_discoveries(self.make)

    def test_closing(self) -> None:
        """See `check_closing`."""
        check_closing(self.make, self.reward)

    def test_view(self) -> None:
        """See `qecforge.testing.views.check_view`."""
        check_view(self.spec.view)


_Step: TypeAlias = tuple[
    NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any], NDArray[np.bool_] | None
]


def _play(env: Environment, rng: np.random.Generator, seed: int | None, *, steps: int = _STEPS) -> Iterator[_Step]:
    observations, infos = env.reset(seed=seed)
    mask = infos.get("action_mask")
    nothing = np.zeros(env.num_envs, np.bool_)
    yield observations, np.zeros(env.num_envs, np.float32), nothing, nothing, {}, mask
    yield from _continue(env, rng, mask, steps=steps)


def _continue(
    env: Environment, rng: np.random.Generator, mask: NDArray[np.bool_] | None, *, steps: int = _STEPS
) -> Iterator[_Step]:
    for _ in range(steps):
        observations, rewards, terminated, truncated, infos = env.step(sample_actions(env, rng, mask))
        mask = infos.get("action_mask")
        over = terminated | truncated
        counts = {name: np.asarray(infos[name])[over] for name in ("episode_return", "episode_length") if over.any()}
        yield observations, rewards, terminated, truncated, counts, mask


def _same_play(first: list[_Step], second: list[_Step]) -> None:
    names = ("observations", "rewards", "terminated", "truncated", "infos", "action_mask")
    assert len(first) == len(second)
    for step, (left, right) in enumerate(zip(first, second, strict=True)):
        for name, one, other in zip(names, left, right, strict=True):
            _same(one, other, f"{name} at step {step}")


def _same(one: Any, other: Any, what: str) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), what
        for key in one:
            _same(one[key], other[key], f"{what}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), what
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            _same(left, right, f"{what}[{index}]")
    else:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=f"{what} differs")


def _same_state(one: Mapping[str, Any], other: Mapping[str, Any], what: str) -> None:
    _same(dict(one), dict(other), what)


def _plain(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            assert isinstance(key, str), f"{where} has the key {key!r}, which is no string"
            _plain(entry, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            _plain(entry, f"{where}[{index}]")
    else:
        plain = value is None or isinstance(value, (bool, int, float, str, np.ndarray, np.generic))
        assert plain, f"{where} is a {type(value).__name__}: numbers, strings, lists, dicts and numpy arrays only"
        assert getattr(value, "dtype", None) != np.dtype(object), f"{where} is an array of objects"
