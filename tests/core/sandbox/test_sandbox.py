"""Batches in, outcomes out, in order."""

import re

import numpy as np
import pytest
from isolation import needs_isolation

from qecforge.errors import ConfigurationError
from qecforge.sandbox import Bounds, Call, Limits, Program, Sandbox, SandboxConfig, Tier, Verdict
from qecforge.sandbox.inside import STARVED_AFTER
from qecforge.sandbox.inside.watching import overdue

ADD = "def add(a, b):\n    return a + b\n"
TESTS = """
from qecforge.sandbox.inside.calls import ProgramError

def test_adds(program):
    assert program.add(1, 2) == 3

def test_joins(program):
    assert program.add("a", b="b") == "ab"

def test_refuses(program):
    try:
        program.add(1, "b")
    except ProgramError as error:
        assert error.kind == "TypeError"
    else:
        raise AssertionError("nothing was refused")
"""


def verdicts(outcomes):
    return [each.verdict.value for each in outcomes]


@needs_isolation
def test_a_batch_in_order(sandbox):
    programs = [
        Program(ADD, tests=TESTS),
        Program("def add(a, b):\n    return 3\n", tests=TESTS),
        Program("def add(a, b):\n    raise ValueError('no')\n", tests=TESTS),
        Program("def add(a, b)\n    return a", tests=TESTS),
        Program("  ", tests=TESTS),
        Program("a\x00b", tests=TESTS),
        Program("while True: pass", tests=TESTS, limits=Limits(cpu_seconds=0.2)),
        Program("x = bytearray(1 << 40)", tests=TESTS),
        Program("open('/etc/passwd')", tests=TESTS),
        Program("import socket; socket.socket()", tests=TESTS),
        Program(ADD, tests=TESTS),
    ]
    outcomes = sandbox.run(programs)
    assert verdicts(outcomes) == [
        *(
            "passed",
            "failed",
            "failed",
            "error",
            "invalid",
            "invalid",
            "timeout",
            "memory",
            "error",
            "forbidden",
            "passed",
        )
    ]
    first, second, third, fourth = outcomes[:4]
    assert first.passed
    assert [each.status for each in first.tests] == ["passed"] * 3
    assert second.detail == 'test_joins: line 8: assert program.add("a", b="b") == "ab"'
    assert [each.status for each in second.tests] == ["passed", "failed", "failed"]
    assert second.fraction == pytest.approx(1 / 3)
    assert [each.status for each in third.tests] == ["error", "error", "failed"]
    assert third.tests[0].detail.startswith("ValueError: no (line 5")
    assert fourth.detail.startswith("line 1: SyntaxError")
    assert fourth.tests == ()
    assert all(each.attempts == 1 for each in outcomes)


@needs_isolation
def test_without_tests_nothing_is_judged(sandbox):
    (ran, failed, left) = sandbox.run([Program("print('x')"), Program("1/0"), Program("import os; os._exit(0)")])
    assert (ran.verdict, ran.judged, ran.passed, ran.output) == (Verdict.PASSED, False, False, "x\n")
    assert (failed.verdict, failed.detail) == (Verdict.ERROR, "line 1: ZeroDivisionError: division by zero")
    assert (left.verdict, left.detail) == (Verdict.ERROR, "it left before its end, with status 0")


@needs_isolation
def test_calls_give_values(sandbox):
    source = "import numpy as np\ndef f(x, *, n=2):\n    return {'x': x * n, 'y': np.arange(n)}\n"
    calls = [Call("f", (1.5,)), Call("f", ([1],), {"n": 3}), Call("g"), Call("f", (None,))]
    (outcome,) = sandbox.run([Program(source, calls=calls)])
    one, two, three, four = outcome.calls
    assert one.value["x"] == 3.0
    np.testing.assert_array_equal(two.value["y"], np.arange(3))
    assert two.value["x"] == [1, 1, 1]
    assert three.error.startswith("AttributeError")
    assert four.error.startswith("TypeError")
    assert (outcome.verdict, outcome.judged) == (Verdict.ERROR, False)
    with pytest.raises(ConfigurationError, match="calls: a value of type builtin_function"):
        sandbox.run([Program(source, calls=[Call("f", (print,))])])


