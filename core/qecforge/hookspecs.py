"""The whole plugin surface: the hooks, the specs they return, and the behaviours behind the specs.

A plugin is a distribution with an entry point in the group `qecforge`. Its hooks return *data*, frozen specs; each
spec names a config model (what the manifest may say) and a factory (what makes the behaviour).

    from qecforge.hookspecs import EnvironmentSpec, hookimpl

    @hookimpl
    def qecforge_environments():
        return [EnvironmentSpec(name="my_env", summary="...", config=MyConfig, make=make_my_env, actions="discrete")]

`qecforge plugins list` shows what was found; `qecforge.testing` holds the contract each behaviour must keep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import gymnasium
import numpy as np
import pluggy
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from qecforge.errors import ConfigurationError
from qecforge.factor_graph import FactorGraph

if TYPE_CHECKING:
    import torch

    from qecforge.codes import DiscoveredCode

__all__ = [
    "ENTRY_POINT_GROUP",
    "ActionKind",
    "Agent",
    "AgentSpec",
    "CompiledReward",
    "Environment",
    "EnvironmentSpec",
    "EvaluationSpec",
    "ExtraLoss",
    "FactorGraph",
    "ParameterEnvironment",
    "PluginConfig",
    "Policy",
    "Quantizer",
    "QuantizerSpec",
    "ReportingExtraLoss",
    "Reward",
    "RewardBuffers",
    "RewardSpec",
    "StatefulExtraLoss",
    "StepBuffers",
    "TrainingBatch",
    "TrainingContext",
    "hookimpl",
    "hookspec",
]

ENTRY_POINT_GROUP = "qecforge"
hookspec = pluggy.HookspecMarker("qecforge")
hookimpl = pluggy.HookimplMarker("qecforge")

ActionKind: TypeAlias = Literal["discrete", "continuous", "parameters", "text"]
"""discrete: one of N; continuous: a bounded vector; parameters: a point in a parameter space, scored whole and
without state (parameter-exploring agents); text: a string that a language model completes."""


class PluginConfig(BaseModel):
    """Base of every config model: frozen, unknown keys refused. Fields have descriptions.

    A check across fields raises `ValueError("n: 7 is too small: a code needs n > k (k is 7). Set n to 8 or more")`; the
    name of a field in front makes the error in a manifest point at that field. The model's JSON form must give an equal
    model back: runs are rebuilt from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)


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


class Environment(VectorEnv[Any, Any, Any], ABC):
    """A batch of B environments behind one `gymnasium.vector.VectorEnv`: arrays in, arrays out.

    Autoreset is SAME_STEP: where a member ended, `step` returns the first observation of its next episode, and, if any
    member was *truncated*, `infos["final_obs"]` holds the last observations (rows of members that did not end are
    undefined). `infos["action_mask"]` is there iff the environment masks actions. After an episode end `infos`
    carries `"episode_return"` and `"episode_length"`, (B,) arrays valid where `terminated | truncated`.

    Same seed and actions: same arrays, bit for bit, in this process or after `state_dict` -> `load_state_dict`.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # type: ignore[misc]
    num_envs: int
    single_observation_space: gymnasium.Space[Any]
    single_action_space: gymnasium.Space[Any]
    can_peek: bool = False

    @abstractmethod
    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        out: StepBuffers | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start every member anew. With `out`, its arrays are filled and returned."""

    @abstractmethod
    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One action for each member. With `out`, its arrays are filled and returned; without, they are fresh."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, random generators included: numbers, strings, lists, dicts and numpy
        arrays only."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another configuration."""

    def take_discoveries(self) -> Sequence[DiscoveredCode]:
        """Codes found since the last call, oldest first. Environments that find none keep this default."""
        return ()

    def compact_states(self) -> NDArray[Any]:
        """(B, ...) array of all that `peek` needs to know of each member; raises where `can_peek` is False."""
        raise NotImplementedError(f"{type(self).__name__} cannot peek")

    def peek(self, actions: NDArray[Any], states: NDArray[Any] | None = None) -> dict[str, NDArray[np.float64]]:
        """What candidate actions would bring: one-step look-ahead that leaves the state as it is.

        Args:
            actions: (B, K) candidates per member.
            states: What `compact_states` returned at some time; None for the present.

        Returns:
            Each reward component, and `"reward"`, as a (B, K) array; plus `"now"`-prefixed (B,) arrays for the state
            before the action (`"now_residual"` beside `"residual"`).
        """
        raise NotImplementedError(f"{type(self).__name__} cannot peek")


