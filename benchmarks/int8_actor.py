"""PPO with rollouts played in integers (`agent.actor: int8`) beside the same with float rollouts, end to end.

Both train the same agent on E1's environment (12 qubits, the APQ paper's network) in this process, alternately, and
report the steps per second of whole iterations (rollout and update) and of the rollouts alone, the requantisation of
the policy before each included. Medians over iterations; the first of each is not counted.

    python benchmarks/int8_actor.py [--quick]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from qecforge.manifest import RunPlan, load_manifest
from qecforge.registry import Registry
from qecforge.runs.policies import opened_environment

MANIFEST = """\
qecforge: 1
name: int8_actor
environment:
  plugin: code_discovery
  n: 12
  k: 1
  target_distance: 3
  max_gates: 40
  gates: [h, s, cx, swap]
reward: {plugin: knill_laflamme}
agent: {plugin: ppo, total_steps: 1_000_000_000, update_epochs: 1, minibatch_size: 512, policy: paper}
"""
SHAPES = ((32, 128), (256, 32), (1024, 32))
"""Environments and horizon: the paper's horizon and few environments, and more of them."""
ITERATIONS = 8
ROUNDS = 3


class _Speeds:
    """A training context that stops after some iterations and keeps what each reported."""

    seed = 0
    restored = None

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.seen: list[Mapping[str, float]] = []

    def advance(
        self, step: int, total: int, metrics: Mapping[str, float], state: Callable[[], Mapping[str, Any]]
    ) -> bool:
        if metrics:
            self.seen.append(dict(metrics))
        return len(self.seen) < self.iterations

    def median(self, name: str) -> float:
        return statistics.median(each[name] for each in self.seen[1:])


def run(quick: bool) -> list[dict[str, Any]]:
    """Two rows for each shape: whole iterations, and rollouts."""
    rows = []
    for num_envs, horizon in SHAPES[1:2] if quick else SHAPES:
        speeds: dict[tuple[str, str], list[float]] = {}
        for _ in range(1 if quick else ROUNDS):
            for actor in ("float", "int8"):
                measured = train(actor, num_envs, horizon)
                for what in ("steps_per_second", "rollout_steps_per_second"):
                    speeds.setdefault((what, actor), []).append(measured.median(f"time/{what}"))
        for what, words in (("steps_per_second", "end to end"), ("rollout_steps_per_second", "rollouts")):
            ours, peer = (statistics.median(speeds[what, actor]) for actor in ("int8", "float"))
            rows.append(
                {
                    "claim": f"{num_envs} environments x {horizon} steps, {words}",
                    "ours": ours,
                    "peer": peer,
                    "peer_name": "float actor (torch fp32)",
                    "ratio": ours / peer,
                    "unit": "steps/s",
                }
            )
    return rows


def train(actor: str, num_envs: int, horizon: int) -> _Speeds:
    """A few iterations with this actor."""
    overrides = [f"agent.actor={actor}", f"agent.num_envs={num_envs}", f"agent.horizon={horizon}"]
    plan: RunPlan = load_manifest(MANIFEST, registry=Registry.load(), overrides=overrides).runs()[0]
    agent = plan.agent.spec.make(plan.agent.config)
    context = _Speeds(ITERATIONS)
    with opened_environment(plan, agent) as env:
        agent.train(env, context)
    return context


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    for row in run(parser.parse_args(argv).quick):
        print(
            f"{row['claim']:45} int8 {row['ours']:9,.0f} {row['unit']}, {row['peer_name']} {row['peer']:9,.0f}, "
            f"ratio {row['ratio']:.2f}"
        )


if __name__ == "__main__":
    main()
