"""`qecforge reproduce`: a command for every reproduction that is installed."""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import EntryPoint

import pytest
import toy_study
from cli_harness import LOAD, invoke, one_line
from toy_study import StudyOptions, study

from qecforge import Store
from qecforge.contracts import Order
from qecforge.errors import CheckpointError, Interrupted
from qecforge.hookspecs import hookimpl
from qecforge.registry import Registry
from qecforge.reproduction.carry_out import carry_out
from qecforge.reproduction.planning import planned_runs


@pytest.fixture
def install(monkeypatch, folder):
    """Replaces what is installed by these modules; a list of specs in the place of one is a plugin that gives them."""

    def install(*modules):
        names = []
        for number, module in enumerate(modules):
            name = module
            if not isinstance(module, str):
                name = f"toy_study_{number}"
                made = types.ModuleType(name)
                made.qecforge_reproductions = hookimpl(_giving(module))
                monkeypatch.setitem(sys.modules, name, made)
            names.append(name)
        points = [EntryPoint(name, name, "qecforge") for name in names]
        monkeypatch.setattr(Registry, "load", classmethod(lambda cls: LOAD(cls, points)))

    return install


def _giving(specs):
    def qecforge_reproductions():
        return specs

    return qecforge_reproductions


@pytest.fixture
def studies(install):
    install("toy_plugin", "toy_study")


@pytest.fixture
def url(folder):
    return f"sqlite:///{folder}/results.db"


def fill(url, **options):
    """Carried out in this process: the pool of the command knows no toys."""
    registry = Registry.load()
    order = Order(options=StudyOptions(**options), seeds=(0, 1))
    carry_out(study(), planned_runs(study(), order, registry), registry, store_url=url)


def test_without_a_name_it_lists_what_there_is(studies):
    assert invoke("reproduce").stdout.split("\n")[2].split("   ") == [
        "study", "Walks on rings of two sizes", "A book about walks"
    ]  # fmt: skip
    (row,) = json.loads(invoke("reproduce", "--format", "json").stdout)
    assert (row["name"], row["distribution"]) == ("study", "unknown")
    assert "study  Walks on rings of two sizes." in invoke("reproduce", "--help").stdout


def test_where_none_is_installed_it_says_so(install):
    install("toy_plugin")
    result = invoke("reproduce")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no reproduction is installed\n")


def test_ours_are_found_as_any_others(folder):
    rows = {row["name"]: row for row in json.loads(invoke("reproduce", "--format", "json").stdout)}
    assert {"apq", "steering"} <= set(rows)
    assert rows["steering"]["source"] == "arXiv:2511.08493"


def test_the_fields_of_its_options_are_options_of_its_command(studies):
    text = invoke("reproduce", "study", "--help").stdout
    for part in (
        "Walks on rings of two sizes.",
        "Source: A book about walks.",
        "The small ring alone: a second.",
        "Number of seeds, 0..N-1. Default: 3; with --quick: 2.",
    ):
        assert part in " ".join(text.split())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "--sizes NAMES Of 5,9; both.",
        "--steps INTEGER Steps of each walk.",
        "--way <both|right> Where it may go.",
        "--careful / --no-careful Whether the larger waits for the smaller.",
    ):
        assert line in lines


def test_options_reach_the_plan(install, url):
    orders = []

    def plan(order, registry):
        orders.append(order)
        return toy_study.plan(order, registry)

    install("toy_plugin", [study(plan=plan)])
    given = (
        "--sizes",
        "9, 5",
        "--steps",
        "8",
        "--way",
        "right",
        "--no-careful",
        "--seeds",
        "1",
        "--set",
        "agent.members=2",
    )
    invoke("reproduce", "study", *given, "--dry-run", "--store", url)
    invoke("reproduce", "study", "--quick", "--dry-run", "--store", url)
    options = StudyOptions(sizes=("9", "5"), steps=8, way="right", careful=False)
    assert orders == [
        Order(options=options, seeds=(0,), overrides=("agent.members=2",)),
        Order(options=StudyOptions(), seeds=(0, 1), quick=True),
    ]


