"""Places of a syntax tree where something else can be put, and put back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Place", "places"]

TYPES = {"annotation", "returns", "type_comment", "type_params", "ctx"}
"""Fields that say nothing of what a program does."""


@dataclass
class Place:
    """A node where it stands.

    Attributes:
        node: What stands there.
        owner: The node it belongs to, in `field`, and at `index` where that is a list.
        statement: The smallest statement around it, or the node itself.
        around: The expressions between that statement and the node, the outermost first.
        function: The function it stands in, None at the top.
    """

    node: ast.AST
    owner: ast.AST
    name: str
    index: int | None
    statement: ast.stmt
    around: tuple[ast.AST, ...] = ()
    function: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    _held: ast.stmt = field(init=False)
    _taken: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._held = self.statement

    @property
    def holder(self) -> ast.stmt:
        """The statement as it is now, where something was put."""
        return self._held

    def put(self, node: ast.AST | None) -> None:
        """Put another node there; None takes it out of a list, with `pass` where it was the only one."""
        self._set(node)
        if self.node is self.statement and isinstance(node, ast.stmt):
            self._held = node

    def restore(self) -> None:
        """As it was."""
        if self.index is not None:
            inside: list[ast.AST] = getattr(self.owner, self.name)
            if self._taken:
                inside.insert(self.index, self.node)
            else:
                inside[self.index] = self.node
        else:
            setattr(self.owner, self.name, self.node)
        self._held, self._taken = self.statement, False

    def _set(self, node: ast.AST | None) -> None:
        if self.index is None:
            setattr(self.owner, self.name, node)
            return
        inside: list[ast.AST] = getattr(self.owner, self.name)
        if node is None and len(inside) > 1:
            del inside[self.index]
            self._taken = True
        else:
            inside[self.index] = node if node is not None else ast.Pass()


def places(tree: ast.Module) -> Iterator[Place]:
    """All places of statements and expressions, in the order of the text; imports, types and docstrings left out."""
    yield from _within(tree, None, None, ())


def _within(
    owner: ast.AST,
    statement: ast.stmt | None,
    function: ast.FunctionDef | ast.AsyncFunctionDef | None,
    around: tuple[ast.AST, ...],
) -> Iterator[Place]:
    for name, value in ast.iter_fields(owner):
        if name in TYPES:
            continue
        nodes = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, node in nodes:
            if not isinstance(node, ast.AST) or isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if _is_docstring(owner, name, index, node):
                continue
            inner = node if isinstance(node, ast.stmt) else statement
            if inner is None:
                continue
            yield Place(node, owner, name, index, inner, around, function)
            below = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
            yield from _within(node, inner, below, () if isinstance(node, ast.stmt) else (*around, node))


def _is_docstring(owner: ast.AST, name: str, index: int | None, node: ast.AST) -> bool:
    documented = isinstance(owner, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    first = documented and name == "body" and index == 0
    return (
        first
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
