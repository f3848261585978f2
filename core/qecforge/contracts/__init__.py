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
from qecforge.contracts.config import PluginConfig
from qecforge.contracts.environment import ActionKind, Environment, ParameterEnvironment, StepBuffers
from qecforge.contracts.factor_graph import FactorGraph
from qecforge.contracts.policy import Policy
from qecforge.contracts.quantizer import Quantizer
from qecforge.contracts.reproduction import Claim, Criterion, Order, PlannedRun, Report, ReproductionSpec
from qecforge.contracts.reward import CompiledReward, Reward, RewardBuffers

__all__ = [
    "ActionKind",
    "Agent",
    "Claim",
    "CompiledReward",
    "Criterion",
    "Environment",
    "ExtraLoss",
    "FactorGraph",
    "Order",
    "ParameterEnvironment",
    "PlannedRun",
    "PluginConfig",
    "Policy",
    "Quantizer",
    "Report",
    "ReportingExtraLoss",
    "ReproductionSpec",
    "Reward",
    "RewardBuffers",
    "StatefulExtraLoss",
    "StepBuffers",
    "TrainingBatch",
    "TrainingContext",
]
