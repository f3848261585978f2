"""Decision fidelity: how far a student policy (INT8, say) decides as its teacher does, on states that were visited.

    visited = collect_states(env, teacher, 10_000, seed=0)
    fidelity = decision_fidelity(
        policy_logits(teacher, visited.observations),
        policy_logits(student, visited.observations),
        visited.masks,
        identities=visited.identities(),
    )
    print(fidelity.top1, fidelity.top1_distinct, fidelity.tau, [bucket.once.interval for bucket in fidelity.buckets])

A sharp policy visits the same states again and again, and visits of one state are no independent trials: what has an
interval counts each distinct state once. S states, A actions, D observation elements. Forbidden actions never count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation.statistics import Interval, wilson_interval

if TYPE_CHECKING:
    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy

__all__ = [
    "HISTOGRAM_EDGES",
    "MARGIN_BUCKETS",
    "DecisionFidelity",
    "LogitNoise",
    "MarginBucket",
    "VisitedStates",
    "collect_states",
    "decision_fidelity",
    "kendall_tau",
    "policy_logits",
    "pooled_buckets",
    "top1_margin",
]

MARGIN_BUCKETS: tuple[tuple[float, float], ...] = ((0.0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.5), (0.5, math.inf))
"""Ranges [low, high) of the teacher's margin, the last of all that lies above."""

HISTOGRAM_EDGES: NDArray[np.float64] = np.arange(0, 51) / 10
"""Of the margin histogram: 50 bins of 0.1 from 0 to 5; margins above are counted apart."""


@dataclass(frozen=True)
class MarginBucket:
    """States whose teacher margin lies in [low, high), and on how many of them the student decides otherwise.

    Attributes:
        states, flips: Each visit counted.
        distinct, distinct_flips: Each distinct state counted once; None where that was not looked at.
    """

    low: float
    high: float
    states: int
    flips: int
    distinct: int | None = None
    distinct_flips: int | None = None

    @property
    def rate(self) -> float:
        """Flips per state; NaN where there is no state."""
        return self.flips / self.states if self.states else math.nan

    @property
    def interval(self) -> Interval:
        """Wilson's 95 % interval of the rate, for states that are independent; (0, NaN, 1) where there is none."""
        return wilson_interval(self.flips, self.states)

    @property
    def once(self) -> MarginBucket | None:
        """The bucket with each distinct state counted once; None where distinct states were not counted."""
        if self.distinct is None or self.distinct_flips is None:
            return None
        return MarginBucket(self.low, self.high, self.distinct, self.distinct_flips, self.distinct, self.distinct_flips)

    @property
    def label(self) -> str:
        """Such as `[0.1, 0.2)`, `>= 0.5`."""
        return f">= {self.low:g}" if math.isinf(self.high) else f"[{self.low:g}, {self.high:g})"


@dataclass(frozen=True)
class LogitNoise:
    """Over states, of the largest change of a legal action's logit, ||z~ - z||_inf."""

    mean: float
    p50: float
    p95: float
    max: float


