"""Repetition codes on a chain of qubits: an environment, a reward, an agent and a reproduction for qecforge."""

from __future__ import annotations

from pydantic import Field

from qecforge.contracts import PluginConfig
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, ReproductionSpec, RewardSpec, hookimpl

__all__ = [
    "AGENT",
    "ENVIRONMENT",
    "REPRODUCTION",
    "REWARD",
    "BanditConfig",
    "ChainConfig",
    "ChainOptions",
    "SpreadConfig",
]

SUPPORT = "logical_x_support"
"""What `bit_flip_chain` shows and `spread` scores."""


class ChainConfig(PluginConfig):
    """A chain of qubits."""

    n: int = Field(3, ge=2, le=32, description="Qubits of the chain.")
    max_gates: int = Field(12, ge=1, description="Gates after which an episode ends.")


class SpreadConfig(PluginConfig):
    """The weight of the logical X."""

    scale: float = Field(1.0, gt=0, description="Reward of a logical X on every qubit.")


class BanditConfig(PluginConfig):
    """Gradient bandit with a context (Sutton and Barto 2018, section 2.8)."""

    total_steps: int = Field(4096, ge=1, description="Environment steps to train for.")
    num_envs: int = Field(32, ge=1, description="Environment members stepped together.")
    horizon: int = Field(16, ge=1, description="Steps of each member between two reports.")
    step_size: float = Field(0.5, gt=0, description="Step size of the preferences, alpha.")


class ChainOptions(PluginConfig):
    """What `qecforge reproduce chain` may be told."""

    sizes: tuple[str, ...] | None = Field(None, description="Qubits, of 3,4,5; all, 3 with --quick.")
    steps: int = Field(8192, ge=16, description="Environment steps of each run.")


def _make_chain(config, *, num_envs, seed, reward):
    from qecforge_thirdparty_example.environment import BitFlipChain

    return BitFlipChain(config, num_envs=num_envs, seed=seed, reward=reward)


def _make_spread(config):
    from qecforge_thirdparty_example.reward import Spread

    return Spread(config)


def _make_bandit(config):
    from qecforge_thirdparty_example.agent import GradientBandit

    return GradientBandit(config)


ENVIRONMENT = EnvironmentSpec(
    name="bit_flip_chain",
    summary="CNOTs between neighbours of a chain spread the logical X: repetition codes",
    config=ChainConfig,
    make=_make_chain,
    actions="discrete",
    shows=SUPPORT,
    finds_codes=True,
)
REWARD = RewardSpec(
    name="spread",
    summary="On how many qubits the logical X acts",
    config=SpreadConfig,
    make=_make_spread,
    scores=SUPPORT,
)
AGENT = AgentSpec(
    name="gradient_bandit",
    summary="Linear preferences, trained on the immediate reward",
    config=BanditConfig,
    make=_make_bandit,
    trains_on=frozenset({"discrete"}),
)


def _plan(order, registry):
    from qecforge_thirdparty_example.reproduction import plan

    return plan(order, registry)


def _report(store, planned):
    from qecforge_thirdparty_example.reproduction import report

    return report(store, planned)


REPRODUCTION = ReproductionSpec(
    name="chain",
    summary="Gradient bandits on chains of qubits: whether they end at the shortest circuit",
    source="Sutton and Barto 2018, Reinforcement Learning, section 2.8",
    quick="Three qubits with 2 seeds: seconds",
    needs=("environment.bit_flip_chain", "reward.spread", "agent.gradient_bandit"),
    options=ChainOptions,
    plan=_plan,
    report=_report,
    seeds=3,
)


@hookimpl
def qecforge_environments():
    """The chain."""
    return [ENVIRONMENT]


@hookimpl
def qecforge_rewards():
    """The weight of the logical X."""
    return [REWARD]


@hookimpl
def qecforge_agents():
    """The bandit."""
    return [AGENT]


@hookimpl
def qecforge_reproductions():
    """Bandits on chains."""
    return [REPRODUCTION]
