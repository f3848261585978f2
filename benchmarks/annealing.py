"""Circuits that `annealing` tries per second of one thread, beside the tableaus that stim makes of as many circuits.

Ours: the agent at work on `code_discovery` with `knill_laflamme`, at the settings of `qecforge reproduce discovery`;
all that a try takes is in it, the score included. The peer makes the tableau of circuits of the same length, ready-made
and parsed, by `stim.Circuit.to_tableau`, and scores nothing. Both by CPU time of one thread.

    python benchmarks/annealing.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

CODES = {(7, 1, 3): 9, (15, 9, 3): 38, (12, 2, 4): 20, (15, 2, 5): 45}
"""[[n,k,d]] and the length of the circuits."""

TARGET = 1.0
CHAINS = 128


def measure_annealing(n: int, k: int, d: int, length: int, seconds: float) -> float:
    """Tries a CPU-second, the best of five stretches."""
    from qecforge.testing.contexts import RecordingContext
    from qecforge_annealing import AnnealingConfig
    from qecforge_annealing.agent import Annealing
    from qecforge_code_discovery import CodeDiscoveryConfig, make
    from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig

    config = CodeDiscoveryConfig(n=n, k=k, target_distance=d, max_gates=length, gates=("h", "cx"))
    reward = KnillLaflamme(KnillLaflammeConfig(form="log_penalty", scale=1, error_probability=0.5))
    env = make(config, num_envs=CHAINS, seed=0, reward=reward)
    best = 0.0
    tries = 8 * CHAINS
    for stretch in range(6):  # the first one compiles
        settings = AnnealingConfig(
            total_steps=tries * length, length=length, chains=CHAINS, kind_weights=(0.3, 0.7), report_every=tries
        )
        started = time.process_time()
        Annealing(settings).train(env, RecordingContext(env, stretch))
        spent = time.process_time() - started
        if stretch:
            best = max(best, tries / spent)
        tries = max(tries, int(min(best or 1e5, 1e6) * seconds / 5) // CHAINS * CHAINS)
    env.close()
    return best


def measure_stim(n: int, length: int, seconds: float) -> float:
    """Tableaus a CPU-second, the best of five stretches."""
    import stim

    rng = np.random.default_rng(0)
    circuits = []
    for _ in range(256):
        circuit = stim.Circuit()
        for _ in range(length):
            if rng.random() < 0.3:
                circuit.append("H", [int(rng.integers(n))])
            else:
                circuit.append("CX", rng.choice(n, 2, replace=False).tolist())
        circuit.append("I", [n - 1])
        circuits.append(circuit)
    best, stretch = 0.0, seconds / 5
    for _ in range(5):
        done, started = 0, time.process_time()
        while time.process_time() - started < stretch:
            for circuit in circuits:
                circuit.to_tableau()
            done += len(circuits)
        best = max(best, done / (time.process_time() - started))
    return best


def run(quick: bool = False) -> list[dict[str, Any]]:
    """A row for each code."""
    import numba

    seconds = 2.0 if quick else 10.0
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        rows = []
        for (n, k, d), length in CODES.items():
            ours, peer = measure_annealing(n, k, d, length, seconds), measure_stim(n, length, seconds)
            rows.append(
                {
                    "claim": f"[[{n},{k},{d}]], {length} gates: circuits changed, played and scored",
                    "ours": ours,
                    "peer": peer,
                    "peer_name": "stim, tableau alone",
                    "ratio": ours / peer,
                    "target": TARGET,
                    "unit": "circuits/CPU-s",
                }
            )
        return rows
    finally:
        numba.set_num_threads(threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="Shorter stretches.")
    for row in run(parser.parse_args().quick):
        print(f"{row['claim']}: {row['ours']:,.0f} a CPU-second, stim {row['peer']:,.0f}, ratio {row['ratio']:.1f}")
