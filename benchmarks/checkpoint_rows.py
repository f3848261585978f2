"""Checkpoints with 1 GB of rows that grows, saved every 30 s: only what is new is written; beside rewriting it whole.

Every script in this folder has a docstring whose first line says what it shows, and `run(quick) -> list[dict]`. A row
holds at least `claim`, `ours`, `peer`, `peer_name`, `ratio`, `target` and `unit`; `qecforge bench` prints them.

Rows are transitions of Humanoid (twice 376 numbers, 17 actions, reward, end: 3,081 bytes), as `ReplayBuffer` keeps
them. They come at 580 a second; the 30 s between two saves are not waited for. After twenty saves there are 1 GB.

Ours: `save_checkpoint`, which appends the new rows to segments, syncs them and replaces the small main file.

Peers, in the same run, each in a process of its own like ours:
    torch.save: all rows so far, to a file that is synced and then takes the place of the one before.
    in memory first: the same, but to a buffer that is hashed and copied, as qecforge's first checkpoints were.

Memory is the largest resident size during a save less that before it. Linux only.

    python benchmarks/checkpoint_rows.py [--quick] [--directory DIR]

Args:
    --directory: Where the files are written; the system's temporary folder by default.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FIELDS = {
    "observation": (np.float32, (376,)),
    "next_observation": (np.float32, (376,)),
    "action": (np.float32, (17,)),
    "reward": np.float32,
    "terminated": np.bool_,
}
ROWS_PER_SECOND, SECONDS, SAVES = 580, 30, 20
MEMORY_LIMIT_MIB = 64
MIB = 1 << 20

PEERS = {"torch": "torch.save, whole", "memory": "torch.save in memory first, whole"}


def ours(path: Path, buffer: Any) -> None:
    """A checkpoint of the buffer."""
    from qecforge.runs.checkpoints import save_checkpoint

    save_checkpoint(path, {"step": buffer.rows.appended, "buffer": buffer.state_dict()})


def torch_whole(path: Path, buffer: Any) -> None:
    """All rows, written to a file."""
    import torch

    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(tensors(buffer), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def memory_whole(path: Path, buffer: Any) -> None:
    """All rows, put together in memory, hashed, and written."""
    import torch

    content = io.BytesIO()
    torch.save(tensors(buffer), content)
    payload = content.getvalue()
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(hashlib.sha256(payload).digest() + payload)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


SAVE: dict[str, Callable[[Path, Any], None]] = {"ours": ours, "torch": torch_whole, "memory": memory_whole}


def tensors(buffer: Any) -> dict[str, Any]:
    """The rows so far, copied until the buffer is full: torch.save writes the whole memory behind a view."""
    import torch

    rows, capacity = buffer.rows, buffer.capacity
    if len(rows) < capacity:
        return {name: torch.from_numpy(rows.column(name).copy()) for name in FIELDS}
    return {name: torch.from_numpy(next(rows.parts(name, 0, capacity))) for name in FIELDS}


def measure(method: str, saves: int, directory: Path) -> dict[str, list[float]]:
    """Seconds, CPU seconds, MiB on top and MiB on disk of each save, while the buffer grows to `saves` times 30 s."""
    from qecforge.learning.replay import ReplayBuffer

    count = ROWS_PER_SECOND * SECONDS
    buffer, rng = ReplayBuffer(FIELDS, saves * count), np.random.default_rng(0)
    path, save = directory / "training.ckpt", SAVE[method]
    save(directory / "warm.ckpt", buffer)
    found: dict[str, list[float]] = {"seconds": [], "cpu": [], "memory": [], "disk": []}
    for _ in range(saves):
        for _ in range(SECONDS):
            buffer.add({name: fresh(rng, dtype) for name, dtype in buffer.rows.columns.items()})
        Path("/proc/self/clear_refs").write_text("5")
        resident, wall, cpu = size("VmRSS:"), time.perf_counter(), time.process_time()
        save(path, buffer)
        found["seconds"].append(time.perf_counter() - wall)
        found["cpu"].append(time.process_time() - cpu)
        found["memory"].append(size("VmHWM:") - resident)
        found["disk"].append(sum(each.stat().st_size for each in directory.glob("training.ckpt*")) / MIB)
    if method == "ours":
        check(path, buffer)
    return found


def fresh(rng: np.random.Generator, dtype: np.dtype[Any]) -> Any:
    """A second of a column."""
    return (
        rng.random((ROWS_PER_SECOND, *dtype.shape), dtype=np.float32) > 0.5
        if dtype.kind == "b"
        else rng.random((ROWS_PER_SECOND, *dtype.shape), dtype=np.float32)
    )


def check(path: Path, buffer: Any) -> None:
    """What was saved comes back."""
    from qecforge.runs.checkpoints import load_checkpoint

    rows = load_checkpoint(path)["buffer"]["rows"]
    for name in FIELDS:
        if not np.array_equal(rows.column(name), buffer.rows.column(name)):
            raise RuntimeError(f"column {name} came back changed")


def size(name: str) -> float:
    """A size of this process, MiB."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index(name) + 1]) / 1024


