"""What a surrogate's gradient of the quantum layer is worth: tangential, SPSA and parameter shift beside the exact one.

On the same batches of 256, of random inputs and of a `td3` agent's own replay (Pendulum-v1, Hopper-v4): the cosine with
the exact gradient and the ratio of norms, for each sample and as it reaches PreDNN's weights; what of the surrogate's
gradient lies on the 20 rounded CZ outputs; circuits and time an update; the paper's 281.6 s. Everything differentiates
PostDNN at the mean bits: how far that is from the mean over the bits is measured too.

    python benchmarks/hybrid_gradients.py [--plan NAME] [--out FOLDER] [--cases NAME ...] [--seeds N ...]

With `--out` each plan, case and seed is a file there: what is measured already is not measured again, and the tables
are of all that is there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _gradient_cases import AGENTS, RANDOM, Batch, Case, agent_case, random_case, sampled
from _gradient_measures import Found, Reference, estimated, exact, over_strings, tangential

from qecforge.learning.torch_state import seeded_generator
from qecforge.machine.threads import compute_on
from qecforge.reporting.spread import Spread
from qecforge_td3 import TD3Config
from qecforge_td3.networks import Networks
from qecforge_td3.quantum import PaperCircuit, TangentialNetwork, circuits_of_shifts

CASES = (*AGENTS, *RANDOM)
CIRCUIT_SECONDS = 10 * (20e-9 + 20e-9) + 100e-9
"""One shot of the paper's circuit: ten layers of a rotation and a CZ, 20 ns each, and 100 ns to measure."""
PAPER_SHOTS, PAPER_BATCH = 1000, 256


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        updates: After how many updates qtDNN is looked at.
        fits: N_qt, and how many updates each is carried on for.
        shifts: Shots of parameter shift, and of how many samples: it takes 600 circuits for each.
        directions: SPSA's repeats and shots.
        starts, live_at: Random steps of the agents, and the updates at which their own qtDNN is looked at.
        strings: Samples whose mean over all strings is taken.
    """

    seeds: int = 3
    batch: int = 256
    updates: tuple[int, ...] = (1, 10, 100, 1000)
    fits: tuple[tuple[int, int], ...] = tuple((fits, 1000) for fits in (4, 8, 16, 32, 64, 128))
    shifts: tuple[tuple[int | None, int], ...] = ((None, 256), (10, 256), (100, 64), (1000, 16))
    directions: tuple[tuple[int, int | None], ...] = ((1, None), (16, None), (1, 100), (16, 100), (1, 1000), (16, 1000))
    starts: int = 1000
    live_at: tuple[int, ...] = (1, 10, 100, 1000)
    strings: int = 256


WHOLE = Plan()
SHORT = Plan(
    fits=((4, 100), (8, 100), (16, 100), (32, 100), (64, 10), (128, 10)), live_at=(1, 10, 100, 300), strings=64,
    shifts=((None, 64), (10, 256), (100, 32), (1000, 4)), directions=((1, None), (16, None), (1, 100), (16, 100)),
)  # fmt: skip
QUICK = Plan(
    seeds=1, batch=64, updates=(1, 10), fits=((4, 10), (32, 10)), shifts=((None, 8), (10, 8)),
    directions=((1, None), (1, 10)), starts=300, live_at=(1, 10), strings=8,
)  # fmt: skip
LONG = Plan(fits=((32, 1000),), shifts=(), directions=(), live_at=SHORT.live_at, strings=64)
PLANS = {"whole": WHOLE, "short": SHORT, "long": LONG, "quick": QUICK}
"""`long` is what `short` leaves out: the agent's N_qt to 1,000 updates, and nothing else."""

Row = dict[str, Any]


def measured(name: str, seed: int, plan: Plan) -> list[Row]:
    """Rows of one case and one seed: numbers of `Reference.compared`, and what they are of."""
    if name in RANDOM:
        case = random_case(RANDOM[name], seed)
    else:
        case = agent_case(name, seed, starts=plan.starts, live_at=plan.live_at, batch_size=plan.batch)
    rows = [*of_shots(case, seed, plan), *of_own_network(case), *of_fresh_networks(case, seed, plan)]
    if name in AGENTS:
        rows += of_fresh_networks(case, seed, plan, of_now=True)
    return [{"case": name, "seed": seed} | row for row in rows]


