"""What every environment must do, one check at a time; `qecforge.testing.environments` says which make the contract."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from qecforge.contracts.environment import ParameterEnvironment
from qecforge.errors import CheckpointError, UserError
from qecforge.testing.checks._bad_actions import bad_actions
from qecforge.testing.checks.closing import closes_what_it_made
from qecforge.testing.checks.play import (
    MEMBERS,
    STEPS,
    MakeEnvironment,
    go_on,
    new_buffers,
    plain_values,
    play,
    same,
    same_play,
    same_state,
    sample_actions,
)

__all__ = [
    "check_bad_actions",
    "check_buffers",
    "check_determinism",
    "check_discoveries",
    "check_episodes",
    "check_masks",
    "check_parameters",
    "check_peek",
    "check_separation",
    "check_spaces",
    "check_state",
    "check_state_between_episodes",
    "check_step",
    "check_trials",
]


@closes_what_it_made
def check_spaces(make: MakeEnvironment) -> None:
    """Observations lie in their space; the batch spaces fit; autoreset is SAME_STEP."""
    env = make(MEMBERS, 0)
    assert env.num_envs == MEMBERS
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observations, infos = env.reset(seed=1)
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        assert observations.shape == (MEMBERS, *(env.single_observation_space.shape or ()))
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
    env = make(MEMBERS, 0)
    _, infos = env.reset(seed=2)
    masked = "action_mask" in infos
    rng = np.random.default_rng(2)
    width: tuple[int, ...] | None = None
    for _ in range(STEPS):
        _, rewards, terminated, truncated, infos = env.step(sample_actions(env, rng, infos.get("action_mask")))
        width = rewards.shape[1:] if width is None else width
        assert rewards.dtype == np.float32
        assert rewards.shape == (MEMBERS, *width)
        assert len(width) <= 1, "rewards are (B,) or (B, m)"
        assert np.isfinite(rewards).all()
        for flags in (terminated, truncated):
            assert flags.dtype == np.bool_
            assert flags.shape == (MEMBERS,)
        assert ("action_mask" in infos) == masked, "action_mask is always there, or never"


@closes_what_it_made
def check_determinism(make: MakeEnvironment) -> None:
    """Same seed and actions: same arrays, in another environment and after `reset(seed=...)`."""
    first, second = make(MEMBERS, 3), make(MEMBERS, 3)
    played = list(play(first, np.random.default_rng(3), None))
    same_play(played, list(play(second, np.random.default_rng(3), None)))
    anew = list(play(first, np.random.default_rng(4), 5))
    same_play(anew, list(play(second, np.random.default_rng(4), 5)))
    same_play(anew, list(play(first, np.random.default_rng(4), 5)))


@closes_what_it_made
def check_buffers(make: MakeEnvironment) -> None:
    """With `out` its arrays are filled and returned; without, arrays are fresh and stay as they were."""
    plain, given = make(MEMBERS, 6), make(MEMBERS, 6)
    out = new_buffers(given)
    observations, infos = plain.reset(seed=7)
    returned, given_infos = given.reset(seed=7, out=out)
    assert returned is out.observations
    np.testing.assert_array_equal(returned, observations)
    rng = np.random.default_rng(7)
    kept: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for _ in range(STEPS):
        same(given_infos.get("action_mask"), infos.get("action_mask"), "action_mask")
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
    env = make(MEMBERS, 8)
    _, infos = env.reset(seed=8)
    rng = np.random.default_rng(8)
    if isinstance(env, ParameterEnvironment):
        for _ in range(STEPS):
            _, _, terminated, truncated, _ = env.step(sample_actions(env, rng))
            assert not (terminated | truncated).any(), "no episode of a ParameterEnvironment ends"
        return
    total: Any = 0.0
    length = np.zeros(MEMBERS, np.int64)
    ended = 0
    for _ in range(8 * STEPS):
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
    assert ended, f"no episode ended within {8 * STEPS} steps of random actions: shorten the configuration's episodes"


@closes_what_it_made
def check_state(make: MakeEnvironment) -> None:
    """`state_dict` holds plain values, is a copy, and brings back the same future, bit for bit, in mid-episode."""
    env = make(MEMBERS, 9)
    rng = np.random.default_rng(9)
    masks = [step[5] for step in play(env, rng, 9, steps=STEPS // 3 + 1)]
    state = env.state_dict()
    plain_values(state, "state_dict()")
    kept = copy.deepcopy(state)
    future = list(go_on(env, np.random.default_rng(10), masks[-1]))
    same_state(state, kept, "state_dict() (it changed while the environment went on)")
    other = make(MEMBERS, 99)
    other.load_state_dict(copy.deepcopy(kept))
    same_state(other.state_dict(), kept, "state_dict() after load_state_dict()")
    same_play(future, list(go_on(other, np.random.default_rng(10), masks[-1])))
    same_state(other.state_dict(), env.state_dict(), "state_dict() after the same future")
    env.load_state_dict(kept)
    same_play(future, list(go_on(env, np.random.default_rng(10), masks[-1])))
    try:
        make(MEMBERS + 1, 9).load_state_dict(kept)
    except CheckpointError:
        return
    raise AssertionError("a state of another number of members must raise CheckpointError")


@closes_what_it_made
def check_state_between_episodes(make: MakeEnvironment) -> None:
    """`state_dict` holds plain values and is a copy; with it and a seed, others begin the same new episodes."""
    env = make(MEMBERS, 9)
    for _ in play(env, np.random.default_rng(9), 9, steps=STEPS // 3 + 1):
        pass
    state = env.state_dict()
    plain_values(state, "state_dict()")
    kept = copy.deepcopy(state)
    for _ in play(env, np.random.default_rng(10), None):
        pass
    same_state(state, kept, "state_dict() (it changed while the environment went on)")
    plays = []
    for made_with in (98, 99):
        other = make(MEMBERS, made_with)
        other.load_state_dict(copy.deepcopy(kept))
        plays.append(list(play(other, np.random.default_rng(11), 12)))
    same_play(*plays)


@closes_what_it_made
def check_separation(make: MakeEnvironment) -> None:
    """Another environment that is made, played and closed meanwhile changes nothing in this one."""
    alone = list(play(make(MEMBERS, 16), np.random.default_rng(16), 16))
    env, others = play(make(MEMBERS, 16), np.random.default_rng(16), 16), []
    beside = []
    for step, played in enumerate(env):
        beside.append(copy.deepcopy(played))
        if step % (STEPS // 4) == 0:
            other = make(MEMBERS + 2, 17 + step)
            others.append(play(other, np.random.default_rng(step), step))
        for each in others:
            next(each, None)
        if step % (STEPS // 3) == STEPS // 4:
            other.close()
            others.pop()
    same_play(alone, beside)


@closes_what_it_made
def check_masks(make: MakeEnvironment) -> None:
    """A mask is (B, A) bool and allows at least one action to every member."""
    env = make(MEMBERS, 11)
    _, infos = env.reset(seed=11)
    if "action_mask" not in infos:
        return
    assert isinstance(env.single_action_space, gymnasium.spaces.Discrete), "masks are for discrete actions"
    rng = np.random.default_rng(11)
    for _ in range(STEPS):
        mask = infos["action_mask"]
        assert mask.dtype == np.bool_
        assert mask.shape == (MEMBERS, int(env.single_action_space.n))
        assert mask.any(axis=1).all(), "no action is allowed"
        infos = env.step(sample_actions(env, rng, mask))[4]


@closes_what_it_made
def check_bad_actions(make: MakeEnvironment) -> None:
    """An action out of range, or too few of them, is refused with a `UserError` and changes nothing.

    Continuous ones are refused too where they are not finite, of another shape, or out of bounds; parameters where they
    are not finite.
    """
    env = make(MEMBERS, 12)
    _, infos = env.reset(seed=12)
    good = sample_actions(env, np.random.default_rng(12), infos.get("action_mask"))
    before = env.state_dict()
    for what, actions in bad_actions(env, good):
        try:
            env.step(actions)
        except UserError:
            refused = True
        else:
            refused = False
        assert refused, f"{what}: step({actions}) was not refused"
        same_state(env.state_dict(), before, f"{what}: state_dict() after a refused step")


@closes_what_it_made
def check_peek(make: MakeEnvironment) -> None:
    """`peek` leaves everything as it is and foretells what `step` brings, for present and for earlier states."""
    env = make(MEMBERS, 13)
    if not env.can_peek:
        return
    _, infos = env.reset(seed=13)
    rng = np.random.default_rng(13)
    states, earned, taken = [], [], []
    for _ in range(STEPS):
        actions = sample_actions(env, rng, infos.get("action_mask"))
        other = sample_actions(env, rng, infos.get("action_mask"))
        before = env.state_dict()
        states.append(np.copy(env.compact_states()))
        ahead = env.peek(np.stack([actions, other], axis=1))
        same_state(env.state_dict(), before, "state_dict() after peek()")
        for name, values in ahead.items():
            expected = (MEMBERS,) if name.startswith("now_") else (MEMBERS, 2)
            assert values.shape == expected, f"{name} has shape {values.shape}, not {expected}"
        _, rewards, *_, infos = env.step(actions)
        np.testing.assert_allclose(ahead["reward"][:, 0], rewards, rtol=1e-5, atol=1e-5)
        earned.append(rewards.copy())
        taken.append(actions)
    again = env.peek(np.concatenate(taken)[:, None], states=np.concatenate(states))
    np.testing.assert_allclose(again["reward"][:, 0], np.concatenate(earned), rtol=1e-5, atol=1e-5)


@closes_what_it_made
def check_trials(make: MakeEnvironment) -> None:
    """`try_sequences` changes nothing in the running episodes, says the same of a sequence whatever stands beside it,
    and refuses what it cannot play; where there is no sequence, it has nothing to say."""
    env, untouched = make(MEMBERS, 14), make(MEMBERS, 14)
    if not env.can_try:
        return
    assert isinstance(env.single_action_space, gymnasium.spaces.Discrete), "sequences are of discrete actions"
    count, rng = int(env.single_action_space.n), np.random.default_rng(14)
    assert env.action_factors.shape[0] == count
    assert env.action_factors.ndim == 2
    sequences, lengths = rng.integers(count, size=(2 * MEMBERS + 1, 4)), rng.integers(5, size=2 * MEMBERS + 1)
    played = []
    for step in play(env, np.random.default_rng(15), 15, steps=STEPS // 4):
        played.append(copy.deepcopy(step))
        together = env.try_sequences(sequences, lengths)
    same_play(played, list(play(untouched, np.random.default_rng(15), 15, steps=STEPS // 4)))
    assert together.values.dtype == np.float32
    assert together.values.shape == together.solved.shape == (len(sequences),)
    for row, length, value, solved in zip(sequences, lengths, together.values, together.solved, strict=True):
        alone = env.try_sequences(row[None, :length], np.array([length]))
        np.testing.assert_allclose(alone.values, [value], rtol=1e-6)
        assert alone.solved.tolist() == [solved]
    assert env.try_sequences(sequences[:0], lengths[:0]).values.shape == (0,)
    for actions, sizes in (
        (sequences.astype(np.float64), lengths),
        (np.full_like(sequences, count), lengths),
        (-sequences - 1, lengths),
        (sequences, lengths[1:]),
        (sequences, lengths + 5),
        (sequences[0], lengths[:1]),
    ):
        refused = False
        try:
            env.try_sequences(actions, sizes)
        except UserError as error:
            refused = "\n" not in str(error)
        assert refused, f"try_sequences({actions.dtype} {actions.shape}, {sizes}) was not refused in one line"


@closes_what_it_made
def check_parameters(make: MakeEnvironment) -> None:
    """A `ParameterEnvironment` describes its parameters and its objectives; they fit together and do not change."""
    env = make(MEMBERS, 15)
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
    if env.limits is not None:
        env.limits.check_start(env.initial_parameters, env.parameter_names)
    observations, rewards, _, _, infos = env.step(np.tile(env.initial_parameters, (MEMBERS, 1)))
    assert observations.shape == (MEMBERS, 1)
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
    env = make(MEMBERS, 14)
    for _ in play(env, np.random.default_rng(14), 14):
        pass
    steps = [found.step for found in env.take_discoveries()]
    assert steps == sorted(steps), "oldest first"
    assert len(env.take_discoveries()) == 0, "a discovery was handed over twice"