@needs_isolation
def test_tests_in_the_programs_process_are_not_judged(sandbox):
    live = "def make():\n    return iter([1, 2])\n"
    tests = "def test_live(program):\n    assert next(program.make()) == 1\n"
    here, there = sandbox.run([Program(live, tests=tests, in_process=True), Program(live, tests=tests)])
    assert (here.verdict, here.judged, here.passed) == (Verdict.PASSED, False, False)
    assert (there.verdict, there.judged) == (Verdict.ERROR, True)
    wrong, quits = sandbox.run(
        [
            Program("def make():\n    return iter([2])\n", tests=tests, in_process=True),
            Program("import os\ndef make():\n    os._exit(0)\n", tests=tests, in_process=True),
        ]
    )
    assert verdicts([wrong, quits]) == ["failed", "error"]


@needs_isolation
def test_forged_reports_of_tests_in_the_programs_process_harm_nobody(sandbox):
    """They may say that all passed; they cannot end the work of others, nor bring values of other types in."""
    row = {"name": "test_x", "status": "passed", "detail": "", "cpu": 0.0}
    whole = {"load": None, "tests": [row], "calls": [], "broken": ""}
    forged = [
        {**whole, "broken": "all of it"},
        {**whole, "broken": 1},
        {**whole, "load": 5},
        {**whole, "tests": [{**row, "name": []}]},
        {**whole, "tests": [{**row, "status": "infrastructure"}]},
        {**whole, "tests": [{**row, "detail": "x" * 10**5}]},
        {**whole, "tests": "test_x"},
        {**whole, "calls": [["value", b"N"]]},
        {**whole, "calls": 5},
        {"tests": []},
    ]
    source = (
        "import os\nfrom qecforge.sandbox.inside.codec import Codec\n"
        "from qecforge.sandbox.inside.frames import write_frame\nwrite_frame(3, Codec().encode({!r}))\nos._exit(0)\n"
    )
    tests = "def test_x(program):\n    assert False\n"
    claimed, *others = sandbox.run(
        [Program(source.format(each), tests=tests, in_process=True) for each in [whole, *forged]]
    )
    assert (claimed.verdict, claimed.judged, claimed.passed) == (Verdict.PASSED, False, False)
    assert verdicts(others) == ["error"] * len(forged)
    assert others[0].detail == "tests: all of it"


@needs_isolation
def test_values_of_calls_are_bounded_together():
    source = "def f():\n    return bytes(15_000)\n"
    with Sandbox(SandboxConfig(cells=1, tiers=(Tier("bare"),), bounds=Bounds(size=1 << 16))) as small:
        (outcome,) = small.run([Program(source, calls=[Call("f")] * 3)])
    assert [len(each.value or b"") for each in outcome.calls] == [15_000, 15_000, 0]
    assert outcome.calls[2].error == "the values of all calls together are too large"


@needs_isolation
def test_the_same_program_draws_the_same_numbers(sandbox):
    source = "import random, numpy\nprint(random.random(), numpy.random.rand(), sorted({'a', 'b', 'c'}), hash('a'))\n"
    outcomes = sandbox.run([Program(source)] * 4 + [Program(source, seed=1)])
    assert len({each.output for each in outcomes[:4]}) == 1
    assert outcomes[4].output != outcomes[0].output


@needs_isolation
def test_processes_are_allowed_where_the_limits_say_so(sandbox):
    source = (
        "import subprocess\nsubprocess.run(['/bin/echo'], stdout=subprocess.DEVNULL, check=True)\n"
        "print(subprocess.run(['/bin/echo', 'ran'], capture_output=True, text=True).stdout)\n"
    )
    allowed, refused = sandbox.run([Program(source, limits=Limits(processes=2)), Program(source)])
    assert (allowed.verdict, allowed.output.strip()) == (Verdict.PASSED, "ran")
    assert refused.verdict is Verdict.FORBIDDEN


