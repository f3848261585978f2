"""What can be known of an evaluation before anything runs: whether decoder, agent and environment fit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qecforge.contracts import PluginConfig
from qecforge.errors import MissingDependency
from qecforge.parameters import ParameterAgentConfig
from qecforge_surface_steering.config import SurfaceSteeringConfig
from qecforge_surface_steering.evaluations.config import GradientRelationConfig, SteeringEvaluationConfig

if TYPE_CHECKING:
    from qecforge.evaluation.error_rates.config import DecoderName

__all__ = ["check_gradient_relation", "check_steering"]


def check_steering(environment: SurfaceSteeringConfig, agent: PluginConfig, config: SteeringEvaluationConfig) -> None:
    """Of the evaluation `steering`.

    Raises:
        ValueError: An agent whose policy keeps no snapshots, `settle` beyond its last epoch, a drift table that ends
            before it, or as for decoders.
        DecoderError, MissingDependency, ConfigurationError: As for decoders: pymatching on faults that are not
            graph-like, a package that is not installed, a circuit without observables.
    """
    if isinstance(agent, ParameterAgentConfig):
        if not agent.snapshots:
            raise ValueError("the agent keeps no snapshots of the control parameters: set agent.snapshots to 2 or more")
        if config.settle >= agent.total_epochs:
            raise ValueError(f"settle: {config.settle} epochs are all of a run of {agent.total_epochs}: give fewer")
        environment.check_epochs(agent.total_epochs)
    if config.ler_epochs:
        _check_decoder(environment, config.decoder)


def check_gradient_relation(
    environment: SurfaceSteeringConfig, agent: PluginConfig, config: GradientRelationConfig
) -> None:
    """Of the evaluation `gradient_relation`: its decoder, as in `check_steering`."""
    _check_decoder(environment, config.decoder)


def _check_decoder(environment: SurfaceSteeringConfig, name: DecoderName) -> None:
    """On an experiment of few cycles, which the surface code does not need: it is graph-like."""
    from qecforge.evaluation.error_rates.decoders import make_decoder
    from qecforge_surface_steering.decoding.logical import LogicalMemory
    from qecforge_surface_steering.decoding.priors import nominal_errors

    if environment.code == "surface" or name not in ("auto", "pymatching"):
        if name != "auto":
            make_decoder(name)
        return
    small = environment
    if environment.code == "color":
        small = environment.model_copy(update={"rounds": min(environment.rounds, 4)})
    circuits = small.circuits()
    try:
        LogicalMemory(circuits, rounds=small.rounds, decoder=name, reference=nominal_errors(small, circuits[0].family))
    except MissingDependency:
        if name != "auto":
            raise