@dataclass(frozen=True)
class DecisionFidelity:
    """A student beside its teacher.

    Attributes:
        states: How many.
        distinct_states: Different ones among them; None where that was not counted.
        agreeing: States where both have the same argmax; of equal logits the first counts, as when a policy acts.
        tau: Mean over states of Kendall's tau-b over legal actions.
        tau_undefined: States left out of that mean: all legal logits of one of the two are equal.
        stable: States where the margin exceeds twice the noise, so that the argmax cannot change.
        noise: Of the logits as they are.
        noise_shift_free: The same after the best constant is added to the student's logits of each state: such a
            constant changes no decision and no probability [ours].
        buckets: Flips by the teacher's margin, in the order of `MARGIN_BUCKETS`.
        margin_histogram: Counts between `HISTOGRAM_EDGES`; `margins_above` lie beyond the last edge, the infinite
            margin of a single legal action included.
        distinct_agreeing: As `agreeing`, each distinct state counted once; None where that was not looked at.
    """

    states: int
    distinct_states: int | None
    agreeing: int
    tau: float
    tau_undefined: int
    stable: int
    noise: LogitNoise
    noise_shift_free: LogitNoise
    buckets: tuple[MarginBucket, ...]
    margin_histogram: tuple[int, ...]
    margins_above: int
    distinct_agreeing: int | None = None

    @property
    def top1(self) -> float:
        """Fraction of states where both choose the same action."""
        return self.agreeing / self.states

    @property
    def top1_distinct(self) -> float | None:
        """The same with each distinct state counted once."""
        if self.distinct_states is None or self.distinct_agreeing is None:
            return None
        return self.distinct_agreeing / self.distinct_states

    def values(self, suffix: str = "") -> dict[str, float]:
        """The numbers by which runs are compared, for `Store.add_policy_evaluation`; what is undefined is left out.

        Args:
            suffix: Ends each name, where a run has several evaluations (`_student_rollouts`, say).
        """
        named = {
            "top1_agreement": self.top1,
            "top1_agreement_distinct": math.nan if self.top1_distinct is None else self.top1_distinct,
            "kendall_tau": self.tau,
            "logit_noise_mean": self.noise.mean,
            "logit_noise_p95": self.noise.p95,
            **{f"flips_from_{bucket.low:g}": bucket.rate for bucket in self.buckets},
        }
        return {f"{name}{suffix}": value for name, value in named.items() if not math.isnan(value)}

    def to_payload(self) -> dict[str, Any]:
        """All of it as JSON values: `from_payload` gives an equal one back."""
        payload = asdict(self)
        for bucket in payload["buckets"]:
            bucket["high"] = None if math.isinf(bucket["high"]) else bucket["high"]
        payload["buckets"], payload["margin_histogram"] = list(payload["buckets"]), list(self.margin_histogram)
        payload["tau"] = None if math.isnan(self.tau) else self.tau
        return payload

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> DecisionFidelity:
        """What `to_payload` wrote. Raises `StoreError` where it is something else."""
        try:
            values = dict(payload)
            values["tau"] = math.nan if values["tau"] is None else values["tau"]
            values["noise"] = LogitNoise(**values["noise"])
            values["noise_shift_free"] = LogitNoise(**values["noise_shift_free"])
            values["buckets"] = tuple(
                MarginBucket(**{**bucket, "high": math.inf if bucket["high"] is None else bucket["high"]})
                for bucket in values["buckets"]
            )
            values["margin_histogram"] = tuple(values["margin_histogram"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"this is no decision fidelity ({error}): run the manifest anew with `force`", parameter="force"
            ) from error


@dataclass(frozen=True, eq=False)
class VisitedStates:
    """States of on-policy rollouts, each visit with the same chance to be here.

    Attributes:
        observations: (S, *observation_shape), the environment's dtype.
        masks: (S, A) bool; None where the environment allows every action.
        visited: Visits from which they were drawn.
    """

    observations: NDArray[Any]
    masks: NDArray[np.bool_] | None
    visited: int

    def identities(self) -> NDArray[np.int64]:
        """(S,) which state each is: equal numbers, from 0, for equal observations."""
        flat = self.observations.reshape(len(self.observations), -1)
        numbers: NDArray[np.int64] = np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1)
        return numbers


