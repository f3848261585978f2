"""Programs in the sandbox beside a fresh interpreter each, and beside a bare fork of the same fork server.

A trivial program, a Bell state and a small transpilation, in a fork server that has Qiskit imported; the tests run in
one that has numpy. The peer is `python -c PROGRAM`, which imports what the program imports. The floor is a `fork` and
`_exit` of the programs' fork server without any layer. CPU time is that of all processes that have to do with a
program, the fork servers' own included; wall time is as seen by the caller. Both are medians over repetitions that take
turns.

    python benchmarks/sandbox_speed.py [--quick]
    python benchmarks/sandbox_speed.py --tasks shipped|FILE [--sample 25]       # see task_speed.py
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TRIVIAL = "x = 1\n"
BELL = """
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

def bell():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit

def probabilities():
    return Statevector(bell()).probabilities().tolist()

assert abs(probabilities()[3] - 0.5) < 1e-9
"""
TRANSPILE = """
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import QFTGate

def depth():
    circuit = QuantumCircuit(5)
    circuit.append(QFTGate(5), range(5))
    line = [[i, i + 1] for i in range(4)] + [[i + 1, i] for i in range(4)]
    gates = ["rz", "sx", "cx"]
    return transpile(circuit, basis_gates=gates, coupling_map=line, optimization_level=1, seed_transpiler=1).depth()

assert depth() > 10
"""
TESTS = {
    "trivial": "def test_runs(program):\n    pass\n",
    "Bell": "def test_bell(program):\n    assert abs(program.probabilities()[3] - 0.5) < 1e-9\n",
    "transpile": "def test_depth(program):\n    assert program.depth() > 10\n",
}
PROGRAMS = {"trivial": TRIVIAL, "Bell": BELL, "transpile": TRANSPILE}
ENVIRONMENT = {"QISKIT_PARALLEL": "FALSE", "QISKIT_IN_PARALLEL": "TRUE"}
MODULES = (
    *("qiskit", "qiskit.quantum_info", "qiskit.circuit.library", "qiskit.transpiler.preset_passmanagers"),
    *("qiskit.transpiler.passes.synthesis.hls_plugins", "qiskit.circuit._add_control"),
)
WARM = (
    "qiskit.transpiler.preset_passmanagers.plugin:PassManagerStagePluginManager",
    "qiskit.transpiler.passes.synthesis.plugin:HighLevelSynthesisPluginManager",
)
"""They look for installed plugins, which costs a transpilation more than all else. To transpile once would be warmer
still, but starts threads."""
TARGETS = {"trivial": None, "Bell": 40.0, "transpile": 20.0}
"""How many times faster than a fresh interpreter is aimed at, by wall time."""
FLOOR_TARGET, JUDGED_TARGET = 1.25, 1.6
"""How much of the floor's CPU time a trivial program may take, alone and with its judge."""
RATE_TARGET = 100.0
"""Programs of a few gates per second on two cores."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one program."""

    cpu: float
    wall: float


def of_a_fresh_interpreter(source: str) -> Cost:
    """`python -c`, with one thread in numerical libraries as in a cell."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def config(cells: int) -> Any:
    """Two tiers: for tests and for programs."""
    from qecforge.sandbox import SandboxConfig, Tier

    tiers = (Tier("python", ("numpy",)), Tier("qiskit", MODULES, WARM))
    return SandboxConfig(cells=cells, tiers=tiers, environment=ENVIRONMENT)


class Cells:
    """One cell for programs and one for a judge, driven directly so that every process's CPU time is seen."""

    def __init__(self) -> None:
        from qecforge.sandbox import Sandbox

        self.sandbox = Sandbox(config(1))
        self.sandbox.start("qiskit")
        self.cell = next(iter(self.sandbox._all[0]._cells.values()))
        self.answers: list[dict[str, Any]] = []
        self.watch(self.cell)

    def watch(self, cell: Any) -> None:
        """Keep what a cell answers."""
        real = cell.result

        def result(seconds: float) -> dict[str, Any]:
            answer: dict[str, Any] = real(seconds)
            self.answers.append(answer)
            return answer

        cell.result = result

    def bare(self) -> Cost:
        """The floor."""
        return self._measured(lambda: (self.cell.send({"role": "bare"}), self.cell.result(60.0)))

    def program(self, name: str, *, judged: bool) -> Cost:
        """One of `PROGRAMS`, which must pass."""
        from qecforge.sandbox import Limits, Program

        tests = TESTS[name] if judged else None
        program = Program(PROGRAMS[name], tests=tests, tier="qiskit", limits=Limits(cpu_seconds=60.0))

        def carry_out() -> None:
            (outcome,) = self.sandbox.run([program])
            assert outcome.verdict.value == "passed", outcome

        cells = len(self.sandbox._all[0]._cells)
        cost = self._measured(carry_out)
        if len(self.sandbox._all[0]._cells) > cells:  # the judge's cell has only now begun
            self.watch(list(self.sandbox._all[0]._cells.values())[-1])
            cost = self._measured(carry_out)
        return cost

    def _measured(self, carry_out: Callable[[], object]) -> Cost:
        self.answers.clear()
        started = time.perf_counter()
        carry_out()
        wall = time.perf_counter() - started
        return Cost(sum(each["cpu"] + each["server_cpu"] for each in self.answers), wall)


