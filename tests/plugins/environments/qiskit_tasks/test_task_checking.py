"""The check of a set: each kind of bad task is named, and a good one is proven."""

import json
import subprocess

import pytest
from typer.testing import CliRunner

from qecforge.cli import _app
from qecforge_qiskit_tasks.checking.check import CheckConfig, check_tasks
from qecforge_qiskit_tasks.checking.report import SetCheck, TaskCheck
from qecforge_qiskit_tasks.tasks.task import Task

ADD = "def f(a, b):\n    return a + b\n"
TESTS = """
def test_two(program):
    assert program.f(1, 2) == 3


def test_others(program):
    assert program.f(5, 2) == 7 and program.f(1, 4) == 5
"""
FLAKY = "import random\n\nLUCK = random.randrange(3)\n\n\ndef f(a, b):\n    return a + b if LUCK else 0\n"
ODD = "class Odd:\n    pass\n\n\ndef f():\n    return Odd()\n"


def task(name, **given):
    fields = {"prompt": "def f(a, b):\n", "entry_point": "f", "reference": ADD, "tests": TESTS}
    return Task(id=name, **fields | given)


TASKS = [
    task("good", wrong=("def f(a, b):\n    return a - b\n",)),
    task("fails", reference="def f(a, b):\n    return a * b\n"),
    task("flaky", reference=FLAKY),
    task("passes_wrong", wrong=("def f(a, b):\n    return b + a\n", "def f(a, b):\n    return 0\n")),
    task("accepts_nothing", tests="def test_runs(program):\n    program.f(1, 2)\n"),
    task("weak", tests="def test_two(program):\n    assert program.f(1, 2) == 3\n"),
    task(
        "declared",
        tests="def test_two(program):\n    assert program.f(1, 2) == 3\n",
        equivalent={
            "parameter a -> its first value": "only one is asked for",
            "parameter b -> its first value": "only one is asked for",
            "f -> its first answer": "only one is asked for",
            "return a + b -> return a - b": "it is not",
            "qc.h(0) -> dropped": "it was there once",
        },
    ),
    task("need_not", in_process=True),
    task("live", in_process=True, reference=ODD, tests="def test_it(program):\n    assert program.f() is not None\n"),
    task("broken_tests", tests="import nothing_of_that_name\n\n\ndef test_two(program):\n    pass\n"),
    task("no_python", reference="def f(:\n"),
    task("other_name", reference="def g(a, b):\n    return a + b\n"),
]


@pytest.fixture(scope="module")
def checked():
    told = []
    found = check_tasks(TASKS, CheckConfig(cells=2, repeats=12), progress=lambda *done: told.append(done))
    assert told == [(done, len(TASKS)) for done in range(1, len(TASKS) + 1)]
    return {each.id: each for each in found.tasks}, found


def test_a_good_task_is_proven(checked):
    good = checked[0]["good"]
    assert (good.passes, good.repeats, good.refused, good.wrong) == (12, 12, 1, 1)
    assert (good.killed, good.mutants, good.survivors, good.score) == (4, 4, [], 1.0)
    assert (good.judged, good.inside, good.outside) == (True, True, None)
    assert good.problems == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("fails", "the reference fails: test_two: "),
        ("passes_wrong", "wrong solution 1 passes: add a test that it fails"),
        ("accepts_nothing", "the tests accept a program that does nothing"),
        ("need_not", "its tests pass outside the program too: take `in_process` away"),
        ("broken_tests", "tests: line 1: import nothing_of_that_name: ModuleNotFoundError"),
        ("no_python", "the reference is no Python (invalid syntax"),
        ("other_name", "the reference does not define f, its entry point"),
    ],
)
def test_each_kind_of_bad_task_is_named_with_one_problem(checked, name, problem):
    (found,) = checked[0][name].problems
    assert found.startswith(problem)
    assert "\n" not in found


def test_a_flaky_reference_is_named_with_its_count(checked):
    flaky = checked[0]["flaky"]
    if flaky.repeats == 1:  # seed 0 was the unlucky one
        assert "the reference fails" in flaky.problems[0]
    else:
        assert 0 < flaky.passes < 12
        assert flaky.problems == [f"flaky: the reference failed {12 - flaky.passes} times of 12; seed what it draws"]


