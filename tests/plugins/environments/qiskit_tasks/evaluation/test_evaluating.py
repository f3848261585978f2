"""Evaluations from the model to the filed report, with a judge that needs no sandbox."""

import json
from dataclasses import replace

import pytest
from model_server import chat, response, serving

from qecforge.contracts.text import Verdict
from qecforge.errors import ConfigurationError, InfrastructureError, RunBusy, StoreError
from qecforge.store import Store
from qecforge_qiskit_tasks.evaluation import filing
from qecforge_qiskit_tasks.evaluation.compare import comparison_table
from qecforge_qiskit_tasks.evaluation.evaluating import Plan, evaluate, sha256_of
from qecforge_qiskit_tasks.evaluation.journal import Drawn, Journal
from qecforge_qiskit_tasks.evaluation.models import ModelName, Sampling
from qecforge_qiskit_tasks.evaluation.models.server import Server
from qecforge_qiskit_tasks.evaluation.report import Judged, parse_report
from qecforge_qiskit_tasks.evaluation.tables import report_tables, to_markdown_report
from qecforge_qiskit_tasks.tasks import Task

TESTS = "def test_it(program):\n    assert program.f() == 1\n"


def task(name, level="basic", tags=(), in_process=False):
    return Task(
        id=name, prompt="def f():\n", hard_prompt="Write f.", entry_point="f", reference="def f():\n    return 1\n",
        tests=TESTS, level=level, tags=tags, in_process=in_process,
    )  # fmt: skip


TASKS = [task("a", tags=("x",)), task("b", "difficult", ("x", "y")), task("c", in_process=True)]


class SaysPass:
    """Passes what says `good`; what says `cnot` fails as Qiskit does."""

    versions, profile = {"qiskit": "2.0"}, "bubblewrap"

    def __init__(self):
        self.judged = 0

    def judge(self, task_ids, completions):
        self.judged += len(completions)
        return [self.one(text) for text in completions]

    def one(self, text):
        if "good" in text:
            return Judged(Verdict.PASSED, text, "")
        blamed = "AttributeError: 'QuantumCircuit' object has no attribute 'cnot'" if "cnot" in text else "wrong"
        return Judged(Verdict.ERROR if "cnot" in text else Verdict.FAILED, text, blamed)


class Kept(dict):
    def __init__(self, completions):
        self.completions = completions

    def add(self, key, drawn):
        self.completions[key] = drawn


SCRIPT = {"a": ["good", "bad", "bad", "bad"], "b": ["qc.cnot(0)", "bad", "good", "good"], "c": ["good"] * 4}


def given(script=SCRIPT):
    return Kept({(name, i, 1): Drawn(text) for name, texts in script.items() for i, text in enumerate(texts)})


def plan(**changes):
    return replace(Plan("toy", TASKS, samples=4, ks=(1, 2)), **changes)


def report_of(script=SCRIPT, **changes):
    chosen = plan(**changes)
    identity = chosen.identity({"kind": "file", "name": "s", "sha256": "0"}, Sampling())
    return evaluate(chosen, None, identity, Sampling(), given(script), SaysPass())


def figure(report, name="all", tests="judged", k=1, attempts=1):
    found = [
        each for each in report.figures if (each.name, each.tests, each.k, each.attempts) == (name, tests, k, attempts)
    ]
    assert len(found) == 1
    return found[0]


def test_figures_by_hand():
    """a passes 1 of 4, b 2 of 4: pass@1 is 3/8, pass@2 (1/2 + 5/6) / 2. c can be forged, and stands apart."""
    report = report_of()
    assert figure(report).estimate == pytest.approx(3 / 8)
    assert figure(report, k=2).estimate == pytest.approx((1 / 2 + 5 / 6) / 2)
    assert (figure(report).tasks, figure(report).completions, figure(report).passed) == (2, 8, 3)
    assert figure(report, tests="in_process").estimate == 1.0
    assert figure(report, "difficult").estimate == 0.5
    assert (figure(report, "x").estimate, figure(report, "y").estimate) == (pytest.approx(3 / 8), 0.5)
    assert all(each.low <= each.estimate <= each.high for each in report.figures)
    assert report.verdicts == {"passed": 7, "failed": 4, "error": 1}
    assert [each.passed for each in report.by_task] == [(1,), (2,), (4,)]


