"""What a search checks and prepares before its first epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import FactorGraph
from qecforge.errors import ConfigurationError
from qecforge.learning.schedules import Schedule, value_at
from qecforge_ppo.parameters._updates import ADAM, COMMON, NONE, OBJECTIVE, SGD, Settings
from qecforge_ppo.parameters.config import ParameterPPOConfig

__all__ = [
    "NORMALIZATIONS",
    "OPTIMIZERS",
    "at_progress",
    "check_memory",
    "graph_to_learn_by",
    "orders_of_slots",
    "scheduled",
    "settings",
]


NORMALIZATIONS = {"none": NONE, "common": COMMON, "objective": OBJECTIVE}
OPTIMIZERS = {"sgd": SGD, "adam": ADAM}
"""The kernels' numbers for what a configuration names."""


def settings(config: ParameterPPOConfig, P: int) -> Settings:
    """The kernels' numbers for P parameters; rates and entropy are those of the first epoch."""
    beta1, beta2 = config.adam_betas
    least, most = np.log([config.min_sigma, config.max_sigma]).astype(np.float32)
    unset = np.float32(0.0)
    fixed = Settings(
        rate=unset,
        sigma_rate=unset,
        entropy=unset,
        low=np.float32(0.0 if config.clip is None else 1.0 - config.clip),
        high=np.float32(np.inf if config.clip is None else 1.0 + config.clip),
        max_weight=np.float32(config.max_weight),
        beta1=np.float32(beta1),
        beta2=np.float32(beta2),
        epsilon=np.float32(1e-8),
        log_sigma_min=least,
        log_sigma_max=most,
        optimizer=OPTIMIZERS[config.optimizer],
        steps=config.inner_steps,
        parameters=P,
    )
    return at_progress(fixed, config, 0.0)


def at_progress(settings: Settings, config: ParameterPPOConfig, progress: float) -> Settings:
    """The settings with rates and entropy as they are when the fraction `progress` of the search is done."""
    return settings._replace(
        rate=np.float32(value_at(config.learning_rate, progress)),
        sigma_rate=np.float32(value_at(config.sigma_learning_rate, progress)),
        entropy=np.float32(value_at(config.entropy, progress)),
    )


def scheduled(config: ParameterPPOConfig) -> bool:
    """Whether rates or entropy change."""
    coefficients = (config.learning_rate, config.sigma_learning_rate, config.entropy)
    return any(isinstance(each, Schedule) for each in coefficients)


def orders_of_slots(slots: int) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Slots that hold epochs, oldest first, by the slot of the newest: while they fill up, and once they are full."""
    every = np.arange(slots)
    filling = [every[: newest + 1] for newest in range(slots)]
    return filling, [np.roll(every, slots - 1 - newest) for newest in range(slots)]


def graph_to_learn_by(
    config: ParameterPPOConfig, graph: FactorGraph | None, P: int, m: int, names: Sequence[str] | None
) -> FactorGraph:
    """The factor graph to learn by: the given one, or all parameters in one group that every objective knows of."""
    if graph is not None and (graph.num_parameters, graph.num_objectives) != (P, m):
        raise ConfigurationError(
            f"parameter_ppo: the factor graph has {graph.num_objectives} objectives and {graph.num_parameters} "
            f"parameters, expected {m} and {P}: give that of this environment"
        )
    if graph is None or not config.mask:
        return FactorGraph(
            indptr=np.arange(m + 1, dtype=np.int64),
            indices=np.zeros(m, np.int64),
            num_objectives=m,
            num_parameters=P,
            group=np.zeros(P, np.int64),
            num_groups=1,
        )
    alone = graph.unconnected_parameters()
    if len(alone):
        named = ", ".join(str(names[i]) if names is not None else str(i) for i in alone[:3])
        more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
        raise ConfigurationError(
            f"parameter_ppo: no objective depends on parameter {named}{more}: leave them out of control, or set mask "
            "to false"
        )
    return graph


def check_memory(needed: int, K: int, P: int, replay: int) -> None:
    """Refuse before anything is allocated."""
    available = _available_memory()
    if available is not None and needed > available:
        raise ConfigurationError(
            f"parameter_ppo: {K} candidates of {P} parameters in {replay + 1} epochs take {needed / 2**30:.1f} GiB, "
            f"and {available / 2**30:.1f} GiB are free: set fewer candidates or less replay"
        )


def _available_memory() -> int | None:
    """Bytes that can be had without swapping, where the system tells."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
