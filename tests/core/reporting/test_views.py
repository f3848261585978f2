"""What views give, each on its own: one that fails is named, and all else is there."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
from matplotlib.figure import Figure

from qecforge import Registry, Store
from qecforge.contracts import RunView
from qecforge.errors import ConfigurationError
from qecforge.reporting.tables import Column, Table
from qecforge.reporting.views import PluginView, drawable, run_figures, run_tables, views_of, write_figures
from qecforge.testing.examples import example_run


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/results.db") as opened:
        yield opened


def figure(title=""):
    drawn = Figure()
    drawn.suptitle(title)
    return drawn


def table(*numbers):
    return Table((Column("x"),), [{"x": each} for each in numbers])


def view(kind="agent", name="walker", **fields):
    return PluginView(kind, name, RunView(**fields))


def fails(store, what):
    raise ArithmeticError("no\nluck")


def test_views_are_those_of_the_plugins_that_a_run_names(store):
    registry = Registry.load([EntryPoint("toy", "toy_plugin", "qecforge")])
    gone = replace(example_run(store), environment="walk", agent="strider")
    views, missing = views_of(gone, registry)
    assert views == []
    assert len(missing) == 1
    assert missing[0].startswith("what agent strider shows of its runs is left out: unknown agent 'strider'.")


def test_figures_of_views_join_those_of_every_run(store):
    run = example_run(store)
    store.add_metrics(run.id, [("episode_return", step, -1.0, 0.0) for step in (0, 1)])
    mine, theirs, third = figure(), figure(), figure()
    views = [
        view("environment", "ring", figures=lambda store, run: {"layout": mine}),
        view(figures=lambda store, run: {"learning_curve": theirs, "layout": third}),
    ]
    found = run_figures(store, run, views)
    assert list(run_figures(store, run, []).found) == ["learning_curve"]
    assert dict(found.found) == {"learning_curve": theirs, "layout": mine, "walker_layout": third}
    assert dict(found.givers) == {
        "learning_curve": "agent walker",
        "layout": "environment ring",
        "walker_layout": "agent walker",
    }
    assert found.left_out == []


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (fails, "ArithmeticError: no luck"),
        (lambda store, run: None, "TypeError: 'NoneType' object is not iterable"),
        (lambda store, run: {"a": 3}, "TypeError: got 'a': int, expected Figure by lower-case names"),
        (lambda store, run: {"../a": Figure()}, "TypeError: got '../a': Figure, expected Figure by lower-case names"),
    ],
)
def test_a_view_that_fails_is_named_and_the_others_are_drawn(store, figures, words):
    run, other = example_run(store), figure()
    views = [view("environment", "ring", figures=figures), view(figures=lambda store, run: {"other": other})]
    found = run_figures(store, run, views)
    assert found.left_out == [f"the view of environment ring (figures) is left out: {words}"]
    assert dict(found.found) == {"other": other}


def test_tables_are_of_all_runs_of_a_plugin_together(store):
    seen = []

    def tables(store, run_ids):
        seen.append(run_ids)
        return {"score": table(*range(len(run_ids))), "nothing": table()}

    ring, walker = view("environment", "ring", tables=fails), view(tables=tables)
    found = run_tables(store, {"a": [ring, walker], "b": [view("agent", "other")], "c": [walker]})
    assert seen == [["a", "c"]]
    assert [(name, list(each.rows)) for name, each in found.found.items()] == [("score", [{"x": 0}, {"x": 1}])]
    assert found.left_out == ["the view of environment ring (tables) is left out: ArithmeticError: no luck"]


def test_tables_of_one_name_are_told_apart(store):
    one = view("environment", "ring", tables=lambda store, run_ids: {"score": table(1)})
    two = view(tables=lambda store, run_ids: {"score": table(2)})
    assert list(run_tables(store, {"a": [one, two]}).found) == ["score", "walker_score"]


def test_a_figure_that_fails_only_when_it_is_drawn_is_named(store, tmp_path):
    run = example_run(store)
    views = [view(figures=lambda store, run: {"bad": figure(r"$\nothing$"), "good": figure("good")})]
    found = run_figures(store, run, views)
    written = write_figures(found, run, tmp_path / "new" / "folder")
    assert [path.name for path in written.found.values()] == [f"{run.id}_good.png"]
    assert written.found["good"].read_bytes().startswith(b"\x89PNG")
    assert written.left_out[0].startswith("the view of agent walker (figure bad) is left out: ValueError: ")
    assert list(drawable(found).found) == ["good"]
    assert drawable(found).left_out == written.left_out


def test_a_folder_that_cannot_be_written_is_refused(store, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigurationError, match="choose another folder"):
        write_figures(run_figures(store, example_run(store), []), example_run(store), tmp_path / "taken")
