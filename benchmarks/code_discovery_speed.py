"""Environment and reward together: steps per second of code discovery, beside the dense formulation in torch.

Every script in this folder has a docstring whose first line says what it shows, and `run(quick) -> list[dict]`. A row
holds at least `claim`, `ours`, `peer`, `peer_name`, `ratio`, `target` and `unit`; `qecforge bench` prints them.

Ours: 4,096 environments take random actions, with preallocated buffers and immediate reset of finished episodes; the
clock runs over whole episodes, so the codes scored range from the trivial one to random circuits of 40 gates.

With look-ahead (`show_lookahead`), a step also scores a code for every action; 256 environments.

The peer gets the tableaus ready-made and only scores them: the matrix product of all error vectors of weight < d with
the rows of each tableau, modulo 2, batched, on as many threads as torch takes. The scores of both are compared.

    python benchmarks/code_discovery_speed.py [--quick] [CODE ...]          # CODE such as 12,1,3
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGETS = {
    (7, 1, 3): None,
    (12, 1, 3): 5_000_000,
    (20, 1, 3): 2_000_000,
    (11, 1, 5): 1_000_000,
    (14, 1, 5): 250_000,
    (17, 1, 7): 30_000,
    (25, 1, 5): 10_000,
}
"""[[n,k,d]] and the steps per second aimed at on two cores."""

LOOKAHEAD = ((7, 1, 3), (12, 1, 3), (11, 1, 5))
"""Codes that are measured with look-ahead too."""

ENVIRONMENTS = 4096
LOOKAHEAD_ENVIRONMENTS = 256
MEMORY_ENVIRONMENTS = 1024
GATES = 40
MEMORY_LIMIT_MIB = 1024
PEER_ERRORS = 1_500_000  # the dense error matrix of [[17,1,7]] alone would take 1.5 GB


def make_environment(n: int, k: int, d: int, *, num_envs: int | None = None, lookahead: bool = False) -> Any:
    """The environment of a row, its default options but for the gate budget."""
    from qecforge_code_discovery import CodeDiscoveryConfig, make
    from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig

    config = CodeDiscoveryConfig(n=n, k=k, target_distance=d, max_gates=GATES, show_lookahead=lookahead)
    num_envs = num_envs or (LOOKAHEAD_ENVIRONMENTS if lookahead else ENVIRONMENTS)
    return make(config, num_envs=num_envs, seed=0, reward=KnillLaflamme(KnillLaflammeConfig()))


def measure_environment(n: int, k: int, d: int, seconds: float, *, lookahead: bool = False) -> tuple[float, float]:
    """Steps per second by the wall clock, and of one thread by its CPU time, which other load on the machine disturbs
    less; each the best of several stretches of whole episodes."""
    import numba

    threads = numba.get_num_threads()
    by_wall, _ = _measure(n, k, d, seconds, lookahead)
    numba.set_num_threads(1)
    try:
        _, by_cpu = _measure(n, k, d, seconds, lookahead)
    finally:
        numba.set_num_threads(threads)
    return by_wall, by_cpu


def _measure(n: int, k: int, d: int, seconds: float, lookahead: bool) -> tuple[float, float]:
    from qecforge.contracts import StepBuffers

    env = make_environment(n, k, d, lookahead=lookahead)
    members = env.num_envs
    rng = np.random.default_rng(0)
    actions = rng.integers(env.single_action_space.n, size=(GATES, members))
    observations, infos = env.reset(seed=0)
    out = StepBuffers(
        observations=observations,
        rewards=np.empty(members, np.float32),
        terminated=np.empty(members, np.bool_),
        truncated=np.empty(members, np.bool_),
        action_mask=infos.get("action_mask"),
    )

    def stretch(episodes: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(episodes):
            for chosen in actions:
                env.step(chosen, out)
        return time.perf_counter() - wall, time.process_time() - cpu

    stretch(1)
    once, _ = stretch(1)
    episodes = max(1, round(seconds / 5 / once))
    taken = [stretch(episodes) for _ in range(5)]
    steps = episodes * GATES * members
    return steps / min(wall for wall, _ in taken), steps / min(cpu for _, cpu in taken)


def tableau_rows(words: NDArray[np.uint64], rows: int) -> NDArray[np.float32]:
    """(B, 2n, rows): whether X_q (first n), Z_q (last n) anticommute with each row, as 0 or 1."""
    bits = (words[..., 0, None] >> np.arange(rows, dtype=np.uint64)) & np.uint64(1)
    return np.concatenate([bits[:, :, 0], bits[:, :, 1]], axis=1).astype(np.float32)


def error_vectors(n: int, d: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(E, 2n) all errors of weight 1..d-1 as [X|Z] bits, and p(E) under depolarizing noise of probability 0.1."""
    blocks, weights = [], []
    for weight in range(1, d):
        qubits = np.array(list(itertools.combinations(range(n), weight)))
        paulis = np.array(list(itertools.product((1, 2, 3), repeat=weight)))
        block = np.zeros((len(qubits), len(paulis), 2 * n), np.float32)
        for place in range(weight):
            for part in range(2):
                acts = (paulis[:, place] >> part) & 1
                block[np.arange(len(qubits))[:, None], np.arange(len(paulis)), qubits[:, place, None] + part * n] = acts
        blocks.append(block.reshape(-1, 2 * n))
        weights.append(np.full(len(qubits) * len(paulis), (0.1 / 3) ** weight * 0.9 ** (n - weight)))
    return np.concatenate(blocks), np.concatenate(weights).astype(np.float32)


