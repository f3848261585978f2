"""Priors of a decoder from recorded detection events: what share of the ceiling `qecforge decoders fit` reaches.

Devices are surface codes of distance 5, five rounds, whose gates' errors are spread by e^(spread x normal) around 1e-3
(one qubit) and 4e-3 (two). Of each, shots are recorded, and other ones are decoded with the nominal prior (all gates of
a kind alike), with the one fitted to the recorded events, and with the device's own: the ceiling. All three decode the
same shots. Ours: the part of the logical errors that the fitted prior avoids. Peer: the part that the device's own
does. The ratio is the share of the ceiling, all devices together; its standard error is that of shots that fail with
one prior and not with another.

    python benchmarks/fitted_priors.py [--quick]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.evaluation import RecordedEvents
from qecforge_surface_steering import TaggedCircuit, surface_code
from qecforge_surface_steering.decoding.fitting import compare_recorded, fit_gate_errors
from qecforge_surface_steering.decoding.priors import nominal_by_family

SPREADS, TARGET = (0.5, 0.75, 1.0), 0.9
RECORDED, JUDGED = 100_000, 400_000
DISTANCE, ROUNDS = 5, 5


@dataclass(frozen=True)
class Shares:
    """Sums over devices.

    Attributes:
        failing: (3,) shots that fail with the nominal, the fitted and the device's own prior.
        covariance: (3, 3) of these numbers.
        shots: Decoded with each.
    """

    failing: NDArray[np.float64]
    covariance: NDArray[np.float64]
    shots: int

    @property
    def gains(self) -> tuple[float, float]:
        """Parts of the nominal prior's logical errors that the fitted and the own prior avoid."""
        nominal, fitted, own = self.failing
        return 1 - fitted / nominal, 1 - own / nominal

    @property
    def share(self) -> tuple[float, float]:
        """Share of the ceiling, and its standard error (delta method)."""
        nominal, fitted, own = self.failing
        share = (nominal - fitted) / (nominal - own)
        slope = np.array([1 - share, -1.0, share]) / (nominal - own)
        return float(share), float(np.sqrt(slope @ self.covariance @ slope))


def device(circuit: TaggedCircuit, nominal: NDArray[np.float64], spread: float, seed: int) -> NDArray[np.float64]:
    """(G,) errors of a device's gates, below a fifth."""
    drawn = np.random.default_rng((seed, 0xF17)).standard_normal(circuit.num_gates)
    return np.minimum(nominal * np.exp(spread * drawn), 0.2)


def shares(spread: float, seeds: range, *, recorded: int, judged: int, distance: int = DISTANCE) -> Shares:
    """How far fitted priors get on devices of this spread, one for each seed."""
    circuit = TaggedCircuit(surface_code(distance, ROUNDS, "z"))
    nominal = nominal_by_family(circuit.family, one_qubit=1e-3, two_qubit=4e-3)
    failing, covariance = np.zeros(3), np.zeros((3, 3))
    for seed in seeds:
        errors = device(circuit, nominal, spread, seed)
        noisy = circuit.with_noise(errors)
        events = noisy.compile_detector_sampler(seed=2 * seed).sample(recorded, bit_packed=True)
        fitted = fit_gate_errors(circuit, RecordedEvents(events, None), nominal).errors
        fresh, flips = noisy.compile_detector_sampler(seed=2 * seed + 1).sample(
            judged, separate_observables=True, bit_packed=True
        )
        found, _ = compare_recorded(
            circuit, RecordedEvents(fresh, flips), [nominal, fitted, errors], decoder="pymatching"
        )
        failing += found.rates * judged
        covariance += found.covariance * judged**2
    return Shares(failing, covariance, judged * len(seeds))


def run(quick: bool) -> list[dict[str, Any]]:
    """A row for each spread; `--quick` has two devices of each and fewer shots."""
    seeds = range(1, 3) if quick else range(1, 9)
    recorded, judged = (20_000, 50_000) if quick else (RECORDED, JUDGED)
    rows = []
    for spread in SPREADS:
        found = shares(spread, seeds, recorded=recorded, judged=judged)
        (ours, ceiling), (share, error) = found.gains, found.share
        rows.append(
            {
                "claim": f"fitted prior, spread {spread:g}: logical errors avoided",
                "ours": ours,
                "peer": ceiling,
                "peer_name": "the device's own prior",
                "ratio": share,
                "target": TARGET if spread == 1.0 and not quick else None,
                "unit": "part of the nominal prior's",
                "standard_error": error,
                "devices": len(seeds),
            }
        )
    return rows


def main() -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    print(f"{'claim':50} {'fitted':>8} {'ceiling':>8} {'share':>8} {'+-':>6}")
    for each in run(parser.parse_args().quick):
        print(
            f"{each['claim']:50} {each['ours']:8.2%} {each['peer']:8.2%} {each['ratio']:8.1%} "
            f"{each['standard_error']:6.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
