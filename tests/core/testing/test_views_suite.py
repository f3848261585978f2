"""The check of views fails for one that cannot be asked about any run."""

import pytest
from matplotlib.figure import Figure

from qecforge.contracts import RunView
from qecforge.reporting.tables import Column, Table
from qecforge.testing.checks.views import check_view

EMPTY = Table((Column("x"),), [])


def writes(store, run):
    store.add_metrics(run.id, [("x", 0, 1.0, 0.0)])
    return {}


def test_views_that_give_nothing_keep_the_contract():
    for view in (None, RunView(), RunView(tables=lambda store, ids: {"a": EMPTY}, figures=lambda store, run: {})):
        check_view(view)


@pytest.mark.parametrize(
    "view",
    [
        RunView(tables=lambda store, ids: {"a": Table((Column("x"),), [{"x": 1}])}),
        RunView(tables=lambda store, ids: {"a": "text"}),
        RunView(figures=lambda store, run: {"a": Figure()}),
        RunView(figures=writes),
    ],
)
def test_others_do_not(view):
    with pytest.raises(AssertionError):
        check_view(view)


def test_what_a_view_raises_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        check_view(RunView(figures=lambda store, run: 1 / 0))
