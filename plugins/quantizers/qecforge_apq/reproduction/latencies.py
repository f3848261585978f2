"""What is measured once the runs of the argmax-preserving quantization paper are there: latencies of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qecforge.contracts import closing
from qecforge.machine.provenance import cpu_model
from qecforge_apq.reproduction.runs import LATENCY, Planned, collect
from qecforge_apq.reproduction.tables import grouped

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Store

__all__ = ["add_latency", "measure_latencies"]


def measure_latencies(store: Store, planned: Sequence[Planned], registry: Registry) -> None:
    """Of one policy of each experiment and method, where the store has it not from this CPU: no seed changes it.
    Runs that come from a file of records have no policy."""
    for group in grouped(collect(store, planned)).values():
        if any(result.latency.get("cpu") == cpu_model() for result in group):
            continue
        ids = (result.run.id for result in group)
        if with_policy := next((each for each in ids if store.artifacts(each)), None):
            add_latency(store, with_policy, registry)


def add_latency(store: Store, run_id: str, registry: Registry, *, budget: float = 0.3) -> None:
    """Measure a finished run's policy on this machine and file it as the evaluation `latency`.

    Latency of the network on every runtime, on all cores; steps per second of rollouts with one thread, the members as
    many as in training.

    Args:
        budget: Seconds for each latency, a third of those for the rollouts.
    """
    from qecforge.evaluation.policies.fidelity import collect_states
    from qecforge.inference.latency import measure_latency, rollout_speed
    from qecforge.machine.cores import available_cores
    from qecforge.runs.policies import load_policy

    env, policy = load_policy(store, run_id, registry=registry)
    with closing(env, "the environment"):
        observations = collect_states(env, policy, 256).observations
        rows = measure_latency(policy, observations, budget=budget)
        steps_per_second = rollout_speed(env, policy, seconds=3 * budget)
    fastest = min(row.seconds for row in rows if row.batch == 1)
    payload = {
        "rows": [row.row() for row in rows],
        "threads": available_cores(),
        "cpu": cpu_model(),
        "rollout_steps_per_second": steps_per_second,
        "num_envs": env.num_envs,
    }
    values = {"latency_us": 1e6 * fastest, "rollout_steps_per_second": steps_per_second}
    store.add_policy_evaluation(run_id, LATENCY, values, payload=payload)
