"""How far fine-tuning alone moves a policy: the float policy, LSQ's and APQ's INT8 students, tuned alike.

A quantized student that is fine-tuned with the agent's own objective disagrees with the frozen teacher for two reasons:
its integers, and what it has learned since. Here the same teacher (E1, the APQ paper's network) is fine-tuned by the
same agent as the float network that it is, as LSQ's student and as APQ's, at several learning rates. Given is the share
of the teacher's states on which the best action stays the same, each visit counted and each distinct state counted
once, and the same for PTQ, which is not tuned.

    python benchmarks/fine_tuning_drift.py [--quick] [--store URL] [--seeds N]

Args:
    --store: Take the teachers from this store, where `qecforge reproduce apq` has trained them (experiment e1).
    --seeds: Teachers, seeds 0..N-1.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from typing import Any

from qecforge import Registry, Store, load_policy
from qecforge.contracts import Policy
from qecforge.evaluation import DecisionFidelity, collect_states, decision_fidelity, policy_logits
from qecforge.manifest import RunPlan
from qecforge.reporting.spread import Spread
from qecforge.runs.policies import opened_environment
from qecforge.testing.contexts import RecordingContext
from qecforge_apq.reproduction.runs import plan_runs

STATES = 10_000
STEPS = 50_000
RATES = (3.0e-5, 3.0e-6, 3.0e-7)


def run(quick: bool, store: str | None = None, seeds: int = 1) -> list[dict[str, Any]]:
    """A row for PTQ, and two for each learning rate: LSQ and APQ beside the float policy."""
    found: dict[str, list[DecisionFidelity]] = {}
    for seed in range(seeds):
        for what, fidelity in fidelities(quick, store, seed):
            found.setdefault(what, []).append(fidelity)
    rows = [row("PTQ, not tuned", found["PTQ"], None)]
    for rate in rates(quick):
        tuned = found[f"float {rate:g}"]
        rows += [row(f"{name}, learning rate {rate:g}", found[f"{name} {rate:g}"], tuned) for name in ("LSQ", "APQ")]
    return rows


def rates(quick: bool) -> tuple[float, ...]:
    """Learning rates of the fine-tuning; the first is the reproduction's."""
    return RATES[:1] if quick else RATES


def fidelities(quick: bool, store: str | None, seed: int) -> Iterator[tuple[str, DecisionFidelity]]:
    """Of one teacher's descendants: PTQ, and for each learning rate the float policy and both students."""
    registry = Registry.load()
    plan = plan_of("fp32", registry, seed)
    teacher = trained(plan, quick) if store is None else stored(store, registry, seed)
    ptq = registry.quantizers["ptq"].spec
    quantizer = ptq.make(ptq.config())
    with opened_environment(plan, agent_of(plan)) as env:
        visited = collect_states(env, teacher, 1_000 if quick else STATES, seed=1)
        calibration = collect_states(env, teacher, quantizer.calibration_states, seed=2)
    expected = policy_logits(teacher, visited.observations)
    identities = visited.identities()

    def fidelity(policy: Policy) -> DecisionFidelity:
        logits = policy_logits(policy, visited.observations)
        return decision_fidelity(expected, logits, visited.masks, identities=identities)

    yield "PTQ", fidelity(quantizer.quantize(copy.deepcopy(teacher), calibration.observations))
    for rate in rates(quick):
        agent = agent_of(plan, total_steps=4_096 if quick else STEPS, learning_rate=rate, entropy=0.0)
        with opened_environment(plan, agent) as env:
            tuned = agent.train(env, RecordingContext(env, seed=3), policy=copy.deepcopy(teacher))
        yield f"float {rate:g}", fidelity(tuned)
        for name in ("lsq", "apq"):
            quantization = plan_of(name, registry, seed).quantization
            assert quantization is not None
            quantizer = quantization.quantizer.spec.make(quantization.quantizer.config)
            with opened_environment(plan, agent) as env:
                student = quantizer.prepare(teacher, env)
                loss = quantizer.extra_loss(teacher, student, env)
                agent.train(env, RecordingContext(env, seed=3), policy=student, extra_loss=loss)
            yield f"{name.upper()} {rate:g}", fidelity(quantizer.convert(student))


def row(claim: str, ours: list[DecisionFidelity], tuned: list[DecisionFidelity] | None) -> dict[str, Any]:
    """Top-1 agreement with the teacher, beside that of the float policy tuned alike; means over seeds."""

    def means(each: list[DecisionFidelity]) -> tuple[float, float]:
        distinct = Spread.student(one.top1_distinct for one in each)
        assert distinct is not None
        return sum(one.top1 for one in each) / len(each), distinct.mean

    (visits, once), (peer, peer_once) = means(ours), (1.0, 1.0) if tuned is None else means(tuned)
    spread = Spread.student(one.top1 for one in ours)
    assert spread is not None
    return {
        "claim": claim,
        "ours": visits,
        "unit": "top-1",
        "peer": peer,
        "peer_name": "the teacher itself" if tuned is None else "float policy tuned alike",
        "ratio": visits / peer,
        "once": once,
        "peer_once": peer_once,
        "interval": [spread.low, spread.high],
        "seeds": len(ours),
    }


def plan_of(method: str, registry: Registry, seed: int) -> RunPlan:
    """E1's run of the reproduction with that seed."""
    (planned,) = plan_runs(["e1"], [method], seeds=[seed], registry=registry)
    return planned.plan


def agent_of(plan: RunPlan, **changes: Any) -> Any:
    """The plan's agent, some of its configuration changed."""
    return plan.agent.spec.make(plan.agent.config.model_copy(update=changes))


def trained(plan: RunPlan, quick: bool) -> Policy:
    """The teacher, trained here."""
    agent = agent_of(plan, **({"total_steps": 20_480} if quick else {}))
    with opened_environment(plan, agent) as env:
        policy: Policy = agent.train(env, RecordingContext(env, seed=plan.seed))
    return policy


def stored(url: str, registry: Registry, seed: int) -> Policy:
    """The teacher that a reproduction has left in a store."""
    with Store(url, read_only=True) as store:
        wanted = plan_of("fp32", registry, seed).identity
        found = [each for each in store.runs(status="finished", seed=seed) if each.identity == wanted]
        if not found:
            raise SystemExit(f"{url}: holds no finished run of e1 with seed {seed}: qecforge reproduce apq makes it")
        env, policy = load_policy(store, found[0].id, registry=registry)
    env.close()
    return policy


def main(argv: list[str] | None = None) -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--store", metavar="URL")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    arguments = parser.parse_args(argv)
    print(f"{'top-1 with the teacher':28} {'each visit':>10} {'95 %':>18} {'each state once':>16}   float tuned alike")
    for each in run(arguments.quick, arguments.store, arguments.seeds):
        interval = "[{:.4f}, {:.4f}]".format(*each["interval"])
        ours = f"{each['claim']:28} {each['ours']:10.4f} {interval:>18} {each['once']:16.4f}"
        print(f"{ours}   {each['peer']:.4f}, {each['peer_once']:.4f}")


if __name__ == "__main__":
    main()
