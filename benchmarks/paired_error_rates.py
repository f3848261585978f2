"""Error rates from the same shots: variance per CPU second beside independent sampling of each error model.

Ours: `qecforge.evaluation.paired_error_rates`. Peer: stim's sampler of each circuit, and the same decoder. Both
measure, at equal shots, how much lower the logical error rate is with every fault a tenth less likely; what is
compared is 1 / (variance of the logarithm of the ratio x CPU seconds), sampling and decoding together. The last row
measures one rare rate with faults drawn twice as likely as they are, beside plain shots.

    python benchmarks/paired_error_rates.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import stim

from qecforge.evaluation import PairedRates, paired_error_rates
from qecforge.evaluation.error_rates.decoders import compile_decoder, decoder_for_hyperedges

LOWER = 0.9


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows for the surface code, the colour code where tesseract is installed, and a rare rate."""
    shots = 20_000 if quick else 200_000
    rows = [comparison("surface code, d = 5", "surface_code:rotated_memory_z", 0.004, "pymatching", shots)]
    if not quick and decoder_for_hyperedges() == "tesseract":
        rows.append(comparison("colour code, d = 5", "color_code:memory_xyz", 0.002, "tesseract", 10_000))
    return [*rows, rare_rate(shots)]


def comparison(name: str, code: str, p: float, decoder_name: str, shots: int) -> dict[str, Any]:
    """How certain the ratio of two rates is after as much time."""
    circuits = [noisy(code, each) for each in (p, LOWER * p)]
    decoder = compile_decoder(decoder_name, circuits[0])
    models = [circuit.detector_error_model(flatten_loops=True) for circuit in circuits]
    paired_error_rates(models, decoder, shots=100, seed=0)  # compiled once for all
    found, ours = timed(lambda: paired_error_rates(models, decoder, shots=shots, seed=1))
    rates, theirs = timed(lambda: [plain_rate(circuit, decoder, shots, 2) for circuit in circuits])
    variance = sum((1 - rate) / rate / shots for rate in rates)
    return row(f"{name}, {decoder_name}: ratio of rates", found.log_ratio_error(1) ** 2, ours, variance, theirs)


def rare_rate(shots: int) -> dict[str, Any]:
    """How certain one rate is, relatively, after as much time."""
    circuit = noisy("surface_code:rotated_memory_z", 0.0015)
    decoder = compile_decoder("pymatching", circuit)
    model = circuit.detector_error_model(flatten_loops=True)
    found: PairedRates
    found, ours = timed(lambda: paired_error_rates([model], decoder, shots=shots, seed=1, scale=2))
    _, theirs = timed(lambda: plain_rate(circuit, decoder, shots, 2))
    rate = float(found.rates[0])
    return row(
        "surface code, d = 5: rare rate", found.covariance[0, 0] / rate**2, ours, (1 - rate) / rate / shots, theirs
    )


def noisy(code: str, p: float) -> stim.Circuit:
    """Stim's memory experiment of distance 5, five rounds."""
    return stim.Circuit.generated(
        code, distance=5, rounds=5, after_clifford_depolarization=p, before_measure_flip_probability=p
    )


def plain_rate(circuit: stim.Circuit, decoder: Any, shots: int, seed: int) -> float:
    """Wrong shots over shots."""
    sampler = circuit.compile_detector_sampler(seed=seed)
    events, flips = sampler.sample(shots, separate_observables=True, bit_packed=True)
    predicted = decoder.decode_shots_bit_packed(bit_packed_detection_event_data=events)
    return float(np.mean((predicted != flips).any(axis=1)))


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and its CPU seconds."""
    started = time.process_time()
    found = call()
    return found, time.process_time() - started


def row(claim: str, variance: float, seconds: float, peer_variance: float, peer_seconds: float) -> dict[str, Any]:
    """1 / (variance x seconds) of both, and how many times as certain equal shots are."""
    ours, peer = 1 / (variance * seconds), 1 / (peer_variance * peer_seconds)
    return {
        "claim": claim,
        "ours": ours,
        "peer": peer,
        "peer_name": "stim and the same decoder, independent shots",
        "ratio": ours / peer,
        "target": None,
        "unit": "1 / (relative variance x CPU second)",
        "at_equal_shots": peer_variance / variance,
    }


def main() -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    print(f"{'claim':52} {'ours':>10} {'peer':>10} {'ratio':>7} {'at equal shots':>15}")
    for each in run(parser.parse_args().quick):
        print(
            f"{each['claim']:52} {each['ours']:>10,.0f} {each['peer']:>10,.0f} {each['ratio']:>7.1f} "
            f"{each['at_equal_shots']:>15.1f}"
        )


if __name__ == "__main__":
    main()
