"""Mutants: programs that differ from a reference in one place. Tests that pass one do not test that place.

    for mutant in mutants_of(task.reference, task.entry_point):
        mutant.change                       # 'qc.cx(0, 1) -> qc.cx(1, 0)'
        mutant.source                       # a whole program

They are made of the reference's syntax tree, so they are the same ones whenever they are asked for, in the order of the
text; what differs in layout alone is none, and no two have the same tree.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from qecforge_qiskit_tasks.checking._places import Place, places
from qecforge_qiskit_tasks.checking._rules import Change, changes_of_expression, changes_of_statement
from qecforge_qiskit_tasks.checking._whole import changes_of_function

__all__ = ["KINDS", "Mutant", "empty_program", "mutants_of"]

KINDS = (
    "gate",
    "qubit",
    "constant",
    "angle",
    "operator",
    "dropped statement",
    "ignored parameter",
    "early constant",
)


@dataclass(frozen=True)
class Mutant:
    """A program that should fail.

    Attributes:
        kind: One of `KINDS`.
        change: What was, ` -> `, what is: of the smallest statement; ` #2` behind it where the same change was made in
            an earlier place. It names the mutant: the edit of another statement leaves it as it is.
        line: Of the reference, from 1.
        source: The whole program.
    """

    kind: str
    change: str
    line: int
    source: str


def mutants_of(reference: str, entry_point: str, *, most: int | None = None) -> list[Mutant]:
    """Mutants of a program, in the order of its text.

    Args:
        reference: A whole program.
        entry_point: The function whose parameters are ignored and whose answers are made constant.
        most: At most so many, as many of each kind as there can be; None for all.

    Raises:
        SyntaxError: the reference is no Python.
    """
    tree = ast.parse(reference)
    seen = {ast.unparse(tree)}
    times: Counter[str] = Counter()
    found = []
    for kind, change, line, source in _made(tree, entry_point):
        if source in seen:
            continue
        seen.add(source)
        times[change] += 1
        named = change if times[change] == 1 else f"{change} #{times[change]}"
        found.append(Mutant(kind, named, line, source))
    return found if most is None else _spread(found, most)


def empty_program(reference: str, entry_point: str) -> str:
    """The reference with an entry point that does nothing: what no tests may accept."""
    tree = ast.parse(reference)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == entry_point:
            node.body = [ast.Pass()]
    return ast.unparse(tree)


def _made(tree: ast.Module, entry_point: str) -> Iterator[tuple[str, str, int, str]]:
    for place in places(tree):
        for change in _changes(place):
            before = _text(place.statement)
            place.put(change.node)
            try:
                after = "dropped" if change.node is None or isinstance(change.node, ast.Pass) else _text(place.holder)
                source = ast.unparse(ast.fix_missing_locations(tree))
            finally:
                place.restore()
            yield change.kind, f"{before} -> {after}", place.statement.lineno, source
    for whole in changes_of_function(tree, entry_point):
        yield whole.kind, whole.change, whole.line, whole.source


def _changes(place: Place) -> Iterator[Change]:
    if isinstance(place.node, ast.stmt):
        yield from changes_of_statement(place)
    if isinstance(place.node, ast.expr | ast.AugAssign):
        yield from changes_of_expression(place)


def _text(statement: ast.stmt) -> str:
    """A statement on one line; of a compound one its first."""
    text = ast.unparse(ast.fix_missing_locations(statement))
    return text.splitlines()[0] if hasattr(statement, "body") else " ".join(text.split())


def _spread(mutants: list[Mutant], most: int) -> list[Mutant]:
    """The first of each kind, then the second of each, as many as `most`; in the order of the text."""
    rank: Counter[str] = Counter()
    ranked = []
    for index, mutant in enumerate(mutants):
        rank[mutant.kind] += 1
        ranked.append((rank[mutant.kind], KINDS.index(mutant.kind), index))
    chosen = sorted(index for _, _, index in sorted(ranked)[:most])
    return [mutants[index] for index in chosen]
