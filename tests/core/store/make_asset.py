"""Makes the database file of the present revision for `assets/`. Run once when a revision is released:

python tests/core/store/make_asset.py
"""

import math
import shutil
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.store import Store, _schema
from qecforge.testing.store import discovered, distance, example_code, example_run, example_task


def fill(store):
    run = example_run(
        store, "5", name="asset", environment="code_discovery", sweep_point={"agent.learning_rate": 0.001}
    )
    store.mark_run(run.id, "running", phase="train")
    store.add_metrics(run.id, [("return", 0, -3.0, 0.1), ("return", 1, math.nan, 0.2), ("return", 2, -0.5, 0.3)])
    found = discovered(example_code("steane"), 12, encoder="H 0\nCX 0 1")
    record = store.add_discovery(run.id, found, distance(3), wall_time=1.5, proof={"encoder": "stim"})
    store.add_code(example_code("four_qubit"), distance(4, "upper_bound"), source="a paper")
    task = example_task(record.code)
    for chunk, (shots, errors, discards) in enumerate([(100, 3, 2), (200, 4, 0)]):
        counts = ErrorCounts(shots=shots, errors=errors, discards=discards, seconds=0.75)
        store.add_error_counts(record.id, task, chunk, counts, run_id=run.id)
    exact = replace(task, experiment="code_capacity", sampled=False)
    store.add_error_counts(record.id, exact, 0, ErrorCounts(exact_rate=0.25))
    store.add_policy_evaluation(run.id, "top1", 0.75)
    store.add_event(run.id, "resumed", {"step": 5})
    store.add_artifact(run.id, "policy", "p", b"weights")
    store.mark_run(run.id, "finished")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.db"
        with Store(path) as store:
            fill(store)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("VACUUM")
        connection.close()
        shutil.copy(path, Path(__file__).parent / "assets" / f"revision_{_schema.REVISIONS[-1]}.db")
