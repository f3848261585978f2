"""Sixteen processes that write to one SQLite store as fast as they can: how long a call waits; beside plain sqlite3.

Every script in this folder has a docstring whose first line says what it shows, and `run(quick) -> list[dict]`. A row
holds at least `claim`, `ours`, `peer`, `peer_name`, `ratio`, `target` and `unit`; `qecforge bench` prints them.

Ours: `Store.add_metrics` of 50 rows, one transaction on the disk each.

Peer, in the same run, after it: the same rows by `sqlite3`, with `BEGIN IMMEDIATE`, the write-ahead log,
`synchronous=FULL` and a busy timeout of 120 s.

    python benchmarks/store_writers.py [--quick] [--directory DIR]

Args:
    --directory: Where the databases are written; the system's temporary folder by default.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITERS, ROWS, SECONDS = 16, 50, 60.0
BUSY_SECONDS = 120.0
TARGET_SECONDS = 2.0

_PEER = "sqlite3, busy timeout"
_TABLE = "CREATE TABLE metrics (run, name, step, value, wall_time, PRIMARY KEY (run, name, step)) WITHOUT ROWID"


def ours(path: Path, writer: int) -> Callable[[int], None]:
    """Writes the rows of a step."""
    from qecforge.store import Store

    store = Store(path)
    (run,) = store.runs()

    def write(step: int) -> None:
        store.add_metrics(run.id, [(f"{writer}.{row}", step, 1.0, 0.0) for row in range(ROWS)])

    return write


def plain(path: Path, writer: int) -> Callable[[int], None]:
    """The same, by `sqlite3` alone."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")

    def write(step: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        rows = [("run", f"{writer}.{row}", step, 1.0, 0.0) for row in range(ROWS)]
        connection.executemany("INSERT OR IGNORE INTO metrics VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")

    return write


METHODS: dict[str, Callable[[Path, int], Callable[[int], None]]] = {"ours": ours, "plain": plain}


def waits(method: str, path: Path, writer: int, seconds: float, barrier: Any, found: Any) -> None:
    """Seconds of each call of one writer."""
    write = METHODS[method](path, writer)
    barrier.wait()
    times, step, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.perf_counter()
        write(step)
        times.append(time.perf_counter() - before)
        step += 1
    found.put(times)


def measured(method: str, seconds: float, directory: Path | None) -> tuple[list[float], int]:
    """Seconds of all calls, in order of length; and how many of them the writer made that made the fewest."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = Path(folder) / "results.db"
        if method == "ours":
            from qecforge.store import Store

            with Store(path) as store:
                store.begin_run(
                    "a" * 64, name="writers", seed=0, manifest="{}", manifest_source="", environment="none",
                    reward=None, agent="none", provenance={},
                )  # fmt: skip
        else:
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(_TABLE)
            connection.close()
        barrier, found = context.Barrier(WRITERS), context.Queue()
        writers = [
            context.Process(target=waits, args=(method, path, writer, seconds, barrier, found))
            for writer in range(WRITERS)
        ]
        for process in writers:
            process.start()
        each = [found.get() for _ in writers]
        for process in writers:
            process.join()
    return sorted(wait for times in each for wait in times), min(map(len, each))


def run(quick: bool, directory: Path | None = None) -> list[dict[str, Any]]:
    """Percentiles of the waits. `quick`: 10 s, not 60."""
    seconds = 10.0 if quick else SECONDS
    (mine, my_fewest), (theirs, their_fewest) = (measured(method, seconds, directory) for method in METHODS)
    rows: list[dict[str, Any]] = []
    for claim, part, target in (
        ("median wait of a call, 16 writers", 0.5, None),
        ("99th percentile of the waits", 0.99, TARGET_SECONDS),
        ("longest wait", 1.0, None),
    ):
        one, other = percentile(mine, part), percentile(theirs, part)
        row = {"claim": claim, "ours": one, "peer": other, "ratio": other / one, "target": target, "unit": "s"}
        rows.append({**row, "peer_name": _PEER})
    for claim, a, b, unit in (
        ("calls of all writers", len(mine) / seconds, len(theirs) / seconds, "calls/s"),
        ("calls of the writer with the fewest", my_fewest / seconds, their_fewest / seconds, "calls/s"),
    ):
        row = {"claim": claim, "ours": a, "peer": b, "ratio": a / max(b, 1 / seconds), "target": None, "unit": unit}
        rows.append({**row, "peer_name": _PEER})
    return rows


def percentile(values: list[float], part: float) -> float:
    """Of sorted values."""
    return values[min(int(part * len(values)), len(values) - 1)]


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--directory", type=Path, help="where the databases are written")
    arguments = parser.parse_args(argv)
    if arguments.directory is not None and not arguments.directory.is_dir():
        parser.error(f"--directory: {arguments.directory} is not a folder; make it first, or leave the option out")
    print(f"{'claim':38} {'ours':>9} {'target':>7} {'peer':>9} {'ratio':>8}  peer, unit")
    for row in run(arguments.quick, arguments.directory):
        target = "" if row["target"] is None else f"{row['target']:.1f}"
        print(
            f"{row['claim']:38} {row['ours']:>9.3f} {target:>7} {row['peer']:>9.3f} {row['ratio']:>8.1f}  "
            f"{row['peer_name']}, {row['unit']}"
        )


if __name__ == "__main__":
    main()
