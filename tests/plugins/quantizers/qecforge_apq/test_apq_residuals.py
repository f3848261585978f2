"""Residual changes: looked up against taken, and the model of them against what made the data."""

import numpy as np
import pytest
import torch
from torch import nn

from qecforge.errors import ConfigurationError
from qecforge.inference.module_policy import ModulePolicy
from qecforge.testing.agents import IdentityEnvironment
from qecforge_apq.residuals import TeacherSteps, fit_sensitivity, peek_changes, record_teacher
from qecforge_code_discovery import CodeDiscoveryConfig
from qecforge_code_discovery.environment import CodeDiscovery
from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig


def discovery(num_envs=6, form="residual", **settings):
    config = CodeDiscoveryConfig.model_validate(
        {"n": 5, "k": 1, "target_distance": 3, "max_gates": 8, "gates": ["h", "s", "cx"], **settings}
    )
    reward = KnillLaflamme(KnillLaflammeConfig(form=form))
    return CodeDiscovery(config, num_envs=num_envs, seed=3, reward=reward)


def teacher_for(env, seed=0):
    torch.manual_seed(seed)
    D, N = int(np.prod(env.single_observation_space.shape)), int(env.single_action_space.n)
    module, value = nn.Sequential(nn.Linear(D, 16), nn.GELU(), nn.Linear(16, N)), nn.Linear(D, 1)
    return ModulePolicy(module, value, start=int(env.single_action_space.start))


def masked_actions(infos, num_actions, members, rng):
    mask = infos.get("action_mask", np.ones((members, num_actions), bool))
    return np.array([rng.choice(np.flatnonzero(row)) for row in mask])


def now(env):
    idle = np.zeros((env.num_envs, 1), np.int64)
    return env.peek(idle)["now_residual"]


def test_looked_up_changes_are_those_that_steps_bring():
    """Eq. (4): the residual after the action less the one before, for every member along an episode."""
    env, rng = discovery(), np.random.default_rng(0)
    _, infos = env.reset(seed=1)
    seen = set()
    for _ in range(6):
        actions = masked_actions(infos, len(env.table), 6, rng)
        states, before = env.compact_states(), now(env)
        changes = peek_changes(env, states, np.stack([actions, actions[::-1]], axis=1), "residual")
        _, _, terminated, _, infos = env.step(actions)
        going_on = ~terminated
        np.testing.assert_allclose(changes[going_on, 0], (now(env) - before)[going_on])
        np.testing.assert_allclose(peek_changes(env, states, actions[:, None], "residual")[:, 0], changes[:, 0])
        seen |= set(changes[:, 0])
    assert len(seen) > 2


def test_reward_counts_with_its_sign_turned_and_actions_count_from_zero():
    env = IdentityEnvironment(4, num_actions=3, start=10)
    env.reset(seed=0)
    targets = np.array([0, 2])
    assert env.peek(np.array([[10, 11, 12]] * 2), targets)["reward"].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert peek_changes(env, targets, np.array([[0, 1, 2]] * 2), "reward").tolist() == [[-1, 0, 0], [0, 0, -1]]


def test_a_record_is_what_the_teacher_did():
    env = discovery()
    teacher = teacher_for(env)
    record = record_teacher(env, teacher, "residual", 20, keep_observations=True)
    assert record.actions.shape == record.changes.shape == (120,)
    assert record.observations.shape == (120, env.single_observation_space.shape[0])
    replay, rng = discovery(), np.random.default_rng(0)
    observations, infos = replay.reset(seed=0)
    for step in range(20):
        rows = slice(6 * step, 6 * step + 6)
        np.testing.assert_array_equal(record.observations[rows], observations)
        actions = teacher.act(observations, action_mask=infos.get("action_mask"), deterministic=False, rng=rng)
        np.testing.assert_array_equal(record.actions[rows], actions)
        before = now(replay)
        observations, _, terminated, _, infos = replay.step(actions)
        np.testing.assert_allclose(record.changes[rows][~terminated], (now(replay) - before)[~terminated])


