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
    group_size,
    refuse_unknown_options,
)
from qecforge.contracts.factor_graph import FactorGraph
from qecforge.contracts.policy import Policy
from qecforge.contracts.quantizer import Quantizer
from qecforge.contracts.reward import CompiledReward, Reward, RewardBuffers, require_valid

__all__ = [
    "ActionKind",
    "Agent",
    "BaseEnvironment",
    "Closable",
    "CompiledReward",
    "Environment",
    "ExtraLoss",
    "FactorGraph",
    "ParameterEnvironment",
    "PluginConfig",
    "Policy",
    "Quantizer",
    "ReportingExtraLoss",
    "Reward",
    "RewardBuffers",
    "StatefulExtraLoss",
    "StepBuffers",
    "TrainingBatch",
    "TrainingContext",
    "closing",
    "closing_on_error",
    "group_size",
    "refuse_unknown_options",
    "require_valid",
]
