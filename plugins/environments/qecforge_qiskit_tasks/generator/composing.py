"""Tasks composed of operations: prompt, reference, tests and wrong solutions made together and compared.

    generated = generate_tasks(GeneratorConfig(count=2000, seed=0))
    generated.splits["test"]              # compositions with a pair of families that no task of `train` has

Source of the split: compositional generalisation; renamed templates would measure memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from random import Random
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks.generator.config import GeneratorConfig
from qecforge_qiskit_tasks.generator.families import FAMILIES, QUBITS, Operation
from qecforge_qiskit_tasks.tasks.task import Task

__all__ = ["Composition", "GeneratedTasks", "GeneratorConfig", "generate_tasks"]

Unitary: TypeAlias = NDArray[np.complex128]

ENTRY = "make"
TRIALS = 200
"""Draws in a row that give nothing new, after which there are no more tasks."""
TESTS = """{imports}
from qecforge_qiskit_tasks.checks.circuits import is_circuit, same_unitary


def expected():
{body}


def test_size(program):
    is_circuit(program.make(), qubits={qubits}, clbits={clbits})


def test_operations(program):
    same_unitary(program.make().remove_final_measurements(inplace=False), expected())


def test_measurements(program):
    assert program.make().count_ops().get("measure", 0) == {clbits}
"""


@dataclass(frozen=True)
class Composition:
    """Operations in a row, each of another family."""

    operations: tuple[Operation, ...]
    joint: str = "; "

    @property
    def said(self) -> str:
        """What is asked, in English."""
        return self.joint.join(each.said for each in self.operations)

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Pairs of families that occur together, in whatever order."""
        return frozenset(combinations(sorted(each.family for each in self.operations), 2))

    @property
    def measured(self) -> bool:
        """Whether it ends with measurements."""
        return self.operations[-1].family == "measured"

    def imports(self) -> str:
        """Import lines, each once."""
        lines = {line for each in self.operations for line in each.imports}
        return "\n".join([*sorted(lines), "from qiskit import QuantumCircuit"])

    def body(self, *, outdated: bool = False, measured: bool = True) -> str:
        """The function's lines, with removed calls where there were any and they are wanted."""
        kept = [each for each in self.operations if measured or each.family != "measured"]
        lines = [line for each in kept for line in (each.outdated if outdated and each.outdated else each.code)]
        return "\n".join(f"    {line}" for line in [f"qc = QuantumCircuit({QUBITS})", *lines, "return qc"])

    def prompt(self) -> str:
        """Imports, signature and docstring."""
        return f'{self.imports()}\n\n\ndef {ENTRY}():\n    """{QUBITS} qubits: {self.said}"""\n'

    def program(self, *, outdated: bool = False) -> str:
        """A whole program; one with removed calls fails when it is run."""
        return f"{self.prompt()}{self.body(outdated=outdated)}\n"

    @property
    def has_outdated(self) -> bool:
        """Whether an operation had another call once."""
        return any(each.outdated for each in self.operations)

    def unitary(self) -> Unitary:
        """Of the circuit without measurements, shape (8, 8), made by running its own lines."""
        kept = [each for each in self.operations if each.family != "measured"]
        if any(FAMILIES[each.family].of_all for each in kept):
            return _run(self.imports(), tuple(line for each in kept for line in each.code))
        whole = np.eye(2**QUBITS, dtype=np.complex128)
        for each in kept:
            whole = _run("\n".join((*each.imports, "from qiskit import QuantumCircuit")), each.code) @ whole
        return whole


@lru_cache(maxsize=4096)
def _run(imports: str, lines: tuple[str, ...]) -> Unitary:
    """Of a circuit that these lines make."""
    from qiskit.quantum_info import Operator

    names: dict[str, Any] = {}
    body = "\n".join(f"    {line}" for line in [f"qc = QuantumCircuit({QUBITS})", *lines, "return qc"])
    exec(f"{imports}\n\ndef {ENTRY}():\n{body}", names)  # noqa: S102
    return np.asarray(Operator(names[ENTRY]()).data)


