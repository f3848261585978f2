"""From the start of the process to the first proven code: `qecforge run` on each example, beside the limit set for it.

Each example runs in a process of its own, with an empty store, and stops at its first code. The clock starts with the
process and stops when the run says that the code is proved and filed. Kernels are compiled beforehand: one run of
each example is not counted.

    python benchmarks/time_to_first_code.py [--quick] [EXAMPLE ...]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LIMITS = {"five_qubit": 10.0, "steane": 10.0, "e1": 30.0, "e2": 300.0, "eleven_qubit": 600.0}
"""Seconds allowed on two cores."""
SEEDS = 3


def run(quick: bool, names: list[str] | None = None) -> list[dict[str, Any]]:
    """One row for each example. `quick`: the two smallest codes, one seed."""
    names = names or (list(LIMITS)[:2] if quick else list(LIMITS))
    rows = []
    for name in names:
        seconds_to_first_code(name, seed=0)
        times = [seconds_to_first_code(name, seed=seed) for seed in range(1 if quick else SEEDS)]
        rows.append(
            {
                "claim": f"{name}: first proven code",
                "ours": statistics.median(times),
                "peer": LIMITS[name],
                "peer_name": "limit",
                "ratio": LIMITS[name] / statistics.median(times),
                "target": 1.0,
                "unit": "s",
                "slowest": max(times),
                "seeds": len(times),
            }
        )
    return rows


def seconds_to_first_code(name: str, seed: int) -> float:
    """Wall time of one run, in seconds; infinite where it ended without a code."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "qecforge", "run", str(EXAMPLES / f"{name}.yaml")]
        command += ["--store", f"sqlite:///{folder}/results.db", "--set", f"seeds=[{seed}]"]
        command += ["--set", "budget.stop_at_first_code=true", "--set", f"budget.seconds={2 * LIMITS[name]}"]
        started = time.monotonic()
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            found = float("inf")
            for line in process.stderr or ():
                if re.search(r": found \[\[", line):
                    found = time.monotonic() - started
                    process.terminate()
                    break
            process.communicate()
        return found


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("examples", nargs="*", choices=[[], *LIMITS], help="all by default")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(argv)
    for row in run(arguments.quick, arguments.examples or None):
        print(
            f"{row['claim']:36} median {row['ours']:7.1f} s, slowest {row['slowest']:7.1f} s of {row['seeds']} seeds, "
            f"limit {row['peer']:.0f} s, ratio {row['ratio']:.1f}"
        )


if __name__ == "__main__":
    main()
