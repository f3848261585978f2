"""The Knill-Laflamme reward: configuration to compiled reward.

For a stabilizer code an error E violates the conditions iff it commutes with every stabilizer and is not itself, up to
phase, in the stabilizer group. With [E] = 1 where E violates, 0 elsewhere, and d the target distance,

- penalty:   residual = sum over E of weight 1..d-1 of p(E) [E], p(E) being the product over *all* n qubits of the
  channel's probability of E's Pauli there, identity included (Olle et al. 2024; qdx);
- residual:  residual = rho = sum_ij ||P E_i^dagger E_j P - alpha_ij P||_F^2 = 2^k sum_ij [E_i E_j] over ordered pairs of
  Paulis of weight <= floor((d-1)/2) (APQ paper, eq. 4), with a factor p(E_i) p(E_j) if `weighted`.

The value is `-scale * residual`. `solved` asks for more than a zero value: no error of weight < d violates, whatever
its probability; so it means that all the conditions up to distance d hold also under noise that never makes some errors,
or makes them so rarely that their sum underflows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch, TableauSubject, words_per_column
from qecforge.errors import ConfigurationError
from qecforge.hookspecs import CompiledReward, Reward, RewardBuffers
from qecforge_knill_laflamme import KnillLaflammeConfig
from qecforge_knill_laflamme._classes import ErrorClasses, Scheme, error_classes
from qecforge_knill_laflamme._finish import finish
from qecforge_knill_laflamme._methods import Counter, choose
from qecforge_knill_laflamme._noise import (
    check_channels,
    default_channel,
    penalty_weights,
    residual_weights,
    scheme_of,
)

__all__ = ["CompiledKnillLaflamme", "KnillLaflamme", "violates_below"]


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
        return CompiledKnillLaflamme(self.config, subject)


class CompiledKnillLaflamme(CompiledReward):
    """Scores batches of tableaus. A pure function of the batch.

    Components: `residual`, the non-negative number of which the value is `-scale` times; `violations`, the exact number
    of violating errors of weight 1..d-1.

    Attributes:
        methods: The name of the chosen method for each scheme of error classes (`weight` for noise that is the same for
            X, Y and Z; `bias` for p_X = p_Y).
    """

    def __init__(self, config: KnillLaflammeConfig, subject: TableauSubject) -> None:
        self.config, self.subject = config, subject
        self._shape = (subject.n, 2, words_per_column(subject.n, subject.k))
        self._counters: dict[Scheme, Counter] = {
            scheme: choose(
                subject.n, subject.k, error_classes(scheme, subject.n, subject.target_distance - 1), config.method
            )
            for scheme in ("weight", "bias")
        }
        self.methods = {scheme: counter.name for scheme, counter in self._counters.items()}
        if subject.noise is None:
            self._fixed = self._weigh(default_channel(config))

    def score(self, batch: TableauBatch, out: RewardBuffers | None = None) -> RewardBuffers:
        """Score a batch of at most `subject.num_envs` codes.

        Returns:
            `out`, its arrays filled (components that it does not hold are left out); without `out`, fresh arrays of
            length B, with every component.

        Raises:
            ConfigurationError: The batch is not of the compiled subject's shape.
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
        scheme, weights = self._weights(batch)
        counts = np.empty((len(weights), size), np.int64)
        self._counters[scheme].count(batch.words, counts)
        finish(counts, weights, -self.config.scale, out.values, solved, residual, violations)
        return out

    def _check(self, batch: TableauBatch) -> int:
        words, subject = batch.words, self.subject
        if words.shape[1:] != self._shape or len(words) > subject.num_envs or words.dtype != np.uint64:
            raise ConfigurationError(
                f"knill_laflamme: got words of shape {words.shape} and type {words.dtype}, expected uint64 of shape "
                f"(at most {subject.num_envs}, {', '.join(map(str, self._shape))}): score batches of the compiled subject"
            )
        if (batch.noise is None) != (subject.noise is None):
            raise ConfigurationError(
                f"knill_laflamme: the batch comes {'without' if batch.noise is None else 'with'} noise, but the subject "
                f"declares noise {subject.noise}: compile the reward for the subject that the environment shows"
            )
        return len(words)

    def _weights(self, batch: TableauBatch) -> tuple[Scheme, NDArray[np.float64]]:
        """The classes to count in and their weights, (C, 1) or (C, B)."""
        if batch.noise is None:
            return self._fixed
        return self._weigh(batch.noise[:1] if self.subject.noise == "shared" else batch.noise[:, 0])

    def _weigh(self, channels: NDArray[np.float64]) -> tuple[Scheme, NDArray[np.float64]]:
        scheme = scheme_of(channels)
        if scheme is None:
            raise ConfigurationError("knill_laflamme: p_X differs from p_Y")
        classes = self._counters[scheme].classes
        if self.config.form == "penalty":
            return scheme, penalty_weights(classes, channels)
        return scheme, residual_weights(classes, self.subject.k, channels if self.config.weighted else None)


@lru_cache(maxsize=32)
def _violation_counter(n: int, k: int, target_distance: int) -> Counter:
    classes: ErrorClasses = error_classes("weight", n, target_distance - 1)
    return choose(n, k, classes, "auto")


def violates_below(words: NDArray[np.uint64], n: int, k: int, target_distance: int) -> NDArray[np.bool_]:
    """Which codes have a violating error of weight 1..target_distance - 1, that is do not meet the target.

    Args:
        words: (B, n, 2, W) uint64, as in `TableauBatch`. Not mutated.
        n, k: Physical and logical qubits.
        target_distance: The distance d sought.

    Returns:
        (B,) bool, True where some Knill-Laflamme condition fails. Exact; noise does not enter.
    """
    counter = _violation_counter(n, k, target_distance)
    counts = np.empty((len(counter.classes), len(words)), np.int64)
    counter.count(words, counts)
    return counts.any(axis=0)