def decision_fidelity(
    teacher_logits: NDArray[Any],
    student_logits: NDArray[Any],
    mask: NDArray[np.bool_] | None = None,
    *,
    identities: NDArray[np.int64] | None = None,
) -> DecisionFidelity:
    """Compare the logits of both policies on the same states.

    Args:
        teacher_logits, student_logits: (S, A), finite where allowed; compared in float32. Not mutated.
        mask: (S, A) bool, True where an action is allowed, at least one in each row; None: all are.
        identities: (S,) which state each is, equal numbers for equal states, as `VisitedStates.identities` gives;
            None: distinct states are not looked at.

    Raises:
        ConfigurationError: no state, other shapes, a NaN or infinite logit of a legal action, a state without one.

    Source: Kendall 1945, Biometrika 33, 239 (tau-b, which takes ties into account).
    """
    teacher, student, allowed = _checked(teacher_logits, student_logits, mask)
    states = len(teacher)
    legal_teacher = np.where(allowed, teacher, -np.inf)
    best = legal_teacher.argmax(1)
    flipped = np.where(allowed, student, -np.inf).argmax(1) != best
    margins = top1_margin(teacher, allowed)
    change = np.where(allowed, student, 0).astype(np.float64) - np.where(allowed, teacher, 0)
    highest = np.where(allowed, change, -np.inf).max(1)
    lowest = np.where(allowed, change, np.inf).min(1)
    noise = np.maximum(np.abs(highest), np.abs(lowest))
    tau = kendall_tau(teacher, student, allowed)
    defined = ~np.isnan(tau)
    first = None if identities is None else _first_visits(identities, states)
    buckets = []
    for low, high in MARGIN_BUCKETS:
        inside = (margins >= low) & ((margins < high) | math.isinf(high))
        counts = [int(inside.sum()), int((inside & flipped).sum())]
        if first is not None:
            counts += [int(inside[first].sum()), int((inside & flipped)[first].sum())]
        buckets.append(MarginBucket(low, high, *counts))
    within = margins[margins < HISTOGRAM_EDGES[-1]]
    return DecisionFidelity(
        states=states,
        distinct_states=None if first is None else len(first),
        agreeing=states - int(flipped.sum()),
        tau=float(tau[defined].mean()) if defined.any() else math.nan,
        tau_undefined=int((~defined).sum()),
        stable=int((margins > 2 * noise).sum()),
        noise=_noise(noise),
        noise_shift_free=_noise((highest - lowest) / 2),
        buckets=tuple(buckets),
        margin_histogram=tuple(np.histogram(within, HISTOGRAM_EDGES)[0].tolist()),
        margins_above=states - len(within),
        distinct_agreeing=None if first is None else len(first) - int(flipped[first].sum()),
    )


