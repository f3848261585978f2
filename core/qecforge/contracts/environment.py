"""What an environment is: a batch of members behind one `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from qecforge.contracts.closing import Closable
from qecforge.contracts.parameters.factor_graph import FactorGraph
from qecforge.contracts.parameters.limits import ParameterLimits
from qecforge.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode

__all__ = [
    "ActionKind",
    "BaseEnvironment",
    "Environment",
    "ParameterEnvironment",
    "Resumes",
    "SequenceTrials",
    "StepBuffers",
    "group_size",
    "refuse_unknown_options",
]

ActionKind: TypeAlias = Literal["discrete", "continuous", "parameters", "text"]
"""discrete: one of N; continuous: a bounded vector; parameters: a point in a parameter space, scored whole and
without state (parameter-exploring agents); text: a string that a language model completes."""

Resumes: TypeAlias = Literal["to_the_bit", "between_episodes"]
"""What an interrupted training goes on from. to_the_bit: as if nothing had happened, bit for bit; between_episodes: all
that was learned is kept, and the episodes under way are not: at the resume new ones begin."""


@dataclass
class StepBuffers:
    """Arrays that `Environment.reset` and `Environment.step` fill when they are given them.

    Attributes:
        observations: (B, *observation_shape), the observation space's dtype.
        rewards: (B,) float32, or (B, m) for a vector reward of m parts (MO-Gymnasium's convention).
        terminated, truncated: (B,) bool.
        action_mask: (B, A) bool, True where an action is allowed; None for environments that allow every action.
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    action_mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SequenceTrials:
    """Results of whole sequences of actions, from `Environment.try_sequences`.

    Attributes:
        values: (M,) float32, the value of the state after each; larger is better.
        solved: (M,) bool, which reached the environment's target.
    """

    values: NDArray[np.float32]
    solved: NDArray[np.bool_]


class BaseEnvironment(ABC):
    """What a run needs of every environment, whatever it shows: to save it, to ask it for codes, to close it.

    Two environments share nothing that one of them changes: playing one leaves the other as it is.

    Whoever makes an environment closes it. It closes what it made itself, rewards that it compiled among them; the
    reward that it was given belongs to the giver.

    Attributes:
        num_envs: Members B.
        closed: Whether it is.
    """

    num_envs: int
    closed: bool = False
    _held: tuple[Closable, ...] = ()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, random generators included: numbers, strings, lists, dicts and numpy
        arrays only. Of an environment that resumes between episodes (`Resumes`), what outlasts an episode, or
        nothing."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another configuration."""

    def fitted_state(self) -> dict[str, NDArray[Any]]:
        """What it has fitted to what it showed and a policy needs wherever it is played, such as the running mean of
        observations: arrays, copies. The core files them with the policy. Empty by default."""
        return {}

    def load_fitted_state(self, state: Mapping[str, NDArray[Any]]) -> None:  # noqa: B027
        """Take over another one's `fitted_state`, for good: nothing is fitted from here on. The core does so wherever a
        policy is played that was trained in that one.

        Raises:
            CheckpointError: it is of another configuration.
        """

    def take_discoveries(self) -> Sequence[DiscoveredCode]:
        """Codes found since the last call, oldest first. Environments that find none keep this default."""
        return ()

    def circumstances(self) -> Mapping[str, Any]:
        """What results depend on besides configuration, seed and versions, such as how a sandbox isolates programs on
        this machine: plain data for JSON. Filed with each run that uses the environment; empty by default."""
        return {}

    def close_extras(self, **kwargs: Any) -> None:  # noqa: B027
        """Stop what the environment has started, such as processes; subclasses override it. Called once, by `close`."""

    def hold(self, thing: Closable) -> None:
        """Give `thing`, a reward say, into this environment's care: it is closed with it, after it."""
        self._held = (thing, *self._held)

    def close(self, **kwargs: Any) -> None:
        """Stop what the environment has started, then close what `hold` was given. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        with ExitStack() as rest:
            for thing in reversed(self._held):
                rest.callback(thing.close)
            self.close_extras(**kwargs)


class Environment(BaseEnvironment, VectorEnv[Any, Any, Any], ABC):
    """A batch of B environments behind one `gymnasium.vector.VectorEnv`: arrays in, arrays out.

    Autoreset is SAME_STEP: where a member ended, `step` returns the first observation of its next episode, and, if any
    member was *truncated*, `infos["final_obs"]` holds the last observations (rows of members that did not end are
    undefined). `infos["action_mask"]` is there iff the environment masks actions. After an episode end `infos`
    carries `"episode_return"` and `"episode_length"`, (B,) arrays valid where `terminated | truncated`.

    Actions that are none are refused: too few of them, of another shape, not finite, no number of the discrete ones,
    beyond the bounds of a continuous space, within which agents hold theirs. `step` then raises a `UserError`, one
    line that says what was got and what is expected, and nothing has changed.

    Same seed and actions: same arrays, bit for bit, in this process or after `state_dict` -> `load_state_dict`; where
    its spec says that it resumes between episodes, after `load_state_dict` and `reset(seed=...)`.

    What a reward could not score (`RewardBuffers.valid`) never leaves as a number: `reset`, `step` and `peek` raise
    `InfrastructureError` then (see `require_valid`), after which the environment is not to be used. The run is
    interrupted, and resumes from its last checkpoint.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # type: ignore[misc]
    num_envs: int
    single_observation_space: gymnasium.Space[Any]
    single_action_space: gymnasium.Space[Any]
    can_peek: bool = False
    can_try: bool = False

    @abstractmethod
    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        out: StepBuffers | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start every member anew. With `out`, its arrays are filled and returned.

        Args:
            options: `{"group_size": G}`: members g G to (g + 1) G - 1 form group g, and the k-th episodes of a group's
                members start alike, whatever is drawn for a start included, at whatever steps each of them begins.
                Other groups, and other k, draw anew. Holds until the next `reset`. Other options are the
                environment's own.

        Raises:
            ConfigurationError: an option that the environment does not know (see `refuse_unknown_options`), groups
                among them where it has none, or a group size that does not divide B; nothing has changed then.
        """

    @abstractmethod
    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One action for each member. With `out`, its arrays are filled and returned; without, they are fresh."""

    def compact_states(self) -> NDArray[Any]:
        """(B, ...) array of all that `peek` needs to know of each member; raises where `can_peek` is False."""
        raise NotImplementedError(f"{type(self).__name__} cannot peek")

    def peek(self, actions: NDArray[Any], states: NDArray[Any] | None = None) -> dict[str, NDArray[np.float64]]:
        """Rewards that candidate actions would give: one-step look-ahead, which does not change the state.

        Args:
            actions: (B, K) candidates per member.
            states: What `compact_states` returned at some time; None for the present.

        Returns:
            Each reward component, and `"reward"`, as a (B, K) array; plus `"now"`-prefixed (B,) arrays for the state
            before the action (`"now_residual"` beside `"residual"`).
        """
        raise NotImplementedError(f"{type(self).__name__} cannot peek")

    @property
    def action_factors(self) -> NDArray[np.int64]:
        """(A, F) what discrete actions are made of, for searches that change one part of an action at a time: its
        kind first, then such parts as the qubits it acts on. Where `can_try`."""
        raise NotImplementedError(f"{type(self).__name__} cannot try sequences")

    def try_sequences(self, actions: NDArray[Any], lengths: NDArray[Any]) -> SequenceTrials:
        """Play whole sequences of discrete actions, each from the start of an episode: nothing of the running episodes
        changes. Discoveries among them are reported as those of `step` are. Where `can_try`.

        Args:
            actions: (M, L) integers.
            lengths: (M,) integers, 0..L: how many of each row count.

        Raises:
            ConfigurationError: Arrays of a wrong shape or kind, or out of range; nothing has changed then.
            InfrastructureError: The reward could not score.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot try sequences")


def refuse_unknown_options(options: Mapping[str, Any], environment: str, *known: str) -> None:
    """Raise `ConfigurationError` for the first of the options of a `reset` that is not known."""
    for name in options:
        if name not in known:
            takes = " or ".join(map(repr, known)) if known else "none"
            raise ConfigurationError(
                f"unknown reset option {name!r}: {environment} takes {takes}.{did_you_mean(name, known)}"
            )


def group_size(options: Mapping[str, Any], num_envs: int, environment: str) -> int:
    """G of the option `group_size` of a `reset`, checked; 1 where it is not given."""
    size = options.get("group_size", 1)
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1 or num_envs % size:
        raise ConfigurationError(
            f"option 'group_size': got {size!r}, expected a whole number that divides the {num_envs} members of "
            f"{environment}: change one of the two"
        )
    return int(size)


class ParameterEnvironment(Environment):
    """An environment whose action is a whole vector of parameters: kind of action `parameters`.

    Its K = `num_envs` members are candidates. One step is one epoch: every candidate is tried on the same system, which
    may drift from epoch to epoch, and scored whole. No episode ends, so `terminated` and `truncated` are all False.
    `reset` starts the clock anew.

    `step` takes (K, P) float32 or float64 and returns observations (K, 1) float32, the fraction of the horizon that
    has passed, and rewards: (K, m) float32, one entry for each objective, larger is better, or (K,), their mean, where
    the reward is a scalar. Its `infos` hold `"cost"`, a float, what is minimised: the mean over candidates and
    objectives of what was measured (minus the mean reward); and `"true_cost"`, the same without sampling noise, where
    it is known. A view's reading of `cost` says what people call it.

    Attributes:
        parameter_names: P names, unique, such as `cz.d3.m4[2]`.
        initial_parameters: (P,) float64, where control starts. Not to be written to.
        exploration_scale: (P,) float64, > 0: a step of each parameter that has a clear but harmless effect, in its own
            units.
        factor_graph: Which of the m objectives depend on which parameters; None where that is unknown, or where the
            reward is a scalar.
        reward_space: Of one candidate's reward vector, a `Box` of shape (m,), as MO-Gymnasium has it; shape (1,) where
            the reward is a scalar.
        limits: Box and largest step of each parameter: `initial_parameters` lie in it, and an agent has to keep it;
            None where there are none.
    """

    parameter_names: Sequence[str]
    initial_parameters: NDArray[np.float64]
    exploration_scale: NDArray[np.float64]
    factor_graph: FactorGraph | None
    reward_space: gymnasium.spaces.Box
    limits: ParameterLimits | None = None

    def assess(self, parameters: NDArray[np.float64]) -> Mapping[str, float]:
        """What an evaluation of one parameter vector, (P,), says in the present epoch, such as its logical error rate.

        Names and numbers for the log; none by default. State and random numbers stay as they are: training is the same
        whether or not anything is assessed.
        """
        return {}