@pytest.mark.parametrize("component", ["residual", "reward"])
def test_recording_leaves_the_environment_and_its_discoveries_alone(component):
    env, untouched = discovery(), discovery()
    rng = np.random.default_rng(5)
    infos = {}
    for each in (env, untouched):
        _, infos = each.reset(seed=9)
    teacher = teacher_for(env)
    for step in range(12):
        actions = masked_actions(infos, len(env.table), 6, rng)
        if step == 4:
            first = record_teacher(env, teacher, component, 15)
            np.testing.assert_array_equal(first.changes, record_teacher(discovery(), teacher, component, 15).changes)
        ours, theirs = env.step(actions), untouched.step(actions)
        for a, b in zip(ours[:4], theirs[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        infos = ours[-1]
    assert [code.code for code in env.take_discoveries()] == [code.code for code in untouched.take_discoveries()]


def test_recorded_rewards_are_the_steps_own():
    env = IdentityEnvironment(8, num_actions=3)
    teacher = teacher_for(env)
    record = record_teacher(env, teacher, "reward", 10, keep_observations=True)
    np.testing.assert_array_equal(record.changes, -(record.observations.argmax(1) == record.actions).astype(float))


def test_a_component_that_is_not_looked_up_is_named():
    env = discovery()
    with pytest.raises(ConfigurationError, match="residual_component is 'rho', and the environment looks up residual,"):
        record_teacher(env, teacher_for(env), "rho", 1)


def test_an_environment_that_cannot_look_ahead_is_refused(monkeypatch):
    env = IdentityEnvironment(4)
    monkeypatch.setattr(env, "can_peek", False)
    with pytest.raises(ConfigurationError, match="cannot look ahead"):
        peek_changes(env, np.arange(4), np.zeros((4, 1), np.int64), "reward")


def test_changes_that_are_not_finite_are_refused(monkeypatch):
    env = IdentityEnvironment(4)
    monkeypatch.setattr(env, "peek", lambda actions, states: {"reward": np.full(actions.shape, np.nan)})
    with pytest.raises(ConfigurationError, match="reward that is not finite"):
        peek_changes(env, np.arange(4), np.zeros((4, 1), np.int64), "reward")


def synthetic(samples, seed=0):
    """Changes that are linear in the observation, another line for each of two actions; action 2 is never taken."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (samples, 6)).astype(np.float32)
    actions = rng.integers(0, 2, samples)
    slope = rng.normal(size=(2, 6))
    base = np.array([1.0, -2.0])
    return TeacherSteps(x, actions, base[actions] + (slope[actions] * x).sum(1)), slope, base


def test_sensitivity_recovers_a_linear_law():
    record, slope, base = synthetic(4000)
    model = fit_sensitivity(record, 3, ridge=1e-6)
    np.testing.assert_allclose(model.slope[:2], slope, atol=1e-4)
    x = torch.tensor([[1.0, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0]])
    found = model.changes(x, torch.tensor([[1, 0], [0, 1]]))
    law = base + x.numpy() @ slope.T
    np.testing.assert_allclose(found, [[law[0, 1], law[0, 0]], [law[1, 0], law[1, 1]]], atol=1e-3)


def test_an_action_never_taken_is_expected_to_do_what_is_usual():
    record, _, _ = synthetic(400)
    model = fit_sensitivity(record, 3)
    found = model.changes(torch.rand(5, 6), torch.full((5, 1), 2))
    np.testing.assert_allclose(found, record.changes.mean(), rtol=1e-5)


@pytest.mark.parametrize("samples", [4, 40])
def test_sensitivity_is_the_ridge_minimum(samples):
    """Few samples and many take different routes to the same normal equations."""
    record, _, _ = synthetic(samples, seed=2)
    model = fit_sensitivity(record, 2, ridge=0.7)
    rows = record.actions == 0
    x = np.column_stack([np.ones(rows.sum()), record.observations[rows] - record.observations.mean(0)])
    y = record.changes[rows] - record.changes.mean()
    found = np.append(model.base[0] - record.changes.mean(), model.slope[0])
    gradient = x.T @ (x @ found - y) + 0.7 * found
    np.testing.assert_allclose(gradient, 0, atol=1e-4)


def test_sensitivity_beats_the_mean_on_states_not_seen():
    """On a real environment: it explains part of what gates do to the residual in other episodes."""
    env = discovery(num_envs=64)
    teacher = teacher_for(env)
    record = record_teacher(env, teacher, "residual", 100, keep_observations=True)
    half = len(record.actions) // 2
    parts = [
        TeacherSteps(record.observations[s], record.actions[s], record.changes[s])
        for s in (slice(None, half), slice(half, None))
    ]
    model = fit_sensitivity(parts[0], len(env.table))
    held_out = parts[1]
    predicted = model.changes(torch.from_numpy(held_out.observations), torch.from_numpy(held_out.actions[:, None]))[
        :, 0
    ]
    error = np.mean((predicted.numpy() - held_out.changes) ** 2)
    assert error < 0.9 * np.var(held_out.changes)


def test_sensitivity_wants_observations():
    with pytest.raises(ConfigurationError, match="fitted to observations"):
        fit_sensitivity(TeacherSteps(None, np.zeros(2, np.int64), np.zeros(2)), 2)
