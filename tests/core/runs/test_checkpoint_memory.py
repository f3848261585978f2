"""Memory that a checkpoint takes beside the state itself, measured in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20
LIMIT = 64 * MIB
SCRIPT = """\
import sys
from pathlib import Path

import numpy as np
import torch

from qecforge.learning.rows import RowTable
from qecforge.runs.checkpoints import load_checkpoint, save_checkpoint

size, path = int(sys.argv[2]), Path(sys.argv[3])


def state(kind):
    if kind == "array":
        return np.full(size // 8, 0.5)
    if kind == "strided":
        return np.full((size // 80, 10), 0.5).T
    if kind == "tensor":
        return torch.full((size // 2,), 0.5, dtype=torch.bfloat16)
    table = RowTable({"observation": (np.float32, (255,)), "reward": np.float32}, size // 1024)
    while len(table) < table.capacity:
        table.append({"observation": np.full((64, 255), 0.5, np.float32), "reward": np.zeros(64, np.float32)})
    return table


def peak(what):
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS:")
    result = what()
    return resident("VmHWM:") - before, result


def resident(name):
    status = Path("/proc/self/status").read_text().split()
    return 1024 * int(status[status.index(name) + 1])


save_checkpoint(path.with_name("small"), {"a": np.zeros(3), "b": torch.zeros(3)})
load_checkpoint(path.with_name("small"))
if sys.argv[1] == "load":
    print(peak(lambda: load_checkpoint(path))[0])
else:
    value = state(sys.argv[1])
    print(peak(lambda: save_checkpoint(path, {"value": value}))[0])
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory of one call is measured as Linux has it"
)


def measured(*arguments):
    done = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("kind", ["array", "strided", "tensor", "rows"])
@pytest.mark.parametrize("size", [192 * MIB, pytest.param(800 * MIB, marks=pytest.mark.slow)])
def test_what_is_large_is_streamed(tmp_path, kind, size):
    path = tmp_path / "run.ckpt"
    saving = measured(kind, size, path)
    assert saving <= LIMIT, f"saving took {saving / MIB:.0f} MiB"
    loading = measured("load", size, path)
    assert size - LIMIT <= loading <= size + LIMIT, f"loading took {loading / MIB:.0f} MiB"
    assert size <= sum(each.stat().st_size for each in tmp_path.glob("run.ckpt*")) <= size + MIB