class ParameterEnvironment(Environment):
    """An environment whose action is a whole vector of parameters: kind of action `parameters`.

    Its K = `num_envs` members are candidates. One step is one epoch: every candidate is tried on the same system, which
    may drift from epoch to epoch, and scored whole. No episode ends, so `terminated` and `truncated` are all False.
    `reset` starts the clock anew.

    `step` takes (K, P) float32 or float64 and returns observations (K, 1) float32, the fraction of the horizon that
    has passed, and rewards: (K, m) float32, one entry for each objective, larger is better, or (K,), their mean, where
    the reward is a scalar. Its `infos` hold `"detection_rate"`, a float: the mean over candidates and objectives of
    what was measured (minus the mean reward); and `"true_cost"`, the same without sampling noise, where it is known.

    Attributes:
        parameter_names: P names, unique, such as `cz.d3.m4[2]`.
        initial_parameters: (P,) float64, where control starts. Not to be written to.
        exploration_scale: (P,) float64, > 0: a step of each parameter that has a clear but harmless effect, in its own
            units.
        factor_graph: Which of the m objectives depend on which parameters; None where that is unknown, or where the
            reward is a scalar.
        reward_space: Of one candidate's reward vector, a `Box` of shape (m,), as MO-Gymnasium has it; shape (1,) where
            the reward is a scalar.
    """

    parameter_names: Sequence[str]
    initial_parameters: NDArray[np.float64]
    exploration_scale: NDArray[np.float64]
    factor_graph: FactorGraph | None
    reward_space: gymnasium.spaces.Box

    def assess(self, parameters: NDArray[np.float64]) -> Mapping[str, float]:
        """What an evaluation of one parameter vector, (P,), says in the present epoch, such as its logical error rate.

        Names and numbers for the log; none by default. State and random numbers stay as they are: training is the same
        whether or not anything is assessed.
        """
        return {}


@dataclass
class RewardBuffers:
    """What a reward writes.

    Attributes:
        values: (B,) float32.
        solved: (B,) bool, members that meet the subject's target; None where the reward does not decide that (the
            environment then does).
        components: Named (B,) float64 arrays for the log and for `Environment.peek`.
    """

    values: NDArray[np.float32]
    solved: NDArray[np.bool_] | None = None
    components: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class CompiledReward(ABC):
    """A reward made ready for one environment. A pure function of the batch: no state between calls."""

    @abstractmethod
    def score(self, batch: Any, out: RewardBuffers | None = None) -> RewardBuffers:
        """Score a batch of at most `num_envs` members. With `out` its arrays (at least as long) are filled."""


class Reward(ABC):
    """What makes a `CompiledReward` from a description of what will be scored."""

    components: tuple[str, ...] = ()

    @abstractmethod
    def compile(self, subject: Any) -> CompiledReward:
        """`subject` is the environment's description of what it shows (`qecforge.codes.TableauSubject`, say).

        Raises `ConfigurationError` where the subject does not fit this reward's configuration.
        """


class Policy(ABC):
    """What an agent leaves behind: acts on observations, and can be saved.

    Attributes:
        start: First action's number in the environment's action space, where actions are discrete.
    """

    start: int = 0

    @abstractmethod
    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Actions for a batch. `rng` is needed where `deterministic` is False."""

    @abstractmethod
    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights, as safetensors keeps them."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over weights. Raises `CheckpointError` where names or shapes differ."""

    @property
    def module(self) -> torch.nn.Module:
        """The network from observations to logits (or action means), for quantizers. Raises `ConfigurationError` where
        there is none."""
        raise ConfigurationError(
            f"{type(self).__name__} has no network, which quantizers and ONNX need: train an agent whose policy has one"
        )


