"""The batch of pendulums is Gymnasium's."""

import gymnasium
import numpy as np

from qecforge_humanoid import HumanoidConfig, make
from qecforge_humanoid.pendulum import PendulumMembers


def test_the_batch_is_gymnasiums():
    """Observations and rewards of five pendulums over two episodes, to 1e-6, extreme torques among them."""
    env = make(HumanoidConfig(id="Pendulum-v1"), num_envs=5, seed=3, reward=None)
    assert isinstance(env._members, PendulumMembers), "used without being asked for"
    singles = [gymnasium.make("Pendulum-v1") for _ in range(5)]
    assert env.single_action_space == singles[0].action_space
    assert env.single_observation_space == singles[0].observation_space

    def seed(member, episode):
        return int(np.random.SeedSequence(3, spawn_key=(member, episode)).generate_state(1)[0])

    observations, _ = env.reset()
    begun = [single.reset(seed=seed(member, 0))[0] for member, single in enumerate(singles)]
    np.testing.assert_allclose(observations, begun, rtol=0, atol=1e-6)
    rng = np.random.default_rng(0)
    for step in range(400):
        actions = np.clip(rng.normal(0.0, 2.0, (5, 1)), -2.0, 2.0).astype(np.float32)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        theirs = [single.step(action) for single, action in zip(singles, actions, strict=True)]
        last = infos["final_obs"] if truncated.any() else observations
        np.testing.assert_allclose(last, [each[0] for each in theirs], rtol=0, atol=1e-6)
        np.testing.assert_allclose(rewards, [each[1] for each in theirs], rtol=0, atol=1e-6)
        assert truncated.tolist() == [each[3] for each in theirs] == [step % 200 == 199] * 5
        assert not terminated.any()
        if truncated.any():
            begun = [single.reset(seed=seed(member, (step + 1) // 200))[0] for member, single in enumerate(singles)]
            np.testing.assert_allclose(observations, begun, rtol=0, atol=1e-6)
    for single in singles:
        single.close()
