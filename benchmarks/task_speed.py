"""Programs of Qiskit tasks with their tests, judged in the sandbox, beside a fresh interpreter for each, in one run.

A sample of a set of tasks, spread evenly over it: the references. The peer is `python -c` with the program and its
tests in one process, and imports what they import. Ours is the program in its cell and the tests in another, and,
without that protection, both in one process in a cell. CPU time is that of all processes that have to do with a
program, the fork servers' own included: medians over repetitions that take turns.

    python benchmarks/sandbox_speed.py --tasks shipped
    python benchmarks/sandbox_speed.py --tasks qiskit_human_eval.json --sample 25
"""

from __future__ import annotations

import math
import resource
import statistics
import subprocess
import sys
from typing import Any

FRESH = """
import types
import warnings
warnings.simplefilter("ignore")
program = types.ModuleType("program")
exec(compile({source!r}, "program", "exec"), program.__dict__)
space = {{"__name__": "tests"}}
exec(compile({tests!r}, "tests", "exec"), space)
for name, test in list(space.items()):
    if name.startswith("test_"):
        test(program)
"""
FRESH_RUNS, RUNS = 2, 5


def run(source: str, sample: int) -> list[dict[str, Any]]:
    """A row for each program: its id, and CPU seconds `judged`, `alone` and `fresh`."""
    from qecforge.sandbox import Limits, Program, Sandbox
    from qecforge_qiskit_tasks.cells import sandbox_config
    from qecforge_qiskit_tasks.tasks import load_tasks

    tasks = load_tasks(source)
    chosen = [tasks[i * len(tasks) // min(sample, len(tasks))] for i in range(min(sample, len(tasks)))]
    rows = []
    with Sandbox(sandbox_config(1)) as sandbox:
        meter = _Meter(sandbox)
        for task in chosen:
            programs = {
                name: Program(task.reference, tests=task.tests, limits=Limits(cpu_seconds=60.0), in_process=inside)
                for name, inside in (("judged", False), ("alone", True))
            }
            if not all(meter.passes(each) for each in programs.values()):
                print(f"{task.id:<44} left out: its reference does not pass from outside", flush=True)
                continue
            text = FRESH.format(source=task.reference, tests=task.tests)
            fresh = [_fresh(text) for _ in range(FRESH_RUNS)]
            if None in fresh:
                print(f"{task.id:<44} left out: its tests do not pass in an interpreter of their own", flush=True)
                continue
            costs = {name: statistics.median(meter.cost(each) for _ in range(RUNS)) for name, each in programs.items()}
            rows.append({"id": task.id, **costs, "fresh": statistics.median(each for each in fresh if each)})
            print(line(rows[-1]), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """Of the table."""
    ratios = [row["fresh"] / row[name] for name in ("judged", "alone")]
    return (
        f"{row['id']:<44} {1000 * row['judged']:8.1f} {1000 * row['alone']:8.1f} {1000 * row['fresh']:8.0f} ms CPU "
        f"{ratios[0]:7.1f}x {ratios[1]:7.1f}x"
    )


def summary(rows: list[dict[str, Any]]) -> str:
    """Medians and geometric means of the ratios."""
    lines = []
    for name, words in (("judged", "tests in another process"), ("alone", "tests in the program's process")):
        ratios = [row["fresh"] / row[name] for row in rows]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        lines.append(
            f"{len(rows)} programs, {words}: median {statistics.median(ratios):.1f}x, geometric mean {mean:.1f}x, "
            f"{min(ratios):.1f}x to {max(ratios):.1f}x; median {1000 * statistics.median(r[name] for r in rows):.1f} ms"
        )
    return "\n".join(lines)


class _Meter:
    """CPU time of all cells of a sandbox."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.answers: list[dict[str, Any]] = []
        self.watched: list[Any] = []

    def passes(self, program: Any) -> bool:
        """Run it once, so that its cells are there and warm."""
        (outcome,) = self.sandbox.run([program])
        for cell in self.sandbox._all[0]._cells.values():
            if not any(cell is each for each in self.watched):
                self.watched.append(cell)
                self._watch(cell)
        return bool(outcome.verdict.value == "passed")

    def cost(self, program: Any) -> float:
        """Seconds."""
        self.answers.clear()
        (outcome,) = self.sandbox.run([program])
        assert outcome.verdict.value == "passed", outcome
        assert self.answers, "a cell that is not watched"
        return float(sum(each["cpu"] + each["server_cpu"] for each in self.answers))

    def _watch(self, cell: Any) -> None:
        real = cell.result

        def result(seconds: float) -> dict[str, Any]:
            answer: dict[str, Any] = real(seconds)
            self.answers.append(answer)
            return answer

        cell.result = result


def _fresh(text: str) -> float | None:
    """CPU seconds of `python -c`; None where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return None if done.returncode else after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
