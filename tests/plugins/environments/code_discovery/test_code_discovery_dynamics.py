"""Words, observations, masks and endings against stim and plain Python."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import stim
from code_discovery_reference import BitsReward, BruteForceReward, pack, rows, violations
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode, verify_encoder
from qecforge.errors import ConfigurationError
from qecforge_code_discovery import CodeDiscovery, CodeDiscoveryConfig
from qecforge_code_discovery.gates import GATES

ALL_GATES = ["c1", "cx", "cy", "cz", "swap", "iswap"]


def environment(num_envs: int = 1, reward: Any = None, seed: int = 0, **fields: Any) -> CodeDiscovery:
    fields = {"n": 4, "target_distance": 2, "max_gates": 200, **fields}
    return CodeDiscovery(CodeDiscoveryConfig(**fields), num_envs=num_envs, seed=seed, reward=reward or BitsReward())


def words_of(env: CodeDiscovery) -> np.ndarray:
    return env.compact_states()[:, : env.config.n * 2 * (1 if env.config.n + env.config.k <= 64 else 2)]


def check_against_stim(env: CodeDiscovery, member: int, circuit: stim.Circuit, observation: np.ndarray) -> None:
    n, k = env.config.n, env.config.k
    x, z = rows(circuit, n, k)
    np.testing.assert_array_equal(words_of(env)[member], pack(x, z).reshape(-1))
    bits = observation[: 2 * n * (n - k)].reshape(n, 2, n - k)
    np.testing.assert_array_equal(bits[:, 0], x[2 * k :].T)
    np.testing.assert_array_equal(bits[:, 1], z[2 * k :].T)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_words_and_observations_equal_stim_for_every_gate(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 9), label="n")
    k = data.draw(st.integers(1, n - 2), label="k")
    floats = data.draw(st.booleans(), label="float observations")
    env = environment(n=n, k=k, gates=ALL_GATES, show_progress=floats)
    actions = data.draw(st.lists(st.integers(0, len(env.action_names) - 1), min_size=1, max_size=40), label="actions")
    circuit = stim.Circuit()
    for action in actions:
        name, *qubits = env.action_names[action].split()
        circuit.append(GATES[name].stim, [int(q) for q in qubits])
        observations, *_ = env.step(np.array([action]))
        check_against_stim(env, 0, circuit, observations[0])


@pytest.mark.parametrize(("n", "k"), [(63, 1), (63, 2), (64, 4), (90, 38), (100, 28), (120, 8), (127, 1), (96, 32)])
def test_two_words(n: int, k: int) -> None:
    rng = np.random.default_rng(n * k)
    env = environment(3, n=n, k=k, gates=ALL_GATES, connectivity="next_nearest", target_distance=2)
    circuits = [stim.Circuit() for _ in range(3)]
    for step in range(120):
        actions = rng.integers(len(env.action_names), size=3)
        observations, *_ = env.step(actions)
        for member, action in enumerate(actions):
            circuits[member].append_from_stim_program_text(env.table.stim[action])
            if step % 40 == 39:
                check_against_stim(env, member, circuits[member], observations[member])


def test_large_batches_run_in_parallel_chunks_and_agree_with_single_members() -> None:
    many = environment(1000, n=6, max_gates=11, gates=["h", "s", "cx"], stop_action=True)
    few = [environment(1, n=6, max_gates=11, gates=["h", "s", "cx"], stop_action=True) for _ in range(7)]
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.integers(len(many.action_names), size=1000)
        observations, rewards, terminated, _, infos = many.step(actions)
        for env, member in zip(few, (0, 63, 64, 499, 500, 501, 999), strict=True):
            one = env.step(actions[member : member + 1])
            np.testing.assert_array_equal(one[0][0], observations[member])
            np.testing.assert_array_equal(one[4]["action_mask"][0], infos["action_mask"][member])
            assert (one[1][0], one[2][0]) == (rewards[member], terminated[member])


def test_start_is_the_trivial_code() -> None:
    env = environment(2, n=5, k=2, reward=BitsReward())
    observations, _ = env.reset()
    for member in range(2):
        check_against_stim(env, member, stim.Circuit(), observations[member])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_success_is_the_distance_of_the_code(data: st.DataObject) -> None:
    """The environment's own check, and a reward that decides, against the exact distance of the stabilizer code."""
    n, k, d = data.draw(st.sampled_from([(4, 2, 2), (5, 1, 3), (5, 1, 2), (6, 1, 3), (4, 1, 2), (7, 1, 3)]))
    decides = data.draw(st.booleans())
    env = environment(n=n, k=k, target_distance=d, gates=["h", "s", "cx"], reward=BruteForceReward(decides=decides))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    circuit = stim.Circuit()
    for _ in range(60):
        action = rng.integers(len(env.action_names))
        circuit.append_from_stim_program_text(env.table.stim[action])
        *_, terminated, _, infos = env.step(np.array([action]))
        padded = circuit + stim.Circuit(f"I {n - 1}")
        reached = StabilizerCode.from_circuit(padded, k).distance().value >= d
        assert infos["success"][0] == terminated[0] == reached
        if reached:
            circuit.clear()


