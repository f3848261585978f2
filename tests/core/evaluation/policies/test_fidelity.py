"""Decision fidelity: by hand, beside scipy, and the stability bound as a property."""

from __future__ import annotations

import json
import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau

from qecforge.contracts import Environment, Policy
from qecforge.errors import ConfigurationError, StoreError
from qecforge.evaluation.policies.fidelity import (
    DecisionFidelity,
    collect_states,
    decision_fidelity,
    kendall_tau,
    policy_logits,
    pooled_buckets,
    top1_margin,
)
from qecforge.evaluation.statistics import wilson_interval


def test_three_states_by_hand() -> None:
    teacher = np.array([[1.0, 0.95, 0.0], [2.0, 0.0, 1.0], [0.0, 0.25, 0.0]], np.float32)
    student = np.array([[0.9, 1.0, 0.0], [1.5, 0.0, 1.0], [0.0, 0.25, 0.125]], np.float32)
    found = decision_fidelity(teacher, student)
    assert (found.states, found.agreeing, found.top1) == (3, 2, 2 / 3)
    # pairs: 1 of 3 inverted; none; the teacher ties one pair of three: 2 / sqrt(2 * 3)
    assert found.tau == pytest.approx((1 / 3 + 1 + 2 / math.sqrt(6)) / 3)
    assert [(bucket.states, bucket.flips) for bucket in found.buckets] == [(1, 1), (0, 0), (1, 0), (0, 0), (1, 0)]
    assert found.noise.max == 0.5
    assert found.noise.mean == pytest.approx((0.1 + 0.5 + 0.125) / 3)
    # of the changes (-0.1, 0.05, 0), (-0.5, 0, 0), (0, 0, 0.125) half the range
    assert found.noise_shift_free.mean == pytest.approx((0.075 + 0.25 + 0.0625) / 3)
    assert found.stable == 0  # margins 0.05, 1, 0.25 against twice 0.1, 0.5, 0.125
    assert found.margin_histogram[0] == found.margin_histogram[2] == found.margin_histogram[10] == 1
    assert found.margins_above == 0


def test_forbidden_actions_never_count() -> None:
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 50, 6)).astype(np.float32)
    mask = np.zeros((50, 6), np.bool_)
    mask[:, [1, 3, 4]] = True
    alone = decision_fidelity(teacher[:, [1, 3, 4]], student[:, [1, 3, 4]])
    teacher[:, 0], student[:, 5] = np.nan, np.inf
    assert decision_fidelity(teacher, student, mask) == alone
    one = np.zeros((50, 6), np.bool_)
    one[:, 2] = True
    found = decision_fidelity(teacher, student, one)
    assert (found.top1, found.tau_undefined, found.margins_above) == (1.0, 50, 50)
    assert math.isnan(found.tau)
    assert "kendall_tau" not in found.values()


