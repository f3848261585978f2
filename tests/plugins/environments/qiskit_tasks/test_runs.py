"""Runs on tasks of Qiskit: interrupted where the sandbox is out of order, resumed, and filed with how it isolates."""

import shutil
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from cli_harness import LOAD, invoke, one_line
from isolation import needs_isolation

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.errors import InfrastructureError, SandboxUnavailable
from qecforge.runs.execute import execute
from qecforge_qiskit_tasks.judging import TaskJudge

SMALL = Path(__file__).parent / "assets" / "small.yaml"
MANIFEST = """\
qecforge: 1
name: sums
environment: {plugin: qiskit_tasks, tasks: small.yaml, test_share: 0.4, cells: 1}
reward: {plugin: qiskit_execution, cells: 1}
agent:
  plugin: word_table
  words: ["    return a + b", "    return 5", "no code"]
  prompts: 2
  group_size: 4
  step_size: 1.0
  total_steps: 40
seeds: [4]
"""


def with_word_table(cls, entry_points=None):
    from importlib.metadata import entry_points as installed

    mine = [EntryPoint("number_words", "qecforge_thirdparty_text", "qecforge")]
    return LOAD(cls, [*installed(group="qecforge"), *mine] if entry_points is None else entry_points)


@pytest.fixture(autouse=True)
def _registry(monkeypatch, tmp_path):
    monkeypatch.setattr(Registry, "load", classmethod(with_word_table))
    monkeypatch.chdir(tmp_path)
    shutil.copy(SMALL, tmp_path)


def plan_of(text=MANIFEST):
    (plan,) = load_manifest(text, registry=Registry.load()).runs()
    return plan


def record(url):
    with Store(url) as store:
        (run,) = store.runs()
        names = [name for name in store.metric_names(run.id) if not name.startswith("time/")]
        series = {name: store.metrics(run.id, name).value.tolist() for name in names}
        events = [event for event in store.events(run.id) if event.kind == "circumstances"]
        return run, series, events


def out_of_order_at(monkeypatch, call, error):
    """Every judging from the n-th on fails."""
    calls, judge = [0], TaskJudge.judge_programs

    def judge_programs(self, task_ids, sources):
        calls[0] += 1
        if calls[0] >= call:
            raise error
        return judge(self, task_ids, sources)

    monkeypatch.setattr(TaskJudge, "judge_programs", judge_programs)


@pytest.mark.slow
@needs_isolation
@pytest.mark.parametrize("reward", ["reward: {plugin: qiskit_execution, cells: 1}\n", ""])
def test_out_of_order_in_the_middle_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, reward):
    text = MANIFEST.replace("reward: {plugin: qiskit_execution, cells: 1}\n", reward)
    whole, parts = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "parts"))
    assert execute(plan_of(text), RunOptions(whole), RunListener()).status == "finished"
    for error in (SandboxUnavailable("namespaces are forbidden"), InfrastructureError("no core")):
        with monkeypatch.context() as patched:
            out_of_order_at(patched, 3, error)
            with pytest.raises(type(error), match=str(error)):
                execute(plan_of(text), RunOptions(parts, checkpoint_seconds=0), RunListener())
        run, _, _ = record(parts)
        assert (run.status, run.error) == ("interrupted", str(error))
    assert execute(plan_of(text), RunOptions(parts), RunListener()).status == "finished"
    _, series, events = record(parts)
    _, expected, _ = record(whole)
    assert series == expected
    assert 0 < series["episode_return"][1] < 1, "some pass, some fail, and none was counted that could not be judged"
    assert set(series["invalid_rewards"]) == {0.0}
    (event,) = events
    assert event.payload["sandbox"]["profile"] == "bubblewrap"
    assert event.payload["sandbox"]["holds"]
    assert {row["state"] for row in event.payload["sandbox"]["layers"]} <= {"holds", "weak"}


@pytest.mark.slow
@needs_isolation
def test_the_command_ends_with_2_and_one_line_and_goes_on(tmp_path, monkeypatch):
    (tmp_path / "sums.yaml").write_text(MANIFEST)
    with monkeypatch.context() as patched:
        out_of_order_at(patched, 2, SandboxUnavailable("namespaces are forbidden"))
        interrupted = invoke("run", "sums.yaml")
    assert interrupted.exit_code == 2, interrupted.output
    assert interrupted.stderr.splitlines()[-1].count("namespaces are forbidden") == 1
    resumed = invoke("run", "sums.yaml")
    assert resumed.exit_code == 0, resumed.output
    run, _, _ = record("sqlite:///results.db")
    assert run.status == "finished"
    shown = invoke("runs", "show", run.id)
    assert "circumstances at" in shown.stdout


@needs_isolation
def test_the_policy_of_a_run_is_evaluated(tmp_path):
    (tmp_path / "sums.yaml").write_text(MANIFEST)
    assert invoke("run", "sums.yaml").exit_code == 0
    run, _, _ = record("sqlite:///results.db")
    shown = invoke(
        *("tasks", "eval", SMALL, "--model", f"run:{run.id}", "-n", 2, "-k", 1, "--temperature", 0, "--format", "json")
    )
    assert shown.exit_code == 0, shown.output
    with Store("sqlite:///results.db") as store:
        (evaluation,) = [each for each in store.runs() if each.agent == "evaluated_model"]
        assert [event.kind for event in store.events(evaluation.id)] == ["circumstances"]
    assert '"completions": 10' in shown.stdout
    assert '"profile": "bubblewrap"' in shown.stdout


def test_a_run_that_is_not_there_is_one_line():
    line = one_line(invoke("tasks", "eval", SMALL, "--model", "run:abcdef"))
    assert "there is none of this id" in line
