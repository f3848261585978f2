"""What a run shows while it works."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from qecforge.cli._live import LiveProgress
from qecforge.cli._output import working
from qecforge.cli._progress import LineProgress, RunCount, TerminalProgress
from qecforge.evaluation import LogicalErrorRateConfig
from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.manifest import Evaluation
from qecforge.runs.listener import RunOutcome


def plan(seed=0, others=(), views=(None, None), **sweep):
    """A run as listeners know it, with the views of its environment and its agent."""
    rate = LogicalErrorRateConfig(p=[1e-3, 2e-3, 3e-3], max_codes=1)
    evaluation = Evaluation(((LOGICAL_ERROR_RATE, rate),), tuple((SimpleNamespace(name=n), None) for n in others))
    environment, agent = (
        SimpleNamespace(spec=SimpleNamespace(name=name, view=view))
        for name, view in zip(("ring", "walker"), views, strict=True)
    )
    return SimpleNamespace(
        name="walk",
        seed=seed,
        sweep_point=sweep,
        identity=f"id{seed}{sweep}",
        evaluation=evaluation,
        environment=environment,
        agent=agent,
    )


def code(distance, gates):
    return SimpleNamespace(n=7, k=1, distance=distance, distance_kind="exact", gate_count=gates)


def task(p):
    return SimpleNamespace(p=p, task_id=str(p))


@pytest.fixture
def lines():
    return []


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def listener(lines, clock):
    return LineProgress(lines.append, seconds=10.0, clock=lambda: clock.now)


def test_lines_come_now_and_then(listener, lines, clock):
    listener.on_phase(plan(), "train")
    for second in range(25):
        clock.now = float(second)
        listener.on_progress(plan(), second * 1000, 50_000, {"episode_return": -0.5})
    assert lines == [
        "walk seed 0: 10,000 of 50,000 steps, episode return -0.5",
        "walk seed 0: 20,000 of 50,000 steps, episode return -0.5",
    ]


def test_of_several_runs_it_is_said_which_one_begins(lines):
    runs = [plan(seed) for seed in range(3)]
    count = RunCount(runs)
    LineProgress(lines.append, count=count).on_start(runs[2], "a1", False)
    listener = LineProgress(lines.append, count=count)  # that of the next stage
    listener.on_start(runs[0], "a2", False)
    listener.on_end(runs[0], RunOutcome("a2", runs[0].identity, "finished", 1.0))
    listener.on_start(plan(7), "b1", False)  # a teacher that comes on the way
    listener.on_end(runs[1], RunOutcome("a3", runs[1].identity, "skipped", 0.0))
    assert lines == [
        "run 1 of 3, walk seed 2: run a1 starts",
        "run 2 of 3, walk seed 0: run a2 starts",
        "run 2 of 3, walk seed 0: finished in 1 s",
        "walk seed 7: run b1 starts",
        "run 3 of 3, walk seed 1: was finished before; nothing to do",
    ]


def test_compilation_is_said_once(listener, lines):
    listener.on_compile(plan(1))
    listener.on_compile(plan(2))
    assert lines == ["walk seed 1: compiling kernels (first run only)"]


def test_runs_side_by_side_have_lines_of_their_own(listener, lines, clock):
    one, two = plan(1), plan(2, **{"agent.learning_rate": 0.1})
    listener.on_phase(one, "train")
    listener.on_phase(two, "train")
    clock.now = 11.0
    listener.on_progress(one, 1, 2, {})
    listener.on_progress(two, 1, 2, {"episode_return": float("nan")})
    assert lines == ["walk seed 1: 1 of 2 steps", "walk seed 2 learning_rate=0.1: 1 of 2 steps"]


def test_codes_are_said_only_when_better(listener, lines):
    for found in (code(3, 20), code(3, 22), code(3, 18), code(4, 30), code(3, 10)):
        listener.on_code(plan(), found)
    assert [line.split(" after ")[0] for line in lines] == [
        "walk seed 0: found [[7,1,3]] with 20 gates",
        "walk seed 0: found [[7,1,3]] with 18 gates",
        "walk seed 0: found [[7,1,4]] with 30 gates",
    ]


def test_shots_are_summed(listener, lines, clock):
    listener.on_phase(plan(), "evaluate")
    listener.on_measure(plan(), task(1e-3), ErrorCounts(shots=1000))
    clock.now = 12.0
    listener.on_measure(plan(), task(2e-3), ErrorCounts(shots=500))
    assert lines == ["walk seed 0: evaluates logical_error_rate, p = 0.002, 1,500 shots"]


def test_evaluations_say_how_far_they_are_now_and_then(listener, lines, clock):
    listener.on_phase(plan(), "evaluate")
    for second in range(12):
        clock.now = float(second)
        listener.on_evaluation(plan(), "returns", second * 200, 5000)
    assert lines == ["walk seed 0: evaluates returns, 2,000 of 5,000 (40%)"]


def test_what_the_environment_evaluates_is_said_when_it_begins(listener, lines):
    listener.on_phase(plan(others=("gradient_relation", "steering")), "train")
    listener.on_phase(plan(others=("gradient_relation", "steering")), "evaluate")
    assert lines == ["walk seed 0: evaluates gradient_relation, steering"]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("finished", None, "finished in 3 s"),
        ("skipped", None, "was finished before; nothing to do"),
        ("failed", "ValueError: no", "failed: ValueError: no"),
        ("interrupted", "stopped at step 8", "interrupted: stopped at step 8"),
    ],
)
def test_ends(listener, lines, status, error, words):
    listener.on_end(plan(), RunOutcome("a", "b", status, 3.0, error))
    assert lines == [f"walk seed 0: {words}"]


def test_a_terminal_has_a_bar_for_each_run_and_codes_above():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    columns = (TextColumn("{task.description} {task.completed}/{task.total} {task.fields[note]}"),)
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        listener = TerminalProgress(progress)
        for seed in (1, 2):
            listener.on_start(plan(seed), "abc", resumed=seed == 2)
            listener.on_phase(plan(seed), "train")
        listener.on_progress(plan(1), 30, 100, {"episode_return": -1.0})
        bars = {task.description: task for task in progress.tasks}
        assert list(bars) == ["walk seed 1: training", "walk seed 2: training"]
        bar = bars["walk seed 1: training"]
        assert (bar.completed, bar.total, bar.fields["note"]) == (30, 100, "episode return -1")
        listener.on_code(plan(1), code(3, 12))
        listener.on_phase(plan(1), "evaluate")
        listener.on_evaluation(plan(1), "returns", 12, 100)
        (bar,) = [task for task in progress.tasks if task.description == "walk seed 1: returns"]
        assert (bar.completed, bar.total, bar.fields["note"]) == (12, 100, "")
        listener.on_measure(plan(1), task(1e-3), ErrorCounts(shots=1000))
        listener.on_measure(plan(1), task(2e-3), ErrorCounts(shots=1000))
        (bar,) = [task for task in progress.tasks if task.description == "walk seed 1: logical_error_rate"]
        assert (bar.completed, bar.total, bar.fields["note"]) == (1, 3, "p = 0.002, 2,000 shots")
        listener.on_end(plan(1), RunOutcome("a", "b", "finished", 1.0))
        assert [task.description for task in progress.tasks] == ["walk seed 2: training"]
        listener.on_progress(plan(1), 31, 100, {})
    shown = console.file.getvalue()
    assert "walk seed 1: found [[7,1,3]] with 12 gates" in shown
    assert "walk seed 2: run abc continues from its checkpoint" in shown


def test_phases_of_a_quantizer_have_lines_and_bars(listener, lines):
    phases = ("teacher", "fine_tune", "quantize", "evaluate")
    for phase in phases:
        listener.on_phase(plan(), phase)
    assert lines == ["walk seed 0: fine-tunes its student", "walk seed 0: turns its policy into integers"]
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    with Progress(TextColumn("{task.description}"), console=console, auto_refresh=False) as progress:
        terminal, bars = TerminalProgress(progress), []
        for phase in phases:
            terminal.on_phase(plan(), phase)
            (bar,) = progress.tasks
            bars.append((bar.description, bar.total))
    assert bars == [
        ("walk seed 0: training of its teacher", None),
        ("walk seed 0: fine-tuning", None),
        ("walk seed 0: quantization", None),
        ("walk seed 0: evaluation", None),
    ]


def test_only_a_command_that_has_force_names_it(lines):
    outcome = RunOutcome("a", "b", "skipped", 0.0)
    LineProgress(lines.append).on_end(plan(), outcome)
    LineProgress(lines.append, force=True).on_end(plan(), outcome)
    done = "walk seed 0: was finished before; nothing to do"
    assert lines == [done, f"{done} (--force runs it anew)"]


def test_a_bar_names_what_it_measures_and_has_no_percentage_before_it_knows_one():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    runs = [plan(seed) for seed in range(3)]
    with LiveProgress(console, auto_refresh=False) as progress:
        listener = TerminalProgress(progress, count=RunCount(runs))
        listener.on_start(runs[0], "a", False)
        listener.on_phase(runs[0], "evaluate")

        def shown():
            with console.capture() as captured:
                console.print(*progress.get_renderables())
            return " ".join(captured.get().split())

        for name in ("search", "decision_fidelity"):
            listener.on_evaluation(runs[0], name, 0, 1)
            assert f"run 1 of 3, walk seed 0: {name} " in shown()
            assert "%" not in shown()
            assert "--:--" not in shown()
            listener.on_evaluation(runs[0], name, 30, 120)
            assert "25%" in shown()
        listener.on_evaluation(runs[0], "logical_error_rate", 0, 1)
        assert "%" not in shown()
        listener.on_measure(runs[0], task(1e-3), ErrorCounts(shots=10))
        listener.on_measure(runs[0], task(2e-3), ErrorCounts(shots=10))
        assert "walk seed 0: logical_error_rate" in shown()
        assert "33%" in shown()


def test_long_work_says_so_in_lines(capsys):
    import time

    with working("proving", seconds=0.01):
        deadline = time.monotonic() + 5
        while "so far" not in (said := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert said.startswith("proving, 0 s so far")
    with working("proving", seconds=100):
        pass
    assert "100 s" not in capsys.readouterr().err


def test_a_signal_and_a_run_of_another_process_are_said_at_once(listener, lines):
    listener.on_wait(plan(), "abc")
    listener.on_stop()
    assert lines[0] == "walk seed 0: another process carries out run abc; waiting for its end"
    assert lines[1].startswith("stopping: each run saves its state at its next step")
