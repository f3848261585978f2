"""Runs on a cluster of several nodes, one of which is lost; and on a node that sees nothing of the driver's disk."""

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import ray
from ray.cluster_utils import Cluster

from qecforge import RunOptions, Store
from qecforge.codes import StabilizerCode
from qecforge.errors import ConfigurationError
from qecforge.evaluation import LogicalErrorRateConfig, measure_error_rates
from qecforge.executors import ProcessExecutor
from qecforge.executors._ray.driver import RayExecutor
from qecforge.executors._ray.options import RayOptions
from qecforge.executors._ray.shots import cluster_pool
from qecforge.registry import Registry
from qecforge.testing.executors import install_example
from qecforge.testing.executors._example import Told, plans_of, record_of, url_of

SMALL = {"object_store_memory": 100 << 20}
SWEEP = "sweep: {environment.find_at: [20, 60]}\n"
EVALUATED = (
    "evaluation: {count: {episodes: 4}, logical_error_rate: {noise: depolarizing, p: [0.01], shots: 300, "
    "decoder: bposd}}\n"
)

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster():
    """A head, which is the driver's node, and what the test adds."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **SMALL})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    install_example(tmp_path / "plugins")
    monkeypatch.syspath_prepend(tmp_path / "plugins")
    return Registry.load()


class Retries(Told):
    """Remembers the runs that went on elsewhere, too."""

    def on_retry(self, plan, reason):
        self._hear("on_retry", plan, reason)


def test_a_node_that_is_lost_in_mid_sweep_costs_nothing(cluster, registry, tmp_path):
    """Three nodes of one core, six runs; the node of a run that has come far enough is killed."""
    victim = cluster.add_node(num_cpus=1, **SMALL)
    cluster.add_node(num_cpus=1, **SMALL)
    slow = tmp_path / "slow"
    slow.touch()
    agent = f"agent: {{plugin: example_stroller, total_steps: 800, slow_while: {slow}}}\n"
    plans, url = plans_of(registry, agent + SWEEP + EVALUATED, seeds="[0, 1, 2]"), url_of(tmp_path)
    killer = []

    def kill_once_all_nodes_work(name, _plan):
        far = {identity for name, identity, arguments in told.events if name == "on_progress" and arguments[0] >= 100}
        if len(far) == 3 and not killer:
            killer.append(
                threading.Thread(target=cluster.remove_node, args=(victim,), kwargs={"allow_graceful": False})
            )
            killer[0].start()
        if name == "on_retry":
            slow.unlink(missing_ok=True)

    told = Retries(kill_once_all_nodes_work)
    executor = RayExecutor(options=RayOptions(address=cluster.address))
    outcomes = executor.run(plans, RunOptions(url, checkpoint_seconds=0.2), told)
    killer[0].join()
    assert [(each.identity, each.status) for each in outcomes] == [(plan.identity, "finished") for plan in plans]
    retried = [(identity, arguments[0]) for name, identity, arguments in told.events if name == "on_retry"]
    assert len(retried) == 1
    (identity, reason), of_it = retried[0], [each for each in told.events if each[1] == retried[0][0]]
    assert reason.startswith("its process ")
    assert "is lost" in reason
    assert [arguments[1] for name, _, arguments in of_it if name == "on_start"] == [False, True], "from its checkpoint"
    again = of_it[[name for name, *_ in of_it].index("on_retry") :]
    assert next(arguments[0] for name, _, arguments in again if name == "on_progress") > 0
    theirs = url_of(tmp_path, "process")
    ProcessExecutor().run(plans, RunOptions(theirs), Told())
    ours, expected = record_of(url), record_of(theirs)
    assert ours[identity].pop("events") == ["lost", "resumed", *expected[identity].pop("events")]
    assert ours == expected
    with Store(url) as store:
        assert store.run_locks() == []
        assert list((store.directory / "checkpoints").iterdir()) == []


@pytest.mark.slow
def test_workers_see_neither_the_store_nor_the_drivers_disk(cluster, registry, tmp_path):
    """The only node with cores lives where the driver's folder is another, empty one."""
    private = tmp_path / "private"
    private.mkdir()
    begin = [sys.executable, "-m", "ray.scripts.scripts", "start", "--address", cluster.address, "--block"]
    begin += ["--num-cpus=2", '--resources={"isolated": 1}', f"--object-store-memory={SMALL['object_store_memory']}"]
    hidden = f'mount -t tmpfs none {private} && exec "$@"'
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    with subprocess.Popen(
        ["unshare", "-m", "sh", "-c", hidden, "sh", *begin], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as node:
        try:
            check_isolated_runs(cluster, registry, private, node)
        finally:
            node.terminate()


def check_isolated_runs(cluster, registry, private, node):
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    deadline = time.monotonic() + 120
    while "isolated" not in ray.cluster_resources():
        assert node.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)

    @ray.remote(resources={"isolated": 0.1})
    def seen():
        return os.listdir(private)  # noqa: PTH208

    plans, url = plans_of(registry, SWEEP + EVALUATED), url_of(private)
    assert os.listdir(private) != []  # noqa: PTH208
    assert ray.get(seen.remote()) == []
    executor = RayExecutor(options=RayOptions(num_cpus=2.0))  # which the driver's own node has not
    outcomes = executor.run(plans, RunOptions(url, checkpoint_seconds=1e-9), Told())
    assert [each.status for each in outcomes] == ["finished"] * len(plans)
    theirs = url_of(private, "process")
    ProcessExecutor().run(plans, RunOptions(theirs), Told())
    assert record_of(url) == record_of(theirs)


