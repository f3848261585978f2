"""Evaluation `quantum_backends`, and policies on other backends."""

from typing import ClassVar

import numpy as np
import pytest

from qecforge.errors import ConfigurationError
from qecforge.testing.continuous import PointEnvironment
from qecforge.testing.evaluations import EvaluationContract
from qecforge_td3 import TD3Config, make_td3
from qecforge_td3.evaluation import QUANTUM_BACKENDS, QuantumBackendsConfig

SMALL = {"qubits": 3, "layers": 2, "pre_hidden": 8, "post_hidden": 8, "critic_hidden": (8, 8)}


def policy(**settings):
    return make_td3(TD3Config(**(SMALL | settings))).build_policy(PointEnvironment(4))


class TestQuantumBackends(EvaluationContract):
    spec = QUANTUM_BACKENDS
    settings: ClassVar = {"backends": ["exact", {"fake": "generic_3"}, {"depolarizing": 1e-3}], "episodes": 4}

    def subject(self):
        return PointEnvironment(4, episode_length=3), policy()


class Ones:
    """A backend that measures nothing but ones."""

    exact = False

    def sample_bits(self, angles, pairs, rng):
        return np.ones((len(angles), 3), np.uint8)

    def marginals_vjp(self, angles, pairs, cotangent):
        raise AssertionError("nobody differentiates here")


def test_the_policy_acts_on_the_bits_of_its_backend():
    ours = policy()
    theirs = ours.with_backend(Ones())
    observations = np.zeros((20, 2), np.float32)
    assert theirs.explore(observations, np.random.default_rng(0)).q_out.unique().tolist() == [1.0]
    assert ours.explore(observations, np.random.default_rng(0)).q_out.unique().tolist() == [0.0, 1.0]
    actions = theirs.act(observations, rng=np.random.default_rng(0))
    np.testing.assert_allclose(actions, actions[:1].repeat(20, 0), rtol=1e-5)


@pytest.mark.parametrize("block", ["none", "fc", "rbg"])
def test_a_policy_without_a_circuit_has_no_backend(block):
    with pytest.raises(ConfigurationError, match="no quantum circuit"):
        policy(block=block).with_backend("exact")


@pytest.mark.parametrize(
    ("settings", "backends", "says"),
    [
        ({"block": "none"}, ["exact"], "set agent.block to pqc"),
        ({}, ["exact", "exact"], "named twice"),
        ({}, [{"fake": "generic_2"}], "2 qubits"),
        ({}, [{"fake": "genric_3"}], "there is none called"),
    ],
)
def test_what_does_not_fit_is_refused_while_the_manifest_is_read(settings, backends, says):
    config = QuantumBackendsConfig.model_validate({"backends": backends})
    with pytest.raises((ValueError, ConfigurationError), match=says):
        QUANTUM_BACKENDS.check(None, TD3Config(**(SMALL | settings)), config)


def test_noise_changes_what_is_played():
    """A thoroughly depolarized circuit gives fair coins."""
    noisy = policy().with_backend({"depolarizing": 1.0})
    found = noisy.explore(np.zeros((400, 2), np.float32), np.random.default_rng(0)).q_out.numpy()
    assert np.abs(found.mean(0) - 0.5).max() < 0.1