def test_discoveries_are_what_stim_says_and_come_once() -> None:
    fields: dict[str, Any] = {"n": 4, "k": 2, "target_distance": 2, "max_gates": 20, "gates": ["h", "s", "cx"]}
    env = environment(64, **fields, reward=BitsReward(decides=False), max_discoveries=10_000)
    rng = np.random.default_rng(5)
    history = np.zeros((20, 64), np.int64)
    won = set()
    for step in range(400):
        history[step % 20] = rng.integers(len(env.action_names), size=64)
        *_, infos = env.step(history[step % 20])
        for member in np.flatnonzero(infos["success"]):
            length = infos["episode_length"][member]
            actions = [history[i % 20, member] for i in range(step - length + 1, step + 1)]
            won.add(StabilizerCode.from_circuit(stim.Circuit("\n".join(env.table.stim[a] for a in actions)), 2))
    found = env.take_discoveries()
    assert len(won) > 10
    assert {discovery.code for discovery in found} == won
    for discovery in found:
        assert discovery.code.distance().value == 2
        verify_encoder(discovery.code, discovery.encoder)
        assert discovery.gate_count == len(discovery.encoder.splitlines())
        assert discovery.two_qubit_gate_count == discovery.encoder.count("CX")
        x, z = rows(stim.Circuit(discovery.encoder), 4, 2)
        assert violations(x, z, 2, 2) == []
    assert env.take_discoveries() == []


def test_the_budget_ends_an_episode() -> None:
    env = environment(2, max_gates=3, gates=["h", "cx"])
    for step in range(1, 8):
        _, _, terminated, truncated, infos = env.step(np.array([0, 1]))
        assert terminated.tolist() == [step % 3 == 0] * 2
        assert not truncated.any()
        if terminated.all():
            assert infos["episode_length"].tolist() == infos["gate_count"].tolist() == [3, 3]


def test_stop_ends_an_episode_and_is_charged_as_idling() -> None:
    env = environment(max_gates=10, gates=["h", "cx"], stop_action=True, gate_cost=0.5)
    stop = env.action_names.index("stop")
    assert stop == len(env.action_names) - 1
    _, rewards, terminated, *_ = env.step(np.array([0]))
    trivial = 2 + 3  # bits of the trivial [[4,1]]: X_0, Z_0, Z_1, Z_2, Z_3; h changes none of their number
    assert rewards[0] == -trivial - 0.5
    assert not terminated[0]
    _, rewards, terminated, _, infos = env.step(np.array([stop]))
    assert rewards[0] == -trivial * 9
    assert terminated[0]
    assert infos["episode_length"][0] == 2
    assert infos["gate_count"][0] == 1
    assert not infos["success"][0]
    assert env.compact_states()[0, -1] == 0


def test_differences_add_up_to_last_minus_first_value() -> None:
    env = environment(max_gates=6, gates=["h", "s", "cx"], reward_shaping="difference", stop_action=True)
    rng = np.random.default_rng(0)
    for _ in range(20):
        total = 0.0
        for _ in range(5):
            _, rewards, *_ = env.step(rng.integers(len(env.action_names) - 1, size=1))
            total += float(rewards[0])
        bits = int(np.bitwise_count(words_of(env)).sum())
        assert total == -bits + 5
        _, rewards, terminated, *_ = env.step(np.array([len(env.action_names) - 1]))
        assert rewards[0] == 0
        assert terminated[0]