def test_what_removed_names_cost():
    (use,) = report_of().removed_api
    assert (use.name, use.since, use.instead) == ("QuantumCircuit.cnot", "1.0", "cx")
    assert (use.completions, use.failed_by_it, use.tasks_lost, use.repaired) == (1, 1, 1, 0)


def test_the_same_evaluation_is_the_same_report_byte_for_byte():
    assert report_of().to_json() == report_of().to_json()
    assert to_markdown_report(report_of()) == to_markdown_report(report_of())


def test_the_weaker_profile_stands_in_every_table():
    """Of one report, of two compared, and of the check of a set."""
    from qecforge_qiskit_tasks.checking.report import SetCheck, TaskCheck
    from qecforge_qiskit_tasks.cli.check import _table

    usual = report_of()
    weak = usual.model_copy(update={"profile": "landlock"})
    titles = [table.title for table in report_tables(weak)]
    assert len(titles) >= 4
    assert all(title.endswith("; sandbox profile landlock") for title in titles)
    assert to_markdown_report(weak).count("; sandbox profile landlock\n") == len(titles)
    assert not any("landlock" in table.title for table in report_tables(usual))
    assert "landlock" in comparison_table(usual, weak, ("a", "b")).title
    assert "landlock" not in comparison_table(usual, usual, ("a", "b")).title
    assert [row["profile"] for row in _table(SetCheck(tasks=[TaskCheck(id="a")]), "landlock").rows] == ["landlock"]


def test_a_report_comes_back_from_its_json():
    report = report_of()
    assert parse_report("x", report.to_json().encode()) == report


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b"{}", b'{"qecforge_report": 2}', "not a report".encode("utf-16")]
)
def test_what_is_no_report(content):
    with pytest.raises(ConfigurationError, match=r"r\.json: not a JSON report of `qecforge tasks eval`"):
        parse_report("r.json", content)


def test_a_report_with_counts_that_cannot_be_is_refused():
    content = json.loads(report_of().to_json())
    content["by_task"][0]["passed"] = [9]
    with pytest.raises(ConfigurationError, match="task a has impossible counts"):
        parse_report("r.json", json.dumps(content).encode())


def test_markdown_has_an_interval_beside_every_figure():
    text = to_markdown_report(report_of())
    rows = [
        line for line in text.splitlines() if line.startswith("|") and (" judged " in line or " in_process " in line)
    ]
    assert len(rows) == 7  # all and basic have both kinds of tests; difficult, x and y the first alone
    assert all(line.count("%") == line.count("[") == 2 for line in rows)
    assert "in_process tests run beside the program" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ks": (1, 5)}, "-k: got 1,5, expected numbers from 1 to 4"),
        ({"ks": (0,)}, "-k: got 0"),
        ({"ks": ()}, "-k: got nothing"),
        ({"samples": 0}, "-n: got 0"),
        ({"attempts": 0}, "--attempts: got 0"),
    ],
)
def test_plans_that_cannot_be(changes, said):
    with pytest.raises(ConfigurationError, match=said):
        plan(**changes)


def test_a_task_without_the_prompt_is_named():
    bare = TASKS[0].model_copy(update={"hard_prompt": ""})
    with serving(lambda request, number: b"") as server:
        model = Server(ModelName("server", server.url, "tiny"), Sampling())
        chosen = plan(tasks=[bare], kind="hard")
        identity = chosen.identity(model.identity, Sampling())
        with pytest.raises(ConfigurationError, match="task a has no hard prompt"):
            evaluate(chosen, model, identity, Sampling(), Kept({}), SaysPass())


