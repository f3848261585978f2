"""The contract of continuous agents, for the plain agent and for those with a block."""

import pytest

from qecforge.testing.continuous import ContinuousAgentContract
from qecforge_td3 import qecforge_agents

SMALL = {
    "total_steps": 1600,
    "num_envs": 8,
    "learning_starts": 64,
    "log_every": 64,
    "replay_capacity": 5000,
    "batch_size": 64,
    "critic_hidden": (32, 32),
    "pre_hidden": 32,
    "post_hidden": 32,
    "actor_learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "gamma": 0.8,
}
CIRCUIT = {"qubits": 4, "layers": 2, "links": 4, "tangential_hidden": 64, "fits": 8, "tangential_learning_rate": 1e-3}


class TestPlain(ContinuousAgentContract):
    spec = qecforge_agents()[0]
    settings = SMALL | {"block": "none"}


class TestHybrid(ContinuousAgentContract):
    """Bits of a circuit, the tangential network, and all that is optional and has a state."""

    spec = qecforge_agents()[0]
    settings = (
        SMALL | CIRCUIT | {"total_steps": 5000, "normalize_observations": True, "n_step": 2, "critic": "layer_norm"}
    )

    @pytest.mark.parametrize("truncates", [pytest.param(True, marks=pytest.mark.slow), False])
    def test_learns_to_steer_the_point(self, truncates):
        """By the means of its bits, and in small steps: with four sampled bits the point is held only roughly, a fifth
        to a third of the cost being left, and with three times the step one seed in four ends at the bounds."""
        changed = {**self.settings, "readout": "marginals", "actor_learning_rate": 1e-3}
        learner = type("Learner", (TestHybrid,), {"settings": changed})()
        super(TestHybrid, learner).test_learns_to_steer_the_point(truncates)


@pytest.mark.slow
class TestExact(ContinuousAgentContract):
    spec = qecforge_agents()[0]
    settings = SMALL | CIRCUIT | {"gradient": "exact", "critic": "layer_norm"}


@pytest.mark.slow
class TestCrossQ(ContinuousAgentContract):
    spec = qecforge_agents()[0]
    settings = SMALL | CIRCUIT | {"block": "fc", "critic": "batch_renorm"}


@pytest.mark.slow
class TestRandomBits(ContinuousAgentContract):
    spec = qecforge_agents()[0]
    settings = SMALL | CIRCUIT | {"block": "rbg", "updates_per_step": 2}
