"""The Knill-Laflamme reward: configuration to compiled reward.

For a stabilizer code an error E violates the conditions iff it commutes with every stabilizer and is not itself, up to
phase, in the stabilizer group. With [E] = 1 where E violates, 0 elsewhere, and d the target distance,

- penalty: the residual is the sum of p(E) [E] over all E of weight 1..d-1, p(E) being the product over *all* n qubits
  of the channel's probability of E's Pauli there, identity included (Olle et al. 2024; qdx);
- log_penalty: the same residual;
- residual: the residual is rho = sum_ij ||P E_i^dagger E_j P - alpha_ij P||_F^2 = 2^k sum_ij [E_i E_j], over ordered
  pairs of Paulis of weight <= floor((d-1)/2) (APQ paper, eq. 4), with a factor p(E_i) p(E_j) if `weighted`.

The value is `-scale * residual`; for log_penalty `-scale * log(1 + residual / u)` [ours], u being the least p(E) > 0
among *all* errors of weight 1..d-1 (1 where there is none), so that one violating error of the least likely kind costs
`scale * log 2`, and that removing one of the last few errors is worth as much as removing thousands at the start.

`solved` asks for more than a zero value: no error of weight < d violates, whatever
its probability; so it means that all the conditions up to distance d hold also under noise that never makes some
errors, or makes them so rarely that their sum underflows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch, TableauSubject, words_per_column
from qecforge.contracts import CompiledReward, Reward, RewardBuffers
from qecforge.errors import ConfigurationError
from qecforge_knill_laflamme._classes import Scheme, error_classes
from qecforge_knill_laflamme._finish import finish
from qecforge_knill_laflamme._methods import Counter, PairSums, Walk, choose
from qecforge_knill_laflamme._noise import (
    check_channels,
    default_channel,
    least_probability,
    least_weight,
    penalty_weights,
    residual_weights,
    scheme_of,
)
from qecforge_knill_laflamme.config import KnillLaflammeConfig

__all__ = ["CompiledKnillLaflamme", "KnillLaflamme", "violates_below"]

FloatArray: TypeAlias = NDArray[np.float64]

_NO_UNITS = np.empty(0)


class KnillLaflamme(Reward):
    """The reward as configured; see the module's docstring."""

    components = ("residual", "violations")

    def __init__(self, config: KnillLaflammeConfig) -> None:
        self.config = config

    def compile(self, subject: Any) -> CompiledKnillLaflamme:
        """Choose how violations are counted for codes of `subject`'s shape.

        Raises:
            ConfigurationError: `subject` is no `TableauSubject`, or asks for what is out of reach.
        """
        if not isinstance(subject, TableauSubject):
            raise ConfigurationError(
                f"knill_laflamme: got a subject of type {type(subject).__name__}, expected TableauSubject: it scores "
                "stabilizer tableaus; pair it with an environment that shows them, such as code_discovery"
            )
        if not (0 < subject.k < subject.n and subject.n + subject.k <= 128 and subject.target_distance >= 1):
            raise ConfigurationError(
                f"knill_laflamme: got n = {subject.n}, k = {subject.k}, target distance {subject.target_distance}; "
                "expected 1 <= k < n, n + k <= 128 and a distance of at least 1"
            )
        return CompiledKnillLaflamme(self.config, subject)