@pytest.mark.parametrize("actions", [2, 3, 17, 290])
@pytest.mark.parametrize("levels", [3, 1000])
def test_tau_equals_scipy_with_and_without_ties(actions: int, levels: int) -> None:
    rng = np.random.default_rng(actions * levels)
    first = rng.integers(0, levels, (40, actions)).astype(np.float32)
    second = (first + rng.integers(-levels // 2, levels // 2 + 1, (40, actions))).astype(np.float32)
    mask = rng.random((40, actions)) < 0.7
    ours = kendall_tau(first, second, mask)
    for state in range(40):
        x, y = first[state, mask[state]], second[state, mask[state]]
        expected = kendalltau(x, y).statistic if len(x) > 1 else math.nan
        assert ours[state] == pytest.approx(expected, abs=1e-12, nan_ok=True)


dyadic = st.integers(-1024, 1024).map(lambda number: number / 256)
"""Numbers whose sums and differences float32 holds exactly: rounding would move a margin by itself."""


@settings(deadline=None)
@given(arrays(np.float32, (5, 6), elements=dyadic), arrays(np.float32, (5, 6), elements=dyadic))
def test_a_margin_above_twice_the_noise_keeps_the_argmax(teacher: np.ndarray, change: np.ndarray) -> None:
    """APQ paper, section 4.1: ||z~ - z||_inf <= eps and m(s) > 2 eps leave the argmax as it is."""
    student = teacher + change / 4
    difference = student.astype(np.float64) - teacher
    margins = top1_margin(teacher)
    stable = margins > 2 * np.abs(difference).max(1)
    assert (student.argmax(1) == teacher.argmax(1))[stable].all()
    # the sharper one: a constant added to all logits changes nothing
    stable_shift_free = margins > np.ptp(difference, axis=1)
    assert stable_shift_free[stable].all()
    assert (student.argmax(1) == teacher.argmax(1))[stable_shift_free].all()
    found = decision_fidelity(teacher, student)
    assert found.stable == stable.sum()
    assert found.agreeing >= found.stable


def test_identical_policies_agree_in_full() -> None:
    logits = np.random.default_rng(1).normal(size=(100, 9))
    found = decision_fidelity(logits, logits)
    assert (found.top1, found.tau, found.noise.max) == (1.0, 1.0, 0.0)
    assert sum(bucket.states for bucket in found.buckets) == sum(found.margin_histogram) + found.margins_above == 100


def test_a_random_student_agrees_by_chance_alone() -> None:
    teacher, student = np.random.default_rng(2).normal(size=(2, 20_000, 10))
    found = decision_fidelity(teacher, student)
    assert found.top1 == pytest.approx(0.1, abs=0.01)
    assert found.tau == pytest.approx(0.0, abs=0.01)


def test_payload_is_json_and_gives_an_equal_record_back() -> None:
    rng = np.random.default_rng(3)
    teacher = rng.normal(size=(200, 5))
    found = decision_fidelity(teacher, teacher + 0.1 * rng.normal(size=(200, 5)), identities=np.arange(200) // 2)
    text = json.dumps(found.to_payload(), allow_nan=False)
    assert DecisionFidelity.from_payload(json.loads(text)) == found
    with pytest.raises(StoreError, match="no decision fidelity"):
        DecisionFidelity.from_payload({"states": 3})


def test_each_distinct_state_is_counted_once() -> None:
    """One near tie, visited eight times and flipped, beside two states visited once: 20 % by visit, 2 of 3 by state."""
    teacher = np.array([[0.0, 0.05]] * 8 + [[0.0, 3.0], [0.0, 0.08]])
    student = np.array([[0.1, 0.05]] * 8 + [[0.0, 3.0], [0.0, 0.08]])
    found = decision_fidelity(teacher, student, identities=np.array([5] * 8 + [7, 2]))
    assert (found.states, found.distinct_states, found.top1) == (10, 3, 0.2)
    assert found.top1_distinct == pytest.approx(2 / 3)
    assert found.values()["top1_agreement_distinct"] == pytest.approx(2 / 3)
    lowest = found.buckets[0]
    assert (lowest.states, lowest.flips, lowest.distinct, lowest.distinct_flips) == (9, 8, 2, 1)
    assert lowest.once is not None
    assert (lowest.once.rate, lowest.once.interval) == (0.5, wilson_interval(1, 2))
    pooled = pooled_buckets([found, found])[0]
    assert (pooled.states, pooled.distinct, pooled.distinct_flips) == (18, 4, 2)
    unlooked = decision_fidelity(teacher, student)
    assert (unlooked.distinct_states, unlooked.top1_distinct, unlooked.buckets[0].once) == (None, None, None)
    assert pooled_buckets([found, unlooked])[0].once is None
    with pytest.raises(ConfigurationError, match="one for each state"):
        decision_fidelity(teacher, student, identities=np.arange(3))


def test_values_name_what_is_compared() -> None:
    logits = np.array([[0.0, 0.05], [0.0, 3.0]])
    values = decision_fidelity(logits, logits).values("_student")
    assert values["top1_agreement_student"] == values["kendall_tau_student"] == 1.0
    assert values["flips_from_0_student"] == values["flips_from_0.5_student"] == 0.0
    assert "flips_from_0.1_student" not in values


def test_buckets_of_several_runs_add_up() -> None:
    first = decision_fidelity(np.array([[0.0, 0.05]]), np.array([[0.1, 0.05]]))
    second = decision_fidelity(np.array([[0.0, 0.05], [0, 0.15]]), np.array([[0.0, 0.05], [0.0, 0.15]]))
    pooled = pooled_buckets([first, second])
    assert [(bucket.states, bucket.flips) for bucket in pooled[:2]] == [(2, 1), (1, 0)]
    assert pooled[0].interval.low < 0.5 < pooled[0].interval.high
    assert pooled[4].label == ">= 0.5"
    assert pooled[1].label == "[0.1, 0.2)"
    assert math.isnan(pooled[2].rate)


@pytest.mark.parametrize(
    ("teacher", "student", "mask", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), None, "expected the same"),
        (np.zeros((2, 3)), np.zeros((2, 4)), None, "expected the same"),
        (np.zeros((2, 3)), np.zeros((2, 3)), np.ones((2, 2), bool), "mask of shape"),
        (np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3), bool), "without a legal action"),
        (np.zeros((2, 3)), np.full((2, 3), np.nan), None, "logits of the student in 2 of 2 states"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    teacher: np.ndarray, student: np.ndarray, mask: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        decision_fidelity(teacher, student, mask)
    assert "\n" not in str(caught.value)


class Corridor(Environment):
    """Each member walks from 0 to 9 and starts again; action 1 is allowed where the position is even."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.single_observation_space = gymnasium.spaces.Box(0, 9, (1,), np.uint8)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.position = np.zeros(num_envs, np.uint8)

    def reset(self, *, seed: Any = None, options: Any = None, out: Any = None) -> Any:
        self.position = np.zeros(self.num_envs, np.uint8)
        return self.show()

    def show(self) -> Any:
        mask = np.stack([np.ones(self.num_envs, bool), self.position % 2 == 0], axis=1)
        return self.position[:, None].copy(), {"action_mask": mask}

    def step(self, actions: Any, out: Any = None) -> Any:
        ended = self.position == 9
        self.position = np.where(ended, 0, self.position + 1).astype(np.uint8)
        observations, infos = self.show()
        return observations, np.zeros(self.num_envs), ended, np.zeros_like(ended), infos

    def state_dict(self) -> Any:
        return {}

    def load_state_dict(self, state: Any) -> None: ...


class Coin(Policy):
    """Draws any legal action; its logits are the observation's."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def act(self, observations: Any, *, action_mask: Any = None, deterministic: bool = True, rng: Any = None) -> Any:
        self.asked.append(deterministic)
        return np.where(action_mask[:, 1], rng.integers(0, 2, len(observations)), 0)

    def state_dict(self) -> Any:
        return {}

    def load_state_dict(self, state: Any) -> None: ...

    @property
    def module(self) -> torch.nn.Module:
        return torch.nn.Flatten()


def test_states_are_drawn_from_whole_episodes() -> None:
    """Many members would give the wanted number within one step; late positions still count like early ones."""
    visited = collect_states(Corridor(500), Coin(), 1000, seed=1)
    assert visited.observations.shape == (1000, 1)
    assert visited.observations.dtype == np.uint8
    assert visited.visited == 5000
    counts = np.bincount(visited.observations[:, 0], minlength=10)
    assert (abs(counts - 100) < 45).all()  # 4.7 standard deviations
    assert visited.masks is not None
    assert (visited.masks[:, 1] == (visited.observations[:, 0] % 2 == 0)).all()
    numbers = visited.identities()
    assert len(set(zip(numbers, visited.observations[:, 0], strict=True))) == len(set(numbers)) == 10


def test_few_members_play_on_until_there_are_enough_states() -> None:
    visited = collect_states(Corridor(3), Coin(), 100, seed=1)
    assert visited.visited == 102
    assert np.bincount(visited.observations[:, 0]).min() >= 7  # 9 visits at least, of 102 two are left out


def test_it_is_told_how_many_states_count_as_done() -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    for members, states in ((3, 100), (500, 1000), (4, 10)):
        told.clear()
        collect_states(Corridor(members), Coin(), states, seed=1, progress=tell)
        assert told[-1] == (states, states)
        assert told == sorted(told)
        assert all(total == states for _, total in told)


def test_the_same_seed_gives_the_same_states() -> None:
    first, again, other = (collect_states(Corridor(50), Coin(), 60, seed=seed).observations for seed in (4, 4, 5))
    assert (first == again).all()
    assert (first != other).any()


def test_actions_are_drawn_unless_asked_otherwise() -> None:
    drawing, best = Coin(), Coin()
    collect_states(Corridor(4), drawing, 10)
    collect_states(Corridor(4), best, 10, deterministic=True)
    assert not any(drawing.asked)
    assert all(best.asked)
    with pytest.raises(ConfigurationError, match="states: got 0"):
        collect_states(Corridor(4), best, 0)


def test_logits_come_from_the_policy_or_its_module_in_batches() -> None:
    observations = np.arange(20, dtype=np.uint8).reshape(10, 2)
    assert (policy_logits(Coin(), observations, batch=3) == observations).all()

    class Own(Coin):
        def logits(self, observations: Any) -> Any:
            return -observations.astype(np.float32)

    assert (policy_logits(Own(), observations, batch=4) == -observations.astype(np.float32)).all()
