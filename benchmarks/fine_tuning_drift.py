"""How far fine-tuning alone moves a policy from its teacher: the float policy, and LSQ's INT8 student, tuned alike.

A quantized student that is fine-tuned with the agent's own objective disagrees with the frozen teacher for two reasons:
its integers, and what it has learned since. Here the same teacher (E1, the APQ paper's network) is fine-tuned twice by
the same agent, once as the float network that it is and once as LSQ's student, at several learning rates; the share of
the teacher's states on which the best action stays the same is given for both, and for PTQ, which is not tuned.

    python benchmarks/fine_tuning_drift.py [--quick] [--store URL]

Args:
    --store: Take the teacher from this store, where `qecforge reproduce apq` has trained it (experiment e1, seed 0).
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

from qecforge import Registry, Store, load_policy
from qecforge.evaluation import collect_states, decision_fidelity, policy_logits
from qecforge.hookspecs import Policy
from qecforge.manifest import RunPlan
from qecforge.policies import build_environment
from qecforge.reporting.apq import plan_runs
from qecforge.testing.contexts import RecordingContext

STATES = 10_000
STEPS = 50_000
RATES = (1.0e-4, 3.0e-5, 1.0e-5)


def run(quick: bool, store: str | None = None) -> list[dict[str, Any]]:
    """A row for PTQ, and one for each learning rate."""
    registry = Registry.load()
    plan = plan_of("fp32", registry)
    teacher = trained(plan, quick) if store is None else stored(store, registry)
    visited = collect_states(build_environment(plan, agent_of(plan)), teacher, 1_000 if quick else STATES, seed=1)

    def agreement(policy: Policy) -> float:
        logits = (policy_logits(each, visited.observations) for each in (teacher, policy))
        return decision_fidelity(*logits, visited.masks).top1

    quantizers = {name: registry.quantizers[name].spec for name in ("ptq", "lsq")}
    ptq = quantizers["ptq"].make(quantizers["ptq"].config())
    calibration = collect_states(build_environment(plan, agent_of(plan)), teacher, ptq.calibration_states, seed=2)
    quantized = agreement(ptq.quantize(copy.deepcopy(teacher), calibration.observations))
    rows = [row("PTQ, not tuned", quantized, 1.0, "the teacher itself")]
    for rate in RATES[1:2] if quick else RATES:
        agent = agent_of(plan, total_steps=4_096 if quick else STEPS, learning_rate=rate, entropy=0.0)
        env = build_environment(plan, agent)
        tuned = agent.train(env, RecordingContext(env, seed=3), policy=copy.deepcopy(teacher))
        lsq = quantizers["lsq"].make(quantizers["lsq"].config())
        env = build_environment(plan, agent)
        student = lsq.prepare(teacher, env)
        loss = lsq.extra_loss(teacher, student, env)
        agent.train(env, RecordingContext(env, seed=3), policy=student, extra_loss=loss)
        converted = agreement(lsq.convert(student))
        rows.append(row(f"LSQ, learning rate {rate:g}", converted, agreement(tuned), "float policy tuned alike"))
    return rows


def row(claim: str, ours: float, peer: float, peer_name: str) -> dict[str, Any]:
    """Top-1 agreement with the teacher, beside a peer's."""
    ratio = ours / peer
    return {"claim": claim, "ours": ours, "unit": "top-1", "peer": peer, "peer_name": peer_name, "ratio": ratio}


def plan_of(method: str, registry: Registry) -> RunPlan:
    """E1's run of the reproduction with seed 0."""
    (planned,) = plan_runs(["e1"], [method], seeds=[0], registry=registry)
    return planned.plan


def agent_of(plan: RunPlan, **changes: Any) -> Any:
    """The plan's agent, some of its configuration changed."""
    return plan.agent.spec.make(plan.agent.config.model_copy(update=changes))


def trained(plan: RunPlan, quick: bool) -> Policy:
    """The teacher, trained here."""
    agent = agent_of(plan, **({"total_steps": 20_480} if quick else {}))
    env = build_environment(plan, agent)
    policy: Policy = agent.train(env, RecordingContext(env, seed=plan.seed))
    return policy


def stored(url: str, registry: Registry) -> Policy:
    """The teacher that a reproduction has left in a store."""
    with Store(url, read_only=True) as store:
        wanted = plan_of("fp32", registry).identity
        found = [each for each in store.runs(status="finished", seed=0) if each.identity == wanted]
        if not found:
            raise SystemExit(f"{url}: holds no finished run of e1 with seed 0: qecforge reproduce apq makes it")
        return load_policy(store, found[0].id, registry=registry)[1]


def main(argv: list[str] | None = None) -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--store", metavar="URL")
    arguments = parser.parse_args(argv)
    for each in run(arguments.quick, arguments.store):
        print(f"{each['claim']:28} top-1 {each['ours']:.4f}   {each['peer_name']:26} {each['peer']:.4f}")


if __name__ == "__main__":
    main()