def measured(method: str, saves: int, directory: Path | None) -> dict[str, list[float]]:
    """`measure`, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        command = [sys.executable, __file__, "--measure", method, str(saves), "--directory", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def run(quick: bool, directory: Path | None = None) -> list[dict[str, Any]]:
    """Time and memory of the last save and of all of them. `quick`: 4 saves, 0.2 GB."""
    saves = 4 if quick else SAVES
    mine = measured("ours", saves, directory)
    rows = []
    for method, name in PEERS.items():
        theirs = measured(method, saves, directory)
        gigabytes = mine["disk"][-1] * MIB / 1e9
        for claim, unit, what, over, target in (
            (f"the last save, {gigabytes:.2f} GB of rows", "s", "seconds", last, None),
            (f"the last save, {gigabytes:.2f} GB of rows, CPU", "s", "cpu", last, None),
            (f"all {saves} saves", "s", "seconds", sum, None),
            (f"all {saves} saves, CPU", "s", "cpu", sum, None),
            ("memory on top of the rows", "MiB (less is better)", "memory", max, MEMORY_LIMIT_MIB),
        ):
            one, other = over(mine[what]), over(theirs[what])
            ratio = other / max(one, 1.0) if what == "memory" else other / one
            rows.append(
                {
                    "claim": claim,
                    "ours": one,
                    "peer": other,
                    "peer_name": name,
                    "ratio": ratio,
                    "target": target,
                    "unit": unit,
                }
            )
    rows[0]["table"] = [
        f"save {n + 1:>2}: {mine['disk'][n]:>6,.0f} MiB on disk, {mine['seconds'][n]:.2f} s, "
        f"{mine['cpu'][n]:.2f} s CPU, {mine['memory'][n]:.1f} MiB on top"
        for n in range(len(mine["disk"]))
    ]
    return rows


def last(values: list[float]) -> float:
    """The last of them."""
    return values[-1]


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--directory", type=Path, help="where the files are written")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.measure:
        method, saves = arguments.measure
        print(json.dumps(measure(method, int(saves), arguments.directory)))
        return
    print(f"{'claim':46} {'ours':>8} {'target':>7} {'peer':>8} {'ratio':>8}  peer, unit")
    if arguments.directory is not None and not arguments.directory.is_dir():
        parser.error(f"--directory: {arguments.directory} is not a folder; make it first, or leave the option out")
    for row in run(arguments.quick, arguments.directory):
        target = "" if row["target"] is None else f"{row['target']:,}"
        print(
            f"{row['claim']:46} {row['ours']:>8,.2f} {target:>7} {row['peer']:>8,.2f} {row['ratio']:>8,.1f}  "
            f"{row['peer_name']}; {row['unit']}"
        )
        for line in row.get("table", ()):
            print(f"  {line}")


if __name__ == "__main__":
    main()
