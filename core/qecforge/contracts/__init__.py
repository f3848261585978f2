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
    Resumes,
    StepBuffers,
)
from qecforge.contracts.evaluation import EvaluationContext
from qecforge.contracts.factor_graph import FactorGraph
from qecforge.contracts.metrics import COST, EPISODE_LENGTH, EPISODE_RETURN, TRUE_COST
from qecforge.contracts.policy import Policy
from qecforge.contracts.quantizer import Quantizer
from qecforge.contracts.reproduction import Claim, Criterion, Order, PlannedRun, Report, ReproductionSpec
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
    "Claim",
    "Closable",
    "CompiledReward",
    "Criterion",
    "Environment",
    "EvaluationContext",
    "ExtraLoss",
    "FactorGraph",
    "Order",
    "ParameterEnvironment",
    "PlannedRun",
    "PluginConfig",
    "Policy",
    "Quantizer",
    "Reading",
    "Report",
    "ReportingExtraLoss",
    "ReproductionSpec",
    "Resumes",
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
