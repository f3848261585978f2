"""What qecforge asks of every environment, reward, agent and reproduction, asked of this one's."""

from __future__ import annotations

import numpy as np
from qecforge_thirdparty_example import AGENT, ENVIRONMENT, REPRODUCTION, REWARD, SpreadConfig
from qecforge_thirdparty_example.environment import ChainBatch, ChainSubject
from qecforge_thirdparty_example.reproduction import shortest

from qecforge.codes import StabilizerCode
from qecforge.testing.agents import AgentContract
from qecforge.testing.environments import EnvironmentContract
from qecforge.testing.reproductions import ReproductionContract
from qecforge.testing.rewards import RewardContract, RewardExample


def make_reward():
    return REWARD.make(SpreadConfig(scale=3.0))


class TestReward(RewardContract):
    spec = REWARD
    settings = {"scale": 3.0}  # noqa: RUF012

    def examples(self, rng):
        return [RewardExample(ChainSubject(n, num_envs=7), ChainBatch(rng.random((7, n)) < 0.5), 7) for n in (2, 5, 32)]

    def take(self, batch, rows):
        return ChainBatch(batch.support[list(rows)])


class TestEnvironment(EnvironmentContract):
    spec = ENVIRONMENT
    settings = {"n": 4, "max_gates": 9}  # noqa: RUF012
    reward = make_reward()


class TestAgent(AgentContract):
    spec = AGENT
    settings = {"total_steps": 20_000, "num_envs": 16}  # noqa: RUF012
    trains_further = False


class TestReproduction(ReproductionContract):
    spec = REPRODUCTION
    options = {"sizes": ("3", "4"), "steps": 64}  # noqa: RUF012


def test_the_shortest_circuit_spreads_the_logical_x_by_one_qubit_a_gate():
    assert shortest(3) == 2 / 3 + 1
    assert shortest(4) == 2 / 4 + 3 / 4 + 1


def test_the_chain_finds_the_repetition_code_with_the_fewest_gates():
    config = ENVIRONMENT.config(n=4, max_gates=5)
    env = ENVIRONMENT.make(config, num_envs=2, seed=0, reward=make_reward())
    observations, _ = env.reset()
    assert observations.tolist() == [[1, 0, 0, 0]] * 2
    for actions, expected in (([0, 2], [[1, 1, 0, 0], [1, 0, 0, 0]]), ([2, 0], [[1, 1, 1, 0], [1, 1, 0, 0]])):
        observations, rewards, terminated, _, _ = env.step(np.array(actions))
        assert observations.tolist() == expected
        np.testing.assert_allclose(rewards, 3.0 * np.mean(expected, axis=1))
        assert not terminated.any()
    observations, rewards, terminated, _, infos = env.step(np.array([4, 1]))
    assert terminated.tolist() == [True, False]
    assert rewards[0] == 3.0
    assert observations.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert infos["episode_length"].tolist() == [3, 3]
    (found,) = env.take_discoveries()
    assert (found.gate_count, found.step, found.encoder) == (3, 6, "CX 0 1\nCX 1 2\nCX 2 3")
    assert found.code == StabilizerCode.from_paulis(["ZZ__", "_ZZ_", "__ZZ"])
