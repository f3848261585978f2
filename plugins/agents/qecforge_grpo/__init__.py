"""Agents `grpo`, `grpo_text` and `grpo_hf`: group relative policy optimisation, which judges an episode, or a
completion, by others that began alike."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Agent, TextAgent
from qecforge.hookspecs import AgentSpec, ReproductionSpec, hookimpl
from qecforge_grpo.config import GRPOConfig, check_fine_tuning
from qecforge_grpo.hf.config import HFGRPOConfig, pin_base
from qecforge_grpo.reproduction.spec import REPRODUCTION
from qecforge_grpo.text.config import TextGRPOConfig
from qecforge_grpo.views import TEXT_VIEW, VIEW

__all__ = [
    "GRPOConfig",
    "HFGRPOConfig",
    "TextGRPOConfig",
    "make_grpo",
    "make_grpo_hf",
    "make_grpo_text",
    "qecforge_agents",
    "qecforge_reproductions",
]


def make_grpo(config: GRPOConfig) -> Agent:
    """The agent that `config` describes."""
    from qecforge_grpo.agent import GRPO

    return GRPO(config)


def make_grpo_text(config: TextGRPOConfig) -> TextAgent:
    """The agent that `config` describes."""
    from qecforge_grpo.text.agent import TextGRPO

    return TextGRPO(config)


def make_grpo_hf(config: HFGRPOConfig) -> TextAgent:
    """The agent that `config` describes."""
    from qecforge_grpo.hf.agent import HFGRPO

    return HFGRPO(config)


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`grpo`, `grpo_text` and `grpo_hf`."""
    return [
        AgentSpec(
            name="grpo",
            summary="GRPO for discrete actions: advantages within groups of episodes that begin alike",
            config=GRPOConfig,
            make=make_grpo,
            trains_on=frozenset({"discrete"}),
            check_fine_tuning=check_fine_tuning,
            view=VIEW,
        ),
        AgentSpec(
            name="grpo_text",
            summary="GRPO for a tiny language model: a warm start on demonstrations, then rewards of completions",
            config=TextGRPOConfig,
            make=make_grpo_text,
            trains_on=frozenset({"text"}),
            view=TEXT_VIEW,
        ),
        AgentSpec(
            name="grpo_hf",
            summary="GRPO for a pretrained language model, by TRL and LoRA (extra llm)",
            config=HFGRPOConfig,
            make=make_grpo_hf,
            trains_on=frozenset({"text"}),
            view=TEXT_VIEW,
            resumes="between_episodes",
            pin=pin_base,
        ),
    ]


@hookimpl
def qecforge_reproductions() -> Sequence[ReproductionSpec]:
    """The tiny model that learns Qiskit from execution."""
    return [REPRODUCTION]
