"""Which names that Qiskit no longer has a program uses, and whether they are why it failed."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from functools import cache

from qecforge_qiskit_tasks.evaluation.removed_names import CIRCUIT, REMOVED

__all__ = ["blamed_names", "removed_names"]

_BLAMES = re.compile(
    r"cannot import name '(?P<name>\w+)' from '(?P<package>[\w.]+)'"
    r"|No module named '(?P<module>[\w.]+)'"
    r"|module '(?P<holder>[\w.]+)' has no attribute '(?P<member>\w+)'"
    r"|'(?:QuantumCircuit|Instruction\w*|\w+Gate|Measure|Reset|CircuitInstruction)' object has no attribute"
    r" '(?P<method>\w+)'"
)
_METHODS = {name.partition(".")[2]: name for name in REMOVED if name.startswith(f"{CIRCUIT}.")}
_MODULES = {name: name for name in REMOVED if not name.startswith(f"{CIRCUIT}.") and not name.endswith("*")}
_BEGINNINGS = {name[:-1]: name for name in REMOVED if name.endswith("*")}
_CALLED_ON_ANYTHING = {"i", "extend", "condition", "diagonal", "combine", "snapshot", "iso", "calibrations"}
"""Methods with names that other objects have too: the text alone does not say whose they are."""
_LAST = sorted({name.rpartition(".")[2] for name in REMOVED if not name.endswith("*")} - _CALLED_ON_ANYTHING)
_WORDS = re.compile(rf"\b(?:{'|'.join(_LAST)})\b|{'|'.join(each.rpartition('.')[2] for each in _BEGINNINGS)}")
"""The last parts of the names: a program without any of them uses none."""


def removed_names(source: str) -> frozenset[str]:
    """The names of `REMOVED` that a program imports, or calls as methods; none where it is no Python.

    Methods are recognised by their names: `anything.cnot(...)` counts. What is called through `getattr` does not.
    """
    if _WORDS.search(source) is None:  # the most of programs, and parsing is what costs
        return frozenset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    nodes = list(ast.walk(tree))
    aliases = _aliases(nodes)
    return frozenset(name for path in _paths(nodes, aliases) if (name := _removed(path)) is not None)


def blamed_names(detail: str) -> frozenset[str]:
    """The names of `REMOVED` that an error message says are missing."""
    found = set()
    for blame in _BLAMES.finditer(detail):
        if blame["method"] is not None:
            path = f"{CIRCUIT}.{blame['method']}"
        elif blame["name"] is not None:
            path = f"{blame['package']}.{blame['name']}"
        elif blame["member"] is not None:
            path = f"{blame['holder']}.{blame['member']}"
        else:
            path = blame["module"]
        if (name := _removed(path)) is not None:
            found.add(name)
    return frozenset(found)


@cache
def _removed(path: str) -> str | None:
    """The name that a dotted path is, or is part of."""
    head, _, method = path.partition(".")
    if head == CIRCUIT:
        return _METHODS.get(method)
    parts = path.split(".")
    for length in range(len(parts), 1, -1):
        prefix = ".".join(parts[:length])
        if prefix in _MODULES:
            return prefix
    return next((name for beginning, name in _BEGINNINGS.items() if path.startswith(beginning)), None)


def _aliases(nodes: list[ast.AST]) -> dict[str, str]:
    """What each imported name stands for; `*` for packages all of whose names were imported, the last alone."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for each in node.names:
                local = each.asname or each.name.partition(".")[0]
                found[local] = each.name if each.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                if each.name == "*":
                    found["*"] = node.module
                else:
                    found[each.asname or each.name] = f"{node.module}.{each.name}"
    return found


def _paths(nodes: list[ast.AST], aliases: dict[str, str]) -> Iterator[str]:
    """Dotted paths of what is imported and used."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Name) and "*" in aliases and node.id not in aliases:
            yield f"{aliases['*']}.{node.id}"
        elif isinstance(node, ast.Attribute):
            path = _dotted(node, aliases)
            if path is not None:
                yield path
            elif node.attr not in _CALLED_ON_ANYTHING:
                yield f"{CIRCUIT}.{node.attr}"


def _dotted(node: ast.Attribute, aliases: dict[str, str]) -> str | None:
    """The path of an attribute of something imported; None of anything else, such as a circuit."""
    parts, below = [node.attr], node.value
    while isinstance(below, ast.Attribute):
        parts.append(below.attr)
        below = below.value
    if not isinstance(below, ast.Name) or below.id not in aliases:
        return None
    return ".".join([aliases[below.id], *reversed(parts)])
