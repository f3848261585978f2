"""Surface codes of distance 3, 5, 7: our memory circuit beside stim's generated one, at the same noise.

Depolarizing noise after every CNOT, flipped measurements and resets, all of probability p, no idle noise; `distance`
rounds, all data qubits reset and read out. stim's circuit has Hadamard gates around its X checks where ours prepares
and measures in X; they are left without noise, so that both have the same places where something fails. Both are
sampled and decoded (pymatching) by the same code in the same run, in turns; `auto` is ours with the decoder that
`decoder: auto` picks where that is another. Rates are per shot, with 95 % Wilson intervals; times are of one core,
sampling and decoding, the least of several stretches.

    python benchmarks/surface_code_rates.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import stim

from qecforge.codes.known_codes import rotated_surface
from qecforge.evaluation import ErrorCounts, LogicalErrorRateConfig, plan_error_rates, wilson_interval
from qecforge.evaluation.error_rates.circuits.memory import MemoryExperiment
from qecforge.evaluation.error_rates.sampling import Chunk, draw_chunk

P = 3e-3
SLOWER = 1.3
"""How much longer a shot may take than one of stim's circuit."""


@dataclass
class Contender:
    """A circuit with its decoder, and what was counted of it."""

    name: str
    experiment: MemoryExperiment
    decoder: str
    counts: ErrorCounts = field(default_factory=ErrorCounts)
    microseconds: float = float("inf")

    def draw(self, index: int) -> None:
        """One more chunk."""
        counts = draw_chunk(Chunk(self.name, index, (self.experiment,), self.decoder))
        self.counts += counts
        self.microseconds = min(self.microseconds, 1e6 * counts.seconds / counts.shots)


def contenders(distance: int, basis: str) -> tuple[list[Contender], tuple[int | None, str | None]]:
    """stim's, ours with pymatching and, where it is another, with what `auto` picks; and our circuit distance."""
    generated = stim.Circuit.generated(
        f"surface_code:rotated_memory_{basis}",
        distance=distance,
        rounds=distance,
        after_clifford_depolarization=P,
        before_measure_flip_probability=P,
        after_reset_flip_probability=P,
    ).flattened()
    same_noise = stim.Circuit()
    for instruction in generated:
        if instruction.name != "DEPOLARIZE1":
            same_noise.append(instruction)
    theirs = MemoryExperiment(str(same_noise), "x" if basis == "x" else "z")
    config = LogicalErrorRateConfig.model_validate(
        {
            "p": [P],
            "noise": {"model": "depolarizing", "idle": 0.0},
            "extraction": "bare",
            "boundary": "transversal",
            "basis": basis,
        }
    )
    (planned,) = plan_error_rates(rotated_surface(distance), config, distance=distance)
    (ours,) = planned.experiments
    entered = [Contender("stim", theirs, "pymatching"), Contender("pymatching", ours, "pymatching")]
    if planned.task.decoder != "pymatching":
        entered.append(Contender("auto", ours, planned.task.decoder))
    return entered, (planned.task.circuit_distance, planned.task.circuit_distance_kind)


def run(quick: bool) -> list[dict[str, Any]]:
    """All rows."""
    return list(rows(quick))


def rows(quick: bool) -> Iterator[dict[str, Any]]:
    """A row for each distance, basis and decoder of ours; 0.4 (`quick`) to 2 million shots each."""
    for distance in (3, 5, 7):
        for basis in "xz":
            entered, known = contenders(distance, basis)
            for index in range(13, 17 if quick else 33):  # chunks of 1e5 shots
                for contender in entered:
                    contender.draw(index)
            theirs, *ours = entered
            for contender in ours:
                yield (
                    {
                        "claim": f"surface code d={distance} basis {basis}: {contender.name} ({contender.decoder})",
                        "ours": contender.microseconds,
                        "peer": theirs.microseconds,
                        "peer_name": "stim's circuit, pymatching",
                        "ratio": theirs.microseconds / contender.microseconds,
                        "target": 1 / SLOWER,
                        "unit": "us/shot",
                        "circuit_distance": known,
                        "rate": interval(contender.counts),
                        "peer_rate": interval(theirs.counts),
                    }
                )


def interval(counts: ErrorCounts) -> tuple[float, float, float]:
    """(rate, low, high)."""
    found = wilson_interval(counts.errors, counts.kept)
    return counts.rate, found.low, found.high


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    print(f"p = {P:g}; rate [95 % interval]; us per shot")
    for row in rows(parser.parse_args(argv).quick):
        ours, peer = ("{:.2e} [{:.2e}, {:.2e}]".format(*row[key]) for key in ("rate", "peer_rate"))
        distance, kind = row["circuit_distance"]
        print(
            f"{row['claim']:48} {ours} {row['ours']:6.2f} us   stim {peer} {row['peer']:6.2f} us"
            f"   circuit distance {distance} ({kind})",
            flush=True,
        )


if __name__ == "__main__":
    main()