def test_success_reward_is_added_to_the_last_step() -> None:
    plain, paid = (environment(gates=["h", "cx"], success_reward=bonus, reward=BitsReward(6)) for bonus in (0.0, 7.5))
    cx = plain.action_names.index("cx 0 1")
    left, right = plain.step(np.array([cx])), paid.step(np.array([cx]))
    assert left[4]["success"][0]
    assert right[1][0] - left[1][0] == 7.5


def test_gate_errors_and_gate_cost() -> None:
    errors = [{"gate": "h", "qubits": [q], "error": 0.01 * q} for q in range(3)]
    errors += [{"gate": "cz", "qubits": [1, 0], "error": 0.2}, {"gate": "cz", "qubits": [1, 2], "error": 0.4}]
    fields: dict[str, Any] = {"n": 3, "gates": ["h", "cz"], "connectivity": "line", "gate_errors": errors}
    free, priced = environment(**fields), environment(**fields, gate_error_weight=10, gate_cost=0.25)
    for name, error in (("h 0", 0.0), ("h 2", 0.02), ("cz 0 1", 0.2), ("cz 1 2", 0.4)):
        action = np.array([free.action_names.index(name)])
        difference = free.step(action)[1][0] - priced.step(action)[1][0]
        assert difference == pytest.approx(10 * error + 0.25)


@pytest.mark.parametrize("actions", [np.array([0.0]), np.array([0, 1]), np.array([[0]]), "h", np.array([True])])
def test_actions_of_a_wrong_kind_are_refused(actions: Any) -> None:
    env = environment()
    with pytest.raises(ConfigurationError, match=r"actions are .*give integers of shape"):
        env.step(actions)


def test_an_action_out_of_range_names_the_member() -> None:
    env = environment(3)
    with pytest.raises(
        ConfigurationError, match=f"action 99 of member 1 is out of range: give 0..{len(env.table) - 1}"
    ):
        env.step(np.array([0, 99, 0]))


def test_an_environment_needs_a_reward_and_members() -> None:
    config = CodeDiscoveryConfig(n=4, target_distance=2)
    with pytest.raises(ConfigurationError, match="no reward of its own"):
        CodeDiscovery(config, num_envs=1, seed=0, reward=None)
    with pytest.raises(ConfigurationError, match="num_envs is 0"):
        CodeDiscovery(config, num_envs=0, seed=0, reward=BitsReward())


def test_wrong_buffers_are_refused_by_name() -> None:
    from qecforge.testing.environments import new_buffers

    env = environment(2)
    out = new_buffers(env)
    out.rewards = np.zeros(2)  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match=r"out\.rewards is float64 .*float32"):
        env.step(np.array([0, 0]), out=out)
    out = new_buffers(env)
    out.action_mask = None
    with pytest.raises(ConfigurationError, match=r"out\.action_mask is None"):
        env.reset(out=out)


def test_every_gate_class_is_what_its_inverse_undoes() -> None:
    for gate in GATES.values():
        qubits = list(range(gate.qubits))
        circuit = stim.Circuit()
        circuit.append(gate.stim, qubits)
        circuit.append(GATES[gate.inverse].stim, qubits)
        x, z = rows(circuit, 2, 1)
        x0, z0 = rows(stim.Circuit(), 2, 1)
        assert (x == x0).all()
        assert (z == z0).all()


def test_single_qubit_classes_are_the_six_clifford_classes_modulo_paulis() -> None:
    classes = set()
    for name in [None, *(gate.name for gate in GATES.values() if gate.qubits == 1)]:
        circuit = stim.Circuit() if name is None else stim.Circuit(f"{GATES[name].stim} 0")
        x, z = rows(circuit + stim.Circuit("I 1"), 2, 1)
        classes.add((x[0, 0], z[0, 0], x[1, 0], z[1, 0]))
    assert len(classes) == 6
    assert {c for c in itertools.product((0, 1), repeat=4) if (c[0] * c[3] + c[1] * c[2]) % 2} == classes
