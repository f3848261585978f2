"""The tests' process: it runs each test against the program and writes the only verdict.

Tests are the functions of a module whose names begin with `test_`, in the order of their text; each has the parameter
`program`:

    def test_adds(program):
        assert program.add(1, 2) == 3

One passes that returns None while the program is still there. They may import `ProgramError` of
`qecforge.sandbox.inside.calls`, which a call raises where the program does.
"""

from __future__ import annotations

import linecache
import time
import types
from collections.abc import Callable
from typing import Any

from qecforge.sandbox.inside.calls import Here, ProgramError, ProgramGone, There, line_of
from qecforge.sandbox.inside.child import described
from qecforge.sandbox.inside.codec import Codec, CodecError

__all__ = ["TESTS", "judge"]

TESTS = "tests.py"
DETAIL = 2000

Result = dict[str, Any]


def judge(program: There | Here, request: dict[str, Any], codec: Codec) -> dict[str, Any]:
    """Carry out the tests, then the calls, of a request.

    Returns:
        `load`: the program's own report, or None where it is in this process; `tests`: a row each with `name`, `status`
        (passed, failed, error), `detail` and `cpu`; `calls`: for each `["value", bytes]` or `["error", text]`;
        `notes`: numbers about the values that the program gave.
    """
    loaded: dict[str, Any] | None = None
    if isinstance(program, There):
        try:
            loaded = program._load()
        except ProgramGone as error:
            loaded = {"verdict": "error", "detail": f"the program: {error.args[0]}"}
        if loaded["verdict"] != "passed":
            return {"load": loaded, "tests": [], "calls": [], "broken": ""}
    try:
        functions = _functions(request["tests"]) if request["tests"] is not None else []
    except BaseException as error:
        where = line_of(error, TESTS)
        return {"load": loaded, "tests": [], "calls": [], "broken": f"{where}: {described(error)}".lstrip(": ")}
    tests = [_run(name, function, program) for name, function in functions]
    calls: list[list[Any]] = []
    room = codec.bounds.size // 2
    for each in request["calls"]:
        answer = _answer(program, each, codec)
        room -= len(answer[1])
        calls.append(answer if room >= 0 else ["error", "the values of all calls together are too large"])
    return {
        "load": loaded,
        "tests": tests,
        "calls": calls,
        "broken": "",
        "notes": codec.notes() if isinstance(program, There) else {},
    }


def _functions(source: str) -> list[tuple[str, Callable[[Any], object]]]:
    module = types.ModuleType("tests")
    linecache.cache[TESTS] = (len(source), None, source.splitlines(keepends=True), TESTS)
    exec(compile(source, TESTS, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    found = [(name, each) for name, each in vars(module).items() if name.startswith("test_") and callable(each)]
    if not found:
        raise ValueError("no function of the tests has a name that begins with test_")
    return found


def _run(name: str, test: Callable[[Any], object], program: There | Here) -> Result:
    started = time.process_time()
    status, detail = "passed", ""
    try:
        returned = test(program)
        if returned is not None:
            status, detail = "failed", "the test returned a value instead of None"
        elif isinstance(program, There) and program._gone:  # a test that expects an error is not met by an end
            status, detail = "error", f"the program: {program._gone}"
    except ProgramError as error:
        status, detail = "error", f"{error} ({line_of(error, TESTS)})"
    except CodecError as error:
        status, detail = "failed", f"an argument of the test: {error}"
    except BaseException as error:
        said = str(error) if isinstance(error, AssertionError) else described(error)
        status, detail = "failed", f"{line_of(error, TESTS)}: {said}".strip(": ")
    return {"name": name, "status": status, "detail": detail[:DETAIL], "cpu": time.process_time() - started}


def _answer(program: There | Here, call: list[Any], codec: Codec) -> list[Any]:
    name, positional, named = call
    try:
        return ["value", codec.encode(getattr(program, name)(*positional, **named))]
    except (ProgramError, CodecError) as error:
        return ["error", str(error)[:DETAIL]]