def median(costs: list[Cost]) -> Cost:
    """Of CPU time and of wall time, each for itself."""
    return Cost(statistics.median(each.cpu for each in costs), statistics.median(each.wall for each in costs))


def rate(cells: int, programs: int) -> float:
    """Programs of a few gates per second, judged, in so many cells."""
    from qecforge.sandbox import Program, Sandbox

    with Sandbox(config(cells)) as sandbox:
        batch = [Program(BELL)] * programs
        sandbox.run(batch[: 2 * cells])
        started = time.perf_counter()
        assert all(each.verdict.value == "passed" for each in sandbox.run(batch))
        return programs / (time.perf_counter() - started)


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows of the table."""
    fresh_runs, runs = (3, 15) if quick else (9, 101)
    cells = Cells()
    floors: list[Cost] = []
    alone: dict[str, list[Cost]] = {name: [] for name in PROGRAMS}
    judged: dict[str, list[Cost]] = {name: [] for name in PROGRAMS}
    fresh: dict[str, list[Cost]] = {name: [] for name in PROGRAMS}
    for turn in range(runs):
        floors.append(cells.bare())
        for name in PROGRAMS:
            alone[name].append(cells.program(name, judged=False))
            judged[name].append(cells.program(name, judged=True))
            if turn < fresh_runs:
                fresh[name].append(of_a_fresh_interpreter(PROGRAMS[name]))
    cells.sandbox.close()
    floor = median(floors)
    rows = []
    for name in PROGRAMS:
        theirs, ours, with_judge = median(fresh[name]), median(alone[name]), median(judged[name])
        for words, cost in (("", ours), (", judged", with_judge)):
            target = TARGETS[name] if not words else None
            rows += [
                row(f"{name}{words}", cost.wall, theirs.wall, "fresh interpreter", "ms wall", target),
                row(f"{name}{words}", cost.cpu, theirs.cpu, "fresh interpreter", "ms CPU", None),
            ]
    for words, cost, most in (
        ("", median(alone["trivial"]), FLOOR_TARGET),
        (", judged", median(judged["trivial"]), JUDGED_TARGET),
    ):
        rows.append(over_floor(f"trivial{words}", cost.cpu, floor.cpu, most, "ms CPU"))
        rows.append(over_floor(f"trivial{words}", cost.wall, floor.wall, None, "ms wall"))
    per_second = rate(2, 40 if quick else 400)
    rows.append(
        {
            "claim": "Bell, 2 cells",
            "ours": per_second,
            "peer": None,
            "peer_name": None,
            "ratio": None,
            "target": RATE_TARGET,
            "unit": "programs/s",
        }
    )
    return rows


def row(claim: str, ours: float, theirs: float, peer: str, unit: str, target: float | None) -> dict[str, Any]:
    """How many times faster."""
    return {
        "claim": claim,
        "ours": 1000 * ours,
        "peer": 1000 * theirs,
        "peer_name": peer,
        "ratio": theirs / ours,
        "target": target,
        "unit": unit,
    }


def over_floor(claim: str, ours: float, floor: float, most: float | None, unit: str) -> dict[str, Any]:
    """How many times the floor; the target is what it may be at most."""
    return {**row(claim, ours, floor, "bare fork", unit, None), "ratio": ours / floor, "most": most}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    parser.add_argument("--tasks", help="programs of these tasks instead: `shipped`, or a file")
    parser.add_argument("--sample", type=int, default=25, help="how many of them, spread evenly")
    arguments = parser.parse_args()
    if arguments.tasks:
        import task_speed

        print(task_speed.summary(task_speed.run(arguments.tasks, arguments.sample)))
        return
    for each in run(arguments.quick):
        peer = "" if each["peer"] is None else f"{each['peer_name']} {each['peer']:9.1f}   {each['ratio']:6.2f}x"
        aim = (
            f"  aim {each['target']:g}" if each["target"] else f"  at most {each['most']:g}" if each.get("most") else ""
        )
        print(f"{each['claim']:<20} {each['ours']:9.1f} {each['unit']:<10} {peer}{aim}")


if __name__ == "__main__":
    main()
