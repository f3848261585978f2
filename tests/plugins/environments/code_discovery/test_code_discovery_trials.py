"""Whole sequences of gates: the same as the steps of an episode, and what is left out of an encoder that is filed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import stim
from code_discovery_reference import BruteForceReward
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode
from qecforge.errors import ConfigurationError
from qecforge_code_discovery import CodeDiscovery, CodeDiscoveryConfig
from qecforge_code_discovery.filing.archive import encoder_text

FIVE = {"n": 5, "target_distance": 3, "max_gates": 16, "gates": ("h", "cx"), "action_masking": False}


def make(num_envs: int = 4, **config) -> CodeDiscovery:
    return CodeDiscovery(
        CodeDiscoveryConfig(**{**FIVE, **config}), num_envs=num_envs, seed=0, reward=BruteForceReward()
    )


def numbers(env: CodeDiscovery, names) -> np.ndarray:
    return np.array([env.action_names.index(name) for name in names])


def group_of(text: str, k: int) -> frozenset[str]:
    """The stabilizer group, signs left out, element by element."""
    generators = [stim.PauliString(s) for s in StabilizerCode.from_circuit(stim.Circuit(text), k).stabilizers]
    elements = set()
    for picked in itertools.product([0, 1], repeat=len(generators)):
        product = stim.PauliString(len(generators[0]))
        for pick, generator in zip(picked, generators, strict=True):
            product = product * generator if pick else product
        elements.add(str(product)[1:])
    return frozenset(elements)


def test_a_sequence_is_worth_what_the_last_step_of_an_episode_is_worth():
    env, stepped = make(), make()
    rng = np.random.default_rng(0)
    sequences = rng.integers(len(env.table), size=(4, 9))
    trials = env.try_sequences(sequences, np.full(4, 9))
    stepped.reset()
    for i in range(9):
        _, rewards, *_ = stepped.step(sequences[:, i])
    np.testing.assert_allclose(trials.values, rewards, rtol=1e-6)
    assert not trials.solved.any()


def test_gates_that_the_rules_forbid_have_no_effect():
    env = make(css_only=True)
    forbidden, without = ("h 1", "cx 1 0", "h 0", "cx 0 2"), ("h 1", "cx 1 0", "cx 0 2")
    trials = [env.try_sequences(numbers(env, names)[None], np.array([len(names)])) for names in (forbidden, without)]
    assert trials[0].values == trials[1].values


def test_what_is_solved_is_reported_without_superfluous_gates():
    env = make(max_gates=40)
    # h h; a control in |0>; the logical basis; a product of two generators at the end
    names = ("h 4", "h 4", "cx 4 3", "h 0", *_perfect(env), "h 2", "h 2")
    trials = env.try_sequences(numbers(env, names)[None], np.array([len(names)]))
    assert trials.solved.tolist() == [True]
    (found,) = env.take_discoveries()
    assert found.attributes["appended_gates"] == len(names)
    assert found.gate_count < len(names) - 5
    assert found.step == len(names)
    text = encoder_text(numbers(env, names), env.table, 5)
    assert group_of(found.encoder, 1) == group_of(text, 1)


def _perfect(env: CodeDiscovery):
    """An encoder of a [[5,1,3]] code, found by drawing."""
    rng = np.random.default_rng(3)
    while True:
        sequences = rng.integers(len(env.table), size=(512, 16))
        solved = env.try_sequences(sequences, np.full(512, 16)).solved
        if solved.any():
            env.take_discoveries()
            env._archive = type(env._archive)(16)
            env._tried = 0
            return [env.action_names[a] for a in sequences[np.argmax(solved)]]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 14), st.sampled_from([("h", "cx"), ("h", "s", "cz"), ("c1", "cx")]))
def test_leaving_gates_out_keeps_the_group_and_leaves_nothing_to_leave_out(seed, length, gates):
    env = make(gates=gates, target_distance=2, n=4, k=1)
    rng = np.random.default_rng(seed)
    sequence = rng.integers(len(env.table), size=length).astype(np.uint16)
    kept = env._pruning(sequence)
    wanted = group_of(encoder_text(sequence, env.table, 4), 1)
    assert group_of(encoder_text(kept, env.table, 4), 1) == wanted
    assert len(kept) <= len(sequence)
    rest = iter(sequence.tolist())
    assert all(gate in rest for gate in kept.tolist()), "the gates that stay keep their order"
    for out in (1, 2):
        for left in itertools.combinations(range(len(kept)), out):
            shorter = np.delete(kept, left)
            assert group_of(encoder_text(shorter, env.table, 4), 1) != wanted


def test_nothing_is_left_out_that_a_rule_needs():
    """Of css_only circuits, what is left has to be allowed too: h acts before the qubit is entangled."""
    env = make(css_only=True, target_distance=2, n=4, k=2, max_check_weight=4)
    names = ("h 2", "cx 2 3", "cx 2 0", "cx 2 1", "cx 0 3", "cx 1 3")
    kept = env._pruning(numbers(env, names).astype(np.uint16))
    again = env.try_sequences(kept[None], np.array([len(kept)]))
    whole = env.try_sequences(numbers(env, names)[None], np.array([len(names)]))
    assert again.values == whole.values


def test_noise_that_is_drawn_for_each_episode_is_refused():
    env = make(noise={"model": "depolarizing", "p": {"uniform": [0.01, 0.1]}})
    assert not env.can_try
    with pytest.raises(ConfigurationError, match="sequences cannot be tried"):
        env.try_sequences(np.zeros((1, 1), int), np.ones(1, int))
