"""Mutants of a whole function: it ignores a parameter, or always gives the same answer.

What stands in for them is what the tests ask first, so a program that knows one question passes unless there is a
second one with another answer.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Whole", "changes_of_function"]

CONSTANTS = {
    "int": ("0", "1"),
    "float": ("0.0", "1.0"),
    "complex": ("0j",),
    "bool": ("False", "True"),
    "str": ("''",),
    "list": ("[]",),
    "dict": ("{}",),
    "tuple": ("()",),
}
"""What is given back at once, by the annotation of what is returned."""

ALWAYS = """
def _first_answer(function):
    answers = []

    def same(*args, **named):
        if not answers:
            answers.append(function(*args, **named))
        return answers[0]

    return same
"""


@dataclass(frozen=True)
class Whole:
    """A mutant without its number."""

    kind: str
    change: str
    line: int
    source: str


def changes_of_function(tree: ast.Module, entry_point: str) -> Iterator[Whole]:
    """Mutants of the function with that name at the top of a program; of the last, where there are several."""
    found = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == entry_point]
    if not found:
        return
    function = found[-1]
    parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    read = {each.id for each in ast.walk(ast.Module(function.body, [])) if isinstance(each, ast.Name)}
    for name in parameters:
        if name in read:
            line = ast.parse(f"{name} = _first_arguments.setdefault({name!r}, {name})").body
            source = _with(tree, function, ast.parse("_first_arguments = {}").body, line)
            yield Whole("ignored parameter", f"parameter {name} -> its first value", function.lineno, source)
    if parameters or function.args.vararg or function.args.kwarg:
        function.decorator_list.append(ast.Name("_first_answer", ast.Load()))
        source = _with(tree, function, ast.parse(ALWAYS).body, [])
        function.decorator_list.pop()
        yield Whole("early constant", f"{entry_point} -> its first answer", function.lineno, source)
    for constant in CONSTANTS.get(_kind(function.returns), ()):
        source = _with(tree, function, [], ast.parse(f"return {constant}", mode="exec").body)
        yield Whole("early constant", f"{entry_point} -> return {constant}", function.lineno, source)


def _with(tree: ast.Module, function: ast.FunctionDef, top: list[ast.stmt], inside: list[ast.stmt]) -> str:
    """The program with statements behind its docstring and `__future__`, and others at the begin of the function."""
    begin = _documented(tree.body)
    while begin < len(tree.body) and getattr(tree.body[begin], "module", "") == "__future__":
        begin += 1
    program, body = tree.body, function.body
    try:
        tree.body = [*program[:begin], *top, *program[begin:]]
        function.body = [*body[: _documented(body)], *inside, *body[_documented(body) :]]
        return ast.unparse(ast.fix_missing_locations(tree))
    finally:
        tree.body, function.body = program, body


def _documented(body: list[ast.stmt]) -> int:
    first = body[0] if body else None
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return int(documented and isinstance(first.value.value, str))  # type: ignore[union-attr]


def _kind(returns: ast.expr | None) -> str:
    while isinstance(returns, ast.Subscript):
        returns = returns.value
    return returns.id if isinstance(returns, ast.Name) else ""