def test_a_dry_run_says_what_the_store_has(studies, url, folder):
    arguments = ("reproduce", "study", "--dry-run", "--store", url)
    rows = [line.split() for line in invoke(*arguments).stdout.splitlines()[2:]]
    assert [row[1:] for row in rows] == [[size, seed, "new"] for seed in "012" for size in "59"]
    assert list(folder.iterdir()) == []
    fill(url)
    rows = [line.split() for line in invoke(*arguments).stdout.splitlines()[2:]]
    assert [row[3] for row in rows] == ["finished"] * 4 + ["new"] * 2


def test_tables_of_a_store_are_printed_and_written(studies, url, folder):
    fill(url)
    result = invoke("reproduce", "study", "--tables-only", "--store", url, "--out", "out")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "2 of 6 runs are not in the store, or not finished: the tables are without them",
        "7 files in out",
    ]
    titles = [
        line for line in result.stdout.splitlines() if line in ("Claims of the paper, ours beside theirs", "Rewards")
    ]
    assert len(titles) == 2
    assert "interval above 0" in result.stdout
    page = (folder / "out" / "report.html").read_text()
    assert "<h1>Reproduction study</h1>" in page
    assert "<p>Walks on rings of two sizes.</p>\n<p>Source: A book about walks.</p>\n<p>2 of 6 runs are not" in page
    assert "data:image/png;base64," in page


def test_runs_that_a_file_records_are_not_repeated_and_others_are_added(studies, url, folder):
    asked = ("reproduce", "study", "--records", "runs.jsonl", "--store")
    fill(url, sizes=("5",))
    first = invoke(*asked, url, "--tables-only", "--sizes", "5")
    assert first.stderr.splitlines()[0] == "2 of 3 runs are added to runs.jsonl"
    other = f"sqlite:///{folder}/other.db"
    listed = [line.split()[3] for line in invoke(*asked, other, "--dry-run").stdout.splitlines()[2:]]
    assert listed == ["recorded", "new"] * 2 + ["new"] * 2
    assert not (folder / "other.db").exists()
    second = invoke(*asked, other, "--tables-only", "--sizes", "5")
    assert second.exit_code == 0, second.output
    assert second.stderr.splitlines()[0] == "2 of 3 runs are taken from runs.jsonl"
    assert second.stdout == first.stdout
    with Store(other) as store:
        assert [run.status for run in store.runs()] == ["finished"] * 2


def test_what_finished_before_an_interruption_is_recorded(studies, url, folder, monkeypatch):
    def stopped(*_, **__):
        fill(url, sizes=("5",))
        raise Interrupted("1 of 3 runs did not end")

    monkeypatch.setattr("qecforge.reproduction.carry_out.carry_out", stopped)
    result = invoke("reproduce", "study", "--sizes", "5", "--records", "runs.jsonl", "--store", url)
    assert result.exit_code != 0
    assert len((folder / "runs.jsonl").read_text().splitlines()) == 2


def test_only_what_reads_no_more_than_records_has_the_option(install, url):
    install("toy_plugin", [study(recorded=None)])
    assert "--records" not in invoke("reproduce", "study", "--help").stdout
    assert invoke("reproduce", "study", "--records", "runs.jsonl", "--store", url).exit_code == 2


def test_nothing_finished_prints_and_writes_nothing(studies, url, folder):
    Store(url).close()
    result = invoke("reproduce", "study", "--quick", "--tables-only", "--store", url, "--out", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "2 of 2 runs are not in the store" in result.stderr
    assert not (folder / "out").exists()


SEE = "; see `qecforge reproduce study --help`"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sizes", "7"), "unknown size '7'. Known: 5, 9"),
        (
            ("--sizes", " , "),
            f"Invalid value for '--sizes': got ' , ', expected one or more, with commas between them{SEE}",
        ),
        (("--steps", "3"), f"Invalid value for '--steps': got '3', expected 4 or more{SEE}"),
        (("--steps", "many"), f"Invalid value for '--steps': got 'many', expected a whole number{SEE}"),
        (("--way", "left"), f"Invalid value for '--way': got 'left', expected 'both' or 'right'{SEE}"),
        (("--seeds", "0"), "'--seeds'"),
        (("--stepps", "4"), "No such option"),
        (("--dry-run", "--tables-only"), "--dry-run and --tables-only: choose one of them"),
        (("--dry-run", "--set", "agent.total_stps=1"), "agent.total_stps"),
        (("--tables-only", "--store", "sqlite:///none.db"), "none.db"),
    ],
)
def test_bad_options_are_one_line(studies, folder, arguments, message):
    assert message in one_line(invoke("reproduce", "study", *arguments))
    assert list(folder.iterdir()) == []


