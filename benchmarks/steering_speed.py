"""Steering a surface code: epochs per second of environment and agent together, beside scipy and sampled circuits.

Every script in this folder has a docstring whose first line says what it shows, and `run(quick) -> list[dict]`. A row
holds at least `claim`, `ours`, `peer`, `peer_name`, `ratio`, `target` and `unit`; `qecforge bench` prints them.

Ours: agent `parameter_ppo` with its defaults (masking, clip, one replayed epoch, two inner steps) on environment
`surface_steering`, closed-form engine, 40 candidates x 1,000 cycles. The clock runs over whole epochs, drawing and
learning included.

Peers, in the same run:
    scipy: the same epoch written with numpy and scipy.sparse, and the plain masked gradient alone: no clip, no replay.
    stim engine: the same agent on the engine that samples every fault.
    circuits: the direct way, each candidate's circuit built, compiled and sampled by stim.

Further rows: how the time of an epoch grows with the number of parameters, distance 3 to 25; and peak memory there.

    python benchmarks/steering_speed.py [--quick] [D,P ...]          # distance and parameters per gate, such as 15,30
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TARGETS = {(3, 10): 3000, (5, 10): 2000, (15, 30): 60}
"""(distance, parameters per gate) and the epochs per second aimed at on two cores."""

CANDIDATES, CYCLES = 40, 1000
GROWTH_DISTANCES, GROWTH_PARAMETERS, GROWTH_LIMIT = (3, 5, 9, 15, 25), 30, 1.1
MEMORY_CASE, MEMORY_LIMIT_MIB = (25, 30), 2048


def make_environment(d: int, P: int, engine: str = "closed_form") -> Any:
    """Surface code of distance d, P parameters a gate, started a little off its optimum."""
    from qecforge_surface_steering import SurfaceSteeringConfig, make

    config = SurfaceSteeringConfig(
        distance=d,
        parameters_per_gate=P,
        cycles=CYCLES,
        engine=engine,
        start={"kind": "miscalibrated", "sigma": 0.3},
    )
    return make(config, num_envs=CANDIDATES, seed=0, reward=None)


def make_search(env: Any) -> Any:
    """The agent's search with default settings."""
    from qecforge_ppo import ParameterPPOConfig
    from qecforge_ppo.parameters.agent import ParameterPPO

    return ParameterPPO(ParameterPPOConfig(candidates=CANDIDATES)).search(env, 0)


def our_epoch(env: Any) -> Callable[[], Any]:
    """One epoch: ask, try, tell."""
    search = make_search(env)
    env.reset(seed=0)
    return lambda: search.tell(env.step(search.ask())[1])


def scipy_epoch(env: Any) -> Callable[[], Any]:
    """One epoch of the plain masked gradient, in numpy and scipy.sparse. It returns its candidates and their rates."""
    from scipy.sparse import csr_array

    model, landscape, P = env.model, env.landscape, env.config.parameters_per_gate
    G, m = model.num_gates, model.num_objectives
    counts = csr_array((model.counts.astype(float), model.indices, model.indptr), shape=(model.num_classes, G))
    per_objective = model.multiplicity / np.bincount(model.objective, model.multiplicity)[model.objective]
    averages = csr_array((per_objective, (model.objective, np.arange(model.num_classes))), shape=(m, model.num_classes))
    mask = ((averages @ counts) > 0).astype(np.float32)
    rng = np.random.default_rng(0)
    sigma = np.float32(0.5)
    mean, optimum = env.initial_parameters.astype(np.float32), env.optimum().astype(np.float32)

    def epoch() -> Any:
        nonlocal mean
        z = rng.standard_normal((CANDIDATES, len(mean)), dtype=np.float32)
        candidates = mean + sigma * z
        away = np.square(candidates - optimum).reshape(CANDIDATES, G, P).mean(2, dtype=np.float64)
        errors = -landscape.p_max * np.expm1(-(landscape.floor + landscape.curvature * away) / landscape.p_max)
        rates = (averages @ (-0.5 * np.expm1(counts @ np.log1p(-model.attenuation * errors).T))).T
        rewards = -rng.binomial(env.trials, rates) / env.trials
        advantages = (rewards - rewards.mean(0)) / (rewards.std(0) + 1e-12)
        summed = (mask.T @ advantages.T).T.astype(np.float32)
        mean = mean + np.float32(0.1) * sigma * (np.repeat(summed, P, axis=1) * z).mean(0)
        return candidates, rates

    return epoch


def circuits_epoch(env: Any, candidates: int) -> Callable[[], Any]:
    """So many candidates' circuits built, compiled and sampled."""
    search = make_search(env)
    vectors = search.ask()[:candidates].astype(np.float64)

    def epoch() -> Any:
        return [
            circuit.compile_detector_sampler(seed=k).sample(env.config.shots).mean(0)
            for k, vector in enumerate(vectors)
            for circuit in env.noisy_circuits(vector)
        ]

    return epoch


