"""The form of HumanEval and Qiskit-HumanEval: `check(candidate)` beside a prompt and a canonical solution.

Their tests are written for the program's own process: they may use names that the program imported. Here they get these
imports as a module of their own, run outside the program, and `candidate` is a call through the judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from qecforge.contracts.refusals import refusal
from qecforge.errors import ConfigurationError, one_line
from qecforge_qiskit_tasks.tasks.task import Task

__all__ = ["PUBLIC_KEYS", "is_public", "read_public"]

PUBLIC_KEYS = ("task_id", "prompt", "canonical_solution", "test", "entry_point")
LEVELS = ("basic", "intermediate", "difficult")
TESTED = """


def test_check(program):
    check(program.{entry_point})
"""
CHECK = re.compile(r"^def check\s*\(", re.MULTILINE)
LIMITS: Mapping[str, Any] = {"cpu_seconds": 60.0, "memory": "4 GiB"}
"""Three tasks of the public set take 5 to 14 s."""
DRAWS = re.compile(r"\b(plot_(circuit_layout|coupling_map|gate_map|error_map)|dag_drawer|pass_manager_drawer)\b")
"""What Qiskit has Graphviz draw: a process of its own, which no program may start unless its limits say so."""
PROCESSES = 4


def is_public(row: Mapping[str, Any]) -> bool:
    """Whether a row has HumanEval's form."""
    return {"task_id", "test"} <= set(row)


def read_public(row: Mapping[str, Any], where: str) -> Task:
    """Raises `ConfigurationError` for a row that lacks a key, or has something else there."""
    missing = [key for key in PUBLIC_KEYS if key not in row]
    wrong = [key for key in PUBLIC_KEYS if key in row and not isinstance(row[key], (str, int))]
    if missing or wrong:
        said = f"no {', '.join(missing)}" if missing else f"no text under {', '.join(wrong)}"
        raise ConfigurationError(f"{where}: {said}; looked for {', '.join(PUBLIC_KEYS)} of HumanEval's form")
    prompt, solution, test = (str(row[key]) for key in ("prompt", "canonical_solution", "test"))
    entry_point = str(row["entry_point"])
    if CHECK.search(test) is None:
        raise ConfigurationError(f"{where}: the test has no function `check(candidate)`")
    continues = _continues(prompt, entry_point)
    level = str(row.get("difficulty_scale", "intermediate"))
    fields: dict[str, Any] = {
        "id": str(row["task_id"]),
        "prompt": prompt if continues else "",
        "hard_prompt": prompt if not continues else "",
        "entry_point": entry_point,
        "reference": prompt + solution if continues else solution,
        "level": level if level in LEVELS else "intermediate",
        "limits": {**LIMITS, **({"processes": PROCESSES} if DRAWS.search(prompt + solution + test) else {})},
    }
    fields["tests"] = f"{imports_of(fields['reference'])}\n\n{test.rstrip()}\n{TESTED.format(entry_point=entry_point)}"
    try:
        return Task.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(
            f"{where} ({one_line(row['task_id'], 60)}) {'.'.join(map(str, first['loc']))}: {refusal(first)}"
        ) from error


def _continues(prompt: str, entry_point: str) -> bool:
    """Whether the completion continues the prompt's function; else the prompt is prose, of the hard variant."""
    return re.search(rf"^(async )?def {re.escape(entry_point)}\b", prompt, re.MULTILINE) is not None


def imports_of(source: str) -> str:
    """The import statements at the outermost level of a program of the set, which is trusted."""
    import ast

    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    found = [each for each in tree.body if isinstance(each, (ast.Import, ast.ImportFrom))]
    return "\n".join(ast.unparse(each) for each in found)