def test_a_second_attempt_is_told_of_the_error():
    """First `qc.cnot`; who is told of an error says `good`."""

    def behaviour(request, number):
        return response("200 OK", chat("good" if len(request["body"]["messages"]) > 1 else "qc.cnot(0, 1)"))

    kept, judges = Kept({}), SaysPass()
    with serving(behaviour) as server:
        model = Server(ModelName("server", server.url, "tiny"), Sampling())
        chosen = plan(attempts=2, samples=2)
        report = evaluate(chosen, model, chosen.identity(model.identity, Sampling()), Sampling(), kept, judges)
        asked = [request["body"]["messages"] for request in server.requests]
    assert figure(report, attempts=1).estimate == 0.0
    assert figure(report, attempts=2).estimate == 1.0
    assert len(asked) == judges.judged == 12
    assert [each["role"] for each in asked[-1]] == ["user", "assistant", "user"]
    assert asked[-1][1]["content"] == "qc.cnot(0, 1)"
    assert "has no attribute 'cnot'" in asked[-1][2]["content"]
    assert report.removed_api[0].repaired == 6
    assert len({request["body"]["seed"] for request in server.requests}) == 12


def test_an_interrupted_evaluation_goes_on(tmp_path):
    """The server fails for good after 7 of 12 completions; the next evaluation asks for the 5 that are missing."""
    broken = True

    def behaviour(request, number):
        if broken and number >= 7:
            return response("400 Bad", "gone")
        return response("200 OK", chat("good" if request["body"]["seed"] % 2 else "bad"))

    with serving(behaviour) as server, Store(tmp_path / "r.db") as store:

        def evaluation():
            model = Server(ModelName("server", server.url, "tiny"), Sampling(concurrency=1))
            identity = plan().identity(model.identity, Sampling())
            run = filing.begin_evaluation(store, identity)
            with filing.opened_journal(store, run) as journal:
                report = evaluate(plan(), model, identity, Sampling(), journal, SaysPass())
                filing.file_report(store, run, journal, report)
            return run, report

        with pytest.raises(InfrastructureError, match="answered 400"):
            evaluation()
        (stopped,) = store.runs()
        assert stopped.status == "interrupted"
        assert "answered 400 (gone)" in stopped.error
        asked, broken = len(server.requests), False
        run, report = evaluation()
        assert len(server.requests) - asked == 5
        assert store.run(run.id).status == "finished"
        again, same = evaluation()
        assert len(server.requests) - asked == 5
    assert (again.id, same.to_json()) == (run.id, report.to_json())


def filed(store, script=SCRIPT, seed=0):
    chosen = plan(seed=seed)
    identity = chosen.identity({"kind": "file", "name": "s", "sha256": "0"}, Sampling())
    run = filing.begin_evaluation(store, identity)
    with filing.opened_journal(store, run) as journal:
        journal.completions.update(given(script).completions)
        report = evaluate(chosen, None, identity, Sampling(), journal, SaysPass())
        filing.file_report(store, run, journal, report)
    return run, report


def test_the_store_has_the_numbers_and_the_files(tmp_path):
    with Store(tmp_path / "r.db") as store:
        run, report = filed(store)
        other, _ = filed(store, {**SCRIPT, "a": ["good"] * 4}, seed=1)
        assert filing.report_of_run(store, run.id) == report
        names = {each.name for each in store.artifacts(run.id, kind=filing.KIND)}
        assert names == {"completions.jsonl", "report.json", "report.md"}
        (numbers,) = store.policy_evaluations(run.id)
        assert numbers.values["pass@1"] == pytest.approx(3 / 8)
        assert numbers.values["in_process_pass@2"] == 1.0
        (compared,) = store.compare([run.id, other.id], "pass@1")
        assert compared.mean == pytest.approx((3 / 8 + 3 / 4) / 2)
        assert (run.environment, run.name) == ("qiskit_tasks", "toy by s")
        assert not (store.directory / "evaluations" / run.id).exists()


