"""`qecforge tasks eval` as a user meets it."""

import json

import pytest
from cli_harness import invoke, one_line
from isolation import needs_isolation
from model_server import response, serving

TASKS = [
    {
        "id": f"t/{name}",
        "prompt": f"def {name}(a, b):\n",
        "hard_prompt": f"Write {name}(a, b).",
        "entry_point": name,
        "reference": f"def {name}(a, b):\n    return {value}\n",
        "tests": f"def test_it(program):\n    assert program.{name}(4, 3) == {answer}\n",
        "level": "basic",
    }
    for name, value, answer in (("add", "a + b", 7), ("less", "a - b", 1))
]


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "toy.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    return path


def samples(path, **texts):
    rows = [{"task_id": f"t/{name}", "completion": text} for name, each in texts.items() for text in each]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"file:{path}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "TASKS and --model are needed"),
        (["toy.jsonl"], "TASKS and --model are needed"),
        (["toy.jsonl", "--model", "gpt"], "--model: got 'gpt', expected http://"),
        (["none.jsonl", "--model", "file:s"], "none.jsonl: there is no such file"),
        (["toy.jsonl", "--model", "file:none"], "none: cannot be read"),
        (["toy.jsonl", "--model", "http://h/v1#m", "-k", "1,x"], "-k: got '1,x', expected numbers such as 1,10"),
        (["toy.jsonl", "--model", "http://h/v1#m", "-n", "5", "-k", "10"], "-k: got 10, expected numbers from 1 to 5"),
        (["toy.jsonl", "--model", "http://h/v1#m", "-n", "0"], "-n: got 0"),
        (["toy.jsonl", "--model", "http://h/v1#m", "--temperature", "-1"], "--temperature: got -1.0"),
        (["toy.jsonl", "--model", "http://h/v1#m", "--temperature", "nan"], "--temperature: got nan"),
        (["toy.jsonl", "--model", "http://h/v1#m", "--concurrency", "0"], "--concurrency: got 0"),
        (["toy.jsonl", "--model", "run:123456"], "there is none of this id"),
        (["toy.jsonl", "--model", "hf:."], "hf:."),
        (["toy.jsonl", "--model", "http://h/v1#m", "--compare", "none.json"], "none.json: cannot be read"),
        (["toy.jsonl", "--model", "http://h/v1#m", "--compare", "toy.jsonl"], "toy.jsonl: not a JSON report of"),
        (["--compare", "toy.jsonl", "--compare", "toy.jsonl"], "toy.jsonl: not a JSON report of"),
    ],
)
def test_what_cannot_be_is_one_line(tasks, arguments, said):
    assert said in one_line(invoke("tasks", "eval", *arguments))


def test_completions_that_do_not_fit_are_one_line(tasks, tmp_path):
    given = samples(tmp_path / "s.jsonl", add=["x", "y"], less=["x"])
    assert "1 of 2 tasks do not have 2 completions" in one_line(invoke("tasks", "eval", tasks, "--model", given))
    even = samples(tmp_path / "s.jsonl", add=["x"], less=["x"])
    assert "-k: got 2" in one_line(invoke("tasks", "eval", tasks, "--model", even, "-k", "2"))
    assert "--attempts: a file of completions" in one_line(
        invoke("tasks", "eval", tasks, "--model", even, "--attempts", 2)
    )


def test_a_server_that_fails_is_one_line_with_the_command_to_go_on(tasks, monkeypatch):
    command = ["tasks", "eval", "toy.jsonl", "--requests", "1", "--force"]
    with serving(lambda request, number: response("500 Oh", "no")) as server:
        command += ["--model", f"{server.url}#tiny"]
        monkeypatch.setattr("sys.argv", ["qecforge", *command])
        line = one_line(invoke(*command))
    assert "answered 500 (no), at each of 1 attempts" in line
    assert f"`qecforge tasks eval toy.jsonl --requests 1 --model '{server.url}#tiny'` goes on" in line


@needs_isolation
def test_a_file_of_samples_judged_filed_and_compared(tasks, tmp_path):
    better = samples(tmp_path / "a.jsonl", add=["return a + b", "    return a + b"], less=["return a - b", "pass"])
    first = invoke("tasks", "eval", tasks, "--model", better, "--out", "first")
    assert first.exit_code == 0, first.output
    assert "75.0 % [" in first.stdout
    report = json.loads((tmp_path / "first" / "report.json").read_text())
    assert [(task["task_id"], task["passed"]) for task in report["by_task"]] == [("t/add", [2]), ("t/less", [1])]
    again = invoke("tasks", "eval", tasks, "--model", better, "--format", "json")
    (tmp_path / "results.artifacts" / "transcripts.db").unlink()
    anew = invoke("tasks", "eval", tasks, "--model", better, "--format", "json", "--no-cache")
    assert anew.stdout == again.stdout
    assert again.stdout == (tmp_path / "first" / "report.json").read_text()
    worse = samples(tmp_path / "b.jsonl", add=["pass", "pass"], less=["return a - b", "pass"])
    options = ["--compare", "first/report.json", "--format", "json", "--out", "second"]
    compared = invoke("tasks", "eval", tasks, "--model", worse, *options)
    (row,) = json.loads(compared.stdout)["comparisons"][0]["rows"]
    assert (row["first"], row["second"], row["difference"], row["p_value"]) == (0.25, 0.75, -0.5, 1.0)
    filed = invoke("tasks", "eval", "--compare", "first/report.json", "--compare", "second/report.json")
    assert filed.exit_code == 0
    assert "+50.0 %" in filed.stdout
    listed = invoke("runs", "list", "--format", "json")
    assert {run["name"] for run in json.loads(listed.stdout)} == {"toy by a.jsonl", "toy by b.jsonl"}
    run_id = json.loads(listed.stdout)[0]["id"]
    shown = invoke("runs", "show", run_id)
    assert shown.exit_code == 0
    assert "pass@1" in shown.stdout
