"""The behaviours behind the specs of `qecforge.hookspecs`: what a plugin's parts must do."""

from __future__ import annotations

from qecforge.contracts.agent import (
    Agent,
    ExtraLoss,
    ReportingExtraLoss,
    StatefulExtraLoss,
    TrainingBatch,
    TrainingContext,
)
from qecforge.contracts.closing import Closable, closing, closing_on_error
from qecforge.contracts.config import PluginConfig
from qecforge.contracts.environment import (
    ActionKind,
    BaseEnvironment,
    Environment,
    ParameterEnvironment,
    StepBuffers,
)
from qecforge.contracts.evaluation import EvaluationContext
from qecforge.contracts.factor_graph import FactorGraph
from qecforge.contracts.metrics import COST, EPISODE_LENGTH, EPISODE_RETURN, TRUE_COST
from qecforge.contracts.policy import Policy
from qecforge.contracts.quantizer import Quantizer
from qecforge.contracts.reward import CompiledReward, Reward, RewardBuffers
from qecforge.contracts.views import Reading, RunView

__all__ = [
    "COST",
    "EPISODE_LENGTH",
    "EPISODE_RETURN",
    "TRUE_COST",
    "ActionKind",
    "Agent",
    "BaseEnvironment",
    "Closable",
    "CompiledReward",
    "Environment",
    "EvaluationContext",
    "ExtraLoss",
    "FactorGraph",
    "ParameterEnvironment",
    "PluginConfig",
    "Policy",
    "Quantizer",
    "Reading",
    "ReportingExtraLoss",
    "Reward",
    "RewardBuffers",
    "RunView",
    "StatefulExtraLoss",
    "StepBuffers",
    "TrainingBatch",
    "TrainingContext",
    "closing",
    "closing_on_error",
]
