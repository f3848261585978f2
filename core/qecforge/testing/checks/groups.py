"""What `Environment.reset` promises of its options, and of rewards that cannot score.

`qecforge.testing.environments.EnvironmentContract` asks for these checks; no test calls them by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment, ParameterEnvironment
from qecforge.contracts.reward import CompiledReward, Reward
from qecforge.errors import InfrastructureError, UserError
from qecforge.testing.checks._rewards import replaced, watched
from qecforge.testing.checks.closing import Make, closes_what_it_made

__all__ = ["Sample", "check_groups", "check_invalid_rewards", "check_reset_options"]

Sample: TypeAlias = Callable[[Environment, np.random.Generator, NDArray[np.bool_] | None], NDArray[Any]]
"""Random actions, one for each member, allowed where there is a mask."""

_MEMBERS, _GROUP = 6, 3
_STEPS, _STRETCHES = 48, 8


@closes_what_it_made
def check_reset_options(make: Make) -> None:
    """An option that the environment does not know is refused in one line that names it, and nothing has changed."""
    env = make(_MEMBERS, 0)
    env.reset(seed=1)
    before = env.state_dict()
    assert "no_such_option" in _refused(env, {"no_such_option": 1})
    _same(env.state_dict(), before, "state_dict() after a refused reset")


def check_groups(make: Make, sample: Sample) -> None:
    """Groups, where the environment has any: the k-th episodes of a group start alike, also after a resumption.

    An environment without groups, or without episodes, refuses the option in one line.
    """
    closes_what_it_made(lambda making: _check_groups(making, sample))(make)


def _check_groups(make: Make, sample: Sample) -> None:
    env = make(_MEMBERS, 0)
    if isinstance(env, ParameterEnvironment) or not _takes_groups(env):
        assert "group_size" in _refused(env, {"group_size": _GROUP})
        return
    for size in (0, -1, 4, 2 * _MEMBERS, 1.5, "3", None):
        assert "group_size" in _refused(env, {"group_size": size})
    played = _Starts(env, sample)
    played.begin()
    stretches = 0
    while stretches < _STRETCHES and not played.groups_began_again():
        played.play(_STEPS, seed=stretches)
        stretches += 1
    for first in range(0, _MEMBERS, _GROUP):
        for mates in zip(*played.of_member[first : first + _GROUP], strict=False):
            for k, mate in enumerate(mates[1:], start=1):
                _same(mate, mates[0], f"the start of an episode of member {first + k} and of its mate {first}")
    began = f"no group began a second episode in {_STEPS * _STRETCHES} steps: shorten the episodes"
    assert played.groups_began_again(), began
    again = _Starts(make(_MEMBERS, 3), sample)
    again.begin()
    for stretch in range(stretches):
        again.play(_STEPS, seed=stretch)
    _same(again.of_member, played.of_member, "the starts of groups from the same seed")
    resumed = _Starts(make(_MEMBERS, 9), sample)
    resumed.env.load_state_dict(env.state_dict())
    resumed.mask = played.mask
    played.of_member = [[] for _ in range(_MEMBERS)]
    for each in (played, resumed):
        each.play(_STEPS, seed=5)
    _same(resumed.of_member, played.of_member, "the starts of groups after load_state_dict()")


class _Starts:
    """Plays, and remembers what each member's episodes start with: observation, mask, compact state."""

    def __init__(self, env: Environment, sample: Sample) -> None:
        self.env, self._sample = env, sample
        self.mask: NDArray[np.bool_] | None = None
        self.of_member: list[list[dict[str, NDArray[Any]]]] = [[] for _ in range(env.num_envs)]

    def begin(self) -> None:
        """Reset to groups."""
        observations, infos = self.env.reset(seed=2, options={"group_size": _GROUP})
        self._note(observations, infos, np.ones(self.env.num_envs, np.bool_))

    def groups_began_again(self) -> bool:
        """Whether every member of some group began a second episode."""
        firsts = range(0, _MEMBERS, _GROUP)
        return any(all(len(starts) > 1 for starts in self.of_member[first : first + _GROUP]) for first in firsts)

    def play(self, steps: int, *, seed: int) -> None:
        """Random actions from here on."""
        rng = np.random.default_rng(seed)
        for _ in range(steps):
            actions = self._sample(self.env, rng, self.mask)
            observations, _, terminated, truncated, infos = self.env.step(actions)
            self._note(observations, infos, terminated | truncated)

    def _note(self, observations: NDArray[Any], infos: Mapping[str, Any], begun: NDArray[np.bool_]) -> None:
        self.mask = infos.get("action_mask")
        shown = {"observation": observations}
        if self.mask is not None:
            shown["mask"] = self.mask
        if self.env.can_peek:
            shown["compact_states()"] = self.env.compact_states()
        for member in np.flatnonzero(begun):
            start = {name: np.copy(array[member]) for name, array in shown.items()}
            self.of_member[member].append(start)


def check_invalid_rewards(make: Make, sample: Sample, reward: Reward | None) -> None:
    """A reward that cannot score a member ends the step with an `InfrastructureError`, on one line.

    Args:
        reward: What `make` gives to its environments; None for the native reward, of which nothing is asked.
    """
    if reward is None:
        return
    failing = {"now": False}

    def fail(compiled: CompiledReward) -> None:
        score = compiled.score

        def scored(batch: Any, out: Any = None) -> Any:
            scores = score(batch, out)
            if failing["now"]:
                scores.valid = np.arange(len(scores.values)) > 0
                scores.values[0] = 0.0
            return scores

        replaced(compiled, "score", scored)

    def check(making: Make) -> None:
        env = making(_MEMBERS, 0)
        infos = env.reset(seed=4)[1]
        rng = np.random.default_rng(4)
        infos = env.step(sample(env, rng, infos.get("action_mask")))[-1]
        failing["now"] = True
        refused = False
        try:
            env.step(sample(env, rng, infos.get("action_mask")))
        except InfrastructureError:
            refused = True
        assert refused, "step() rewarded a member that its reward could not score: see require_valid"

    with watched(reward, fail):
        closes_what_it_made(check)(make)


def _takes_groups(env: Environment) -> bool:
    try:
        env.reset(seed=1, options={"group_size": _GROUP})
    except UserError:
        return False
    return True


def _refused(env: Environment, options: dict[str, Any]) -> str:
    """What is said of options that are to be refused."""
    message = None
    try:
        env.reset(seed=8, options=options)
    except UserError as error:
        message = str(error)
    assert message is not None, f"reset(options={options}) was not refused"
    return message


def _same(one: Any, other: Any, what: str) -> None:
    if isinstance(one, Mapping):
        assert one.keys() == other.keys(), f"{what} has other entries"
        for key in one:
            _same(one[key], other[key], f"{what}, {key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), f"{what}: {len(one)} and {len(other)}"
        for mine, theirs in zip(one, other, strict=True):
            _same(mine, theirs, what)
    else:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=f"{what} differ")