@needs_isolation
def test_a_judge_waits_for_a_program_that_computes(sandbox):
    """Its own wall time does not run out while the program uses its time."""
    source = "import time\ndef add(a, b):\n    time.sleep(0.4)\n    return a + b\n"
    tests = "def test_adds(program):\n    assert program.add(1, 2) == 3\n"
    (outcome,) = sandbox.run([Program(source, tests=tests, judge_limits=Limits(cpu_seconds=5, wall_seconds=0.1))])
    assert outcome.passed


def test_waiting_for_a_core_is_not_sleeping():
    """Wall time in which a program was ready to run and got no core does not count; after very long it is given up."""
    assert overdue(wall=5, waited=0, limit=4) == "timeout"
    assert overdue(wall=5, waited=2, limit=4) == ""
    assert overdue(wall=4 * STARVED_AFTER - 1, waited=4 * STARVED_AFTER - 4, limit=4) == ""
    assert overdue(wall=4 * STARVED_AFTER + 1, waited=4 * STARVED_AFTER, limit=4) == "starved"
    assert overdue(wall=4 * STARVED_AFTER + 1, waited=0, limit=4) == "timeout"


@needs_isolation
def test_tests_that_are_none_are_an_error_of_the_caller(sandbox):
    for tests, why in (
        ("def check(program): pass", "no function of the tests"),
        ("def test_x(program)\n", "SyntaxError"),
        ("import unheard_of\n", "line 1: import unheard_of: ModuleNotFoundError"),
    ):
        with pytest.raises(ConfigurationError, match=f"tests: .*{why}"):
            sandbox.run([Program(ADD, tests=tests)])


@needs_isolation
def test_tests_without_end_are_ended(sandbox):
    tests = "def test_x(program):\n    while True:\n        pass\n"
    (outcome,) = sandbox.run([Program(ADD, tests=tests, judge_limits=Limits(cpu_seconds=0.2))])
    assert outcome.verdict is Verdict.TIMEOUT
    assert re.fullmatch(r"the tests: it used \d+\.\d s of CPU time of 0\.2", outcome.detail)


@needs_isolation
def test_a_returned_value_does_not_pass(sandbox):
    (outcome,) = sandbox.run([Program(ADD, tests="def test_x(program):\n    return program.add(1, 1) == 3\n")])
    assert (outcome.verdict, outcome.tests[0].detail) == (Verdict.FAILED, "the test returned a value instead of None")


@needs_isolation
def test_a_program_that_has_ended_refuses_nothing(sandbox):
    """A test that expects an error is not met by a program that is gone, and no later one either."""
    tests = (
        "from qecforge.sandbox.inside.calls import ProgramError\n"
        "def refuses(program):\n    try:\n        program.add(1, None)\n    except ProgramError:\n        return\n"
        "    raise AssertionError('nothing was refused')\n"
        "def test_once(program):\n    refuses(program)\ndef test_again(program):\n    refuses(program)\n"
    )
    raises, ends, lies = sandbox.run(
        [
            Program(ADD, tests=tests),
            Program("import os\ndef add(a, b):\n    os._exit(0)\n", tests=tests),
            Program("import os\ndef add(a, b):\n    os.write(5, b'no frame')\n", tests=tests),
        ]
    )
    assert raises.passed
    for outcome in (ends, lies):
        assert (outcome.verdict, outcome.fraction) == (Verdict.ERROR, 0.0), outcome
        assert outcome.tests[0].detail.startswith("the program: ")


@needs_isolation
def test_output_may_be_thrown_away(sandbox):
    (outcome,) = sandbox.run([Program("import os\nwith open(os.devnull, 'w') as file:\n    file.write('x')\n")])
    assert outcome.verdict is Verdict.PASSED, outcome
