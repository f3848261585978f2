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
    SequenceTrials,
    StepBuffers,
    group_size,
    refuse_unknown_options,
)
from qecforge.contracts.evaluation import EvaluationContext
from qecforge.contracts.files import (
    NamedFile,
    check_written_file,
    is_named_folder,
    read_named_file,
    require_allowed_name,
)
from qecforge.contracts.metrics import COST, EPISODE_LENGTH, EPISODE_RETURN, INVALID_REWARDS, TRUE_COST
from qecforge.contracts.parameters.factor_graph import FactorGraph
from qecforge.contracts.parameters.limits import ParameterLimits
from qecforge.contracts.policy import ActionHead, Policy, SavedPolicy
from qecforge.contracts.quantizer import Quantizer
from qecforge.contracts.reproduction import Claim, Criterion, Order, PlannedRun, Report, ReproductionSpec
from qecforge.contracts.reward import CompiledReward, Reward, RewardBuffers, require_valid
from qecforge.contracts.text import (
    COMPLETIONS,
    CompiledTextReward,
    Message,
    Prompt,
    TextAgent,
    TextBatch,
    TextEnvironment,
    TextOutcome,
    TextPolicy,
    TextSubject,
    Verdict,
    plain_text,
)
from qecforge.contracts.views import Reading, RunView

__all__ = [
    "COMPLETIONS",
    "COST",
    "EPISODE_LENGTH",
    "EPISODE_RETURN",
    "INVALID_REWARDS",
    "TRUE_COST",
    "ActionHead",
    "ActionKind",
    "Agent",
    "BaseEnvironment",
    "Claim",
    "Closable",
    "CompiledReward",
    "CompiledTextReward",
    "Criterion",
    "Environment",
    "EvaluationContext",
    "ExtraLoss",
    "FactorGraph",
    "Message",
    "NamedFile",
    "Order",
    "ParameterEnvironment",
    "ParameterLimits",
    "PlannedRun",
    "PluginConfig",
    "Policy",
    "Prompt",
    "Quantizer",
    "Reading",
    "Report",
    "ReportingExtraLoss",
    "ReproductionSpec",
    "Resumes",
    "Reward",
    "RewardBuffers",
    "RunView",
    "SavedPolicy",
    "SequenceTrials",
    "StatefulExtraLoss",
    "StepBuffers",
    "TextAgent",
    "TextBatch",
    "TextEnvironment",
    "TextOutcome",
    "TextPolicy",
    "TextSubject",
    "TrainingBatch",
    "TrainingContext",
    "Verdict",
    "check_written_file",
    "closing",
    "closing_on_error",
    "group_size",
    "is_named_folder",
    "plain_text",
    "read_named_file",
    "refuse_unknown_options",
    "require_allowed_name",
    "require_valid",
]
