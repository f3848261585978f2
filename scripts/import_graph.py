"""Every import of the source tree, those for type checking and those inside functions among them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["ImportGraph", "strings_of"]


@dataclass(frozen=True)
class ImportGraph:
    """Modules by dotted name, and who imports whom.

    Attributes:
        files: The file of each module.
        types: Whether imports that are there for type checking alone count.
    """

    files: Mapping[str, Path]
    types: bool = True

    @classmethod
    def of(cls, *roots: Path, types: bool = True) -> ImportGraph:
        """The modules below some source roots."""
        files = {}
        for root in roots:
            for file in sorted(root.rglob("*.py")):
                parts = file.relative_to(root).with_suffix("").parts
                files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
        return cls(files, types)

    @cached_property
    def imports(self) -> Mapping[str, frozenset[str]]:
        """What each module imports of the modules here."""
        return {name: frozenset(self._imported(file)) - {name} for name, file in self.files.items()}

    def _imported(self, file: Path) -> Iterator[str]:
        for node in self._nodes(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports here are absolute"
                assert node.module is not None
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    if whole in self.files:
                        yield whole
                    elif node.module in self.files:
                        yield node.module

    def _nodes(self, node: ast.AST) -> Iterator[ast.AST]:
        yield node
        for below in ast.iter_child_nodes(node):
            if self.types or not (isinstance(below, ast.If) and _names_type_checking(below.test)):
                yield from self._nodes(below)

    def circles(self) -> list[list[str]]:
        """Groups of modules that import each other, by way of others or at once (Tarjan's components)."""
        order: dict[str, int] = {}
        lowest: dict[str, int] = {}
        stack: list[str] = []
        found: list[list[str]] = []

        def visit(name: str) -> None:
            order[name] = lowest[name] = len(order)
            stack.append(name)
            for other in sorted(self.imports[name]):
                if other not in order:
                    visit(other)
                    lowest[name] = min(lowest[name], lowest[other])
                elif other in stack:
                    lowest[name] = min(lowest[name], order[other])
            if lowest[name] == order[name]:
                group = [stack.pop()]
                while group[-1] != name:
                    group.append(stack.pop())
                if len(group) > 1:
                    found.append(sorted(group))

        for name in self.files:
            if name not in order:
                visit(name)
        return found


def _names_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def strings_of(file: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string constant that is not a docstring, f-strings by their literal parts."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented | bare:
            yield node.lineno, node.value
