"""Any environment of Gymnasium as an `Environment`: a single one, of which as many are made as there are members, or
one that is a batch already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment, Resumes, StepBuffers, group_size, refuse_unknown_options
from qecforge.environments._separate import Separate
from qecforge.environments._spaces import Step, checked_actions
from qecforge.environments._vector import Batched
from qecforge.errors import CheckpointError, ConfigurationError

__all__ = ["GymnasiumAdapter"]


class GymnasiumAdapter(Environment):
    """B members of a Gymnasium environment with discrete or continuous actions.

        def make(config, *, num_envs, seed, reward):
            return GymnasiumAdapter(lambda: gymnasium.make("CartPole-v1"), num_envs=num_envs, seed=seed)

    Rewards are the environment's own (`EnvironmentSpec.native_reward`). Observations of single environments that are
    dictionaries, tuples or numbers are flattened to arrays; `action_mask` in the infos of discrete actions is the mask.
    Returns and lengths of episodes are counted here.

    Each episode of single environments begins with a seed that is made of the run's, the member and the episode's
    number. So there are groups (`group_size`), and a checkpoint is exact without knowing what the environment keeps to
    itself: it holds the actions of the episodes under way, by which these are played again. An environment that is not
    the same after the same seed and actions is found out then; it, and one whose episodes are too long to play again,
    resumes between episodes. So does a `VectorEnv`, whose members cannot be stepped alone.

    Args:
        make: Makes a `gymnasium.Env`, and is called once for each member; or makes a `gymnasium.vector.VectorEnv` of
            `num_envs` members, which begins a new episode in the step that ends the old one
            (`AutoresetMode.SAME_STEP`), or resets the members that it is told (`DISABLED`; Gymnasium's `SyncVectorEnv`
            and `AsyncVectorEnv` in any mode).
        num_envs: Members B.
        seed: What all randomness follows from, until `reset` is given another.
        resumes: As `EnvironmentSpec.resumes` says; None for `to_the_bit` of single environments and `between_episodes`
            of a `VectorEnv`.
        reset_options: Given to every `reset` of the environments.
        name: What messages call it; None for the id that it is registered by.

    Raises:
        ConfigurationError: a space that no agent takes, a `VectorEnv` that does not fit, or one that is said to resume
            to the bit.
    """

    _batch: Separate | Batched

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]],
        *,
        num_envs: int,
        seed: int,
        resumes: Resumes | None = None,
        reset_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        made = make()
        self._name = name or getattr(made.spec, "id", None) or type(made.unwrapped).__name__
        options = reset_options or {}
        if not isinstance(made, VectorEnv):
            make_one = cast("Callable[[], gymnasium.Env[Any, Any]]", make)
            self._batch = Separate(made, make_one, num_envs, options, self._name)
        elif resumes == "to_the_bit":
            made.close()
            raise ConfigurationError(
                f"{self._name}: a vector environment cannot resume to the bit: set `resumes` to between_episodes, in "
                "its spec too",
                parameter="resumes",
            )
        else:
            self._batch = Batched(made, num_envs, options, self._name)
        self.resumes: Resumes = resumes or ("to_the_bit" if self._batch.takes_seeds else "between_episodes")
        self.num_envs = num_envs
        self.single_observation_space = self._batch.observation_space
        self.single_action_space = self._batch.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seed, self._group_size, self._playing = seed, 1, False
        self._episodes = np.full(num_envs, -1, np.int64)  # number of the episode under way
        self._return, self._length = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self._shown = np.zeros(self.observation_space.shape or (), self.single_observation_space.dtype)
        self._mask: NDArray[np.bool_] | None = None
        self._played: list[list[NDArray[Any]]] = [[] for _ in range(num_envs)]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """See `Environment.reset`. Takes `group_size` where it resumes to the bit."""
        options = options or {}
        refuse_unknown_options(options, self._name, *(["group_size"] if self.resumes == "to_the_bit" else []))
        size = group_size(options, self.num_envs, self._name)
        if seed is not None:
            self._seed, self._episodes[:] = int(seed), -1
        self._group_size, self._playing, self._mask = size, True, None
        self._begin(np.ones(self.num_envs, np.bool_), anew=True)
        return self._observe(out)

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """See `Environment.step`.

        Raises:
            ConfigurationError: actions that are none, or there was no `reset`; nothing has changed then.
        """
        if not self._playing:
            raise ConfigurationError(
                f"{self._name}: step without a reset. Where this was a resumed run, its spec has to say "
                f"resumes={self.resumes!r}"
            )
        checked = checked_actions(actions, self.single_action_space, self.num_envs, self._name)
        step = self._batch.step(checked)
        self._return += step.rewards
        self._length += 1
        if self.resumes == "to_the_bit":
            for member, action in enumerate(checked):
                self._played[member].append(action)
        ended = step.terminated | step.truncated
        infos: dict[str, Any] = {"episode_return": self._return.copy(), "episode_length": self._length.copy()}
        if step.truncated.any():
            infos["final_obs"] = step.observations
        self._shown = step.observations.copy()
        if self._mask is not None:
            self._mask = self._masks(step)
        if ended.any():
            self._begin(ended)
        observations, shown = self._observe(out)
        rewards, terminated, truncated = step.rewards, step.terminated, step.truncated
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = rewards, terminated, truncated
            rewards, terminated, truncated = out.rewards, out.terminated, out.truncated
        return observations, rewards, terminated, truncated, infos | shown

    def state_dict(self) -> dict[str, Any]:
        """Where it resumes to the bit: seed, episodes and their actions, and what they have led to, by which playing
        them again is checked. Else the number of members."""
        if self.resumes == "between_episodes":
            return {"num_envs": self.num_envs}
        shape, dtype = self.single_action_space.shape or (), self.single_action_space.dtype
        return {
            "num_envs": self.num_envs,
            "playing": self._playing,
            "seed": self._seed,
            "group_size": self._group_size,
            "episodes": self._episodes.copy(),
            "observations": self._shown.copy(),
            "returns": self._return.copy(),
            "actions": [np.array(played, dtype).reshape(-1, *shape) for played in self._played],
            "mask": None if self._mask is None else self._mask.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`: the episodes under way are played again.

        Raises:
            CheckpointError: the state is another environment's, or playing again does not lead to where the episodes
                were: what the environment does does not follow from seeds and actions.
        """
        if state.get("num_envs") != self.num_envs:
            raise self._foreign(f"{state.get('num_envs')!r} members, expected {self.num_envs}")
        if self.resumes == "between_episodes":
            self._playing = False
            return
        episodes, actions = self._checked(state)
        self._seed, self._group_size = int(state["seed"]), int(state["group_size"])
        self._playing, self._episodes = bool(state["playing"]), episodes.copy()
        self._mask = None if state["mask"] is None else np.array(state["mask"], np.bool_)
        self._played = [list(played) for played in actions]
        self._length = np.array([len(played) for played in actions], np.int64)
        self._return = np.array(state["returns"], np.float64)
        self._shown = np.array(state["observations"])
        if self._playing:
            self._play_again()

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments."""
        if hasattr(self, "_batch"):  # Gymnasium closes what was not made to the end, too
            self._batch.close()

    def _begin(self, members: NDArray[np.bool_], *, anew: bool = False) -> None:
        """The next episode of these members."""
        self._episodes[members] += 1
        numbers = np.flatnonzero(members).tolist()
        self._shown[members], mask = self._batch.begin({each: self._episode_seed(each) for each in numbers}, anew=anew)
        if mask is not None:
            if self._mask is None:
                self._mask = np.zeros((self.num_envs, mask.shape[1]), np.bool_)
            self._mask[members] = mask
        for each in numbers:
            self._played[each] = []
        self._return[members], self._length[members] = 0.0, 0

    def _episode_seed(self, member: int) -> int:
        """Of its episode under way: members of a group have those of its first."""
        place = (member // self._group_size, int(self._episodes[member]))
        return int(np.random.SeedSequence(self._seed, spawn_key=place).generate_state(1)[0])

    def _observe(self, out: StepBuffers | None) -> tuple[NDArray[Any], dict[str, Any]]:
        """Observations and masks, in the buffers where there are any."""
        infos = {} if self._mask is None else {"action_mask": self._mask.copy()}
        if out is None:
            return self._shown.copy(), infos
        out.observations[...] = self._shown
        if out.action_mask is not None and self._mask is not None:
            out.action_mask[...] = self._mask
            infos["action_mask"] = out.action_mask
        return out.observations, infos

    def _masks(self, step: Step) -> NDArray[np.bool_]:
        if step.mask is None:
            raise ConfigurationError(
                f"{self._name}: action_mask was in the infos of reset and is not in those of step: show it in both"
            )
        return step.mask.copy()

    def _checked(self, state: Mapping[str, Any]) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
        """Episodes and actions of a state, as they may be."""
        try:
            episodes = np.asarray(state["episodes"], np.int64)
            shapes = {name: np.shape(state[name]) for name in ("observations", "returns")}
            actions = [np.asarray(played) for played in state["actions"]]
            seed, size, playing = (int(state[name]) for name in ("seed", "group_size", "playing"))
            mask = state["mask"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._foreign(f"{type(error).__name__}: {error}") from error
        expected = {"observations": self._shown.shape, "returns": (self.num_envs,)}
        if mask is not None:
            shapes["mask"] = np.shape(mask)
            expected["mask"] = (self.num_envs, int(getattr(self.single_action_space, "n", 0)))
        if episodes.shape != (self.num_envs,) or shapes != expected or len(actions) != self.num_envs:
            raise self._foreign("arrays of other shapes")
        if seed < 0 or size < 1 or self.num_envs % size or (episodes < (0 if playing else -1)).any():
            raise self._foreign("numbers out of range")
        try:
            for played in actions:
                if len(played):
                    checked_actions(played, self.single_action_space, len(played), self._name)
        except ConfigurationError as error:
            raise self._foreign(str(error)) from error
        return episodes, actions

    def _play_again(self) -> None:
        for member, played in enumerate(self._played):
            actions = np.array(played, self.single_action_space.dtype)
            shown, earned = self._batch.replay(member, self._episode_seed(member), actions)
            if not (np.array_equal(shown, self._shown[member], equal_nan=True) and earned == self._return[member]):
                raise CheckpointError(
                    f"{self._name}: member {member} is not where the checkpoint left it after the same seed and "
                    f"{len(played)} actions: set resumes to between_episodes, in its spec too, and begin the run anew"
                )

    def _foreign(self, got: str) -> CheckpointError:
        return CheckpointError(f"{self._name}: the state is another environment's ({got}): use what it was saved with")
