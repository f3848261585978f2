"""The whole plugin surface: the hooks and the specs they return. The behaviours behind the specs are in
`qecforge.contracts`.

A plugin is a distribution with an entry point in the group `qecforge`. Its hooks return *data*, frozen specs; each
spec names a config model (what the manifest may say) and a factory (what makes the behaviour).

    from qecforge.hookspecs import EnvironmentSpec, hookimpl

    @hookimpl
    def qecforge_environments():
        return [EnvironmentSpec(name="my_env", summary="...", config=MyConfig, make=make_my_env, actions="discrete")]

`qecforge plugins list` shows what was found; `qecforge.testing` holds the contract each behaviour must keep.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal

import pluggy
from typing_extensions import TypeVar

from qecforge.contracts.reproduction import ReproductionSpec

if TYPE_CHECKING:
    from qecforge.contracts.agent import Agent
    from qecforge.contracts.config import PluginConfig
    from qecforge.contracts.environment import ActionKind, BaseEnvironment, Resumes
    from qecforge.contracts.evaluation import EvaluationContext
    from qecforge.contracts.quantizer import Quantizer
    from qecforge.contracts.reward import Reward
    from qecforge.contracts.views import RunView

__all__ = [
    "ENTRY_POINT_GROUP",
    "AgentSpec",
    "EnvironmentSpec",
    "EvaluationSpec",
    "ListenerSpec",
    "QuantizerSpec",
    "ReproductionSpec",
    "RewardSpec",
    "hookimpl",
    "hookspec",
]

ENTRY_POINT_GROUP = "qecforge"
hookspec = pluggy.HookspecMarker("qecforge")
hookimpl = pluggy.HookimplMarker("qecforge")

C = TypeVar("C", bound="PluginConfig", default=Any)
"""The configuration that a spec names: its factory and its checks are given one, validated."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec(Generic[C]):
    """An evaluation that an environment or an agent brings, named under `evaluation:` in a manifest.

    `evaluate(env, policy, config, context)` runs after training, in a fresh environment made with the run's seed, on
    the policy that the run leaves; it files what it finds by `context`.

    `check(environment, agent, config)` is given the three configurations while a manifest is read, and raises
    `ValueError` or a `UserError` where they do not fit together.
    """

    name: str
    summary: str
    config: type[C]
    evaluate: Callable[[Any, Any, C, EvaluationContext], None]
    check: Callable[[Any, Any, C], None] | None = None


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec(Generic[C]):
    """An environment.

    Attributes:
        name: As in a manifest's `environment: {plugin: NAME}`; lower case, digits and underscores.
        summary: One line.
        config: Its config model.
        make: `make(config, *, num_envs, seed, reward)` -> `Environment`; `TextEnvironment` where `actions` is `text`.
            `reward` is None for the native reward.
        actions: The kind of action it takes.
        shows: What rewards are shown, such as `qecforge.codes.TABLEAU`; None where only the native reward fits.
        native_reward: Whether it brings a reward of its own (`reward:` may then be left out).
        finds_codes: Whether it reports discoveries; their search and their error rates can then be evaluated.
        endless: Whether its episodes never end; those of `parameters` never do.
        can_peek: Whether its environments look ahead (`Environment.peek`). None: one is made and asked, while a
            manifest is read, where a quantizer needs it.
        evaluations: Evaluations of its own.
        view: What is shown of runs in it.
        resumes: What a training in it goes on from when it is resumed: the state at the interruption, to the bit, or
            new episodes. One without episodes (`parameters`) resumes to the bit.
        pin: `pin(config)` -> the configuration with the exact revision of what it names outside of the manifest, such
            as the SHA-256 of a file of tasks. Called while a manifest is read and whenever a run is rebuilt; what it
            gives is what the run's identity is made of and what `make` gets. Where the revision stands there already,
            it raises `ValueError` or a `UserError` unless that is what is there.
    """

    name: str
    summary: str
    config: type[C]
    make: Callable[..., BaseEnvironment]
    actions: ActionKind
    shows: str | None = None
    native_reward: bool = False
    finds_codes: bool = False
    endless: bool = False
    can_peek: bool | None = None
    evaluations: tuple[EvaluationSpec, ...] = ()
    view: RunView | None = None
    resumes: Resumes = "to_the_bit"
    pin: Callable[[C], C] | None = None