def test_filed_completions_are_samples(tmp_path):
    from qecforge_qiskit_tasks.evaluation.models import read_samples

    with Store(tmp_path / "r.db") as store:
        run, _ = filed(store)
        (artifact,) = [each for each in store.artifacts(run.id) if each.name == "completions.jsonl"]
        (tmp_path / "s.jsonl").write_bytes(store.read_artifact(artifact))
    assert read_samples(tmp_path / "s.jsonl", list(SCRIPT)) == SCRIPT


def test_one_process_at_a_time(tmp_path):
    with Store(tmp_path / "r.db") as store:
        identity = plan().identity({"kind": "file", "name": "s"}, Sampling())
        run = filing.begin_evaluation(store, identity)
        with filing.opened_journal(store, run), pytest.raises(RunBusy), filing.opened_journal(store, run):
            pass


def test_a_run_without_a_report(tmp_path):
    with Store(tmp_path / "r.db") as store:
        run = filing.begin_evaluation(store, plan().identity({"kind": "file", "name": "s"}, Sampling()))
        with pytest.raises(StoreError, match="has no report of an evaluation"):
            filing.report_of_run(store, run.id)


def test_beginning_anew_forgets_completions(tmp_path):
    with Store(tmp_path / "r.db") as store:
        run, _ = filed(store)
        identity = json.loads(run.manifest)
        assert filing.begin_evaluation(store, identity).status == "finished"
        fresh = filing.begin_evaluation(store, identity, anew=True)
        assert fresh.status == "pending"
        with filing.opened_journal(store, fresh) as journal:
            assert journal.completions == {}


@pytest.mark.parametrize("torn", [b"", b'{"task_id": "a", "sam', b"\x00\x00"])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    path = tmp_path / "folder" / "c.jsonl"
    with Journal(path) as journal:
        journal.add(("a", 0, 1), Drawn("x\n\ud800\x00", cut=True))
        journal.add(("a", 1, 1), Drawn("y"))
    with path.open("ab") as file:
        file.write(torn)
    with Journal(path) as journal:
        assert journal.completions == {("a", 0, 1): Drawn("x\n\ud800\x00", cut=True), ("a", 1, 1): Drawn("y")}
        journal.add(("b", 0, 1), Drawn("z"))
    with Journal(path, before=b"not read") as journal:
        assert len(journal.completions) == 3


def test_an_altered_line_is_named(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"task_id": "a"}\n')
    with pytest.raises(StoreError, match=r"c\.jsonl:1: is no completion"):
        Journal(path)


def test_two_reports_compared():
    """b is 4 of 4 instead of 2: of the two judged tasks one differs, by 1/2."""
    better = {**SCRIPT, "b": ["good"] * 4}
    table = comparison_table(report_of(better), report_of(), ("better", "base"))
    rows = {(row["tests"], row["k"]): row for row in table.rows}
    assert rows["judged", 1]["difference"] == pytest.approx(1 / 4)
    assert (rows["judged", 1]["higher"], rows["judged", 1]["lower"], rows["judged", 1]["p_value"]) == (1, 0, 1.0)
    assert rows["in_process", 2]["difference"] == 0.0
    assert table.title == "better (first) against base (second), 3 tasks"


def test_tasks_that_differ_are_left_out_and_counted():
    changed = [TASKS[0], TASKS[1].model_copy(update={"tests": TESTS + "\n"}), TASKS[2]]
    assert sha256_of(changed[1]) != sha256_of(TASKS[1])
    table = comparison_table(report_of(), report_of(tasks=changed), ("p", "q"))
    assert "2 tasks; 2 results left out" in table.title
    assert table.rows[0]["tasks"] == 1


def test_nothing_in_common_is_refused():
    other = [task("z")]
    chosen = report_of({"z": ["good"] * 4}, tasks=other)
    with pytest.raises(ConfigurationError, match="p and q have no task in common"):
        comparison_table(report_of(), chosen, ("p", "q"))
