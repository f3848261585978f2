"""Groups of members whose k-th episodes have the same noise, at whatever steps they begin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from code_discovery_reference import BitsReward

from qecforge.errors import ConfigurationError, InfrastructureError
from qecforge_code_discovery import CodeDiscovery, CodeDiscoveryConfig

LOW, HIGH = 0.01, 0.1


def environment(num_envs: int, *, seed: int = 0, reward: Any = None, **fields: Any) -> CodeDiscovery:
    noise = {"model": "biased", "p": {"uniform": [LOW, HIGH]}, "eta": {"log_uniform": [1, 100]}}
    settings = {"n": 4, "target_distance": 2, "max_gates": 6, "noise": noise, "stop_action": True, **fields}
    return CodeDiscovery(
        CodeDiscoveryConfig(**settings), num_envs=num_envs, seed=seed, reward=reward or BitsReward(enough=99)
    )


def noises(env: CodeDiscovery, steps: int, seed: int = 0) -> list[list[tuple[float, float]]]:
    """(p, eta) of each member's episodes, the running ones first; random gates and stops end them one by one."""
    rng = np.random.default_rng(seed)
    of_member: list[list[tuple[float, float]]] = [[] for _ in range(env.num_envs)]
    begun = np.ones(env.num_envs, np.bool_)
    for _ in range(steps + 1):
        parameters = env.noise_parameters
        for member in np.flatnonzero(begun):
            of_member[member].append((float(parameters["p"][member]), float(parameters["eta"][member])))
        begun = env.step(rng.integers(env.single_action_space.n, size=env.num_envs))[2]  # type: ignore[attr-defined]
    return of_member


def test_the_kth_episodes_of_a_group_have_the_same_noise_and_no_others_do() -> None:
    env = environment(12)
    env.reset(seed=3, options={"group_size": 4})
    of_member = noises(env, 60)
    counts = {len(each) for each in of_member}
    assert len(counts) > 1, "the members ended as many episodes each: nothing is shown"
    distinct = set()
    for group in range(3):
        mates = of_member[4 * group : 4 * group + 4]
        longest = max(mates, key=len)
        assert len(longest) > 10
        for mate in mates:
            assert mate == longest[: len(mate)]
        assert len(set(longest)) == len(longest)
        distinct |= set(longest)
    assert len(distinct) == sum(max(len(each) for each in of_member[4 * g : 4 * g + 4]) for g in range(3))


def test_what_groups_start_from_is_drawn_from_the_whole_range() -> None:
    env = environment(4000)
    env.reset(seed=1, options={"group_size": 2})
    p = env.noise_parameters["p"][::2]
    u = np.sort((p - LOW) / (HIGH - LOW))
    assert np.abs(u - (np.arange(2000) + 0.5) / 2000).max() < 1.95 / np.sqrt(2000)  # Kolmogorov-Smirnov, p = 0.001
    exponent = np.log10(env.noise_parameters["eta"][::2]) / 2
    assert abs(np.corrcoef(u, np.sort(exponent))[0, 1]) > 0.99
    assert abs(np.corrcoef((p - LOW) / (HIGH - LOW), exponent)[0, 1]) < 4 / np.sqrt(2000)


def test_without_groups_every_number_comes_from_the_generator_as_before() -> None:
    env = environment(3, seed=5)
    env.reset(seed=5)
    expected = np.random.Generator(np.random.PCG64(5)).random((3, 2))
    np.testing.assert_allclose(env.noise_parameters["p"], LOW + (HIGH - LOW) * expected[:, 0], rtol=1e-15)
    again = environment(3, seed=7)
    again.reset(seed=5, options={"group_size": 1})
    assert noises(again, 30) == noises(env, 30)


def test_groups_last_until_the_next_reset_and_depend_on_its_seed() -> None:
    env = environment(4)
    env.reset(seed=2, options={"group_size": 4})
    first = noises(env, 20)
    env.reset(seed=2, options={"group_size": 4})
    assert noises(env, 20) == first
    env.reset(options={"group_size": 4})
    assert noises(env, 20) != first
    env.reset(seed=2)
    assert len({each[0] for each in noises(env, 1)}) == 4


def test_fixed_noise_fits_groups_where_it_is_the_same_within_each() -> None:
    env = environment(4)
    env.reset(options={"group_size": 2, "noise": {"p": [0.02, 0.02, 0.05, 0.05]}})
    assert env.noise_parameters["p"].tolist() == [0.02, 0.02, 0.05, 0.05]
    eta = env.noise_parameters["eta"]
    assert eta[0] == eta[1] != eta[2] == eta[3]
    env.reset(options={"noise": {"p": [0.02, 0.03, 0.05, 0.05]}})
    before = env.state_dict()
    for options in ({"group_size": 2}, {"group_size": 2, "noise": {"p": [0.1, 0.2, 0.3, 0.4]}}):
        with pytest.raises(ConfigurationError, match="not the same for all members of a group, with groups of 2"):
            env.reset(seed=9, options=options)
        after = env.state_dict()
        assert str(after["generator"]) == str(before["generator"])
        np.testing.assert_array_equal(after["ranges"], before["ranges"])
        np.testing.assert_array_equal(after["episode"]["parameters"], before["episode"]["parameters"])


def test_groups_of_a_code_whose_noise_is_fixed_need_no_numbers() -> None:
    env = environment(4, noise={"model": "depolarizing", "p": 0.01})
    generator = str(env.state_dict()["generator"])
    env.reset(options={"group_size": 2})
    assert str(env.state_dict()["generator"]) == generator
    assert env.state_dict()["groups"] is None


def test_a_checkpoint_from_before_there_were_groups_goes_on() -> None:
    env = environment(3)
    noises(env, 7)
    state = env.state_dict()
    del state["groups"]
    other = environment(3, seed=1)
    other.reset(options={"group_size": 3})
    other.load_state_dict(state)
    assert noises(other, 20, seed=1) == noises(env, 20, seed=1)


class Failing(BitsReward):
    """Fails to score the first member where `fails` is set."""

    fails = False

    def compile(self, subject: Any) -> Any:
        compiled = super().compile(subject)
        score = compiled.score

        def scored(batch: Any, out: Any = None) -> Any:
            scores = score(batch, out)
            scores.valid = None
            if self.fails:
                scores.values[0] = 0.0
                scores.valid = np.arange(len(scores.values)) > 0
            return scores

        compiled.score = scored
        return compiled


@pytest.mark.parametrize("look_ahead", [False, True])
def test_what_the_reward_could_not_score_never_leaves_as_a_number(look_ahead: bool) -> None:
    reward = Failing(enough=99)
    env = environment(4, reward=reward, reward_shaping="difference", show_lookahead=look_ahead)
    actions = np.zeros(4, np.int64)
    env.step(actions)
    reward.fails = True
    message = "^code_discovery: its reward could not score 1 of "
    for call in (
        lambda: env.peek(actions[:, None]),
        lambda: env.step(actions),
        lambda: env.reset(),
    ):
        with pytest.raises(InfrastructureError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
    with pytest.raises(InfrastructureError, match=message):
        environment(4, reward=reward, reward_shaping="difference")