def measure_dense(n: int, k: int, d: int, seconds: float) -> tuple[float, float]:
    """Codes per second of the dense formulation, and its largest relative deviation from ours."""
    import torch

    from qecforge.codes.packed import TableauBatch, TableauSubject
    from qecforge.testing.rewards import random_tableaus
    from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig

    vectors, weights = (torch.from_numpy(array) for array in error_vectors(n, d))
    batch = max(1, min(256, 20_000_000 // (len(vectors) * (n + k))))
    words = random_tableaus(n, k, batch, np.random.default_rng(0))
    columns = torch.from_numpy(tableau_rows(words, n + k))

    def score() -> Any:
        values = torch.zeros(batch)
        for start in range(0, len(vectors), 200_000):
            part = slice(start, start + 200_000)
            parity = torch.matmul(vectors[part], columns).remainder_(2)
            violates = (parity[..., 2 * k :].sum(-1) == 0) & (parity[..., : 2 * k].sum(-1) > 0)
            values -= 10 * (violates * weights[part]).sum(-1)
        return values

    values, taken = score().numpy(), []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        start = time.perf_counter()
        score()
        taken.append(time.perf_counter() - start)
    subject = TableauSubject(n, k, d, batch)
    own = KnillLaflamme(KnillLaflammeConfig()).compile(subject).score(TableauBatch(words)).values
    return batch / min(taken), float(np.max(np.abs(values - own) / np.maximum(np.abs(own), 1e-9)))


def own_peak() -> float:
    """Largest resident size of this process so far, MiB. Not `getrusage`, which on Linux remembers the parent's."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024


def peak_memory(n: int, k: int, d: int) -> float:
    """MiB that a process of its own takes at most, from its start through two episodes."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", f"{n},{k},{d}"], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def run(quick: bool, codes: list[tuple[int, int, int]] | None = None) -> list[dict[str, Any]]:
    """One row for each code, with look-ahead another for some, and one for memory. `quick` shortens the stretches and
    leaves out the largest peers."""
    from qecforge_knill_laflamme._classes import error_classes
    from qecforge_knill_laflamme._methods import choose

    seconds = 0.5 if quick else 3.0
    rows = []
    for n, k, d in codes or TARGETS:
        name = f"[[{n},{k},{d}]]"
        steps, per_core = measure_environment(n, k, d, seconds)
        classes = error_classes("weight", n, d - 1)
        row: dict[str, Any] = {
            "claim": f"steps of code discovery, {name}",
            "ours": steps,
            "peer": None,
            "peer_name": "dense matrix product in torch, reward alone",
            "ratio": None,
            "target": TARGETS.get((n, k, d)),
            "unit": "steps/s",
            "method": choose(n, k, classes).name,
            "one_thread": per_core,
        }
        if sum(classes.sizes()) <= (200_000 if quick else PEER_ERRORS):
            row["peer"], row["deviation"] = measure_dense(n, k, d, seconds / 2)
            row["ratio"] = steps / row["peer"]
        rows.append(row)
    rows += [_lookahead_row(n, k, d, seconds) for n, k, d in codes or TARGETS if (n, k, d) in LOOKAHEAD]
    if codes is None or (25, 1, 5) in codes:
        memory = peak_memory(25, 1, 5)
        rows.append(
            {
                "claim": f"peak memory, [[25,1,5]], {MEMORY_ENVIRONMENTS:,} environments",
                "ours": memory,
                "peer": float(MEMORY_LIMIT_MIB),
                "peer_name": "limit",
                "ratio": MEMORY_LIMIT_MIB / memory,
                "target": MEMORY_LIMIT_MIB,
                "unit": "MiB (less is better)",
            }
        )
    return rows


def _lookahead_row(n: int, k: int, d: int, seconds: float) -> dict[str, Any]:
    steps, per_core = measure_environment(n, k, d, seconds, lookahead=True)
    return {
        "claim": f"steps with look-ahead, [[{n},{k},{d}]]",
        "ours": steps,
        "peer": None,
        "peer_name": "none",
        "ratio": None,
        "target": None,
        "unit": "steps/s",
        "one_thread": per_core,
    }


def _code(text: str) -> tuple[int, int, int]:
    n, k, d = map(int, text.split(","))
    return n, k, d


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("codes", nargs="*", type=_code, help="such as 12,1,3; all by default")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", type=_code, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.memory:
        env = make_environment(*arguments.memory, num_envs=MEMORY_ENVIRONMENTS)
        rng = np.random.default_rng(0)
        for _ in range(2 * GATES):
            env.step(rng.integers(env.single_action_space.n, size=MEMORY_ENVIRONMENTS))
        print(own_peak())
        return
    print(f"{'claim':45} {'method':20} {'ours':>12} {'target':>12} {'peer':>12} {'ratio':>9}  unit")
    for row in run(arguments.quick, arguments.codes or None):
        target = "" if row["target"] is None else f"{row['target']:,}"
        peer = "" if row["peer"] is None else f"{row['peer']:,.1f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:,.1f}"
        method, unit = row.get("method", ""), row["unit"]
        print(f"{row['claim']:45} {method:20} {row['ours']:>12,.0f} {target:>12} {peer:>12} {ratio:>9}  {unit}")
        if "one_thread" in row:
            print(
                f"{'':45} {'  one thread':20} {row['one_thread']:>12,.0f} {'':12} {'':12} {'':9}  steps/s of CPU time"
            )


if __name__ == "__main__":
    main()
