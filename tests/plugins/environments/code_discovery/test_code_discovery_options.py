"""Masks, CSS and check-weight rules, noise, the archive, and configurations for devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import stim
from code_discovery_reference import BitsReward, BruteForceReward, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode, words_per_column
from qecforge.codes.packed import TableauSubject
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge_code_discovery import (
    CodeDiscovery,
    CodeDiscoveryConfig,
    config_from_target,
    connectivity_from_coupling_map,
    noise_from_target,
)
from qecforge_code_discovery.filing.archive import Archive, Discovery
from qecforge_code_discovery.gates import GATES


def environment(num_envs: int = 1, reward: Any = None, seed: int = 0, **fields: Any) -> CodeDiscovery:
    fields = {"n": 4, "target_distance": 2, "max_gates": 200, **fields}
    return CodeDiscovery(CodeDiscoveryConfig(**fields), num_envs=num_envs, seed=seed, reward=reward or BitsReward())


def parts(env: CodeDiscovery, member: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """X and Z parts of the generators, (n - k, n) each, as shown."""
    n, k = env.config.n, env.config.k
    bits = env.observe()[0][member, : 2 * n * (n - k)].reshape(n, 2, n - k).astype(np.uint8)
    return bits[:, 0].T, bits[:, 1].T


def cancels(table: Any, history: list[int], action: int, n: int) -> bool:
    """Whether `action` undoes an earlier gate that commutes with all since then, by stim, modulo Paulis."""

    def same(one: str, other: str) -> bool:
        return np.array_equal(rows(stim.Circuit(one), n, n), rows(stim.Circuit(other), n, n))

    gate = table.stim[action]
    for earlier in (table.stim[a] for a in reversed(history)):
        if gate.split()[1:] == earlier.split()[1:] and same(f"{earlier}\n{gate}", ""):
            return True
        if not same(f"{earlier}\n{gate}", f"{gate}\n{earlier}"):
            return False
    return False


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_exactly_the_cancelling_gates_are_masked(data: st.DataObject) -> None:
    env = environment(n=3, gates=["c1", "cx", "cy", "cz", "swap", "iswap"])
    mask = env.reset()[1]["action_mask"]
    history: list[int] = []
    for _ in range(data.draw(st.integers(1, 12))):
        action = data.draw(st.sampled_from(np.flatnonzero(mask[0]).tolist()))
        mask = env.step(np.array([action]))[4]["action_mask"]
        history.append(action)
    expected = [not cancels(env.table, history, action, 3) for action in range(len(env.table))]
    assert mask[0].tolist() == expected, [env.action_names[a] for a in history]


def test_a_masked_gate_still_acts_and_undoes() -> None:
    env = environment(gates=["h", "cx"])
    start = env.compact_states()[0, :-1]
    cx = env.action_names.index("cx 0 1")
    env.step(np.array([cx]))
    assert not env.observe()[1]["action_mask"][0, cx]
    env.step(np.array([cx]))
    np.testing.assert_array_equal(env.compact_states()[0, :-1], start)


def test_undoing_is_allowed_where_nothing_else_is_left() -> None:
    env = environment(n=3, gates=["cz"], connectivity="line")
    assert env.step(np.array([0]))[4]["action_mask"].tolist() == [[False, True]]
    for action in (1, 0, 1):
        assert env.step(np.array([action]))[4]["action_mask"].tolist() == [[True, True]]


def test_without_masking_there_is_no_mask() -> None:
    env = environment(action_masking=False)
    assert "action_mask" not in env.reset()[1]
    assert "action_mask" not in env.step(np.array([0]))[4]


def _is_pure(x: np.ndarray, z: np.ndarray) -> bool:
    return not (x.any(axis=1) & z.any(axis=1)).any()


@pytest.mark.parametrize("n", [6, 70])
def test_css_only_keeps_generators_pure_whatever_is_tried(n: int) -> None:
    env = environment(4, n=n, gates=["h", "cx", "swap"], css_only=True, connectivity="ring", action_masking=False)
    free = environment(4, n=n, gates=["h", "cx", "swap"], connectivity="ring", action_masking=False)
    rng = np.random.default_rng(1)
    mask = env.reset()[1]["action_mask"]
    impure = 0
    for _ in range(150):
        before = env.compact_states()[:, :-1]
        actions = rng.integers(len(env.action_names), size=4)
        infos = env.step(actions)[4]
        free.step(actions)
        after = env.compact_states()[:, :-1]
        for member in range(4):
            assert _is_pure(*parts(env, member))
            impure += not _is_pure(*parts(free, member))
            if not mask[member, actions[member]]:
                np.testing.assert_array_equal(after[member], before[member])
        mask = infos["action_mask"]
    assert impure, "the same gates without the rule leave CSS codes"


def test_css_only_forbids_exactly_h_on_qubits_of_heavier_generators() -> None:
    env = environment(n=5, gates=["h", "cx"], css_only=True, action_masking=False)
    rng = np.random.default_rng(2)
    for _ in range(100):
        mask = env.step(rng.integers(len(env.action_names), size=1))[4]["action_mask"][0]
        x, z = parts(env)
        heavy = (x | z).sum(axis=1) > 1
        for action, name in enumerate(env.action_names):
            gate, *qubits = name.split()
            touched = (x | z)[heavy][:, int(qubits[0])].any()
            assert mask[action] == (gate != "h" or not touched)


@pytest.mark.parametrize(("n", "k"), [(6, 1), (6, 2), (66, 2)])
def test_check_weight_mask_is_what_looking_ahead_says(n: int, k: int) -> None:
    limit = 3
    fields: dict[str, Any] = {"n": n, "k": k, "gates": ["h", "s", "cx", "swap", "iswap"], "connectivity": "ring"}
    env = environment(**fields, max_check_weight=limit, check_weight_rule="mask", action_masking=False)
    rng = np.random.default_rng(3)
    circuit = stim.Circuit()
    forbidden = 0
    mask = env.reset()[1]["action_mask"][0]
    for step in range(60):
        action = rng.integers(len(env.action_names))
        if mask[action]:
            circuit.append_from_stim_program_text(env.table.stim[action])
        mask = env.step(np.array([action]))[4]["action_mask"][0]
        x, z = parts(env)
        assert (x | z).sum(axis=1).max() <= limit
        if n > 10 and step % 20:
            continue
        for candidate in range(len(env.action_names)):
            x, z = rows(circuit + stim.Circuit(env.table.stim[candidate]), n, k)
            fits = (x | z)[2 * k :].sum(axis=1).max() <= limit
            assert mask[candidate] == fits
            forbidden += not fits
    assert forbidden


def test_check_weight_decides_success_and_costs() -> None:
    fields: dict[str, Any] = {"gates": ["cx"], "connectivity": "line", "max_check_weight": 2}
    actions = ["cx 2 3", "cx 1 2", "cx 0 1"]  # Z3 becomes Z2 Z3, Z1 Z2 Z3, Z0 Z1 Z2 Z3; Z2 and Z1 follow
    env = environment(**fields, reward=BitsReward(12), check_weight_penalty=0.5)
    played = [env.step(np.array([env.action_names.index(name)])) for name in actions]
    x, z = parts(env)
    assert (x | z).sum(axis=1).tolist() == [2, 3, 4]
    assert [float(rewards[0]) for _, rewards, *_ in played] == [-6, -8 - 0.5, -12 - 0.5 * (1 + 2)]
    assert not any(infos["success"][0] for *_, infos in played), "the reward calls it solved, the weights do not"
    easy = environment(**{**fields, "max_check_weight": 4}, reward=BitsReward(12))
    assert [bool(easy.step(np.array([easy.action_names.index(name)]))[4]["success"][0]) for name in actions] == [
        *(False, False),
        True,
    ]


NOISES: dict[str, tuple[dict[str, Any], Any]] = {
    "depolarizing": ({"p": {"log_uniform": [1e-4, 1e-2]}}, lambda p: [p / 3] * 3),
    "biased": (
        {"p": {"uniform": [0.01, 0.1]}, "eta": {"log_uniform": [0.5, 50]}},
        lambda p, eta: [p / (eta + 2), p / (eta + 2), p * eta / (eta + 2)],
    ),
    "amplitude_damping": (
        {"gamma": {"log_uniform": [1e-3, 1e-2]}, "readout": {"uniform": [0.005, 0.02]}},
        lambda gamma, readout: [gamma / 4, gamma / 4, 0.5 - gamma / 4 - (1 - gamma) ** 0.5 / 2],
    ),
}


@pytest.mark.parametrize("model", NOISES)
def test_noise_is_drawn_for_each_episode_within_its_range(model: str) -> None:
    ranges, formula = NOISES[model]
    env = environment(200, n=3, max_gates=3, noise={"model": model, **ranges}, noise_aware=True)
    assert env.single_observation_space.dtype == np.float32
    seen: dict[str, list[np.ndarray]] = {name: [] for name in ranges}
    for _ in range(10):
        now = env.noise_parameters
        for step in range(3):
            observations = env.step(np.zeros(200, np.int64))[0]
            if step < 2:
                for name, values in env.noise_parameters.items():
                    np.testing.assert_array_equal(values, now[name])
        for j, (name, values) in enumerate(env.noise_parameters.items()):
            seen[name].append(values)
            scale = np.log10(values) / 6 if name == "eta" else 1 + np.log10(values) / 6
            np.testing.assert_allclose(observations[:, 2 * 3 * 2 + j], np.clip(scale, -1, 1), rtol=1e-6)
        channel = env._noise
        assert channel is not None
        expected = np.array([formula(*row) for row in zip(*env.noise_parameters.values(), strict=True)])
        np.testing.assert_allclose(channel[:, :, 1:], np.repeat(expected[:, None], 3, axis=1), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(channel.sum(axis=2), 1)
    for name, values in seen.items():
        ((kind, (low, high)),) = ranges[name].items()
        drawn = np.concatenate(values)
        assert drawn.min() >= low
        assert drawn.max() <= high
        assert len(np.unique(drawn)) == len(drawn)
        unit = (drawn - low) / (high - low) if kind == "uniform" else np.log(drawn / low) / np.log(high / low)
        assert abs(unit.mean() - 0.5) < 5 * (1 / 12 / len(unit)) ** 0.5
        assert abs(unit.std() - 12**-0.5) < 0.02


@pytest.mark.parametrize(
    ("noise", "kind", "uniform"),
    [
        (None, None, True),
        ({"model": "depolarizing", "p": 0.1}, "shared", True),
        ({"model": "biased", "p": 0.1, "eta": {"uniform": [1, 2]}}, "per_env", True),
        ({"model": "per_qubit", "probabilities": [[0.1, 0, 0]] * 4}, "shared", False),
    ],
)
def test_the_reward_is_told_what_noise_there_is(noise: Any, kind: Any, uniform: bool) -> None:
    reward = BruteForceReward()
    environment(3, noise=noise, reward=reward)
    assert reward.subject == TableauSubject(n=4, k=1, target_distance=2, num_envs=3, noise=kind, uniform=uniform)


def test_noise_can_be_fixed_for_an_evaluation_and_freed_again() -> None:
    noise = {"model": "biased", "p": {"log_uniform": [1e-4, 1e-3]}, "eta": 5}
    env = environment(4, noise=noise, noise_aware=True, max_gates=2)
    env.reset(options={"noise": {"p": 0.05}})
    for _ in range(5):
        assert (env.noise_parameters["p"] == 0.05).all()
        env.step(np.zeros(4, np.int64))
    env.reset(options={"noise": {"p": [0.1, 0.2, 0.3, 0.4]}})
    assert env.noise_parameters["p"].tolist() == [0.1, 0.2, 0.3, 0.4]
    env.reset(options={"noise": {}})
    assert (env.noise_parameters["p"] <= 1e-3).all()
    with pytest.raises(ConfigurationError, match=r"p = 1\.5 leaves"):
        env.reset(options={"noise": {"p": 1.5}})
    with pytest.raises(ConfigurationError, match="no parameter 'gamma'"):
        env.reset(options={"noise": {"gamma": 0.1}})
    with pytest.raises(ConfigurationError, match="unknown reset option 'nois'"):
        env.reset(options={"nois": {}})
    with pytest.raises(ConfigurationError, match="noise is fixed"):
        environment().reset(options={"noise": {"p": 0.1}})


def test_fixed_noise_is_shown_as_ranged_noise_is() -> None:
    """So that a policy trained on a range can be played on a value it never saw."""
    fixed = environment(noise={"model": "depolarizing", "p": 0.02}, noise_aware=True)
    ranged = environment(noise={"model": "depolarizing", "p": {"uniform": [1e-4, 1e-3]}}, noise_aware=True)
    ranged.reset(options={"noise": {"p": 0.02}})
    assert fixed.single_observation_space == ranged.single_observation_space
    np.testing.assert_array_equal(fixed.observe()[0], ranged.observe()[0])


def test_per_qubit_noise_shows_each_qubit() -> None:
    probabilities = [[1e-3, 1e-2, 1e-1], [1e-4, 0, 1e-6], [0.2, 0.3, 0.4]]
    env = environment(n=3, noise={"model": "per_qubit", "probabilities": probabilities, "scale": 0.5}, noise_aware=True)
    shown = env.observe()[0][0, 2 * 3 * 2 :]
    with np.errstate(divide="ignore"):
        expected = np.clip(1 + np.log10(np.array(probabilities) * 0.5) / 6, 0, 1)
    np.testing.assert_allclose(shown, expected.reshape(-1), rtol=1e-6)
    assert env._noise is not None
    np.testing.assert_allclose(env._noise[:, 1:], np.array(probabilities) / 2)


def _found(group: int, gates: int, step: int) -> Discovery:
    return Discovery(group, np.arange(gates, dtype=np.uint16), step, np.zeros(0), gates)


def test_the_archive_keeps_the_fewest_gates_then_the_oldest() -> None:
    archive = Archive(2)
    archive.add([_found(7, 9, 1), _found(3, 5, 2)])
    assert [d.group for d in archive.take()] == [7, 3]
    archive.add([_found(4, 9, 3), _found(7, 9, 3)])
    assert archive.take() == []
    assert archive.most == 9
    archive.add([_found(4, 8, 4), _found(3, 4, 5)])
    assert [(d.group, len(d.actions)) for d in archive.take()] == [(4, 8), (3, 4)]
    assert archive.known.tolist() == [3, 4]
    assert archive.known_gates.tolist() == [4, 8]
    copy = Archive(2)
    archive.add([_found(9, 1, 6)])
    copy.load_state_dict(archive.state_dict())
    assert [d.group for d in copy.take()] == [9]
    assert copy.most == archive.most == 4


@pytest.mark.parametrize(("n", "k"), [(5, 1), (6, 3), (70, 5)])
def test_groups_have_one_hash_each(n: int, k: int) -> None:
    """Against the canonical form of `StabilizerCode`: equal hashes where, and only where, groups are equal."""
    from qecforge_code_discovery._canonical import group_hash

    rng = np.random.default_rng(n)
    env = environment(1, n=n, k=k, gates=["h", "s", "cx"])
    columns = np.empty((2 * n, words_per_column(n, k)), np.uint64)
    hashes: dict[str, int] = {}
    for _ in range(60):
        env.step(rng.integers(len(env.action_names), size=1))
        code = StabilizerCode.from_check_matrix(np.concatenate(parts(env), axis=1))
        words = env._episode.words[0].copy()
        digest = group_hash(words, env._stabilizer_rows, columns)
        assert hashes.setdefault(code.digest, digest) == digest
        a, b = rng.choice(np.arange(2 * k, n + k), 2, replace=False)  # generator a times generator b
        bit = (words[..., b // 64] >> np.uint64(b % 64)) & np.uint64(1)
        words[..., a // 64] ^= bit << np.uint64(a % 64)
        words[..., 0] ^= (words[..., b // 64] >> np.uint64(b % 64)) & np.uint64(1)  # a logical row times generator b
        assert group_hash(words, env._stabilizer_rows, columns) == digest
    assert len(set(hashes.values())) == len(hashes) > 5


def test_a_state_of_another_configuration_is_refused() -> None:
    state = environment(2).state_dict()
    with pytest.raises(CheckpointError, match="another configuration"):
        environment(2, max_gates=7).load_state_dict(state)


def test_a_full_archive_survives_a_checkpoint() -> None:
    fields: dict[str, Any] = {"k": 2, "max_gates": 15, "gates": ["h", "s", "cx"], "max_discoveries": 3}
    env, other = (environment(64, **fields, reward=BitsReward(decides=False), seed=s) for s in (1, 2))
    rng = np.random.default_rng(0)
    plays = rng.integers(len(env.action_names), size=(600, 64))
    for actions in plays[:300]:
        env.step(actions)
    other.load_state_dict(env.state_dict())
    for actions in plays[300:]:
        env.step(actions)
        other.step(actions)
    found = env.take_discoveries()
    assert found == other.take_discoveries()
    assert len(found) == 3


def _target(**fields: Any) -> Any:
    from qiskit.providers.fake_provider import GenericBackendV2
    from qiskit.transpiler import CouplingMap

    return GenericBackendV2(5, coupling_map=CouplingMap.from_line(5), seed=1, **fields).target


def test_connectivity_of_a_coupling_map() -> None:
    from qiskit.transpiler import CouplingMap

    one_way = CouplingMap([[0, 1], [2, 1], [2, 3]])
    fields = connectivity_from_coupling_map(one_way)
    assert fields == {"coupling_map": [[0, 1], [2, 1], [2, 3]]}
    env = environment(gates=["cx", "cz"], connectivity=fields)
    assert env.action_names == ("cx 0 1", "cx 2 1", "cx 2 3", "cz 0 1", "cz 1 2", "cz 2 3")
    both = connectivity_from_coupling_map(one_way, directed=False)
    assert both == {"edges": [[0, 1], [1, 2], [2, 3]]}
    assert environment(gates=["cx"], connectivity=both).action_names == (
        *("cx 0 1", "cx 1 0", "cx 1 2"),
        *("cx 2 1", "cx 2 3", "cx 3 2"),
    )
    assert connectivity_from_coupling_map(one_way, qubits=[3, 2, 1]) == {"coupling_map": [[1, 0], [1, 2]]}
    with pytest.raises(ConfigurationError, match="out of range or repeat"):
        connectivity_from_coupling_map(one_way, qubits=[0, 4])
    assert connectivity_from_coupling_map(_target()) == {
        "coupling_map": [[a, b] for a in range(5) for b in (a - 1, a + 1) if 0 <= b < 5]
    }


def test_noise_of_a_target() -> None:
    target = _target()
    noise = noise_from_target(target, qubits=[2, 0], duration=1e-6)
    for i, q in enumerate([2, 0]):
        properties = target.qubit_properties[q]
        decay = 1 - np.exp(-1e-6 / properties.t1)
        relaxed = np.array([decay / 4, decay / 4, (1 - np.exp(-1e-6 / properties.t2)) / 2 - decay / 4])
        error = np.mean([target[name][(q,)].error for name in ("id", "sx", "x")])
        np.testing.assert_allclose(noise["probabilities"][i], relaxed + error / 2, rtol=2e-3)
    # qubits that share no gate, hence without a duration: relaxation is asked for, not left out
    with pytest.raises(ConfigurationError, match=r"among qubits \[2, 0\].*give duration"):
        noise_from_target(target, qubits=[2, 0])
    assert noise_from_target(target, qubits=[2, 0], duration=0.0) != noise
    slowest = max(target["cx"][pair].duration for pair in ((0, 1), (1, 0), (1, 2), (2, 1)))
    assert noise_from_target(target, qubits=[0, 1, 2]) == noise_from_target(target, qubits=[0, 1, 2], duration=slowest)


def test_configuration_of_a_target_prices_gates() -> None:
    target = _target()
    config = config_from_target(
        target, target_distance=3, gates=["h", "s", "cx", "swap"], gate_error_weight=100.0, directed=False
    )
    errors = config.gate_error_of()
    assert errors["h 3"] == target["sx"][(3,)].error
    assert errors["s 3"] == 0
    assert errors["cx 1 2"] == target["cx"][(1, 2)].error
    assert errors["swap 1 2"] == pytest.approx(3 * min(target["cx"][pair].error for pair in ((1, 2), (2, 1))))
    env = CodeDiscovery(config, num_envs=1, seed=0, reward=BitsReward(0, decides=True))
    free = CodeDiscovery(config.model_copy(update={"gate_error_weight": 0.0}), num_envs=1, seed=0, reward=BitsReward(0))
    action = np.array([env.action_names.index("cx 1 2")])
    assert free.step(action)[1][0] - env.step(action)[1][0] == pytest.approx(100 * errors["cx 1 2"], rel=1e-3)


def test_gate_names_of_actions_are_stims() -> None:
    for gate in GATES.values():
        assert stim.gate_data(gate.stim).is_unitary
