"""The Gaussian and its trajectory."""

import numpy as np
import pytest
import torch

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.parameters import GaussianParameters, ParameterTrajectory

TRAJECTORY = ParameterTrajectory([0, 4, 9], [[0.0, 1.0], [0.5, 0.25], [1.0, -2.0]])


def test_acts_on_its_mean_and_draws_when_asked_to():
    policy = GaussianParameters([1.0, -2.0], [0.1, 3.0])
    observations = np.zeros((4000, 1), np.float32)
    np.testing.assert_array_equal(policy.act(observations[:2]), [[1, -2], [1, -2]])
    drawn = policy.act(observations, deterministic=False, rng=np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), policy.mean, atol=0.2)
    np.testing.assert_allclose(drawn.std(0), policy.std, rtol=0.05)
    with pytest.raises(ConfigurationError, match="got no rng"):
        policy.act(observations, deterministic=False)


@pytest.mark.parametrize(("mean", "std"), [([0.0], [0.0]), ([np.inf], [1.0]), ([0.0, 1.0], [1.0]), ([[0.0]], [[1.0]])])
def test_means_and_deviations_are_checked(mean, std):
    with pytest.raises(ConfigurationError, match="Gaussian policy"):
        GaussianParameters(mean, std)


@pytest.mark.parametrize(
    ("epochs", "means", "message"),
    [
        ([0, 1], [[0.0]], "a row for each epoch"),
        ([], np.zeros((0, 2)), "a row for each epoch"),
        ([0], [1.0], "a row for each epoch"),
        ([0, 0], [[0.0], [1.0]], "begin below 0 or do not increase"),
        ([-1, 0], [[0.0], [1.0]], "begin below 0 or do not increase"),
        ([0], [[np.nan]], "not finite"),
    ],
)
def test_trajectories_are_checked(epochs, means, message):
    with pytest.raises(ConfigurationError, match=message):
        ParameterTrajectory(epochs, means)


def test_a_trajectory_of_other_parameters_is_refused():
    with pytest.raises(ConfigurationError, match="the trajectory has 2 parameters, expected 3"):
        GaussianParameters(np.zeros(3), np.ones(3), TRAJECTORY)


def test_a_trajectory_keeps_copies_in_its_own_types():
    epochs, means = np.array([0, 3], np.int32), np.array([[1.0], [2.0]])
    trajectory = ParameterTrajectory(epochs, means)
    means[:] = 7.0
    assert (trajectory.epochs.dtype, trajectory.means.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(trajectory.means, [[1.0], [2.0]])


def test_state_survives_a_file_with_and_without_trajectory():
    """Whatever trajectory the receiving policy has, of whatever length."""
    plain = GaussianParameters([1.0, -2.0], [0.1, 3.0])
    moved = GaussianParameters([1.5, -2.5], [0.2, 4.0], TRAJECTORY)
    assert set(plain.state_dict()) == {"mean", "std"}
    copy = GaussianParameters([0.0, 0.0], [1.0, 1.0])
    copy.load_files(moved.files())
    np.testing.assert_array_equal(copy.mean, moved.mean)
    np.testing.assert_array_equal(copy.std, moved.std)
    np.testing.assert_array_equal(copy.trajectory.epochs, [0, 4, 9])
    np.testing.assert_array_equal(copy.trajectory.means, TRAJECTORY.means)
    copy.load_files(plain.files())
    np.testing.assert_array_equal(copy.mean, plain.mean)
    assert copy.trajectory is None


def test_a_loaded_policy_does_not_share_the_states_memory():
    state = GaussianParameters([1.0, -2.0], [0.1, 3.0], TRAJECTORY).state_dict()
    copy = GaussianParameters([0.0, 0.0], [1.0, 1.0])
    copy.load_state_dict(state)
    for tensor in state.values():
        tensor.zero_()
    np.testing.assert_array_equal(copy.mean, [1.0, -2.0])
    np.testing.assert_array_equal(copy.trajectory.means, TRAJECTORY.means)


@pytest.mark.parametrize(
    "changed",
    [
        {"foreign": torch.zeros(2)},
        {"mean": torch.zeros(3)},
        {"mean": torch.zeros(3), "std": torch.ones(3)},
        {"trajectory_epochs": torch.tensor([0, 1])},
        {"trajectory_epochs": torch.tensor([0, 1]), "trajectory_means": torch.zeros(3, 2)},
        {"trajectory_epochs": torch.tensor([0, 1]), "trajectory_means": torch.zeros(2, 5)},
    ],
)
def test_foreign_states_are_refused_and_change_nothing(changed):
    policy = GaussianParameters([1.0, -2.0], [0.1, 3.0])
    with pytest.raises(CheckpointError, match="load it for the environment that it was trained on"):
        policy.load_state_dict({**GaussianParameters([0.0, 0.0], [1.0, 1.0]).state_dict(), **changed})
    np.testing.assert_array_equal(policy.mean, [1.0, -2.0])
    assert policy.trajectory is None
