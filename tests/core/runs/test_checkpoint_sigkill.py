"""A process that appends rows and saves them without a pause, killed by SIGKILL again and again."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from row_tables import assert_holds

from qecforge.runs.checkpoints import load_checkpoint

KILLS = 25
CAPACITY = 20_000
SCRIPT = """\
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from row_tables import rows, table_of

from qecforge.runs import _segments
from qecforge.runs.checkpoints import load_checkpoint, save_checkpoint

_segments.SEGMENT_BYTES, _segments.MERGE_BYTES = 1 << 17, 1 << 14
path = Path(sys.argv[2])
if path.exists():
    state = load_checkpoint(path)
    table = state["table"]
    assert state["count"] == table.appended
else:
    table = table_of(0, int(sys.argv[3]))
print("ready", flush=True)
while True:
    table.append(rows(table.appended, 1 + table.appended % 700))
    save_checkpoint(path, {"count": table.appended, "table": table})
"""


@pytest.mark.slow
def test_killed_at_any_instant_the_last_checkpoint_is_whole(tmp_path):
    path, seed = tmp_path / "run" / "training.ckpt", random.randrange(10**6)
    print(f"seed {seed}")
    rng, reached = random.Random(seed), 0
    support = Path(__file__).parents[2] / "support"
    for _ in range(KILLS):
        command = [sys.executable, "-c", SCRIPT, str(support), str(path), str(CAPACITY)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.0, 1.0))
            process.send_signal(signal.SIGKILL)
        if not path.exists():
            continue
        state = load_checkpoint(path)
        assert_holds(state["table"], state["count"], CAPACITY)
        assert state["count"] >= reached
        reached = state["count"]
        used = sum(each.stat().st_size for each in path.parent.iterdir())
        assert used <= 2 * CAPACITY * state["table"].row_bytes
    assert reached > 2 * CAPACITY, "too little was saved for the ring to come round"
