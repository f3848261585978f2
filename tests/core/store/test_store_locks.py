"""A process that opens a store twice keeps its locks: they belong to the process, and closing any file descriptor of
the database, SQLite's or not, would release them."""

import subprocess
import sys

from qecforge import Store
from qecforge.testing.examples import example_run

OPEN_WRITE_CLOSE = """\
import sys
from pathlib import Path
from qecforge import Store
from qecforge.testing.examples import example_run
with Store(Path(sys.argv[1])) as store:
    example_run(store, "b")
"""


def test_opening_a_store_again_releases_no_lock(tmp_path):
    """Another process must not take itself for the last user, and remove the write-ahead log that is in use here."""
    path = tmp_path / "results.db"
    log = path.with_name("results.db-wal")
    with Store(path) as store:
        example_run(store, "a")
        with Store(path) as again:
            assert len(again.runs()) == 1
        assert log.exists()
        before = log.stat().st_ino
        subprocess.run([sys.executable, "-c", OPEN_WRITE_CLOSE, path], check=True, timeout=60)
        assert log.exists()
        assert log.stat().st_ino == before
        example_run(store, "c")
        assert len(store.runs()) == 3
    with Store(path) as store:
        assert len(store.runs()) == 3
