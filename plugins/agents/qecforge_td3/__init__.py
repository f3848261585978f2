"""Agent `td3`: twin delayed deterministic policy gradients for continuous actions, whose actor may hold a quantum
layer. The layer alone: `from qecforge_td3.quantum import QuantumLayer`."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Agent
from qecforge.hookspecs import AgentSpec, ReproductionSpec, hookimpl
from qecforge_td3.config import TD3Config, check_quantized
from qecforge_td3.evaluation import QUANTUM_BACKENDS
from qecforge_td3.reproduction.spec import REPRODUCTION
from qecforge_td3.views import TD3_VIEW

__all__ = ["TD3Config", "make_td3", "qecforge_agents", "qecforge_reproductions"]


def make_td3(config: TD3Config) -> Agent:
    """The agent that `config` describes."""
    from qecforge_td3.agent import TD3

    return TD3(config)


@hookimpl
def qecforge_agents() -> Sequence[AgentSpec]:
    """`td3`."""
    return [
        AgentSpec(
            name="td3",
            summary="TD3 for continuous actions; its actor samples a quantum circuit, or what it is compared with",
            config=TD3Config,
            make=make_td3,
            trains_on=frozenset({"continuous"}),
            evaluations=(QUANTUM_BACKENDS,),
            check_quantized=check_quantized,
            view=TD3_VIEW,
        )
    ]


@hookimpl
def qecforge_reproductions() -> Sequence[ReproductionSpec]:
    """The hybrid paper's."""
    return [REPRODUCTION]