def top1_margin(logits: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """m(s), the best legal logit less the second best: (S,) float64 of (S, A); infinite where one action is legal."""
    legal = logits.astype(np.float64) if mask is None else np.where(mask, logits, -np.inf).astype(np.float64)
    if legal.shape[1] < 2:
        return np.full(len(legal), np.inf)
    two: NDArray[np.float64] = np.partition(legal, -2, axis=1)[:, -2:]
    margins: NDArray[np.float64] = two[:, 1] - two[:, 0]
    return margins


def kendall_tau(
    first: NDArray[Any], second: NDArray[Any], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Kendall's tau-b of each row of two (S, A) arrays over the columns that `mask` allows: (S,) float64.

    Exact: all pairs are counted, in integers. NaN where either row is constant there.
    """
    from qecforge.evaluation.policies._rank_kernels import kendall_tau_b

    allowed = np.ones(first.shape, np.bool_) if mask is None else mask
    tau = np.empty(len(first))
    kendall_tau_b(
        np.ascontiguousarray(first, np.float32),
        np.ascontiguousarray(second, np.float32),
        np.ascontiguousarray(allowed, np.bool_),
        tau,
    )
    return tau


def collect_states(
    env: Environment,
    policy: Policy,
    states: int,
    *,
    seed: int = 0,
    deterministic: bool = False,
    max_steps: int = 10_000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VisitedStates:
    """Play the policy and keep `states` of the states that it visits.

    Plays until enough states were visited and every member has ended an episode (or `max_steps` of them were made), so
    that late steps of an episode count like early ones, and draws uniformly from all visits.

    Args:
        env: Reset with `seed`.
        states: S, how many to keep.
        deterministic: Whether the policy takes its best action instead of a drawn one.
        max_steps: Steps of each member at most, unless more are needed to visit enough states.
        progress: Told after each step how many of the `states` count as done: the share of visits or, where that is
            smaller, of members that have ended an episode.

    Raises:
        ConfigurationError: `states` is below 1.
    """
    if states < 1:
        raise ConfigurationError(f"states: got {states}, expected 1 or more")
    actions_rng, choice_rng = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    observations, infos = env.reset(seed=seed)
    members = env.num_envs
    mask = infos.get("action_mask")
    kept = np.empty((states, *observations.shape[1:]), observations.dtype)
    kept_masks = None if mask is None else np.empty((states, mask.shape[1]), np.bool_)
    ended = np.zeros(members, np.bool_)
    visited = steps = 0
    while visited < states or (steps < max_steps and not ended.all()):
        numbers = np.arange(visited, visited + members)
        # reservoir sampling: visit i takes place i while there is room, later a random place below i + 1, if it exists
        places = np.where(numbers < states, numbers, choice_rng.integers(0, numbers + 1))
        taken = np.flatnonzero(places < states)
        for member in taken:
            kept[places[member]] = observations[member]
            if kept_masks is not None and mask is not None:
                kept_masks[places[member]] = mask[member]
        actions = policy.act(observations, action_mask=mask, deterministic=deterministic, rng=actions_rng)
        observations, _, terminated, truncated, infos = env.step(actions)
        mask = infos.get("action_mask")
        ended |= terminated | truncated
        visited += members
        steps += 1
        share = min(visited / states, max(float(ended.mean()), steps / max_steps))
        progress(int(states * min(1.0, share)), states)
    return VisitedStates(kept, kept_masks, visited)


def policy_logits(policy: Policy, observations: NDArray[Any], *, batch: int = 4096) -> NDArray[np.float32]:
    """Logits (S, A) of a policy: its own `logits` where it has such a method (an integer policy), else its module's.

    Args:
        observations: (S, *observation_shape).
        batch: States at a time.

    Raises:
        ConfigurationError: a policy without a network.
    """
    own = getattr(policy, "logits", None)
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(observations), batch):
        part = observations[start : start + batch]
        if callable(own):
            parts.append(np.asarray(own(part), np.float32))
            continue
        import torch

        module = policy.module
        parameter = next(module.parameters(), None)
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(part)).to(
                device=None if parameter is None else parameter.device, dtype=torch.float32
            )
            parts.append(module(x).float().cpu().numpy())
    return np.concatenate(parts)


def pooled_buckets(fidelities: Sequence[DecisionFidelity]) -> tuple[MarginBucket, ...]:
    """The buckets of several runs as one: their counts added, those of distinct states where every run has them."""
    pooled = []
    for i, (low, high) in enumerate(MARGIN_BUCKETS):
        each = [f.buckets[i] for f in fidelities]
        once = [bucket.once for bucket in each]
        known = [bucket for bucket in once if bucket is not None]
        counts = [sum(b.states for b in each), sum(b.flips for b in each)]
        if len(known) == len(once):
            counts += [sum(b.states for b in known), sum(b.flips for b in known)]
        pooled.append(MarginBucket(low, high, *counts))
    return tuple(pooled)


def _first_visits(identities: NDArray[np.int64], states: int) -> NDArray[np.int64]:
    """Of each distinct state, where it stands first."""
    numbers = np.asarray(identities)
    if numbers.shape != (states,):
        raise ConfigurationError(
            f"decision fidelity: got identities of shape {numbers.shape}, expected one for each state, {(states,)}"
        )
    first: NDArray[np.int64] = np.unique(numbers, return_index=True)[1]
    return first


def _checked(
    teacher_logits: NDArray[Any], student_logits: NDArray[Any], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    teacher, student = np.asarray(teacher_logits, np.float32), np.asarray(student_logits, np.float32)
    if teacher.ndim != 2 or teacher.shape != student.shape or 0 in teacher.shape:
        raise ConfigurationError(
            f"decision fidelity: got logits of shapes {teacher.shape} (teacher) and {student.shape} (student), "
            "expected the same (S, A), with a state and an action at least"
        )
    allowed = np.ones(teacher.shape, np.bool_) if mask is None else np.asarray(mask, np.bool_)
    if allowed.shape != teacher.shape:
        raise ConfigurationError(
            f"decision fidelity: got a mask of shape {allowed.shape}, expected that of the logits, {teacher.shape}"
        )
    if not allowed.any(1).all():
        raise ConfigurationError("decision fidelity: got a state without a legal action, expected one at least in each")
    for name, logits in (("teacher", teacher), ("student", student)):
        broken = int((allowed & ~np.isfinite(logits)).any(1).sum())
        if broken:
            raise ConfigurationError(
                f"decision fidelity: got NaN or infinite logits of the {name} in {broken} of {len(logits)} states, "
                "expected finite ones: its training diverged"
            )
    return teacher, student, allowed


def _noise(values: NDArray[np.float64]) -> LogitNoise:
    p50, p95 = (float(q) for q in np.quantile(values, [0.5, 0.95]))
    return LogitNoise(float(values.mean()), p50, p95, float(values.max()))
