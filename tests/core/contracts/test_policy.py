"""What `deterministic` means for a policy that samples on the way to its best action: randomness is the caller's."""

import ast
from pathlib import Path

import numpy as np
import pytest
from toy_continuous import HIGH, LOW, PulseConfig, Pulses, SamplingPolicy

from qecforge.errors import ConfigurationError
from qecforge.evaluation import collect_states
from qecforge.evaluation.policies.returns import evaluate_policy
from qecforge.evaluation.policies.search import search_codes, warm_up
from qecforge.inference.latency import rollout_speed

ROOT = Path(__file__).resolve().parents[3]
OBSERVATIONS = np.array([[0.1, -0.2], [0.0, 0.3], [-0.1, 0.1]], np.float32)


@pytest.fixture
def policy():
    policy = SamplingPolicy(LOW, HIGH, 2)
    policy.weights[:, :2] = -np.eye(2)
    return policy


def pulses():
    return Pulses(PulseConfig(steps=5), num_envs=3, seed=0, reward=None)


def test_the_best_action_is_sampled_from_the_generator_that_is_given(policy):
    first, again, other = (policy.act(OBSERVATIONS, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    many = np.mean([policy.act(OBSERVATIONS, rng=np.random.default_rng(seed)) for seed in range(500)], axis=0)
    np.testing.assert_allclose(many, np.clip(-OBSERVATIONS, LOW, HIGH), atol=0.01)


@pytest.mark.parametrize("deterministic", [True, False])
def test_without_a_generator_it_says_so_in_one_line(policy, deterministic):
    with pytest.raises(ConfigurationError, match=r"^sampling policy: rng is missing: pass one, [^\n]*$"):
        policy.act(OBSERVATIONS, deterministic=deterministic)


@pytest.mark.parametrize("deterministic", [True, False])
def test_whatever_plays_a_policy_gives_it_a_generator_of_its_own_seed(policy, deterministic):
    def returns(seed):
        played = evaluate_policy(pulses(), policy, episodes=6, seed=seed, deterministic=deterministic)
        visited = collect_states(pulses(), policy, 20, seed=seed, deterministic=deterministic)
        found = search_codes(pulses(), policy, 6, seed=seed, deterministic=deterministic)
        return np.concatenate([played.returns, visited.observations.ravel(), found.returns])

    np.testing.assert_array_equal(returns(3), returns(3))
    assert (returns(3) != returns(4)).any()
    warm_up(pulses(), policy)
    assert rollout_speed(pulses(), policy, seconds=0.01) > 0


def test_no_call_leaves_the_generator_out():
    """Of the whole source, and of the plugins that come with it."""
    calls = [
        (f"{file.relative_to(ROOT)}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for folder in ("core", "plugins", "examples", "benchmarks")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "act"
    ]
    assert len(calls) > 10
    assert [place for place, keywords in calls if "rng" not in keywords] == []