def of_shots(case: Case, seed: int, plan: Plan) -> Iterator[Row]:
    """Parameter shift and SPSA."""
    rng = np.random.default_rng([seed, 1])
    batch = case.draw(plan.batch, rng)
    reference = exact(case.networks, batch)
    yield row("exact", reference, reference, {})
    for shots, samples in plan.shifts:
        some = exact(case.networks, batch.first(samples))
        found = estimated(some, rng, gradient="parameter_shift", shots=shots)
        yield row("parameter_shift", some, found, {"shots": shots, "circuits": circuits_of_shifts(some.circuit)})
    for repeats, shots in plan.directions:
        found = estimated(reference, rng, gradient="spsa", shots=shots, spsa_repeats=repeats)
        yield row("spsa", reference, found, {"repeats": repeats, "shots": shots, "circuits": 2 * repeats})


def of_own_network(case: Case) -> Iterator[Row]:
    """The agent's own qtDNN while PreDNN moves, right after updates of its training."""
    for updates, (networks, batch) in case.live.items():
        reference = exact(networks, batch)
        assert networks.tangential is not None
        found, beside = tangential(networks, batch, networks.tangential, reference)
        yield row("tangential, in training", reference, found, {"fits": TD3Config().fits, "updates": updates} | beside)


def of_fresh_networks(case: Case, seed: int, plan: Plan, of_now: bool = False) -> Iterator[Row]:
    """A new qtDNN for each N_qt, fitted to one batch after the other of networks that stay as they are; and, after the
    last update with the agent's N_qt, what mean bits in the place of the mean over bits cost.

    Args:
        of_now: The agent's N_qt alone, fitted to q_in of the same observations by PreDNN as it is now, and bits that
            are sampled anew: the replay's are of PreDNN as it was.
    """
    for fits, most in plan.fits:
        if of_now and fits != TD3Config().fits:
            continue
        network = TangentialNetwork(220, 10, generator=seeded_generator(seed))
        rng = np.random.default_rng([seed, 2])
        seconds = 0.0
        for update in range(1, most + 1):
            batch = case.draw(plan.batch, rng)
            if of_now:
                batch = sampled(case.networks, batch.s, rng)
            started = time.process_time()
            network.fit(batch.q_in, batch.q_out, rng, fits=fits)
            seconds += time.process_time() - started
            if update not in plan.updates:
                continue
            reference = exact(case.networks, batch)
            found, beside = tangential(case.networks, batch, network, reference)
            found.seconds += seconds / update
            method = "tangential, pairs of now" if of_now else "tangential"
            yield row(method, reference, found, {"fits": fits, "updates": update} | beside)
            if fits == TD3Config().fits and update == most and not of_now:
                yield from of_mean_bits(case.networks, batch.first(plan.strings), network, update)


def of_mean_bits(networks: Networks, batch: Batch, network: TangentialNetwork, updates: int) -> Iterator[Row]:
    """The gradients at the mean bits beside the gradient of the mean over all strings."""
    reference = exact(networks, batch)
    whole = over_strings(networks, batch, reference)
    found, _ = tangential(networks, batch, network, reference)
    about = {"fits": TD3Config().fits, "updates": updates}
    yield row("exact, beside the mean over bits", reference, reference, {}, whole)
    yield row("tangential, beside the mean over bits", reference, found, about, whole)


def row(method: str, reference: Reference, found: Found, about: Row, other: Found | None = None) -> Row:
    """One comparison."""
    samples = len(found.by_q_in)
    about = {"samples": samples, "cpu_ms": 1e3 * found.seconds * PAPER_BATCH / samples} | about
    return {"method": method} | about | reference.compared(found, other)


NUMBERS = (
    "cosine", "norm_ratio", "layer_cosine", "pre_cosine", "pre_norm_ratio", "pre_cosine_with_cz", "whole_cosine",
    "cz_share", "means_r2", "cpu_ms",
)  # fmt: skip
KEYS = ("case", "method", "fits", "updates", "repeats", "shots", "circuits", "samples")


def over_seeds(rows: Sequence[Row]) -> list[Row]:
    """A row for each thing that was measured: means over the seeds with Student's 95 % intervals. Of a thing that was
    measured twice with a seed the first counts."""
    groups: dict[tuple[Any, ...], dict[int, Row]] = {}
    for each in rows:
        groups.setdefault(tuple(each.get(key) for key in KEYS), {}).setdefault(each["seed"], each)
    found = []
    for key, members in groups.items():
        numbers = {name: Spread.of(member.get(name) for member in members.values()) for name in NUMBERS}
        about = dict(zip(KEYS, key, strict=True))
        found.append(about | {name: each.row() for name, each in numbers.items() if each is not None})
    return found