def test_survivors_are_listed(checked):
    weak = checked[0]["weak"]
    survivors = ["parameter a -> its first value", "parameter b -> its first value", "f -> its first answer"]
    assert (weak.survivors, weak.killed, weak.mutants) == (survivors, 1, 4)
    assert weak.problems == []


def test_declared_survivors_leave_the_score_and_wrong_declarations_are_problems(checked):
    declared = checked[0]["declared"]
    assert (declared.survivors, declared.killed, declared.equivalent, declared.score) == ([], 1, 3, 1.0)
    assert declared.problems == [
        "declared equivalent, but a test notices it: return a + b -> return a - b",
        "declared equivalent, but no mutant of the reference: qc.h(0) -> dropped",
    ]


def test_what_needs_live_objects_is_told_from_what_does_not(checked):
    live = checked[0]["live"]
    assert (live.judged, live.outside, live.problems) == (False, False, [])


def test_totals_are_sums_and_the_score_counts_what_means_something_else():
    found = SetCheck(
        tasks=[TaskCheck(id="a", mutants=10, killed=8, equivalent=2), TaskCheck(id="b", mutants=10, killed=9)]
    )
    assert found.score == 17 / 18
    assert not found.holds
    assert SetCheck(tasks=found.tasks, least=0.9).holds
    assert not SetCheck(tasks=[TaskCheck(id="a", problems=["it"])]).holds
    assert SetCheck(tasks=[TaskCheck(id="a")]).holds


def write(path, *tasks):
    path.write_text("".join(each.model_dump_json() + "\n" for each in tasks))
    return str(path)


def test_the_command_prints_a_row_for_each_task_and_fails_where_something_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "set.jsonl", TASKS[0], TASKS[5])
    given = ["tasks", "check", file, "--repeats", "2", "--cells", "1"]
    shown = CliRunner().invoke(_app.app, given)
    assert shown.exit_code == 2
    assert "weak survives: parameter a -> its first value" in shown.stdout
    assert "4 mutants killed" not in shown.stdout
    assert "5 of 8 mutants killed, 0 declared equivalent: score 62.5%, 95% wanted; 0 problems" in shown.stdout
    proven = CliRunner().invoke(_app.app, [*given, "--only", "good", "--format", "json", "--mutants", "2"])
    assert proven.exit_code == 0
    document = json.loads(proven.stdout)
    assert (document["holds"], document["mutants"], document["killed"]) == (True, 2, 2)
    assert document["tasks"][0]["id"] == "good"
    assert document["sandbox"] is None, "all of it had been run before"
    anew = CliRunner().invoke(_app.app, [*given, "--only", "good", "--format", "json", "--mutants", "2", "--no-cache"])
    document = json.loads(anew.stdout)
    assert (document["holds"], document["sandbox"]["profile"]) == (True, "bubblewrap")
    assert {"seccomp", "judge"} <= {row["layer"].split()[0] for row in document["sandbox"]["layers"]}


def test_bad_input_is_one_line(tmp_path):
    file = write(tmp_path / "set.jsonl", TASKS[0])
    for given, said in [
        ([file, "--only", "bell"], "--only: no id of"),
        ([str(tmp_path / "none.jsonl")], "there is no such file"),
    ]:
        shown = subprocess.run(["qecforge", "tasks", "check", *given], capture_output=True, text=True, check=False)
        assert shown.returncode == 2
        assert said in shown.stderr
        assert shown.stderr.count("\n") == 1


def test_what_is_not_installed_is_counted():
    said = (
        "the reference fails: error: line 3: ModuleNotFoundError: No module named 'qiskit_ibm_runtime'",
        "the reference fails: error: MissingOptionalLibraryError: \"The 'Graphviz' library is required to use 'f'.",
        "the reference fails: test_check: line 5: import qiskit_ibm_runtime: No module named 'qiskit_ibm_runtime'",
        "wrong solution 1 passes: add a test that it fails",
    )
    found = SetCheck(tasks=[TaskCheck(id=str(i), problems=[each]) for i, each in enumerate(said)])
    assert list(found.missing.items()) == [("qiskit_ibm_runtime", 2), ("Graphviz", 1)]
