"""`qecforge runs figures`, and the tables that views bring after a run."""

from dataclasses import replace

import pytest
import toy_plugin
from cli_harness import invoke, one_line

from qecforge import Registry, Store
from qecforge.contracts import RunView
from qecforge.hookspecs import hookimpl
from qecforge.reporting.curves import Curves, curves_figure
from qecforge.reporting.tables import Column, Table


def fails(store, what):
    raise ArithmeticError("no luck")


@pytest.fixture
def give_view(monkeypatch):
    """Give the toy agent a view."""

    def give(view):
        (spec,) = toy_plugin.qecforge_agents()

        @hookimpl
        def qecforge_agents():
            return [replace(spec, view=view)]

        monkeypatch.setattr(toy_plugin, "qecforge_agents", qecforge_agents)

    return give


def written(run, *names):
    return "".join(f"drawn/{run.id}_{name}.png\n" for name in names)


def test_a_run_without_any_view_has_what_every_run_can_have(filled):
    with Store("sqlite:///results.db") as store:
        run = store.runs(seed=5)[0]
        store.add_metrics(run.id, [("episode_return", step, -1.0, 0.0) for step in (0, 10)])
    result = invoke("runs", "figures", run.id[:6], "--out", "drawn")
    assert result.exit_code == 0, result.stderr
    assert (result.stdout, result.stderr) == (written(run, "learning_curve", "codes"), "")
    for path in result.stdout.split():
        assert (filled / path).read_bytes().startswith(b"\x89PNG")


def test_views_add_theirs_and_one_that_fails_is_named(filled, give_view):
    def reward(store, run):
        return {"reward": curves_figure(store, run, [Curves(y="reward", metrics={"reward": ""})])}

    with Store("sqlite:///results.db") as store:
        run = store.runs(seed=5)[0]
    give_view(RunView(figures=reward))
    assert invoke("runs", "figures", run.id, "--out", "drawn").stdout == written(run, "codes", "reward")
    give_view(RunView(figures=fails))
    result = invoke("runs", "figures", run.id, "--out", "drawn")
    assert (result.exit_code, result.stdout) == (0, written(run, "codes"))
    assert result.stderr == "the view of agent walker (figures) is left out: ArithmeticError: no luck\n"


def test_without_its_plugins_a_run_has_what_the_store_alone_can_show(filled, monkeypatch):
    load = Registry.load.__func__
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: load(cls, [])))
    with Store("sqlite:///results.db", read_only=True) as store:
        run = store.runs(seed=5)[0]
    result = invoke("runs", "figures", run.id, "--out", "drawn")
    assert (result.exit_code, result.stdout) == (0, written(run, "codes"))
    first, second = result.stderr.splitlines()
    assert first.startswith("what environment walk shows of its runs is left out: unknown environment 'walk'")
    assert second.startswith("what agent walker shows of its runs is left out: unknown agent 'walker'")


def test_a_run_that_recorded_nothing_is_one_line(filled):
    with Store("sqlite:///results.db") as store:
        (known,) = store.runs(seed=6)
        run = store.begin_run(
            "f" * 64,
            name="empty",
            seed=0,
            manifest=known.manifest,
            manifest_source="",
            environment="walk",
            reward=None,
            agent="walker",
            provenance={},
        )
    line = one_line(invoke("runs", "figures", run.id, "--out", "drawn"))
    assert line.startswith(f"run {run.id} (empty) has nothing to draw: ")
    assert line.endswith("(its status is pending)")
    assert not (filled / "drawn").exists()


def test_a_folder_that_cannot_be_written_is_one_line(filled):
    (filled / "taken").write_text("")
    with Store("sqlite:///results.db", read_only=True) as store:
        run = store.runs(seed=5)[0]
    assert one_line(invoke("runs", "figures", run.id, "--out", "taken")).endswith("choose another --out")


def test_tables_of_views_follow_the_runs(filled, give_view):
    def rewards(store, run_ids):
        rows = [{"run": run_id, "reward": store.metrics(run_id, "reward").last} for run_id in run_ids]
        return {"last rewards": Table((Column("run"), Column("reward")), rows, title="Rewards at the end")}

    give_view(RunView(tables=rewards))
    result = invoke("run", "walk.yaml")
    assert result.exit_code == 0, result.stderr
    assert "TypeError: got 'last rewards': Table, expected Table by lower-case names" in result.stderr
    give_view(RunView(tables=lambda store, run_ids: {"rewards": rewards(store, run_ids)["last rewards"]}))
    lines = invoke("run", "walk.yaml").stdout.splitlines()
    with Store("sqlite:///results.db", read_only=True) as store:
        expected = {run.id: store.metrics(run.id, "reward").last for run in store.runs()}
    begin = lines.index("Rewards at the end")
    rows = [line.split() for line in lines[begin + 3 : begin + 5]]
    assert {run_id: float(value) for run_id, value in rows} == pytest.approx(expected, rel=1e-3)


def test_tables_that_fail_are_named_and_the_run_has_ended(filled, give_view):
    give_view(RunView(tables=fails))
    result = invoke("run", "walk.yaml")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == "the view of agent walker (tables) is left out: ArithmeticError: no luck"
    assert "[[5,1,3]]" in result.stdout
