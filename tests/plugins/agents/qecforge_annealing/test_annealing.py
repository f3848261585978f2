"""Annealing finds the shortest circuits, resumes to the bit, and leaves a policy that plays them."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import torch

from qecforge.errors import CheckpointError, ConfigurationError, Interrupted
from qecforge.testing._agents import assert_equal_weights, assert_randomness_is_given
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.checks.views import check_view
from qecforge.testing.contexts import RecordingContext
from qecforge_annealing import AnnealingConfig, _moves, make, qecforge_agents
from qecforge_code_discovery import CodeDiscovery, CodeDiscoveryConfig
from qecforge_knill_laflamme.config import KnillLaflammeConfig
from qecforge_knill_laflamme.reward import KnillLaflamme

STEPS = 1_500_000


def task(num_envs: int = 16, **config) -> CodeDiscovery:
    settings = {"n": 7, "k": 1, "target_distance": 3, "max_gates": 14, "gates": ("h", "cx"), **config}
    reward = KnillLaflamme(KnillLaflammeConfig(form="log_penalty", scale=1, error_probability=0.5))
    return CodeDiscovery(CodeDiscoveryConfig(**settings), num_envs=num_envs, seed=0, reward=reward)


def agent(**settings):
    return make(AnnealingConfig(**{"total_steps": STEPS, "length": 14, "cooling": 5_000, **settings}))


def test_spec():
    (spec,) = qecforge_agents()
    check_view(spec.view)
    for name, field in AnnealingConfig.model_fields.items():
        assert field.description, name


def test_finds_the_shortest_known_encoder_of_the_seven_qubit_code():
    """9 gates; 10 is the fewest among 1,393 codes released with Olle et al. 2024."""
    with closing(task()) as env:
        context = RecordingContext(env)
        policy = agent().train(env, context)
        best = min(context.discoveries, key=lambda found: found.gate_count)
        assert best.gate_count == 9
        assert best.code.distance().lower == 3
        assert context.metrics["best_length"][-1] == 9
        assert context.advances[-1].step >= STEPS
        observations, infos = env.reset(seed=3)
        for _ in range(9):
            actions = policy.act(observations, action_mask=infos.get("action_mask"))
            observations, _, terminated, _, infos = env.step(actions)
        assert terminated.all()
        assert infos["success"].all()
        assert (infos["gate_count"] == 9).all()


@pytest.mark.parametrize("after", [1, 3, 10])
def test_resumed_equals_uninterrupted(after):
    settings = {"total_steps": 400_000, "report_every": 1_600}
    with closing(task()) as env:
        whole = RecordingContext(env, 5)
        expected = agent(**settings).train(env, whole)
    with closing(task()) as env:
        first = RecordingContext(env, 5, interrupt_after=after)
        with pytest.raises(Interrupted):
            agent(**settings).train(env, first)
    with closing(task()) as env:
        second = RecordingContext(env, 5, checkpoint=first.checkpoint)
        resumed = agent(**settings).train(env, second)
    assert_equal_weights(expected, resumed)
    assert whole.advances[-1].step == second.advances[-1].step
    assert whole.metrics["value"][-1] == second.metrics["value"][-1]
    found = [(each.encoder, each.step) for each in whole.discoveries]
    assert found == [(each.encoder, each.step) for each in (*first.discoveries, *second.discoveries)]


def test_threads_and_batches_change_nothing():
    """Each chain draws from a generator of its own."""
    found = []
    for chunks in (1_600, 16):
        with closing(task()) as env:
            context = RecordingContext(env, 2)
            agent(total_steps=200_000, report_every=chunks).train(env, context)
            found.append([(each.encoder, each.step) for each in context.discoveries])
    assert found[0] == found[1]


def test_every_kind_is_drawn_as_often_as_its_weight_says():
    with closing(task()) as env:
        letters = _moves.alphabet(env.action_factors, (0.3, 0.7))
    generators = np.array([1], np.uint64)
    drawn = np.array([_moves._drawn(generators, 0, letters) for _ in range(20_000)])
    assert abs((drawn < 7).mean() - 0.3) < 0.015
    counts = np.bincount(drawn[drawn >= 7] - 7, minlength=42)
    expected = counts.sum() / 42
    assert ((counts - expected) ** 2 / expected).sum() < 90  # chi-square of 41 degrees: 0.9999 quantile is 83


def test_neighbours_differ_in_one_qubit_and_keep_the_gate():
    with closing(task()) as env:
        letters, names = _moves.alphabet(env.action_factors, ()), env.action_names
    at = names.index("cx 2 5")
    near = {names[a] for a in letters.near[letters.near_starts[at] : letters.near_starts[at + 1]]}
    assert near == {f"cx {q} 5" for q in range(7) if q not in (2, 5)} | {
        f"cx 2 {q}" for q in range(7) if q not in (2, 5)
    }


def test_worse_is_accepted_as_often_as_metropolis_says():
    B = 40_000
    chains = _moves.Chains(
        np.zeros((B, 1), np.int64),
        np.ones(B, np.int64),
        np.zeros(B),
        np.ones(B, np.int64),
        np.zeros(B, np.bool_),
        np.arange(B).astype(np.uint64),
    )
    accepted = _moves.settle(chains, np.zeros((B, 1), np.int64), np.full(B, -0.1, np.float32), 10**9, 0.1, 0.1)
    assert abs(accepted / B - np.exp(-1)) < 0.01


def test_policy_is_saved_and_loaded_and_draws_from_the_generator_alone():
    with closing(task()) as env:
        policy = agent(total_steps=300_000).train(env, RecordingContext(env))
        copy = agent().build_policy(env)
        copy.load_files(policy.files())
        observations, _ = env.reset(seed=1)
        for _ in range(4):
            actions = policy.act(observations)
            np.testing.assert_array_equal(actions, copy.act(observations))
            observations, *_ = env.step(actions)
        assert_randomness_is_given(policy, np.ones_like(observations))
        mask = np.zeros((16, len(env.table)), np.bool_)
        mask[:, 3] = True
        assert (policy.act(env.reset(seed=1)[0], action_mask=mask) == 3).all()
        with pytest.raises(CheckpointError):
            copy.load_state_dict({"foreign": torch.zeros(1)})
        with pytest.raises(CheckpointError, match="out of range"):
            copy.load_state_dict({**policy.state_dict(), "actions": policy.state_dict()["actions"] + 1000})


def test_what_cannot_be_annealed_is_refused_in_one_line():
    with closing(task()) as env:
        context = RecordingContext(env)
        for settings, arguments, words in (
            ({"kind_weights": (1.0, 1.0, 1.0)}, {}, "3 kind_weights, but the environment has 2"),
            ({"length": 15}, {}, "at most max_gates"),
            ({}, {"extra_loss": lambda _: None}, "learns no network"),
        ):
            with pytest.raises(ConfigurationError, match=words) as caught:
                agent(**settings).train(env, context, **arguments)
            assert "\n" not in str(caught.value)
    with closing(IdentityEnvironment(16)) as env, pytest.raises(ConfigurationError, match="cannot try whole sequences"):
        agent().train(env, RecordingContext(env))


def test_a_checkpoint_of_other_contents_is_refused():
    with closing(task()) as env:
        first = RecordingContext(env, interrupt_after=2)
        with pytest.raises(Interrupted):
            agent().train(env, first)
    good = first.checkpoint["agent"]
    chains = good["chains"]
    bad = [
        {**good, "length": 99},
        {**good, "best": "no"},
        {**good, "metrics": 3},
        {**good, "chains": {**chains, "sequences": chains["sequences"] + 1000}},
        {**good, "chains": {**chains, "sequences": chains["sequences"][:, :3]}},
        {**good, "chains": {**chains, "lengths": chains["lengths"] * 0}},
        {**good, "chains": {**chains, "tries": chains["tries"] - 10**9}},
        {name: value for name, value in good.items() if name != "steps"},
    ]
    for state in bad:
        with closing(task()) as env:
            context = RecordingContext(env, checkpoint={**first.checkpoint, "agent": state})
            with pytest.raises(CheckpointError):
                agent().train(env, context)


def test_weights_and_temperatures_are_checked():
    for settings in ({"kind_weights": (-1.0, 2.0)}, {"kind_weights": (0.0, 0.0)}, {"hottest": 0.01, "coldest": 0.1}):
        with pytest.raises(ValueError, match=r"weights|coldest"):
            AnnealingConfig(total_steps=1, length=1, **settings)