def test_a_missing_need_and_an_empty_plan_are_one_line(install):
    install("toy_study")
    line = one_line(invoke("reproduce", "study"))
    assert line.startswith("reproduction 'study' needs environment 'walk', which cannot be used: unknown environment")
    install("toy_plugin", [study(plan=lambda order, registry: [])])
    assert one_line(invoke("reproduce", "study")) == (
        "reproduction 'study' has no run for these options: choose others, or leave them out"
    )


def test_an_unknown_name_offers_the_nearest(studies):
    assert one_line(invoke("reproduce", "studdy")) == (
        "unknown reproduction 'studdy'. Did you mean 'study'? Installed reproductions: study."
    )


def test_a_name_given_twice_is_refused_and_harms_no_other(install):
    install("toy_plugin", [study()], [study(), study(name="other")])
    assert [row["name"] for row in json.loads(invoke("reproduce", "--format", "json").stdout)] == ["other"]
    assert "reproduction 'study' is given twice" in one_line(invoke("reproduce", "study", "--dry-run"))
    assert invoke("reproduce", "other", "--dry-run").exit_code == 0


def test_a_broken_plugin_harms_no_other(install):
    install("toy_plugin", "toy_study", [study(name="odd", needs="environment.walk")], "no_such_module_at_all")
    assert invoke("reproduce", "study", "--quick", "--dry-run").exit_code == 0
    assert "unknown reproduction 'odd'" in one_line(invoke("reproduce", "odd"))
    assert "'toy_study_2' of unknown 0 could not be loaded" in one_line(invoke("reproduce", "toy_study_2"))


def test_what_a_plugin_fails_at_is_one_line_and_debug_says_where(install, url):
    def fails(*_):
        raise KeyError("walks")

    install("toy_plugin", [study(plan=fails)])
    assert "failed while it planned its runs: KeyError: 'walks'" in one_line(invoke("reproduce", "study"))
    assert "in fails" in invoke("reproduce", "study", "--debug").stderr


def test_plugins_shows_it_with_its_options(studies):
    rows = json.loads(invoke("plugins", "list", "--format", "json").stdout)
    assert [(row["kind"], row["summary"]) for row in rows if row["name"] == "study"] == [
        ("reproduction", "Walks on rings of two sizes")
    ]
    text = invoke("plugins", "show", "study").stdout
    assert text.startswith("reproduction study: Walks on rings of two sizes\n")
    for line in (
        "reproduces A book about walks",
        "`qecforge reproduce study` carries it out",
        "needs environment.walk, ",
    ):
        assert line in text
    fields = json.loads(invoke("plugins", "show", "study", "--format", "json").stdout)
    assert [row["field"] for row in fields] == ["sizes", "steps", "way", "careful"]


def test_a_plugin_that_a_manifest_names_goes_before_a_reproduction_of_its_name(install):
    install("toy_plugin", [study(name="walk")])
    assert invoke("plugins", "show", "walk").stdout.startswith("environment walk: ")
    assert invoke("plugins", "show", "walk", "--kind", "reproduction").stdout.startswith("reproduction walk: ")
    assert invoke("plugins", "show", "reproduction.walk").stdout.startswith("reproduction walk: ")


def test_what_is_advised_are_options_that_the_command_has(studies, url, monkeypatch):
    def damaged(*arguments, **options):
        raise CheckpointError("x.ckpt: damaged checkpoint: restore the file, or start the run anew with `force`")

    monkeypatch.setattr("qecforge.reproduction.carry_out.carry_out", damaged)
    line = one_line(invoke("reproduce", "study", "--quick", "--store", url))
    assert line == (
        "x.ckpt: damaged checkpoint: restore the file, or start the run anew: "
        f"`qecforge runs delete RUN --store {url}`, then this command again"
    )