@dataclass(frozen=True)
class TrainingBatch:
    """What an agent shows to an `extra_loss` for each minibatch.

    Attributes:
        observations: (M, *observation_shape) tensor on the agent's device, as its network takes it.
        logits: (M, A) outputs of the policy in training, with gradient.
        actions: (M,) or (M, action_size).
        action_mask: (M, A) bool or None.
        states: `Environment.compact_states` of each row, where `ExtraLoss.needs_states`; else None.
        progress: Fraction of the training done, 0..1, for schedules.
    """

    observations: torch.Tensor
    logits: torch.Tensor
    actions: torch.Tensor
    action_mask: torch.Tensor | None
    states: NDArray[Any] | None
    progress: float


class ExtraLoss(Protocol):
    """A term that a quantizer adds to an agent's objective."""

    needs_states: bool

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        """A scalar with gradient."""
        ...


@runtime_checkable
class StatefulExtraLoss(ExtraLoss, Protocol):
    """A term whose later values depend on earlier calls: an agent keeps its state in checkpoints, beside its own."""

    def state_dict(self) -> Mapping[str, Any]:
        """All that decides what comes next, as copies: numbers, strings, lists, dicts, arrays and tensors only."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it is none of its own."""
        ...


@runtime_checkable
class ReportingExtraLoss(ExtraLoss, Protocol):
    """A term that says what it did: an agent logs its metrics beside its own, as `quantizer/NAME`."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the latest call; empty before the first."""
        ...


class TrainingContext(Protocol):
    """What the core gives to an agent: seed, budget, log, checkpoints, discoveries, progress and cancellation.

    An agent's loop is

        if context.restored is not None:
            self.load_state_dict(context.restored)
        while context.advance(step, metrics, self.state_dict):
            ...one rollout and update...
    """

    seed: int

    @property
    def restored(self) -> Mapping[str, Any] | None:
        """The agent's own state from a checkpoint (the environment is restored already), or None at a fresh start."""
        ...

    def advance(
        self, step: int, total: int, metrics: Mapping[str, float], state: Callable[[], Mapping[str, Any]]
    ) -> bool:
        """Report between two iterations, the state being whole.

        Logs `metrics` at `step` (environment steps so far), takes the environment's discoveries, shows progress
        towards `total`, and saves a checkpoint of agent and environment when one is due.

        Returns:
            Whether to go on: False once `step >= total`, or when the run's budget is spent.

        Raises:
            Interrupted: the run was cancelled; the checkpoint is written.
        """
        ...


