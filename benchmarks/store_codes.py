"""Listings of 100,000 codes in a store with 1,000,000 rows of metrics: a page of each order, and all; beside sqlite3.

Every script in this folder has a docstring whose first line says what it shows, and `run(quick) -> list[dict]`. A row
holds at least `claim`, `ours`, `peer`, `peer_name`, `ratio`, `target` and `unit`; `qecforge bench` prints them.

Ours: `Store.codes`, with the discoveries of each code, every column checked.

Peer, in the same run: rows as tuples by `sqlite3`, unsorted and unchecked: `SELECT * FROM codes`, for a page with
LIMIT 20, for all codes with all rows of `discoveries` too. All is in memory, so that CPU time is measured.

    python benchmarks/store_codes.py [--quick] [--directory DIR]

Args:
    --directory: Where the database is written; the system's temporary folder by default.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CODES, METRICS, PAGE = 100_000, 1_000_000, 20
TARGET_MS = 50.0

LISTINGS: Mapping[str, Mapping[str, Any]] = {
    "newest": {"order_by": "-created_at"},
    "fewest gates": {"order_by": "gate_count"},
    "most gates": {"order_by": "-gate_count"},
    "largest distance": {"order_by": "-distance"},
    "largest distance, then n": {"order_by": ["-distance", "n"]},
    "fewest two-qubit gates": {"order_by": "two_qubit_gate_count"},
    "[[7,1,>=3]] by gates": {"n": 7, "k": 1, "min_distance": 3, "order_by": "gate_count"},
    "at most 3 gates (none)": {"max_gate_count": 3},
    "at most 12 gates by distance": {"max_gate_count": 12, "order_by": "-distance"},
    "exact distances by gates": {"exact_only": True, "order_by": "gate_count"},
}


def fill(path: Path, codes: int, metrics: int) -> None:
    """Rows like those that runs file, with numbers drawn at random."""
    from qecforge.store import Store
    from qecforge.testing.examples import discovered, distance, example_code, example_run

    with Store(path) as store:
        run = example_run(store)
        store.add_discovery(run.id, discovered(example_code()), distance(3), wall_time=0.0, proof={"encoder": "stim"})
    connection, rng = sqlite3.connect(path), random.Random(0)
    connection.row_factory = sqlite3.Row
    code, discovery = (
        dict(
            connection.execute(f"SELECT * FROM {name}").fetchone()  # noqa: S608
        )
        for name in ("codes", "discoveries")
    )
    connection.row_factory = None
    connection.execute("PRAGMA synchronous=OFF")
    found: dict[str, list[tuple[Any, ...]]] = {"codes": [], "discoveries": []}
    for number in range(codes):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        least, gates = rng.choice((1, 2, 3, 3, 3, 4, 5)), (rng.randrange(5, 60), rng.randrange(1, 20))
        is_found = number % 10 != 0
        counts = dict(zip(("gate_count", "two_qubit_gate_count"), gates if is_found else (None, None), strict=True))
        filed = f"2026-01-{1 + number % 28:02} {number % 24:02}:00:00.{number:06}"
        bounds = {"distance_kind": "exact", "distance_lower": least, "distance_upper": least}
        names = {"id": digest[:12], "digest": digest, "n": rng.choice((5, 7, 9, 11, 15)), "created_at": filed}
        found["codes"].append(tuple({**code, **names, **bounds, **counts}.values()))
        if is_found:
            found["discoveries"].append(tuple({**discovery, "code_id": digest[:12], **counts}.values()))
    for name, rows in found.items():
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608
    series = ((run.id, f"series{step % 10}", step // 10, 1.0, 0.0) for step in range(metrics))
    connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?)", series)
    connection.commit()
    connection.close()


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """CPU time of the shortest of some calls."""
    times = []
    for _ in range(repeats):
        before = time.process_time()
        call()
        times.append(time.process_time() - before)
    return 1000 * min(times)


def run(quick: bool, directory: Path | None = None) -> list[dict[str, Any]]:
    """A row for each listing. `quick`: 10,000 codes and 100,000 rows of metrics."""
    from qecforge.store import Store

    part = 10 if quick else 1
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = Path(folder) / "results.db"
        fill(path, CODES // part, METRICS // part)
        connection = sqlite3.connect(path)

        def plain(*queries: str) -> list[list[Any]]:
            return [connection.execute(query).fetchall() for query in queries]

        with Store(path, read_only=True) as store:
            a_page = f"SELECT * FROM codes LIMIT {PAGE}"  # noqa: S608
            for name, filters in LISTINGS.items():
                ours = milliseconds(lambda filters=filters: store.codes(**filters, limit=PAGE), 5)
                peer = milliseconds(lambda: plain(a_page), 5)
                rows.append(row(f"a page, {name}", ours, peer, TARGET_MS))
            everything = ("SELECT * FROM codes", "SELECT * FROM discoveries")
            for name, filters in (("as filed", {}), ("fewest gates", {"order_by": "gate_count"})):
                ours = milliseconds(lambda filters=filters: store.codes(**filters), 2)
                rows.append(
                    row(f"all {CODES // part:,}, {name}", ours, milliseconds(lambda: plain(*everything), 2), None)
                )
        connection.close()
    return rows


def row(claim: str, ours: float, peer: float, target: float | None) -> dict[str, Any]:
    """Of the table."""
    return {
        "claim": claim, "ours": ours, "peer": peer, "ratio": peer / ours, "target": target, "unit": "ms of CPU",
        "peer_name": "sqlite3, tuples",
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--directory", type=Path, help="where the database is written")
    arguments = parser.parse_args(argv)
    if arguments.directory is not None and not arguments.directory.is_dir():
        parser.error(f"--directory: {arguments.directory} is not a folder; make it first, or leave the option out")
    print(f"{'claim':38} {'ours':>9} {'target':>7} {'peer':>9} {'ratio':>6}  peer, unit")
    for each in run(arguments.quick, arguments.directory):
        target = "" if each["target"] is None else f"{each['target']:.0f}"
        print(
            f"{each['claim']:38} {each['ours']:>9.2f} {target:>7} {each['peer']:>9.2f} {each['ratio']:>6.2f}  "
            f"{each['peer_name']}, {each['unit']}"
        )


if __name__ == "__main__":
    main()
