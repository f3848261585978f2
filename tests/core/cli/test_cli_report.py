"""`qecforge report`: one page of HTML about runs."""

import re
from dataclasses import replace
from html import unescape

import toy_plugin
from cli_harness import invoke, one_line

from qecforge import Store
from qecforge.contracts import RunView
from qecforge.hookspecs import hookimpl
from qecforge.reporting.curves import Curves, curves_figure
from qecforge.reporting.tables import Column, Table

SECRET = "correct-horse"


def report(*arguments, **options):
    result = invoke("report", "--out", "report.html", *arguments, **options)
    assert (result.exit_code, result.stdout) == (0, "report.html\n"), result.stderr
    return result


def rows_of(page, heading):
    """Cells of the table below a heading."""
    (table,) = re.findall(rf"<h2[^>]*>{re.escape(heading)}</h2>\n(.*?)</table>", page, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", unescape(row)) for row in re.findall(r"<tr>(.*?)</tr>", table)]


def runs():
    with Store("sqlite:///results.db", read_only=True) as store:
        return {run.seed: run for run in store.runs()}


def test_the_page_has_settings_codes_evaluations_and_figures_of_all_finished_runs(filled):
    first, second = runs()[5], runs()[6]
    with Store("sqlite:///results.db") as store:
        (record,) = store.codes()
        store.add_policy_evaluation(first.id, "agreement", 0.25)
        store.begin_run(
            "f" * 64,
            name="other",
            seed=0,
            manifest=first.manifest,
            manifest_source="",
            environment="walk",
            reward=None,
            agent="walker",
            provenance={},
        )
    result = report()
    assert result.stderr == ""
    page = (filled / "report.html").read_text(encoding="utf-8")
    assert "<title>Report of walk</title>" in page
    assert [row[:3] for row in rows_of(page, "Runs")[1:]] == [
        [run.id, "walk", str(run.seed)] for run in (first, second)
    ]
    settings = {(name, value): of for name, value, of in rows_of(page, "Settings")[1:]}
    assert settings["agent.total_steps", "200"] == settings["evaluation.count.episodes", "5"] == "all"
    assert (settings["seed", "5"], settings["seed", "6"]) == (first.id, second.id)
    assert [row[:2] for row in rows_of(page, "Codes")[1:]] == [[record.id, "[[5,1,3]]"]]
    assert rows_of(page, "Evaluations of the policies")[1:] == [[first.id, "agreement", "0.25"]]
    assert re.findall(r'<img alt="([^"]*)" src="data:image/png', page) == [
        f"codes of run {first.id}",
        f"codes of run {second.id}",
    ]


def test_runs_can_be_chosen_by_the_beginning_of_their_ids(filled):
    run = runs()[6]
    report(run.id[:6])
    page = (filled / "report.html").read_text(encoding="utf-8")
    assert [row[0] for row in rows_of(page, "Runs")[1:]] == [run.id]
    assert runs()[5].id not in page


def test_neither_command_lines_nor_the_stores_url_are_on_the_page(folder, manifest, monkeypatch):
    monkeypatch.setattr("sys.argv", ["qecforge", "run", "--store", f"postgresql://me:{SECRET}@host/results"])
    assert invoke("run", manifest, "--store", "sqlite:///secretly.db").exit_code == 0
    report("--store", "sqlite:///secretly.db")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert rows_of(page, "Made with")[1][1].startswith("0.")
    assert SECRET not in page
    assert "secretly" not in page


def test_tables_and_figures_of_views_are_there_and_those_that_fail_are_named(filled, monkeypatch):
    def rewards(store, run_ids):
        return {"last_rewards": Table((Column("run"),), [{"run": run_id} for run_id in run_ids])}

    def reward(store, run):
        if run.seed == 6:
            raise ArithmeticError("no <luck>")
        figure = curves_figure(store, run, [Curves(y="reward", metrics={"reward": ""})])
        broken = curves_figure(store, run, [Curves(y=r"$\nothing$", metrics={"reward": ""})])
        return {"reward": figure, "broken": broken}

    (spec,) = toy_plugin.qecforge_agents()

    @hookimpl
    def qecforge_agents():
        return [replace(spec, view=RunView(tables=rewards, figures=reward))]

    monkeypatch.setattr(toy_plugin, "qecforge_agents", qecforge_agents)
    first, second = runs()[5], runs()[6]
    lines = report().stderr.splitlines()
    assert lines[0].startswith("the view of agent walker (figure broken) is left out: ValueError: ")
    assert lines[1:] == ["the view of agent walker (figures) is left out: ArithmeticError: no <luck>"]
    page = (filled / "report.html").read_text(encoding="utf-8")
    assert {row[0] for row in rows_of(page, "Last rewards")[1:]} == {first.id, second.id}
    assert f"reward of run {first.id}" in page
    assert f"reward of run {second.id}" not in page
    assert "<p>the view of agent walker (figures) is left out: ArithmeticError: no &lt;luck&gt;</p>" in page


def test_bad_input_is_one_line(filled):
    assert one_line(invoke("report", "--out", "none/report.html")).startswith(
        "--out: none/report.html cannot be written ("
    )
    assert one_line(invoke("report", "nope", "--out", "report.html")).startswith("run 'nope': there is none")
    with Store("sqlite:///results.db") as store:
        for run in store.runs():
            store.mark_run(run.id, "failed", error="no")
    line = one_line(invoke("report", "--out", "report.html"))
    assert line == "no run in this store is finished: name the runs to report"
    assert not (filled / "report.html").exists()