@pytest.mark.slow
def test_shots_are_drawn_by_all_nodes_and_add_up_also_where_one_is_lost(cluster, tmp_path):
    victim = cluster.add_node(num_cpus=1, **SMALL)
    cluster.add_node(num_cpus=1, **SMALL)
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    code = StabilizerCode.from_paulis(["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"])
    config = LogicalErrorRateConfig.model_validate(
        {"noise": "depolarizing", "p": [0.001, 0.003], "shots": 15_000, "decoder": "bposd"}
    )

    begun = tmp_path / "begun"

    @ray.remote(num_cpus=0)
    def measure():
        from qecforge.evaluation.error_rates import measure as module

        module._SECONDS_BEFORE_POOL = 0.0
        with cluster_pool() as pool:
            width = pool.width
        counted = []

        def record(task, chunk, counts):
            counted.append((task.task_id, chunk, counts.shots, counts.errors))
            begun.touch()

        return width, module.measure_error_rates(code, config, pool=cluster_pool, record=record), counted

    measured = measure.remote()
    deadline = time.monotonic() + 120
    while not begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cluster.remove_node(victim, allow_graceful=False)
    width, ours, counted = ray.get(measured)
    assert width == 3
    assert len({each[:2] for each in counted}) == len(counted), "no chunk twice"
    theirs = measure_error_rates(code, config)
    assert [(task, replace(counts, seconds=0.0)) for task, counts in ours] == [
        (task, replace(counts, seconds=0.0)) for task, counts in theirs
    ]


def test_what_no_node_has_is_refused_in_one_line(cluster, registry, tmp_path):
    plans = plans_of(registry)
    for options, named in (({"num_gpus": 1}, "num_gpus=1"), ({"memory": "900TiB"}, "memory=")):
        executor = RayExecutor(options=RayOptions.model_validate({"address": cluster.address, **options}))
        with pytest.raises(
            ConfigurationError, match=rf"a run needs num_cpus=1, {named}.* no node .* has that"
        ) as error:
            executor.run(plans, RunOptions(url_of(tmp_path)), Told())
        assert "\n" not in str(error.value)


def test_a_cluster_that_is_not_there_is_refused_in_one_line(registry, tmp_path):
    executor = RayExecutor(options=RayOptions(address="auto"))
    with pytest.raises(ConfigurationError, match="executor ray, address: no cluster at 'auto'") as error:
        executor.run(plans_of(registry), RunOptions(url_of(tmp_path)), Told())
    assert "\n" not in str(error.value)
