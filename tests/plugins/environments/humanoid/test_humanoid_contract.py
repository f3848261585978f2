"""The contract of environments, on tasks of each way in which members are kept."""

from typing import ClassVar

import pytest

from qecforge.testing.environments import EnvironmentContract
from qecforge_humanoid import qecforge_environments

(SPEC,) = qecforge_environments()


class TestPendulum(EnvironmentContract):
    """One batch of arrays."""

    spec = SPEC
    settings: ClassVar = {"id": "Pendulum-v1"}


class TestMountainCar(EnvironmentContract):
    """Episodes under way are played again."""

    spec = SPEC
    settings: ClassVar = {"id": "MountainCarContinuous-v0", "max_episode_steps": 40}


class TestNormalizedPendulum(EnvironmentContract):
    spec = SPEC
    settings: ClassVar = {"id": "Pendulum-v1", "max_episode_steps": 30, "normalize_observations": True}


class OfMujoco(EnvironmentContract):
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("mujoco", reason="needs the extra control")
        pytest.importorskip("imageio", reason="needs the extra control")


class TestHopper(OfMujoco):
    spec = SPEC
    settings: ClassVar = {"id": "Hopper-v4"}


class TestHumanoid(OfMujoco):
    spec = SPEC
    settings: ClassVar = {}
