"""The look-ahead: each action's feature is what `peek` and a step from the same state say, in every configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qecforge.contracts import StepBuffers
from qecforge_code_discovery import CodeDiscovery, CodeDiscoveryConfig
from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig

SAMPLED: dict[str, Any] = {
    "model": "biased",
    "p": {"log_uniform": [1e-3, 3e-1]},
    "eta": {"uniform": [0.2, 10]},
}
PER_QUBIT: dict[str, Any] = {
    "model": "per_qubit",
    "probabilities": [[0.01 * (q + 1), 0.02, 0.03 / (q + 1)] for q in range(5)],
    "scale": {"uniform": [0.5, 2]},
}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "unmasked": {"action_masking": False},
    "differences": {"reward_shaping": "difference", "gate_cost": 0.1, "success_reward": 2.0},
    "all_features": {"noise": SAMPLED, "noise_aware": True, "show_progress": True, "stop_action": True},
    "fixed_noise": {"noise": {"model": "biased", "p": 0.1, "eta": 5}},
    "per_qubit": {"noise": PER_QUBIT, "noise_aware": True, "reward_shaping": "difference"},
    "css": {"gates": ["h", "cx", "swap"], "css_only": True, "stop_action": True},
    "weight_rule": {"max_check_weight": 3, "check_weight_rule": "mask", "show_progress": True},
    "two_words": {"n": 66, "k": 30, "gates": ["h", "cx"], "connectivity": "line"},
}
parametrized = pytest.mark.parametrize("fields", [pytest.param(v, id=k) for k, v in CONFIGURATIONS.items()])


def environment(num_envs: int = 7, seed: int = 0, **fields: Any) -> CodeDiscovery:
    fields = {"n": 5, "target_distance": 2, "max_gates": 9, "gates": ["h", "s", "cx"], **fields}
    fields = {"show_lookahead": True, "lookahead_scale": 0.7, **fields}
    reward = KnillLaflamme(KnillLaflammeConfig(form="log_penalty", scale=1.0))
    return CodeDiscovery(CodeDiscoveryConfig(**fields), num_envs=num_envs, seed=seed, reward=reward)


def changes(env: CodeDiscovery, observations: np.ndarray) -> np.ndarray:
    """The look-ahead's columns, (B, A)."""
    end = observations.shape[1] - env.config.show_progress
    return observations[:, end - len(env.action_names) : end]


def foretold(env: CodeDiscovery) -> np.ndarray:
    """The same by an environment without look-ahead: each action is taken, and what it changes is the reward."""
    config = env.config.model_copy(
        update={
            "show_lookahead": False,
            "reward_shaping": "difference",
            "gate_cost": 0.0,
            "success_reward": 0.0,
        }
    )
    reward = KnillLaflamme(KnillLaflammeConfig(form="log_penalty", scale=1.0))
    plain = CodeDiscovery(config, num_envs=env.num_envs * len(env.action_names), seed=0, reward=reward)
    actions = np.tile(np.arange(len(env.action_names)), (env.num_envs, 1))
    return np.clip(plain.peek(actions, env.compact_states())["reward"] / config.lookahead_scale, -1, 1)


@parametrized
def test_features_are_the_changes_that_peek_foretells(fields: dict[str, Any]) -> None:
    env = environment(**fields)
    rng = np.random.default_rng(1)
    observations, _ = env.reset(seed=3)
    assert observations.dtype == np.float32
    seen = []
    for _ in range(25):  # past the end of the first episodes
        np.testing.assert_allclose(changes(env, observations), foretold(env), atol=3e-6)
        np.testing.assert_array_equal(env.observe()[0], observations)
        assert env.observation_space.contains(observations)
        seen.append(changes(env, observations).copy())
        actions = rng.integers(len(env.action_names), size=env.num_envs)
        observations, *_ = env.step(np.where(rng.random(env.num_envs) < 0.5, seen[-1].argmax(axis=1), actions))
    assert np.min(seen) < 0 < np.max(seen)


@parametrized
def test_the_step_brings_what_was_shown(fields: dict[str, Any]) -> None:
    env = environment(**{**fields, "reward_shaping": "difference", "gate_cost": 0.0, "success_reward": 0.0})
    rng = np.random.default_rng(2)
    observations, _ = env.reset(seed=4)
    for _ in range(25):
        actions = rng.integers(len(env.action_names), size=env.num_envs)
        shown = changes(env, observations)[np.arange(env.num_envs), actions].copy()
        observations, rewards, *_ = env.step(actions)
        np.testing.assert_allclose(shown, np.clip(rewards / env.config.lookahead_scale, -1, 1), atol=3e-6)


@parametrized
def test_continues_from_a_saved_state(fields: dict[str, Any]) -> None:
    env, other = environment(**fields), environment(**fields, seed=99)
    rng = np.random.default_rng(3)
    actions = rng.integers(len(env.action_names), size=(20, env.num_envs))
    for chosen in actions[:10]:
        env.step(chosen)
    other.load_state_dict(env.state_dict())
    np.testing.assert_array_equal(other.observe()[0], env.observe()[0])
    for chosen in actions[10:]:
        for ours, theirs in zip(env.step(chosen)[:4], other.step(chosen)[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_what_has_no_effect_changes_nothing() -> None:
    env = environment(gates=["h", "cx", "swap"], css_only=True, stop_action=True)
    rng = np.random.default_rng(4)
    forbidden = 0
    for _ in range(30):
        observations, _, _, _, infos = env.step(rng.integers(len(env.action_names), size=env.num_envs))
        shown = changes(env, observations)
        assert not shown[:, env.action_names.index("stop")].any()
        entangled = ~infos["action_mask"][:, :5] & (observations[:, :40].reshape(-1, 5, 8).sum(2) > 1)
        forbidden += int(entangled.sum())
    assert forbidden > 0


def test_large_batches_are_scored_in_pieces_and_written_in_place() -> None:
    """21 actions and 2,000 members are three pieces; every member is shown what it would be shown alone."""
    env, alone = environment(2000, reward_shaping="difference"), environment(1)
    rng = np.random.default_rng(5)
    actions = rng.integers(len(env.action_names), size=(8, 2000))
    observations, infos = env.reset()
    out = StepBuffers(
        observations=np.full_like(observations, 7),
        rewards=np.zeros(2000, np.float32),
        terminated=np.zeros(2000, np.bool_),
        truncated=np.zeros(2000, np.bool_),
        action_mask=infos["action_mask"],
    )
    for chosen in actions:
        env.step(chosen, out)
    for member in (0, 1, 779, 780, 781, 1559, 1560, 1999):
        alone.reset()
        for action in actions[:, member]:
            expected = alone.step(np.array([action]))[0]
        np.testing.assert_array_equal(out.observations[member], expected[0])


def test_changes_are_clipped_at_the_scale() -> None:
    wide, narrow = environment(lookahead_scale=100.0), environment(lookahead_scale=0.01)
    action = np.full(7, wide.action_names.index("cx 0 1"))
    shown = [changes(env, env.step(action)[0]) for env in (wide, narrow)]
    assert np.abs(shown[0]).max() < 1
    np.testing.assert_array_equal(shown[1], np.clip(np.round(shown[0] * 1e4, 1), -1, 1))
    assert {-1.0, 1.0} & set(shown[1].ravel().tolist())
