"""The algorithm, as a search that asks and is told: whatever scores candidates, a simulator or a device, is outside.

    search = ParameterSearch(config, initial, scale, num_objectives=m, factor_graph=graph, seed=0)
    while ...:
        candidates = search.ask()          # (K, P): try each
        search.tell(rewards)               # (K, m): minus the rate of each detector, say
    search.policy()                        # mean and deviation of every parameter

A device need not wait while the search learns: made with `ahead=True`, it gives the next epoch's candidates before it
is told of this one (`ask_ahead`). They are drawn from a distribution that is one update old, and weigh accordingly.

Source: arXiv 2511.08493, "RL control" (multi-objective policy gradient, masking, clip, entropy, replay); Sehnke et al.
2010 (parameter exploration); Schulman et al. 2017 (clip). Importance weights, and what is left open there, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.contracts import FactorGraph, ParameterLimits
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.learning.restoring import restored_array, restored_int, restored_parts
from qecforge.parameters import GaussianParameters
from qecforge_ppo.parameters import _objective as objective
from qecforge_ppo.parameters import _updates as updates
from qecforge_ppo.parameters._failed import mean_of, shares_of, weighed
from qecforge_ppo.parameters._normals import BLOCK, Distribution, Units, draw
from qecforge_ppo.parameters._setup import (
    NORMALIZATIONS,
    at_progress,
    check_memory,
    graph_to_learn_by,
    orders_of_slots,
    scheduled,
    settings,
)
from qecforge_ppo.parameters.config import ParameterPPOConfig

__all__ = ["ParameterSearch"]

_SHARED_FROM = 300_000
"""Numbers to work on from which sharing them out over threads pays, also where other work takes a core away."""


class ParameterSearch:
    """A Gaussian over P parameters that follows the rewards of its K candidates.

    Inside, parameters are float32, in units of `exploration_scale` from `initial_parameters`.

    Args:
        config: How to search.
        initial_parameters: (P,) mean at the start.
        exploration_scale: (P,) > 0, a natural step of each parameter.
        num_objectives: m, entries of a candidate's reward; 1 for a scalar.
        factor_graph: Which objectives know of which parameters; None: all of all.
        seed: Decides every candidate, given the rewards.
        parameter_names: For messages.
        ahead: Candidates of an epoch may be asked for before the rewards of the one before are told.
        limits: Box and largest step of each parameter, kept by every candidate and by the mean: candidates that would
            leave them are moved to the nearest point allowed, and the search learns from what was drawn, so that
            its gradient is that of the reward after the move. A deviation well below the largest step keeps most where
            they were drawn.

    Attributes:
        epoch: Epochs done: calls of `tell`.

    Raises:
        ConfigurationError: Arrays of other shapes, a scale that is not positive, a factor graph of another size or with
            a parameter that no objective knows of, limits that exclude the start, or candidates for which memory does
            not suffice.
    """

    def __init__(
        self,
        config: ParameterPPOConfig,
        initial_parameters: ArrayLike,
        exploration_scale: ArrayLike,
        *,
        num_objectives: int = 1,
        factor_graph: FactorGraph | None = None,
        seed: int = 0,
        parameter_names: Sequence[str] | None = None,
        limits: ParameterLimits | None = None,
        ahead: bool = False,
    ) -> None:
        self.config, self.num_objectives, self.limits = config, num_objectives, limits
        self.initial_parameters = np.array(initial_parameters, np.float64)
        self.exploration_scale = np.array(exploration_scale, np.float64)
        self._check_arrays()
        if limits is not None:
            limits.check_start(self.initial_parameters, parameter_names)
        P, K = len(self.initial_parameters), config.candidates
        self._graph = graph_to_learn_by(config, factor_graph, P, num_objectives, parameter_names)
        blocks, slots = -(-P // BLOCK), config.replay + 1 + ahead
        check_memory(4 * K * (slots * blocks * BLOCK + P * (1 + ahead)), K, P, config.replay)

        padding = blocks * BLOCK - P
        self._key = np.random.SeedSequence(seed).generate_state(2).astype(np.uint32)
        self._units = Units(
            np.pad(self.initial_parameters, (0, padding)).astype(np.float32),
            np.pad(self.exploration_scale, (0, padding), constant_values=1.0).astype(np.float32),
        )
        self._group = np.pad(self._graph.group, (0, padding), constant_values=self._graph.num_groups).astype(np.uint32)
        self._by_group = self._graph.by_group
        self._mean = np.zeros(blocks * BLOCK, np.float32)
        self._log_sigma = np.full(blocks * BLOCK, np.log(config.initial_sigma), np.float32)
        self._moments = np.zeros((4, blocks * BLOCK), np.float32)
        self._ring = np.empty((slots, blocks, K, BLOCK), np.float32)
        self._means = np.zeros((slots, blocks * BLOCK), np.float32)
        self._log_sigmas = np.zeros((slots, blocks * BLOCK), np.float32)
        self._advantages = np.zeros((slots, num_objectives, K), np.float32)
        self._summed = np.zeros((slots, K, self._graph.num_groups + 1), np.float32)
        self._epochs = updates.Epochs(self._ring, self._summed, self._means, self._log_sigmas)
        self._gaussian = updates.Gaussian(self._mean, self._log_sigma, self._moments)
        self._while_filling, self._once_full = orders_of_slots(slots)
        self._candidates = [np.empty((K, P), np.float32) for _ in range(1 + ahead)]
        self._given: dict[int, NDArray[Any]] = {}
        self._ahead = ahead
        self._baseline = np.zeros(num_objectives)
        self._report = np.zeros((blocks, 2), np.float32)
        self._settings, self._scheduled = settings(config, P), scheduled(config)
        threads = numba.get_num_threads() if config.threads is None else min(config.threads, numba.get_num_threads())
        self._tasks = min(threads, blocks) if K * blocks * BLOCK * slots >= _SHARED_FROM else 1
        self.epoch = 0
        self._share: NDArray[np.float64] | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        """(P,) the best guess, in the parameters' own units. A copy."""
        return self._own_units(self._mean)

    @property
    def std(self) -> NDArray[np.float64]:
        """(P,) deviations, in the parameters' own units. A copy."""
        P = len(self.initial_parameters)
        return self.exploration_scale * np.exp(self._log_sigma[:P].astype(np.float64))

    def _own_units(self, mean: NDArray[np.float32]) -> NDArray[np.float64]:
        P = len(self.initial_parameters)
        found = self.initial_parameters + self.exploration_scale * mean[:P].astype(np.float64)
        return found if self.limits is None else self.limits.inside(found)

    def policy(self) -> GaussianParameters:
        """Mean and deviation as they are now."""
        return GaussianParameters(self.mean, self.std)

    def start_from(self, policy: GaussianParameters) -> None:
        """Take over mean and deviation, the latter within the configured bounds."""
        P = len(self.initial_parameters)
        if policy.mean.shape != (P,):
            raise ConfigurationError(
                f"parameter_ppo: the given policy has {len(policy.mean)} parameters, expected {P}: give one for this "
                "environment"
            )
        if self.limits is not None:
            self.limits.check_start(policy.mean)
        self._mean[:P] = (policy.mean - self.initial_parameters) / self.exploration_scale
        low, high = np.log(self.config.min_sigma), np.log(self.config.max_sigma)
        self._log_sigma[:P] = np.clip(np.log(policy.std / self.exploration_scale), low, high)

    def ask(self) -> NDArray[Any]:
        """(K, P) candidates of this epoch, in the parameters' own units, float32, or float64 where there are limits.
        The search's own array: valid until it is told their rewards, not to be written to."""
        return self._candidates_of(self.epoch)

    def ask_ahead(self) -> NDArray[Any]:
        """(K, P) candidates of the next epoch, drawn from mean and deviation as they are now, while this epoch's are
        still to be told. `ask` gives the same ones afterwards.

        Raises:
            ConfigurationError: The search was made without `ahead`, or nobody asked for this epoch's candidates.
        """
        if not self._ahead or self.epoch not in self._given:
            raise ConfigurationError(
                "parameter_ppo: the next candidates were asked for too early: make the search with ahead=True, and ask "
                "for those of this epoch first"
            )
        return self._candidates_of(self.epoch + 1)

    def _candidates_of(self, epoch: int) -> NDArray[Any]:
        if epoch not in self._given:
            slot = epoch % len(self._ring)
            self._means[slot], self._log_sigmas[slot] = self._mean, self._log_sigma
            self._draw(epoch)
            self._give(epoch)
        return self._given[epoch]

    def _give(self, epoch: int) -> None:
        """Hand out what was drawn, within the limits around the mean that it was drawn from."""
        drawn: NDArray[Any] = self._candidates[epoch % len(self._candidates)]
        if self.limits is not None:
            drawn = self.limits.near(drawn, self._own_units(self._means[epoch % len(self._ring)]))
        self._given[epoch] = drawn

    def tell(self, rewards: ArrayLike, *, shots: ArrayLike | None = None) -> None:
        """Learn from the candidates' rewards, (K, m), or (K,) for a single objective; larger is better.

        Args:
            shots: (K,) how many each candidate had. Those with fewer count less, and a failed one, with 0 shots or a
                reward that is not finite, costs its row and not the epoch. None: all had as many.

        Raises:
            ConfigurationError: Another shape, or nothing was asked.
            QecforgeError: A reward is not finite and no shots were given, or fewer than half of the candidates are
                left. Nothing was learned then, and this epoch's rewards can be told again.
        """
        rewards = np.ascontiguousarray(rewards, np.float32)
        K, m = self.config.candidates, self.num_objectives
        if rewards.shape != (K, m) and not (m == 1 and rewards.shape == (K,)):
            raise ConfigurationError(
                f"parameter_ppo: rewards have shape {rewards.shape}, expected {(K, m)}: a row for each candidate"
            )
        if self.epoch not in self._given:
            raise ConfigurationError("parameter_ppo: told rewards of candidates that nobody asked for: call ask first")
        rewards = rewards.reshape(K, m)
        self._share = None if shots is None else shares_of(shots, rewards, mirrored=self.config.mirrored)
        if self._share is None and not math.isfinite(rewards.sum(dtype=np.float64)):
            raise QecforgeError(
                f"parameter_ppo: a reward of epoch {self.epoch} is not finite: look at what scores the candidates, or "
                "say by `shots` which ones failed"
            )
        self._judge(rewards)
        if self._scheduled:
            progress = min(self.epoch / self.config.total_epochs, 1.0)
            self._settings = at_progress(self._settings, self.config, progress)
        before = None if self.limits is None else self.mean
        (self._coordinate_update if self.config.ratio == "coordinate" else self._objective_update)()
        if before is not None:
            self._keep_mean_near(before)
        del self._given[self.epoch]
        self.epoch += 1

    def _keep_mean_near(self, before: NDArray[np.float64]) -> None:
        """Take the mean back into the box, and to the largest step from where it was."""
        assert self.limits is not None
        P = len(before)
        stepped = self.initial_parameters + self.exploration_scale * self._mean[:P].astype(np.float64)
        kept = self.limits.near(stepped, before)
        back = (kept - self.initial_parameters) / self.exploration_scale
        self._mean[:P] = np.where(kept == stepped, self._mean[:P], back)

    def metrics(self) -> dict[str, float]:
        """Of the last update: `sigma` (geometric mean, in exploration scales), `displacement` (root mean square of the
        mean's way from the start, likewise), `clip_fraction` (of the last inner step), `approx_kl` (KL(old || new) per
        parameter, nats); where shots were told, `failed_candidates` too."""
        P = len(self.initial_parameters)
        clipped, divergence = self._report.sum(0, dtype=np.float64) / P
        return {
            "sigma": float(np.exp(self._log_sigma[:P].mean(dtype=np.float64))),
            "displacement": float(np.sqrt(np.square(self._mean[:P], dtype=np.float64).mean())),
            "clip_fraction": float(clipped),
            "approx_kl": float(divergence),
            **({} if self._share is None else {"failed_candidates": float((self._share == 0).sum())}),
        }

    def _draw(self, epoch: int) -> None:
        slot = epoch % len(self._ring)
        draw(
            self._ring[slot],
            self._candidates[epoch % len(self._candidates)],
            self._units,
            Distribution(self._means[slot], self._log_sigmas[slot]),
            self._key,
            epoch,
            mirrored=self.config.mirrored,
            tasks=self._tasks,
        )

    def _judge(self, rewards: NDArray[np.float32]) -> None:
        """Advantages of the newest epoch, and their sums over each group's objectives."""
        config, slot = self.config, self.epoch % len(self._ring)
        learned, share = config.baseline == "learned", self._share
        if share is not None and (share == 1).all():
            share = None
        mean = rewards.mean(0, dtype=np.float64) if share is None else mean_of(rewards, share)
        if learned and self.epoch == 0:
            self._baseline[:] = mean
        if share is not None:
            rewards = weighed(rewards, share, self._baseline if learned else mean)
        updates.advantages(
            rewards,
            self._baseline,
            updates.LEARNED if learned else updates.BATCH,
            NORMALIZATIONS[config.normalize_advantages],
            config.mirrored,
            self._advantages[slot],
        )
        updates.spread(self._advantages[slot], *self._by_group, self._summed[slot])
        if learned:
            self._baseline += config.baseline_rate * (mean - self._baseline)

    def _slots(self) -> NDArray[np.int64]:
        """Places of the epochs that there is data of, oldest first."""
        slots = len(self._ring)
        if self._ahead:
            return np.arange(max(0, self.epoch - self.config.replay), self.epoch + 1) % slots
        return self._while_filling[self.epoch] if self.epoch < slots else self._once_full[self.epoch % slots]

    def _coordinate_update(self) -> None:
        """Ratio (b): every coordinate's own."""
        updates.coordinate_steps(
            self._slots(),
            -1 if self._ahead else self.epoch % len(self._ring),
            self._epochs,
            self._group,
            self._gaussian,
            self.epoch * self.config.inner_steps,
            self._settings,
            self._report,
            self._tasks,
        )

    def _objective_update(self) -> None:
        """Ratio (a): each objective's product of clipped coordinate ratios; replayed objectives weigh likewise."""
        config, slots, graph = self.config, self._slots(), self._graph
        mean0, log_sigma0 = self._mean.copy(), self._log_sigma.copy()
        sums = np.empty((len(slots), config.candidates, graph.num_groups + 1), np.float32)
        worths = np.zeros_like(sums)
        ratios = np.empty((len(slots), self.num_objectives, config.candidates), np.float32)

        log_factor = self._log_sigmas[slots] - log_sigma0
        factor = np.exp(log_factor)
        offset = (self._means[slots] - mean0) * np.exp(-log_sigma0)
        nil, one = np.zeros_like(factor), np.ones_like(factor)

        def products(f: Any, o: Any, s: Any, n: Any, log_n: Any, low: float, high: float, most: float) -> Any:
            bounds = np.float32(low), np.float32(high)
            relation, comparison = objective.Relation(f, o), objective.Comparison(s, n, log_n)
            objective.summed_log_ratios(slots, self._ring, relation, comparison, self._group, *bounds, sums)
            objective.objective_ratios(sums, graph.indptr, graph.indices, np.float32(most), ratios)
            return ratios

        most = config.max_weight
        weights = products(one, nil, -offset / factor, factor, log_factor, -np.log(most), np.log(most), most)
        gains = self._advantages[slots] * weights
        with np.errstate(divide="ignore"):
            low, high = np.log(np.array([self._settings.low, self._settings.high]))
        settings, start = self._settings._replace(low=low, high=high), Distribution(mean0, log_sigma0)
        for step in range(config.inner_steps):
            shift = np.broadcast_to((self._mean - mean0) * np.exp(-log_sigma0), factor.shape).copy()
            change = np.broadcast_to(log_sigma0 - self._log_sigma, factor.shape).copy()
            pulls = gains * products(factor, offset, shift, np.exp(change), change, low, high, np.inf)
            for n in range(len(slots)):
                updates.spread(pulls[n], *self._by_group, worths[n])
            objective.objective_step(
                self._tasks,
                slots,
                self._epochs,
                worths,
                self._group,
                start,
                self._gaussian,
                self.epoch * config.inner_steps + step,
                settings,
                self._report,
            )

    def state_dict(self) -> dict[str, Any]:
        """All that decides what comes next, as copies. Candidates are left out: they are drawn again, those of the
        present epoch too where the search works ahead."""
        slots = self._slots_to_keep()
        asked = {"asked": int(self.epoch in self._given)} if self._ahead else {}
        return asked | {
            "epoch": self.epoch,
            "key": self._key.astype(np.int64),
            "mean": self._mean.copy(),
            "log_sigma": self._log_sigma.copy(),
            "moments": self._moments.copy(),
            "baseline": self._baseline.copy(),
            "means": self._means[slots],
            "log_sigmas": self._log_sigmas[slots],
            "advantages": self._advantages[slots],
            "report": self._report.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another search."""
        single, ring = ("mean", "log_sigma", "moments", "baseline", "report"), ("means", "log_sigmas", "advantages")
        asked = ("asked",) if self._ahead else ()
        state = restored_parts(state, ("epoch", "key", *single, *ring, *asked), "parameter_ppo")
        epoch = restored_int(state["epoch"], "parameter_ppo: epoch", high=self.config.total_epochs)
        drawn = epoch + (restored_int(state["asked"], "parameter_ppo: asked", high=1) if asked else 0)
        slots = self._slots_of(epoch, drawn)
        found = {}
        for name in (*single, *ring):
            own = getattr(self, f"_{name}")
            shape = own.shape if name in single else (len(slots), *own.shape[1:])
            found[name] = restored_array(state[name], own.dtype, shape, f"parameter_ppo: {name}", nan=name == "report")
        key = restored_array(state["key"], np.int64, (2,), "parameter_ppo: key", low=0, high=2**32 - 1)
        arrays, kept = {name: found[name] for name in single}, {name: found[name] for name in ring}
        self.epoch, self._given, self._key = epoch, {}, key.astype(np.uint32)
        for name, array in arrays.items():
            getattr(self, f"_{name}")[:] = array
        for name, array in kept.items():
            getattr(self, f"_{name}")[slots] = array
        for past in range(drawn - len(slots), drawn):
            self._draw(past)
            slot = past % len(self._ring)
            updates.spread(self._advantages[slot], *self._by_group, self._summed[slot])
        if drawn > epoch:
            self._give(epoch)

    def _slots_to_keep(self) -> NDArray[np.int64]:
        return self._slots_of(self.epoch, self.epoch + (self._ahead and self.epoch in self._given))

    def _slots_of(self, epoch: int, drawn: int) -> NDArray[np.int64]:
        """Places of the epochs that later updates use again, oldest first, up to `drawn`."""
        return np.arange(max(0, epoch - self.config.replay), drawn) % len(self._ring)

    def _check_arrays(self) -> None:
        initial, scale = self.initial_parameters, self.exploration_scale
        if initial.ndim != 1 or not len(initial) or scale.shape != initial.shape:
            raise ConfigurationError(
                f"parameter_ppo: initial_parameters have shape {initial.shape} and exploration_scale {scale.shape}: "
                "give two rows alike"
            )
        if not (np.isfinite(initial).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ConfigurationError(
                "parameter_ppo: initial_parameters or exploration_scale are not finite, or a scale is not positive: "
                "give finite numbers and scales > 0"
            )
