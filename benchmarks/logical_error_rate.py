"""The fault-tolerant memory of [[7,1,3]]: time for 10 strengths of noise at 1e5 shots each, and the quadratic law.

Flag and Shor extraction, depolarizing noise on gates, measurements, resets and idle qubits, p in 1e-4..3e-3. The law
is the slope of log(rate) over log(p), fitted to the counts by maximum likelihood, with its 95 % interval.

    python benchmarks/logical_error_rate.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from qecforge.codes.known_codes import steane
from qecforge.evaluation import LogicalErrorRateConfig, fit_slope, measure_error_rates
from qecforge.machine.cores import available_cores

LIMIT = 90.0
"""Seconds allowed on two cores for 10 strengths at 1e5 shots each."""


def run(quick: bool) -> list[dict[str, Any]]:
    """Two rows for each extraction: the time, and the slope (at 1e6 shots a strength unless `quick`)."""
    rows: list[dict[str, Any]] = []
    for extraction in ("flag", "shor"):
        seconds, _ = measured(extraction, 100_000)
        rows.append(
            {
                "claim": f"[[7,1,3]] {extraction}: 10 x 1e5 shots",
                "ours": seconds,
                "peer": LIMIT,
                "peer_name": "limit",
                "ratio": LIMIT / seconds,
                "target": 1.0,
                "unit": "s",
            }
        )
        shots = 100_000 if quick else 1_000_000
        _, counted = measured(extraction, shots)
        slope = fit_slope([(task.p, counts) for task, counts in counted])
        rows.append(
            {
                "claim": f"[[7,1,3]] {extraction}: slope at {shots:.0e} shots",
                "ours": slope.slope,
                "peer": 2.0,
                "peer_name": "quadratic law",
                "ratio": slope.slope / 2.0,
                "target": None,
                "unit": "d log LER / d log p",
                "low": slope.low,
                "high": slope.high,
                "circuit_distance": counted[0][0].circuit_distance,
                "rates": {f"{task.p:.3g}": counts.rate for task, counts in counted},
            }
        )
    return rows


def measured(extraction: str, shots: int) -> tuple[float, Any]:
    """Seconds taken, and the counts."""
    config = LogicalErrorRateConfig.model_validate(
        {"p": {"log_space": [1e-4, 3e-3, 10]}, "shots": shots, "extraction": extraction}
    )
    started = time.monotonic()
    counted = measure_error_rates(steane(), config, workers=available_cores())
    return time.monotonic() - started, counted


def main(argv: list[str] | None = None) -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    for row in run(parser.parse_args(argv).quick):
        interval = f" [{row['low']:.3f}, {row['high']:.3f}]" if "low" in row else ""
        print(f"{row['claim']:40} {row['ours']:8.3f}{interval} {row['unit']}, {row['peer_name']} {row['peer']:g}")


if __name__ == "__main__":
    main()