@dataclass(frozen=True, kw_only=True)
class RewardSpec(Generic[C]):
    """A reward. `make(config)` -> `Reward`; `scores` names what it is a function of (`EnvironmentSpec.shows`)."""

    name: str
    summary: str
    config: type[C]
    make: Callable[[C], Reward]
    scores: str


@dataclass(frozen=True, kw_only=True)
class AgentSpec(Generic[C]):
    """An agent. `make(config)` -> `Agent`; `trains_on` holds the kinds of action it can learn; `evaluations` are those
    that it brings for its policies.

    `check(environment, config)` is given both configurations while a manifest is read, and raises `ValueError` or a
    `UserError` where the agent cannot train in that environment. Where a student is trained by other settings, it is
    asked about those too.

    `check_fine_tuning(trained, config)` is given the agent's configuration and the one by which it trains a quantized
    student further, while a manifest is read, and raises `ValueError` or a `UserError` where it cannot, or where a
    difference would have no effect. `check_quantized(config)` is given the agent's configuration where the manifest
    has a quantizer, and raises likewise where what it trains is no network that could be quantized. `view` is what is
    shown of runs of it. `resumes` says from what it goes on when it is resumed; one that resumes between episodes may
    leave out of its state what belongs to those under way.
    `pin` is as in `EnvironmentSpec`: by it the revision of a base model becomes part of the run's identity.
    """

    name: str
    summary: str
    config: type[C]
    make: Callable[[C], Agent[Any, Any]]
    trains_on: frozenset[ActionKind]
    check: Callable[[Any, C], None] | None = None
    check_fine_tuning: Callable[[C, C], None] | None = None
    check_quantized: Callable[[C], None] | None = None
    evaluations: tuple[EvaluationSpec, ...] = ()
    view: RunView | None = None
    resumes: Resumes = "to_the_bit"
    pin: Callable[[C], C] | None = None


@dataclass(frozen=True, kw_only=True)
class QuantizerSpec(Generic[C]):
    """A quantizer. `make(config)` -> `Quantizer`; `quantizes` holds the kinds of action whose policies it can take.

    `kind` says which of its methods a run calls: post_training `quantize`; training_aware `prepare`, `extra_loss` and,
    after the agent has fine-tuned the student, `convert`; distillation `distil`, which trains without the agent
    (`quantize` where `Quantizer.trains` is false).

    `check(components, config)` is given `Reward.components` of the run's reward, None where that is the environment's
    own, and the quantizer's configuration, while a manifest is read, and raises `ValueError` or a `UserError` where
    they do not fit together.

    `needs_lookahead(config)` says in one clause what of the configuration needs `Environment.peek`, and how to do
    without, such as `safe: expected needs it: set safe to none`; None where nothing does. An environment that cannot
    look ahead is then refused while a manifest is read; `check` gets the components that `peek` names where the reward
    is the environment's own.
    """

    name: str
    summary: str
    config: type[C]
    make: Callable[[C], Quantizer]
    kind: Literal["post_training", "training_aware", "distillation"]
    quantizes: frozenset[ActionKind] = frozenset({"discrete"})
    check: Callable[[Sequence[str] | None, C], None] | None = None
    needs_lookahead: Callable[[C], str | None] | None = None


@dataclass(frozen=True, kw_only=True)
class ListenerSpec(Generic[C]):
    """A listener, which is told what happens in runs and shows or files it elsewhere; it changes no result.

    `make(config)` -> `qecforge.runs.listener.RunListener`. Users ask for it by `qecforge run --listener NAME`, with
    fields of `config` after a colon, whose values are read from text. A package that it needs is imported in `make`,
    whose `MissingDependency` says what to install.
    """

    name: str
    summary: str
    config: type[C]
    make: Callable[[C], Any]


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
def qecforge_listeners() -> Sequence[ListenerSpec]:  # type: ignore[empty-body]
    """Listeners of this plugin."""


@hookspec
def qecforge_reproductions() -> Sequence[ReproductionSpec]:  # type: ignore[empty-body]
    """Reproductions of papers that this plugin brings: `qecforge.contracts.reproduction`."""


@hookspec
def qecforge_cli(app: Any) -> None:
    """Add commands to the typer application."""


def __getattr__(name: str) -> Any:
    from qecforge import contracts

    if name not in contracts.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"qecforge.hookspecs.{name} is now qecforge.contracts.{name}", DeprecationWarning, stacklevel=2)
    return getattr(contracts, name)
