"""The engine that needs no sampling of circuits: exact rates, and binomial shot noise.

With depolarizing noise after each gate, log(1 - 2 D_j) = sum_g m_gj log(1 - c_g p_g) + fixed_j. Errors saturate as
p = p_max (1 - exp(-e)) with c = 1/p_max, so log(1 - c_g p_g) is just -e_g: rates of all candidates are one sparse
product of the gates' exponents, and one exponential for each class.

The number of events of each class is then binomial. Events of different detectors, and those of one detector in
different rounds, are drawn independently: their true correlations are ignored (the `stim` engine has them).

Source: [ours]; exact against stim's detector error model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qecforge_surface_steering.engines import _kernels
from qecforge_surface_steering.engines.base import Device, Engine

__all__ = ["ClosedForm"]


class ClosedForm(Engine):
    """Rates in closed form, independent binomial counts."""

    def __init__(self, device: Device, num_envs: int) -> None:
        super().__init__(device, num_envs)
        objective = device.model.objective
        self._measured = _kernels.Trials(objective, self._trials, self._share[objective])

    def _draw(self, key: np.uint64, rewards: NDArray[np.float32]) -> None:
        _kernels.draw_rewards(self._chunk, self._evaluated.rates, self._measured, key, self._streams, rewards)