def measure(epoch: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Epochs per second by the wall clock, the best of five stretches, and CPU milliseconds of an epoch, all threads
    together, which other load on the machine disturbs less."""
    epoch()
    start = time.perf_counter()
    epoch()
    once = time.perf_counter() - start
    count = max(1, round(seconds / 5 / once))
    walls, cpus = [], []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            epoch()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return count / min(walls), 1e3 * min(cpus) / count


def peak_memory(d: int, P: int) -> float:
    """MiB that a process of its own takes at most, from its start through five epochs."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", f"{d},{P}"], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def own_peak() -> float:
    """Largest resident size of this process so far, MiB. Not `getrusage`, which on Linux remembers the parent's."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024


def speed_rows(d: int, P: int, seconds: float) -> list[dict[str, Any]]:
    """One size beside scipy, beside the stim engine, and beside circuits built anew."""
    env = make_environment(d, P)
    parameters = len(env.parameter_names)
    ours, cpu = measure(our_epoch(env), seconds)
    claim = f"steering epochs, d={d}, {parameters:,} parameters"
    common = {"claim": claim, "ours": ours, "target": TARGETS.get((d, P)), "unit": "epochs/s"}
    rows = []
    scipy, scipy_cpu = measure(scipy_epoch(env), seconds)
    few = 1 if d > 5 else 4
    circuits, _ = measure(circuits_epoch(env, few), min(seconds, 1.0))
    sampled, _ = measure(our_epoch(make_environment(d, P, "stim")), min(seconds, 1.0))
    for name, peer, used in (
        ("scipy, plain gradient", scipy, scipy_cpu),
        ("stim engine, same agent", sampled, None),
        (f"a circuit per candidate ({few} of {CANDIDATES} timed)", circuits * few / CANDIDATES, None),
    ):
        rows.append(
            {**common, "peer": peer, "peer_name": name, "ratio": ours / peer, "cpu_ms": cpu, "peer_cpu_ms": used}
        )
    return rows


def growth_row(seconds: float, distances: tuple[int, ...] = GROWTH_DISTANCES) -> dict[str, Any]:
    """The exponent b of CPU time ~ parameters^b over the larger sizes, where fixed costs no longer count."""
    sizes, cpus = [], []
    for d in distances:
        env = make_environment(d, GROWTH_PARAMETERS)
        sizes.append(len(env.parameter_names))
        cpus.append(measure(our_epoch(env), seconds)[1])
    exponent = float(np.polyfit(np.log(sizes[1:]), np.log(cpus[1:]), 1)[0])
    return {
        "claim": f"growth of an epoch's time, d={distances[0]}..{distances[-1]}, P={GROWTH_PARAMETERS}",
        "ours": exponent,
        "peer": 1.0,
        "peer_name": "linear",
        "ratio": 1.0 / exponent,
        "target": GROWTH_LIMIT,
        "unit": "exponent (less is better)",
        "table": [
            f"{size:,} parameters: {cpu:.2f} CPU ms an epoch, {1e6 * cpu / (size * CANDIDATES):.1f} ns each"
            for size, cpu in zip(sizes, cpus, strict=True)
        ],
    }


def memory_row() -> dict[str, Any]:
    """Peak memory of the largest case."""
    memory = peak_memory(*MEMORY_CASE)
    return {
        "claim": f"peak memory, d={MEMORY_CASE[0]}, P={MEMORY_CASE[1]}",
        "ours": memory,
        "peer": float(MEMORY_LIMIT_MIB),
        "peer_name": "limit",
        "ratio": MEMORY_LIMIT_MIB / memory,
        "target": MEMORY_LIMIT_MIB,
        "unit": "MiB (less is better)",
    }


def run(quick: bool, sizes: list[tuple[int, int]] | None = None) -> list[dict[str, Any]]:
    """Three rows for each size, one for growth, one for memory. `quick` shortens the stretches."""
    seconds = 0.5 if quick else 3.0
    rows = [row for d, P in sizes or TARGETS for row in speed_rows(d, P, seconds)]
    if sizes is None:
        rows += [growth_row(seconds), memory_row()]
    return rows


def _size(text: str) -> tuple[int, int]:
    d, P = map(int, text.split(","))
    return d, P


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=_size, help="such as 15,30; all by default")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", type=_size, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.memory:
        epoch = our_epoch(make_environment(*arguments.memory))
        for _ in range(5):
            epoch()
        print(own_peak())
        return
    print(f"{'claim':46} {'ours':>9} {'target':>7} {'peer':>9} {'ratio':>8}  peer, unit")
    for row in run(arguments.quick, arguments.sizes or None):
        target = "" if row["target"] is None else f"{row['target']:,}"
        digits = 0 if row["ours"] >= 100 else max(0, 2 - math.floor(math.log10(row["ours"])))
        print(
            f"{row['claim']:46} {row['ours']:>9,.{digits}f} {target:>7} {row['peer']:>9,.2f} {row['ratio']:>8,.1f}  "
            f"{row['peer_name']}; {row['unit']}"
        )
        if row.get("cpu_ms") is not None and row.get("peer_cpu_ms") is not None:
            print(f"{'':46} {row['cpu_ms']:>9.2f} {'':7} {row['peer_cpu_ms']:>9.2f} {'':8}  CPU ms an epoch")
        for line in row.get("table", ()):
            print(f"  {line}")


if __name__ == "__main__":
    main()
