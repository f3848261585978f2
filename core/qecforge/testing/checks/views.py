"""That a view can be asked about any run: the suites of environments and agents do."""

from __future__ import annotations

import tempfile

from qecforge.contracts.views import RunView
from qecforge.reporting.tables import Table
from qecforge.store import Store
from qecforge.testing.examples import example_run

__all__ = ["check_view"]


def check_view(view: RunView | None) -> None:
    """Of a run that recorded nothing a view gives no figure and no row, and raises nothing; it leaves the store as it
    is."""
    if view is None:
        return
    with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/results.db") as store:
        run = example_run(store)
        tables = {} if view.tables is None else dict(view.tables(store, [run.id]))
        assert all(isinstance(each, Table) for each in tables.values()), f"tables gave {tables}"
        assert [name for name, table in tables.items() if table.rows] == [], "rows of a run that recorded nothing"
        figures = {} if view.figures is None else dict(view.figures(store, run))
        assert list(figures) == [], "figures of a run that recorded nothing"
        assert store.runs() == [run], "the view changed the store"
        assert store.metric_names(run.id) == [], "the view changed the store"
