"""The contract of executors, for Ray on one node."""

import pytest
import ray

from qecforge.executors._ray.driver import RayExecutor
from qecforge.executors._ray.options import RayOptions
from qecforge.testing.executors import ExecutorContract

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def node():
    ray.init(
        address="local", num_cpus=2, log_to_driver=False, configure_logging=False, include_dashboard=False,
        object_store_memory=100 << 20,
    )  # fmt: skip
    yield
    ray.shutdown()


class TestRayExecutor(ExecutorContract):
    outlives_a_process = True

    @pytest.fixture
    def executor(self):
        return RayExecutor(workers=2, options=RayOptions(retries=1))