class Agent(ABC):
    """Learns a policy on an environment. All it owns is in its checkpoint state, random generators included: a resumed
    run equals the uninterrupted one, bit for bit."""

    @property
    @abstractmethod
    def num_envs(self) -> int:
        """How many environment members it wants."""

    @abstractmethod
    def train(
        self,
        env: Environment,
        context: TrainingContext,
        *,
        policy: Policy | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> Policy:
        """Train until the context says stop.

        Args:
            env: Reset by the agent at a fresh start with `context.seed`, left alone on resume.
            policy: Start from this one (a quantizer's student, say) instead of a fresh one.
            extra_loss: Added to the objective of each minibatch. The state of a `StatefulExtraLoss` is part of the
                agent's, the metrics of a `ReportingExtraLoss` are logged with its own.
        """

    @abstractmethod
    def build_policy(self, env: Environment) -> Policy:
        """An untrained policy for `env`'s spaces, to load saved weights into."""


class Quantizer(ABC):
    """Gives an INT8 policy for a trained float one. The policy that it is given is never changed.

    Attributes:
        calibration_states: How many observations `quantize` wants to be given.
    """

    calibration_states: int = 1024

    @abstractmethod
    def quantize(self, policy: Policy, calibration: NDArray[Any]) -> Policy:
        """Post-training: quantize with (N, *observation_shape) calibration observations."""

    def prepare(self, policy: Policy, env: Environment) -> Policy:
        """Training-aware: a student with fake quantisation, started from `policy`, the frozen teacher."""
        raise NotImplementedError(f"{type(self).__name__} is a post-training quantizer")

    def extra_loss(self, teacher: Policy, student: Policy, env: Environment) -> ExtraLoss:
        """Training-aware: what is added to the agent's objective while it fine-tunes the student."""
        raise NotImplementedError(f"{type(self).__name__} is a post-training quantizer")

    def convert(self, student: Policy) -> Policy:
        """Training-aware: the trained student as an integer policy."""
        raise NotImplementedError(f"{type(self).__name__} is a post-training quantizer")


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """An evaluation that an environment brings, named under `evaluation:` in a manifest.

    `evaluate(env, policy, config, record)` runs after training, in a fresh environment made with the run's seed;
    `record(metric, step, value)` files its numbers.

    `check(environment, agent, config)` is given the three configurations while a manifest is read, and raises
    `ValueError` or a `UserError` where they do not fit together.
    """

    name: str
    summary: str
    config: type[PluginConfig]
    evaluate: Callable[[Environment, Policy, Any, Callable[[str, int, float], None]], None]
    check: Callable[[Any, Any, Any], None] | None = None


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """An environment.

    Attributes:
        name: As in a manifest's `environment: {plugin: NAME}`; lower case, digits and underscores.
        summary: One line.
        config: Its config model.
        make: `make(config, *, num_envs, seed, reward)` -> `Environment`. `reward` is None for the native reward.
        actions: The kind of action it takes.
        shows: What rewards are shown, such as `qecforge.codes.TABLEAU`; None where only the native reward fits.
        native_reward: Whether it brings a reward of its own (`reward:` may then be left out).
        finds_codes: Whether it reports discoveries; `evaluation.logical_error_rate` then applies.
        evaluations: Evaluations of its own.
    """

    name: str
    summary: str
    config: type[PluginConfig]
    make: Callable[..., Environment]
    actions: ActionKind
    shows: str | None = None
    native_reward: bool = False
    finds_codes: bool = False
    evaluations: tuple[EvaluationSpec, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RewardSpec:
    """A reward. `make(config)` -> `Reward`; `scores` names what it is a function of (`EnvironmentSpec.shows`)."""

    name: str
    summary: str
    config: type[PluginConfig]
    make: Callable[..., Reward]
    scores: str


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """An agent. `make(config)` -> `Agent`; `trains_on` holds the kinds of action it can learn.

    `check_fine_tuning(trained, config)` is given the agent's configuration and the one by which it trains a quantized
    student further, while a manifest is read, and raises `ValueError` or a `UserError` where it cannot, or where a
    difference would have no effect.
    """

    name: str
    summary: str
    config: type[PluginConfig]
    make: Callable[..., Agent]
    trains_on: frozenset[ActionKind]
    check_fine_tuning: Callable[[Any, Any], None] | None = None


@dataclass(frozen=True, kw_only=True)
class QuantizerSpec:
    """A quantizer. `make(config)` -> `Quantizer`; `quantizes` holds the kinds of action whose policies it can take.

    `check(components, config)` is given `Reward.components` of the run's reward, None where that is the environment's
    own, and the quantizer's configuration, while a manifest is read, and raises `ValueError` or a `UserError` where
    they do not fit together.
    """

    name: str
    summary: str
    config: type[PluginConfig]
    make: Callable[..., Quantizer]
    kind: Literal["post_training", "training_aware"]
    quantizes: frozenset[ActionKind] = frozenset({"discrete"})
    check: Callable[[Sequence[str] | None, Any], None] | None = None


@hookspec
def qecforge_environments() -> Sequence[EnvironmentSpec]:  # type: ignore[empty-body]
    """Environments of this plugin."""


@hookspec
def qecforge_rewards() -> Sequence[RewardSpec]:  # type: ignore[empty-body]
    """Rewards of this plugin."""


@hookspec
def qecforge_agents() -> Sequence[AgentSpec]:  # type: ignore[empty-body]
    """Agents of this plugin."""


@hookspec
def qecforge_quantizers() -> Sequence[QuantizerSpec]:  # type: ignore[empty-body]
    """Quantizers of this plugin."""


@hookspec
def qecforge_cli(app: Any) -> None:
    """Add commands to the typer application."""
