"""The evaluations that the core brings: one table, which manifests, their schema, the registry and runs read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

from qecforge.contracts.config import PluginConfig
from qecforge.contracts.environment import ActionKind
from qecforge.evaluation.error_rates.config import LogicalErrorRateConfig
from qecforge.evaluation.policies.config import (
    ActionFidelityConfig,
    DecisionFidelityConfig,
    ReturnsConfig,
    SearchConfig,
)

__all__ = [
    "ACTION_FIDELITY",
    "BUILT_IN",
    "DECISION_FIDELITY",
    "LOGICAL_ERROR_RATE",
    "RETURNS",
    "SEARCH",
    "BuiltInEvaluation",
    "EnvironmentTraits",
]

C = TypeVar("C", bound=PluginConfig, default=Any)


class EnvironmentTraits(Protocol):
    """What decides which evaluations an environment has, as `qecforge.hookspecs.EnvironmentSpec` says it."""

    @property
    def name(self) -> str:
        """As in a manifest."""
        ...

    @property
    def actions(self) -> ActionKind:
        """The kind of action it takes."""
        ...

    @property
    def finds_codes(self) -> bool:
        """Whether it reports discoveries."""
        ...

    @property
    def endless(self) -> bool:
        """Whether its episodes never end."""
        ...


@dataclass(frozen=True)
class BuiltInEvaluation(Generic[C]):
    """An evaluation of the core's.

    Attributes:
        name: As under `evaluation:` in a manifest; no plugin may give it to one of its own.
        config: What the manifest may say of it.
        unfit: `unfit(environment, quantizes)` says in one clause why a run in this environment, with a quantizer or
            without, does not have it; None where it does.
    """

    name: str
    config: type[C]
    unfit: Callable[[EnvironmentTraits, bool], str | None]


def _without_logits(environment: EnvironmentTraits, quantizes: bool) -> str | None:
    if environment.actions != "discrete":
        return f"environment {environment.name} takes {environment.actions} actions, not logits"
    return None if quantizes else "the manifest has no quantizer, whose policy it would compare with the teacher's"


def _without_actions(environment: EnvironmentTraits, quantizes: bool) -> str | None:
    if environment.actions != "continuous":
        return f"the actions of environment {environment.name} are {environment.actions}, not continuous"
    return None if quantizes else "the manifest has no quantizer, whose policy it would compare with the teacher's"


def _without_episodes(environment: EnvironmentTraits, quantizes: bool) -> str | None:
    if environment.actions in ("parameters", "text"):
        return f"environment {environment.name} takes {environment.actions}, scored whole: it has no episodes"
    return f"the episodes of environment {environment.name} never end" if environment.endless else None


def _without_codes(environment: EnvironmentTraits, quantizes: bool) -> str | None:
    return None if environment.finds_codes else f"environment {environment.name} finds no codes"


DECISION_FIDELITY = BuiltInEvaluation("decision_fidelity", DecisionFidelityConfig, _without_logits)
ACTION_FIDELITY = BuiltInEvaluation("action_fidelity", ActionFidelityConfig, _without_actions)
RETURNS = BuiltInEvaluation("returns", ReturnsConfig, _without_episodes)
SEARCH = BuiltInEvaluation("search", SearchConfig, _without_codes)
LOGICAL_ERROR_RATE = BuiltInEvaluation("logical_error_rate", LogicalErrorRateConfig, _without_codes)

BUILT_IN: tuple[BuiltInEvaluation[Any], ...] = (
    DECISION_FIDELITY,
    ACTION_FIDELITY,
    RETURNS,
    SEARCH,
    LOGICAL_ERROR_RATE,
)
"""In the order in which a run has them: the search comes before the error rates, which are of the best codes of the
whole run. Those of plugins follow."""
