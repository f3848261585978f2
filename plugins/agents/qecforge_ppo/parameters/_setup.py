"""What a search checks and prepares before its first epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import FactorGraph
from qecforge.errors import ConfigurationError
from qecforge_ppo.parameters import _updates as updates
from qecforge_ppo.parameters.config import ParameterPPOConfig

__all__ = ["check_memory", "graph_to_learn_by", "settings"]


def settings(config: ParameterPPOConfig) -> NDArray[np.float32]:
    """The kernels' numbers, in their order; rates and entropy are set anew for every update."""
    floats = np.zeros(11, np.float32)
    floats[updates.LOW] = 0.0 if config.clip is None else 1.0 - config.clip
    floats[updates.HIGH] = np.inf if config.clip is None else 1.0 + config.clip
    floats[updates.MAX_WEIGHT] = config.max_weight
    floats[updates.BETA1], floats[updates.BETA2] = config.adam_betas
    floats[updates.EPSILON] = 1e-8
    floats[updates.LOG_SIGMA_MIN], floats[updates.LOG_SIGMA_MAX] = np.log([config.min_sigma, config.max_sigma])
    return floats


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