def of_the_paper() -> list[Row]:
    """Seconds of an update's gradient on the paper's device, as it counts and as the rules of shifts count."""
    shots = PAPER_SHOTS * PAPER_BATCH * CIRCUIT_SECONDS
    rules = {"R": circuits_of_shifts(PaperCircuit()), "RY, RZ": circuits_of_shifts(PaperCircuit(rotation="ry_rz"))}
    about = {"unit": "s on the paper's device", "peer_name": "paper"}
    counts = {
        "the paper's count: 220 inputs x 10 outputs": 220 * 10,
        f"parameter shift, R(theta, phi): {rules['R']} circuits a sample": rules["R"],
        f"parameter shift, RY and RZ: {rules['RY, RZ']} circuits a sample": rules["RY, RZ"],
        "SPSA, one direction: 2 circuits a sample": 2,
    }
    return [
        {"claim": f"one update, 256 samples, 1,000 shots; {name}", "ours": count * shots, "peer": 281.6, "target": None}
        | {"ratio": 281.6 / (count * shots)}
        | about
        for name, count in counts.items()
    ]


def named(each: Row) -> str:
    """What was measured, in words."""
    options = [f"N_qt {each['fits']}, {each['updates']:,} update{'s' * (each['updates'] > 1)}"] if each["fits"] else []
    if each["repeats"]:
        options.append(f"{each['repeats']} direction{'s' * (each['repeats'] > 1)}")
    if each["circuits"]:
        options.append("exact means" if each["shots"] is None else f"{each['shots']:,} shots")
    return ", ".join([each["method"], *options])


def run(quick: bool = False, seeds: int | None = None) -> list[Row]:
    """What `qecforge bench` shows: cosines for each sample beside the exact gradient's, and the paper's seconds."""
    compute_on(1)
    plan = QUICK if quick else Plan()
    rows = [each for name in CASES for seed in range(seeds or plan.seeds) for each in measured(name, seed, plan)]
    return [shown(each) for each in over_seeds(rows)] + of_the_paper()


def shown(each: Row) -> Row:
    """As a row of `qecforge bench`."""
    cosine = each["cosine"]["mean"]
    return {"claim": f"{each['case']}: {named(each)}", "ours": cosine, "unit": "cosine, each sample", "peer": 1.0} | {
        "peer_name": "exact gradient" if "beside" not in each["method"] else "exact, of the mean over bits",
        "ratio": cosine,
        "target": None,
        "numbers": each,
    }


def table(rows: Sequence[Row]) -> str:
    """Markdown: one table for each case."""
    lines: list[str] = []
    for case in dict.fromkeys(each["case"] for each in rows):
        head = [
            "",
            "cosine",
            "norm",
            "cosine at PreDNN",
            "norm there",
            "with CZs",
            "with links",
            "on CZs",
            "R² of means",
        ]
        lines += ["", f"### {case}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        names = ("cosine", "norm_ratio", "pre_cosine", "pre_norm_ratio", "pre_cosine_with_cz", "whole_cosine")
        for each in (found for found in rows if found["case"] == case):
            cells = [cell(each.get(name)) for name in (*names, "cz_share", "means_r2")]
            lines.append(f"| {named(each)} | {' | '.join(cells)} |")
    return "\n".join(lines).strip()


def cell(value: dict[str, float] | None) -> str:
    """A mean with its interval."""
    if value is None:
        return ""
    if value["seeds"] == 1:
        return f"{value['mean']:.2f} (one seed)"
    return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def main(argv: list[str] | None = None) -> None:
    """Measure what is not in the folder yet; print the tables, and write them with their numbers beside the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plan", choices=PLANS, default="whole", help="How much is measured.")
    parser.add_argument("--quick", dest="plan", action="store_const", const="quick", help="The same as --plan quick.")
    parser.add_argument("--out", type=Path, help="Folder of a file for each plan, case and seed.")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=CASES)
    parser.add_argument("--seeds", nargs="*", type=int, help="Default: 0, 1 and 2; quick: 0.")
    options = parser.parse_args(argv)
    compute_on(1)
    plan = PLANS[options.plan]
    rows: list[Row] = []
    for seed in options.seeds if options.seeds is not None else range(plan.seeds):
        for name in options.cases:
            file = (
                options.out and options.out / f"{options.plan}-{name.replace(', ', '_').replace(' ', '_')}-{seed}.json"
            )
            if file and file.exists():
                continue
            found = measured(name, seed, plan)
            rows += found
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(found), encoding="utf-8")
    if options.out:
        rows = [row for file in sorted(options.out.glob("*-*.json")) for row in json.loads(file.read_text("utf-8"))]
    together = over_seeds(rows)
    if options.out:
        (options.out / "hybrid_gradients.json").write_text(json.dumps(together, indent=1) + "\n", encoding="utf-8")
    print(table(together))


if __name__ == "__main__":
    main()
