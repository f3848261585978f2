"""The quantum layer's circuits from angles to bits and to exact gradients, beside full state vectors of others.

Circuits of the hybrid TD3 paper's size, 10 qubits and 10 layers, every CZ between two different qubits drawn at random,
angles normal with a deviation of 3. CPU time of one thread, building a peer's circuits and running them apart; ratios
are of running alone, and of ours from angles to bits: it builds nothing. Each figure is the best of several stretches,
and ours is measured again beside each peer. Peers that are not installed are left out (extra `baselines`).

    python benchmarks/quantum_layer.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from _quantum_peers import LAYERS, QUBITS, peers, torch_means
from numba import njit

from qecforge_td3.quantum import circuit_statistics, marginals, marginals_vjp, sample_bits
from qecforge_td3.quantum._rotations import sine_and_cosine

TARGETS = {
    "full state vector, numba loop": 40.0,
    "qulacs": 100.0,
    "qiskit-aer, bound parameters, one CZ pattern": 250.0,
    "qiskit-aer, a job of circuits": 1000.0,
}
"""Samples: ours at least so many times."""

GRADIENT_TARGET, THREADS_TARGET = 80.0, 1.8
BATCH = 1024


def circuits(batch: int, firing: float = 1.0) -> tuple[Any, Any]:
    """Angles and pairs; each CZ fires with this probability."""
    rng = np.random.default_rng(0)
    angles = (3 * rng.standard_normal((batch, LAYERS * QUBITS * 2))).astype(np.float32)
    pairs = np.array([[rng.choice(QUBITS, 2, replace=False) for _ in range(LAYERS)] for _ in range(batch)])
    pairs[rng.random((batch, LAYERS)) >= firing] = 0
    return angles, pairs


def cpu_time(call: Callable[[], Any], seconds: float, clock: Callable[[], float] = time.process_time) -> float:
    """Of one call, after one to warm up: the best of as many as fit, at least three."""
    call()
    best, until, count = float("inf"), time.perf_counter() + seconds, 0
    while count < 3 or time.perf_counter() < until:
        started = clock()
        call()
        best = min(best, clock() - started)
        count += 1
    return best


def sample_rows(angles: Any, pairs: Any, seconds: float) -> list[dict[str, Any]]:
    """A row for each peer: microseconds of CPU a circuit."""
    rows = []
    for name, (count, make) in peers(angles, pairs).items():
        ours = cpu_time(lambda: sample_bits(angles, pairs, 0), seconds) / len(angles)
        try:
            build, run = make(angles[:count], pairs[:count])
        except ImportError:
            continue
        theirs = cpu_time(run, seconds) / count
        started = time.process_time()
        build()
        built = (time.process_time() - started) / count
        rows.append(
            row(f"samples, beside {name}", 1e6 * ours, 1e6 * theirs, f"{name}, run only", TARGETS.get(name))
            | {"peer_building_us": round(1e6 * built, 2)}
        )
    return rows


def gradient_rows(angles: Any, pairs: Any, seconds: float) -> list[dict[str, Any]]:
    """Exact mean bits and their vector-Jacobian product, beside autograd through batched state vectors of torch."""
    count = 64
    cotangent = np.random.default_rng(2).standard_normal((len(angles), QUBITS)).astype(np.float32)
    given = torch.tensor(angles[:count], requires_grad=True)

    def autograd() -> torch.Tensor:
        means = torch_means(given, torch.from_numpy(pairs[:count]))
        return torch.autograd.grad(means, given, torch.from_numpy(cotangent[:count]))[0]

    differ = float(np.abs(marginals_vjp(angles[:count], pairs[:count], cotangent[:count]) - autograd().numpy()).max())
    ours = cpu_time(lambda: marginals_vjp(angles, pairs, cotangent), seconds) / len(angles)
    theirs = cpu_time(autograd, seconds) / count
    return [
        row("exact gradient of all 200 angles", 1e6 * ours, 1e6 * theirs, "torch autograd", GRADIENT_TARGET)
        | {"largest_difference": differ}
    ]


@njit(nogil=True, error_model="numpy", fastmath=True)
def read_all(angles, sums):  # type: ignore[no-untyped-def]
    """Read every angle once."""
    for b in range(angles.shape[0]):
        total = np.float32(0)
        for i in range(angles.shape[1]):
            total += angles[b, i]
        sums[b] = total


@njit(nogil=True, error_model="numpy", fastmath=True)
def sines_of_all(angles, sums):  # type: ignore[no-untyped-def]
    """Sine and cosine of every angle."""
    for b in range(angles.shape[0]):
        total = np.float32(0)
        for i in range(angles.shape[1]):
            sine, cosine = sine_and_cosine(angles[b, i])
            total += sine + cosine
        sums[b] = total


def floor_rows(angles: Any, pairs: Any, seconds: float) -> list[dict[str, Any]]:
    """How far above what any simulation must do: read the angles, and take their sines and cosines."""
    sums = np.empty(len(angles), np.float32)
    ours = cpu_time(lambda: sample_bits(angles, pairs, 0), seconds) / len(angles)
    rows = []
    for name, call in {"reading 800 bytes of angles": read_all, "200 sines and cosines": sines_of_all}.items():
        floor = cpu_time(lambda call=call: call(angles, sums), seconds / 4) / len(angles)
        times = {"times_the_floor": round(ours / floor, 1)}
        rows.append(row(f"samples, above the floor of {name}", 1e6 * ours, 1e6 * floor, f"floor: {name}", None) | times)
    return rows


def thread_rows(seconds: float) -> list[dict[str, Any]]:
    """By the clock on the wall: only an idle machine shows what two threads are worth."""
    before = numba.get_num_threads()
    if before < 2:
        return []
    angles, pairs = circuits(8192)
    cotangent = np.ones((2048, QUBITS), np.float32)
    calls = {
        "8,192 samples": lambda: sample_bits(angles, pairs, 0),
        "2,048 exact gradients": lambda: marginals_vjp(angles[:2048], pairs[:2048], cotangent),
    }
    rows = []
    for name, call in calls.items():
        took = {}
        for count in (1, 2):
            numba.set_num_threads(count)
            took[count] = 1e3 * cpu_time(call, seconds, time.perf_counter)
        rows.append(row(f"two threads, {name}", took[2], took[1], "one thread", THREADS_TARGET) | {"unit": "ms (wall)"})
    numba.set_num_threads(before)
    return rows


def other_rows(seconds: float) -> list[dict[str, Any]]:
    """Ours alone: half of the CZs, and exact means; with how many qubits the register holds."""
    rows = []
    for firing in (1.0, 0.5):
        angles, pairs = circuits(BATCH, firing)
        cotangent = np.ones((BATCH, QUBITS), np.float32)
        calls = {
            "samples": lambda a=angles, p=pairs: sample_bits(a, p, 0),
            "exact means": lambda a=angles, p=pairs: marginals(a, p),
            "exact gradient": lambda a=angles, p=pairs, c=cotangent: marginals_vjp(a, p, c),
        }
        peak = circuit_statistics(angles, pairs).peak_register
        for name, call in calls.items():
            took = 1e6 * cpu_time(call, seconds / 4) / BATCH
            rows.append(
                {"claim": f"{name}, {firing:.0%} of the CZs", "ours": took, "unit": "us a circuit", "peer": None}
                | {"peer_name": None, "ratio": None, "target": None, "peak_register": round(peak, 2)}
            )
    return rows


def row(claim: str, ours: float, peer: float, peer_name: str, target: float | None) -> dict[str, Any]:
    """What `qecforge bench` shows."""
    return {
        "claim": claim,
        "ours": ours,
        "unit": "us a circuit",
        "peer": peer,
        "peer_name": peer_name,
        "ratio": peer / ours,
        "target": target,
    }


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows for samples, gradients, the floor and threads."""
    seconds = 1.0 if quick else 4.0
    threads, torch_threads = numba.get_num_threads(), torch.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    try:
        angles, pairs = circuits(BATCH)
        rows = sample_rows(angles, pairs, seconds) + gradient_rows(angles, pairs, seconds)
        rows += floor_rows(angles, pairs, seconds) + other_rows(seconds)
    finally:
        numba.set_num_threads(threads)
        torch.set_num_threads(torch_threads)
    return rows + thread_rows(seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="Shorter stretches.")
    for each in run(parser.parse_args().quick):
        rest = {
            key: each[key] for key in each.keys() - {"claim", "ours", "unit", "peer", "peer_name", "ratio", "target"}
        }
        beside = ""
        if each["ratio"] is not None:
            target = "" if each["target"] is None else f" (target {each['target']:g})"
            beside = f"; {each['peer_name']} {each['peer']:,.2f}, ratio {each['ratio']:.3g}{target}"
        print(f"{each['claim']}: {each['ours']:,.2f} {each['unit']}{beside} {rest or ''}")