class CompiledKnillLaflamme(CompiledReward):
    """Scores batches of tableaus; a pure function of the batch.

    Components: `residual`, the non-negative number that the value is made of; `violations`, the exact number of
    violating errors of weight 1..d-1.

    Attributes:
        methods: The method chosen for each scheme of error classes: `weight` for noise that is the same for X, Y and
            Z, `bias` for p_X = p_Y; and `qubits` for any other noise, where errors are weighed one by one.
    """

    def __init__(self, config: KnillLaflammeConfig, subject: TableauSubject) -> None:
        n, k, depth, form = subject.n, subject.k, subject.target_distance - 1, config.form
        self.config, self.subject = config, subject
        self._shape = (n, 2, words_per_column(n, k))
        # rho without weights, as the paper has it, does not ask how likely an error is
        self._noise_matters = form != "residual" or config.weighted
        schemes: tuple[Scheme, ...] = ("weight", "bias") if self._noise_matters else ("weight",)
        self._counters = {scheme: choose(n, k, error_classes(scheme, n, depth), config.method) for scheme in schemes}
        self._by_qubit = PairSums(n, k, depth) if form == "residual" else Walk(n, k, depth)
        if self._noise_matters and subject.noise is not None and not subject.uniform:
            self._by_qubit.check(config.method)
        self.methods: dict[str, str] = {scheme: counter.name for scheme, counter in self._counters.items()}
        self.methods["qubits"] = self._by_qubit.name
        self._known_noise: FloatArray | None = None
        self._known_weights: tuple[Scheme, FloatArray] | None = None
        if subject.noise is None or not self._noise_matters:
            self._known_weights = self._weigh(default_channel(config))

    def score(self, batch: TableauBatch, out: RewardBuffers | None = None) -> RewardBuffers:
        """Score a batch of at most `subject.num_envs` codes.

        Returns:
            `out`, its arrays filled (components that it does not hold are left out); without `out`, fresh arrays of
            length B, with every component.

        Raises:
            ConfigurationError: The batch is not of the compiled subject's shape, or its noise no probabilities.
        """
        size = self._check(batch)
        if out is None:
            out = RewardBuffers(
                values=np.empty(size, np.float32),
                solved=np.empty(size, np.bool_),
                components={name: np.empty(size) for name in KnillLaflamme.components},
            )
        solved = np.empty(size, np.bool_) if out.solved is None else out.solved
        residual, violations = (out.components.get(name) for name in KnillLaflamme.components)
        residual = np.empty(size) if residual is None else residual
        violations = np.empty(size) if violations is None else violations
        weighing = self._weights(batch)
        if weighing is None:
            self._by_qubit.check(self.config.method)
            noise = np.asarray(batch.noise).reshape(-1, self.subject.n, 4)
            counts, total = self._by_qubit.measure(batch.words, noise)
            violations[:size] = counts.sum(axis=0)
            solved[:size] = violations[:size] == 0
            residual[:size] = total
            if self.config.form == "log_penalty":
                total = np.log1p(total / least_probability(noise, self._by_qubit.depth))
            out.values[:size] = -self.config.scale * total
            return out
        scheme, weights = weighing
        counts = np.empty((len(weights), size), np.int64)
        self._counters[scheme].count(batch.words, counts)
        units = least_weight(weights) if self.config.form == "log_penalty" else _NO_UNITS
        finish(counts, weights, -self.config.scale, units, out.values, solved, residual, violations)
        return out

    def _check(self, batch: TableauBatch) -> int:
        words, subject = batch.words, self.subject
        if words.shape[1:] != self._shape or len(words) > subject.num_envs or words.dtype != np.uint64:
            expected = ", ".join(map(str, self._shape))
            raise ConfigurationError(
                f"knill_laflamme: got words of shape {words.shape} and type {words.dtype}, expected uint64 of shape "
                f"(at most {subject.num_envs}, {expected}): score the codes that the reward was compiled for"
            )
        if self._noise_matters and (batch.noise is None) != (subject.noise is None):
            raise ConfigurationError(
                f"knill_laflamme: the batch comes {'without' if batch.noise is None else 'with'} noise, but the "
                f"subject's noise is {subject.noise}: compile the reward for the subject that the environment shows"
            )
        return len(words)

    def _weights(self, batch: TableauBatch) -> tuple[Scheme, FloatArray] | None:
        """The classes to count in and their weights, (C, 1) or (C, B); None where errors have to be weighed singly."""
        noise, subject = batch.noise, self.subject
        if noise is None or not self._noise_matters:
            return self._known_weights
        if subject.noise == "per_env":
            return self._weigh(noise[:, 0]) if subject.uniform else None
        if self._known_noise is None or not np.array_equal(noise, self._known_noise):
            check_channels(noise)
            alike = bool(np.all(noise == noise[0]))
            self._known_weights = self._weigh(noise[:1]) if alike else None
            self._known_noise = noise.copy()
        return self._known_weights

    def _weigh(self, channels: FloatArray) -> tuple[Scheme, FloatArray] | None:
        scheme = scheme_of(channels) if self._noise_matters else "weight"
        if scheme is None:
            return None
        classes = self._counters[scheme].classes
        if self.config.form != "residual":
            return scheme, penalty_weights(classes, channels)
        return scheme, residual_weights(classes, self.subject.k, channels if self.config.weighted else None)


@lru_cache(maxsize=32)
def _violation_counter(n: int, k: int, target_distance: int) -> Counter:
    return choose(n, k, error_classes("weight", n, target_distance - 1))


def violates_below(words: NDArray[np.uint64], n: int, k: int, target_distance: int) -> NDArray[np.bool_]:
    """Which codes have a violating error of weight 1..target_distance - 1, that is do not meet the target.

    Args:
        words: (B, n, 2, W) uint64, C-contiguous, as in `TableauBatch`. Not mutated.
        n, k: Physical and logical qubits.
        target_distance: The distance d sought.

    Returns:
        (B,) bool, True where some Knill-Laflamme condition fails. Exact; noise does not enter.

    Raises:
        ConfigurationError: The distance is out of reach for codes of this size.
    """
    counter = _violation_counter(n, k, target_distance)
    counts = np.empty((len(counter.classes), len(words)), np.int64)
    counter.count(words, counts)
    return np.asarray(counts.any(axis=0))
