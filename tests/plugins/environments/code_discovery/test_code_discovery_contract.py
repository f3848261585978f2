"""The environment contract, over configurations that between them use every option."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from code_discovery_reference import BitsReward, BruteForceReward

from qecforge.testing.environments import EnvironmentContract
from qecforge_code_discovery import qecforge_environments

(SPEC,) = qecforge_environments()
FIVE: dict[str, Any] = {"n": 5, "target_distance": 2, "max_gates": 9, "gates": ["h", "s", "cx"]}


class TestPlain(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "action_masking": False}
    reward = BruteForceReward()


class TestMaskedWithStopAndDifferences(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "stop_action": True, "reward_shaping": "difference", "success_reward": 3.0}
    reward = BruteForceReward()


class TestStopChargedAsIdling(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "stop_action": True, "gate_cost": 0.25}
    reward = BruteForceReward()


class TestRewardThatDoesNotDecide(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "success_reward": 1.0}
    reward = BruteForceReward(decides=False)


class TestNoiseAware(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {
        **FIVE,
        "noise": {"model": "biased", "p": {"log_uniform": [1e-4, 1e-2]}, "eta": {"uniform": [1, 10]}},
        "noise_aware": True,
        "show_progress": True,
        "reward_shaping": "difference",
    }
    reward = BruteForceReward()


class TestPerQubitNoise(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {
        **FIVE,
        "noise": {"model": "per_qubit", "probabilities": [[0.01, 0.02, 0.03]] * 5, "scale": {"uniform": [0.5, 2]}},
        "noise_aware": True,
        "max_discoveries": 2,
    }
    reward = BruteForceReward()


class TestLookAhead(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "show_lookahead": True, "lookahead_scale": 20.0, "success_reward": 1.0}
    reward = BruteForceReward()


@pytest.mark.slow
class TestLookAheadUnderSampledNoise(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {
        **FIVE,
        "noise": {"model": "depolarizing", "p": {"log_uniform": [1e-3, 1e-1]}},
        "noise_aware": True,
        "show_progress": True,
        "show_lookahead": True,
        "stop_action": True,
        "reward_shaping": "difference",
    }
    reward = BruteForceReward()


class TestCss(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "gates": ["h", "cx", "swap"], "css_only": True, "connectivity": "line"}
    reward = BruteForceReward()


class TestCheckWeightMask(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "max_check_weight": 3, "check_weight_rule": "mask", "connectivity": "ring"}
    reward = BruteForceReward()


class TestCheckWeightPenalty(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {**FIVE, "max_check_weight": 3, "check_weight_penalty": 0.5, "stop_action": True}
    reward = BruteForceReward()


class TestTwoWords(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {
        "n": 66,
        "k": 2,
        "target_distance": 2,
        "max_gates": 12,
        "gates": ["c1", "cz", "iswap"],
        "connectivity": {"grid": [6, 11]},
    }
    reward = BitsReward(enough=90)
