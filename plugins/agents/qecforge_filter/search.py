"""The filter, as a search that asks and is told: whatever scores candidates, a simulator or a device, is outside.

Symbols: K candidates in K/2 mirrored pairs mu + sigma z, mu - sigma z; n parameters in G groups; m objectives. All
is in exploration scales. With d_i = mu_i - optimum_i the reward of objective j is, by the model,

    r_j(x) = a_j - sum_g w_jg s_g sum_{i in g} (sigma z_i + d_i)^2 + noise,

w_jg the weights of the factor graph and s_g what is learned of them. Half the difference of a pair is linear in d,

    -2 sigma sum_g w_jg s_g z_i d_i,

and half its sum, less the mean over pairs, linear in s. So an epoch is two linear measurements: of d with the belief
N(0, V + drift^2), and of s. The mean then goes to where the optimum is believed to be. The noise of both is the same,
and is what is left of the sums.

Sources: Kalman 1960, J. Basic Eng. 82, 35; mirrored pairs: Sehnke et al. 2010; the paper that the outlook to detection
statistics is from: arXiv 2511.08493. The model and the filter on it are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, lapack

from qecforge.contracts import FactorGraph
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.learning.restoring import restored_array, restored_int, restored_parts
from qecforge.parameters import GaussianParameters
from qecforge_filter.config import ParameterFilterConfig

__all__ = ["MOST_PARAMETERS", "FilterSearch"]

FloatArray = NDArray[np.float64]

MOST_PARAMETERS = 6_000
"""Beyond, the matrix of an epoch takes more than 300 MB and a minute."""
_LEAST_CURVATURE, _MOST_CURVATURE = 0.1, 10.0
"""Weights are never believed to be further off than by this factor."""
_FORGETTING = 1e-4
"""Variance by which learned weights become uncertain again in an epoch."""


class FilterSearch:
    """Follows the optimum of n parameters.

    Args:
        config: How to search.
        initial_parameters: (n,) mean at the start.
        exploration_scale: (n,) > 0, a natural step of each parameter.
        num_objectives: m, entries of a candidate's reward.
        factor_graph: With weights.
        seed: Decides every candidate, given the rewards.

    Attributes:
        epoch: Epochs done: calls of `tell`.

    Raises:
        ConfigurationError: No factor graph, one without weights or of another size, or too many parameters.
    """

    def __init__(
        self,
        config: ParameterFilterConfig,
        initial_parameters: ArrayLike,
        exploration_scale: ArrayLike,
        *,
        num_objectives: int,
        factor_graph: FactorGraph | None,
        seed: int = 0,
    ) -> None:
        self.config, self.num_objectives = config, num_objectives
        self.initial_parameters = np.array(initial_parameters, np.float64)
        self.exploration_scale = np.array(exploration_scale, np.float64)
        n = len(self.initial_parameters)
        self._weights, self._group = _model(factor_graph, n, num_objectives)
        self._seed, self.epoch = seed, 0
        self._mean, self._variance = np.zeros(n), np.full(n, config.initial_uncertainty**2)
        groups = self._weights.shape[1]
        self._curvature = np.ones(groups)
        self._doubt = np.full(groups, config.curvature_uncertainty**2)
        self._noise = np.zeros(num_objectives)
        self._normals: FloatArray | None = None
        self._candidates = np.zeros((config.candidates, n))

    @property
    def mean(self) -> FloatArray:
        """(n,) where optima are believed to be, in the parameters' own units. A copy."""
        return self.initial_parameters + self.exploration_scale * self._mean

    def policy(self) -> GaussianParameters:
        """The mean, and the deviation of candidates."""
        return GaussianParameters(self.mean, self.config.exploration * self.exploration_scale)

    def start_from(self, policy: GaussianParameters) -> None:
        """Take over the mean; the deviation stays as configured."""
        if policy.mean.shape != self._mean.shape:
            raise ConfigurationError(
                f"parameter_filter: the given policy has {len(policy.mean)} parameters, expected {len(self._mean)}: "
                "give one for this environment"
            )
        self._mean = (policy.mean - self.initial_parameters) / self.exploration_scale
        self._normals = None

    def ask(self) -> FloatArray:
        """(K, n) candidates of this epoch, in the parameters' own units: first the pairs' one half, then the other."""
        if self._normals is None:
            rng = np.random.default_rng(np.random.SeedSequence((self._seed, self.epoch), spawn_key=(0xF117E2,)))
            self._normals = rng.standard_normal((self.config.candidates // 2, len(self._mean)))
            away = self.config.exploration * np.concatenate([self._normals, -self._normals])
            self._candidates = self.initial_parameters + self.exploration_scale * (self._mean + away)
        return self._candidates

    def tell(self, rewards: ArrayLike) -> None:
        """Learn from the candidates' rewards, (K, m), or (K,) for a single objective; larger is better.

        Raises:
            ConfigurationError: Another shape, or nothing was asked.
            QecforgeError: A reward is not finite; nothing was learned then.
        """
        if self._normals is None:
            raise ConfigurationError("parameter_filter: told rewards that nobody asked for: call ask first")
        array = np.asarray(rewards, np.float64)
        K, m = self.config.candidates, self.num_objectives
        if array.shape != (K, m) and not (m == 1 and array.shape == (K,)):
            raise ConfigurationError(
                f"parameter_filter: rewards have shape {array.shape}, expected {(K, m)}: a row for each candidate"
            )
        if not np.isfinite(array).all():
            raise QecforgeError(
                f"parameter_filter: a reward of epoch {self.epoch} is not finite: look at what scores the candidates"
            )
        plus, minus = np.split(array.reshape(K, m), 2)
        self._learn_curvature((plus + minus) / 2, self._normals)
        self._follow((plus - minus) / 2, self._normals)
        self.epoch += 1
        self._normals = None

    def _learn_curvature(self, sums: FloatArray, z: FloatArray) -> None:
        """From (K/2, m) half-sums of pairs: s, and the noise of half-sums and half-differences."""
        squares = np.zeros((len(z), len(self._curvature)))
        np.add.at(squares.T, self._group, np.square(self.config.exploration * z).T)
        squares -= squares.mean(axis=0)
        left = sums - sums.mean(axis=0) + squares @ (self._weights * self._curvature).T
        variance = np.square(left).sum(axis=0) / (len(z) - 1)
        rate = 1.0 if self.epoch == 0 else self.config.noise_rate
        self._noise += rate * (variance - self._noise)
        weighed = self._weights / self._safe_noise()[:, None]
        information = (self._weights.T @ weighed) * (squares.T @ squares) + np.diag(1 / self._doubt)
        change, doubt = _solved(information, -((left @ weighed) * squares).sum(axis=0))
        self._curvature = np.clip(self._curvature + change, _LEAST_CURVATURE, _MOST_CURVATURE)
        self._doubt = np.minimum(doubt + _FORGETTING, self.config.curvature_uncertainty**2)

    def _follow(self, differences: FloatArray, z: FloatArray) -> None:
        """From (K/2, m) half-differences of pairs: d, and the mean's step."""
        weights = self._weights * self._curvature
        weighed = weights / self._safe_noise()[:, None]
        reach = 2 * self.config.exploration
        information = (weights.T @ weighed)[np.ix_(self._group, self._group)]
        information *= z.T @ z
        information *= reach**2
        information[np.diag_indices_from(information)] += 1 / (self._variance + self.config.drift**2)
        pull = -reach * ((differences @ weighed)[:, self._group] * z).sum(axis=0)
        away, self._variance = _solved(information, pull)
        self._mean = self._mean - away

    def _safe_noise(self) -> FloatArray:
        """(m,) above 0, where an objective never changed too."""
        typical = float(self._noise.mean())
        return np.maximum(self._noise, 1e-6 * typical if typical > 0 else 1.0)

    def metrics(self) -> dict[str, float]:
        """`sigma`, the candidates' deviation; `displacement`, the mean's way from the start, and `uncertainty` of where
        the optima are, both root mean square, all in exploration scales; `curvature`, geometric mean of s."""
        return {
            "sigma": self.config.exploration,
            "displacement": float(np.sqrt(np.square(self._mean).mean())),
            "uncertainty": float(np.sqrt(self._variance.mean())),
            "curvature": float(np.exp(np.log(self._curvature).mean())),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, as copies."""
        arrays = {name: getattr(self, f"_{name}").copy() for name in _ARRAYS}
        return {"epoch": self.epoch, "seed": str(self._seed), **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another search."""
        state = restored_parts(state, ("epoch", "seed", *_ARRAYS), "parameter_filter")
        epoch = restored_int(state["epoch"], "parameter_filter: epoch", high=self.config.total_epochs)
        seed = restored_int(state["seed"], "parameter_filter: seed", high=2**128)
        found = {}
        for name, least in _ARRAYS.items():
            shape = getattr(self, f"_{name}").shape
            what = f"parameter_filter: {name}"
            found[name] = restored_array(state[name], np.float64, shape, what, low=least).copy()
        self.epoch, self._seed, self._normals = epoch, seed, None
        for name, array in found.items():
            setattr(self, f"_{name}", array)


_ARRAYS = {"mean": None, "variance": 1e-300, "curvature": _LEAST_CURVATURE, "doubt": 1e-300, "noise": 0.0}
"""What is kept, and the least that each may be."""


def _model(graph: FactorGraph | None, n: int, m: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """(m, G) weights, and the group of each of n parameters."""
    if graph is None or graph.weights is None:
        raise ConfigurationError(
            "parameter_filter: the environment does not say by how much objectives depend on parameters, which takes a "
            "factor graph with weights: choose another agent, such as parameter_ppo"
        )
    if (graph.num_parameters, graph.num_objectives) != (n, m):
        raise ConfigurationError(
            f"parameter_filter: the factor graph has {graph.num_objectives} objectives and {graph.num_parameters} "
            f"parameters, expected {m} and {n}: give that of this environment"
        )
    if n > MOST_PARAMETERS:
        raise ConfigurationError(
            f"parameter_filter: {n} parameters are too many for it, expected {MOST_PARAMETERS} or fewer: choose "
            "parameter_ppo, or fewer parameters of a gate"
        )
    weights = np.zeros((m, graph.num_groups))
    weights[np.repeat(np.arange(m), np.diff(graph.indptr)), graph.indices] = graph.weights
    return weights, graph.group


def _solved(information: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The solution of a symmetric positive definite system, and the diagonal of its inverse."""
    lower = cholesky(information, lower=True, overwrite_a=True, check_finite=False)
    solution: FloatArray = cho_solve((lower, True), right, check_finite=False)
    inverse, _ = lapack.dpotri(lower, lower=1, overwrite_c=1)
    return solution, np.diag(inverse).copy()