@dataclass(frozen=True)
class GeneratedTasks:
    """Tasks, the ids of each split, and of each id what it was composed of."""

    tasks: Sequence[Task]
    splits: Mapping[str, Sequence[str]]
    compositions: Mapping[str, Composition]


def generate_tasks(config: GeneratorConfig | None = None) -> GeneratedTasks:
    """Compose tasks.

    Raises `ConfigurationError` where there are not so many different ones.
    """
    config = config or GeneratorConfig()
    rng = Random(f"{config.seed}")
    held = held_out_pairs(config, rng)
    prompts: set[str] = set()
    tasks, compositions = [], {}
    for number in range(config.count):
        split = "test" if rng.random() < config.test_share else "train"
        composition, wrong = _new(config, rng, held, split, prompts)
        prompts.add(composition.said)
        task = _task(composition, wrong, f"generated/{config.seed}/{number:05d}", split)
        tasks.append(task)
        compositions[task.id] = composition
    splits = {split: tuple(each.id for each in tasks if each.split == split) for split in ("train", "test")}
    return GeneratedTasks(tasks, splits, compositions)


def held_out_pairs(config: GeneratorConfig, rng: Random) -> frozenset[tuple[str, str]]:
    """Pairs of families, names sorted, that no task of `train` has."""
    pairs = list(combinations(sorted(FAMILIES), 2))
    return frozenset(rng.sample(pairs, max(1, round(config.held_out * len(pairs)))))


def _new(
    config: GeneratorConfig, rng: Random, held: frozenset[tuple[str, str]], split: str, prompts: set[str]
) -> tuple[Composition, list[str]]:
    for _ in range(TRIALS):
        composition = _draw(config, rng)
        if composition.said in prompts or bool(composition.pairs & held) != (split == "test"):
            continue
        wrong = _wrong(composition)
        if wrong is not None:
            return composition, wrong
    raise ConfigurationError(
        f"generator: {len(prompts):,} tasks can be composed, but count is {config.count:,}; lower `count`"
    )


def _draw(config: GeneratorConfig, rng: Random) -> Composition:
    chosen = rng.sample(sorted(FAMILIES), rng.randint(*config.operations))
    chosen.sort(key=lambda name: FAMILIES[name].last)
    return Composition(tuple(FAMILIES[name].draw(rng) for name in chosen), rng.choice(("; ", ", then ")))


def _wrong(composition: Composition) -> list[str] | None:
    """Programs that do something else: an operation left out, two exchanged, removed calls. None where one can be left
    out without a difference, so that the task would ask for nothing."""
    goal = composition.unitary()
    wrong = []
    for index, left_out in enumerate(composition.operations):
        rest = (*composition.operations[:index], *composition.operations[index + 1 :])
        other = Composition(rest, composition.joint)
        if left_out.family != "measured" and _same(other.unitary(), goal):
            return None
        wrong.append(f"{composition.prompt()}{other.body()}\n")
    movable = [each for each in composition.operations if each.family != "measured"]
    exchanged = Composition((*movable[1::-1], *movable[2:], *composition.operations[len(movable) :]))
    if not _same(exchanged.unitary(), goal):
        wrong.append(f"{composition.prompt()}{exchanged.body()}\n")
    if composition.has_outdated:
        wrong.append(composition.program(outdated=True))
    return wrong


def _same(one: Unitary, other: Unitary) -> bool:
    """Up to a global phase."""
    return bool(abs(np.vdot(one, other)) > len(one) * (1 - 1e-9))


def _task(composition: Composition, wrong: Sequence[str], name: str, split: str) -> Task:
    clbits = QUBITS if composition.measured else 0
    tests = TESTS.format(
        imports=composition.imports(), body=composition.body(measured=False), qubits=QUBITS, clbits=clbits
    )
    return Task.model_validate(
        {
            "id": name,
            "prompt": composition.prompt(),
            "hard_prompt": f"{ENTRY}() returns a QuantumCircuit of {QUBITS} qubits: {composition.said}",
            "entry_point": ENTRY,
            "reference": composition.program(),
            "tests": tests,
            "wrong": tuple(wrong),
            "level": "basic",
            "tags": ("generated", *(each.family for each in composition.operations)),
            "split": split,
        }
    )
