"""Batches in, outcomes out; and what is said where something is out of order."""

import os
import re
import signal
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attack_suite
import numpy as np
import pytest
from isolation import needs_isolation

import qecforge
from qecforge.errors import ConfigurationError, InfrastructureError, MissingDependency, SandboxUnavailable, UserError
from qecforge.sandbox import Bounds, Call, Limits, Program, Sandbox, SandboxConfig, Tier, Verdict
from qecforge.sandbox.cell import Cell, CellFailed
from qecforge.sandbox.inside import STARVED_AFTER
from qecforge.sandbox.inside.watching import overdue
from qecforge.sandbox.program import imported, parse_size

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


@pytest.fixture(scope="module")
def sandbox():
    tiers = (Tier("small", ("numpy",)), Tier("large", ("numpy", "decimal", "fractions")))
    with Sandbox(SandboxConfig(cells=2, tiers=tiers)) as made:
        yield made


def verdicts(outcomes):
    return [each.verdict.value for each in outcomes]


@needs_isolation
def test_packages_below_tmp(monkeypatch):
    """As those of an environment that was made there: programs see them, and have a folder for temporary files."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        installed = Path(folder) / "site-packages"
        installed.mkdir()
        (installed / "lies_below_tmp.py").write_text("VALUE = 7\n")
        monkeypatch.syspath_prepend(installed)
        text = (
            "import tempfile, lies_below_tmp\nwith tempfile.TemporaryFile() as file:\n    file.write(b'1')\n"
            "print(lies_below_tmp.VALUE)\n"
        )
        tiers = (Tier("small", ("lies_below_tmp",)),)
        with Sandbox(SandboxConfig(cells=1, tiers=tiers)) as made:
            (outcome,) = made.run([Program(text)])
    assert (outcome.verdict, outcome.output) == (Verdict.PASSED, "7\n"), outcome


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
def test_earlier_programs_cannot_be_found_in_memory(sandbox):
    """A fork server passes its memory on to each program: neither sources nor what was printed stay there."""
    search = next(each for each in attack_suite.load() if each.name == "earlier_programs")
    earlier = [
        f"print('answer = lambda x: (x * 26544' + '35761)' + 'p' * {size // 10})\n#{'y' * size}\n"
        f"answer = lambda x: (x * 2654435761)\n#{'z' * size}"
        for size in (300, 3_000, 30_000, 120_000)
    ]
    for source in earlier:
        sandbox.run([Program(source, tier="small")] * 2)
    for outcome in sandbox.run([Program(attack_suite.PRELUDE + search.source, tier="small")] * 2):
        assert outcome.verdict is Verdict.PASSED
        assert "BREACH" not in outcome.output


@needs_isolation
def test_values_of_calls_are_bounded_together():
    source = "def f():\n    return bytes(15_000)\n"
    with Sandbox(SandboxConfig(cells=1, tiers=(Tier("bare"),), bounds=Bounds(size=1 << 16))) as small:
        (outcome,) = small.run([Program(source, calls=[Call("f")] * 3)])
    assert [len(each.value or b"") for each in outcome.calls] == [15_000, 15_000, 0]
    assert outcome.calls[2].error == "the values of all calls together are too large"


@needs_isolation
def test_who_kills_himself_is_tried_again_in_the_same_cells(sandbox):
    """A program cannot have fork servers started anew again and again, which would cost seconds each."""
    source = (
        "import ctypes, os\nfrom qecforge.sandbox.inside.syscalls import NUMBERS\n"
        "ctypes.CDLL(None).syscall(NUMBERS[os.uname().machine]['tgkill'], os.getpid(), os.getpid(), 9)\n"
    )
    sandbox.run([Program("x = 1")] * 4)
    before = [cell for slot in sandbox._all for cell in slot._cells.values()]
    (outcome,) = sandbox.run([Program(source, tier="small")])
    assert (outcome.verdict, outcome.detail, outcome.attempts) == (Verdict.ERROR, "it was ended by SIGKILL", 3)
    assert set(before) <= {cell for slot in sandbox._all for cell in slot._cells.values()}


@needs_isolation
def test_the_same_program_draws_the_same_numbers(sandbox):
    source = "import random, numpy\nprint(random.random(), numpy.random.rand(), sorted({'a', 'b', 'c'}), hash('a'))\n"
    outcomes = sandbox.run([Program(source)] * 4 + [Program(source, seed=1)])
    assert len({each.output for each in outcomes[:4]}) == 1
    assert outcomes[4].output != outcomes[0].output


@needs_isolation
def test_processes_are_allowed_where_the_limits_say_so(sandbox):
    source = "import subprocess\nprint(subprocess.run(['/bin/echo', 'ran'], capture_output=True, text=True).stdout)\n"
    allowed, refused = sandbox.run([Program(source, limits=Limits(processes=2)), Program(source)])
    assert (allowed.verdict, allowed.output.strip()) == (Verdict.PASSED, "ran")
    assert refused.verdict is Verdict.FORBIDDEN


@needs_isolation
def test_hidden_folders_are_empty():
    """In the place of the package and in that of installed packages; the rest of them is there."""
    folders = [str(Path(qecforge.__file__).parent / "codes"), str(Path(np.__file__).parent / "doc")]
    source = "import os\nprint(os.listdir({0!r}), os.path.exists({1!r}), len(os.listdir({2!r})) > 3)\n"
    places = ("/packages/qecforge/codes", folders[1] + "/ufuncs.py", str(Path(np.__file__).parent))
    asked = Program(source.format(*places))
    with Sandbox(SandboxConfig(cells=1, hidden=folders)) as hiding, Sandbox(SandboxConfig(cells=1)) as open_:
        assert hiding.run([asked])[0].output == "[] False True\n"
        assert open_.run([asked])[0].output.startswith("['")
    with pytest.raises(ConfigurationError, match="hidden: the profile landlock cannot hide"):
        SandboxConfig(profile="landlock", hidden=folders)


@needs_isolation
def test_a_judge_waits_for_a_program_that_computes(sandbox):
    """Its own wall time does not run out while the program uses its time."""
    source = "import time\ndef add(a, b):\n    time.sleep(0.4)\n    return a + b\n"
    tests = "def test_adds(program):\n    assert program.add(1, 2) == 3\n"
    (outcome,) = sandbox.run([Program(source, tests=tests, judge_limits=Limits(cpu_seconds=5, wall_seconds=0.1))])
    assert outcome.passed


def test_tiers_are_chosen_by_what_is_imported():
    tiers = (Tier("small", ("numpy", "json")), Tier("large", ("numpy", "json", "json.decoder", "decimal")))
    sandbox = Sandbox(SandboxConfig(cells=1, tiers=tiers))
    for source, tier in (
        ("x = 1", "small"),
        ("import numpy.linalg", "small"),
        ("from decimal import Decimal", "large"),
        ("import os, decimal as d", "large"),
        ("    import decimal", "large"),
        ("import unheard_of", "small"),
        ("import json", "small"),
        ("from json import decoder", "large"),
        ("from json import dumps", "small"),
    ):
        assert sandbox.tier_of(Program(source)).name == tier
    assert sandbox.tier_of(Program("x = 1", tier="large")).name == "large"
    with pytest.raises(ConfigurationError, match="tier: got 'medium', expected one of small, large"):
        sandbox.run([Program("x = 1", tier="medium")])
    sandbox.close()


@needs_isolation
def test_a_tier_has_what_it_names(sandbox):
    source = "import sys\nprint('fractions' in sys.modules)\n"
    outcomes = sandbox.run([Program(source, tier="small"), Program(source, tier="large")])
    assert [each.output for each in outcomes] == ["False\n", "True\n"]


def test_imports_are_read_from_the_text_alone():
    text = "import a.b as c, d\nfrom e.f import g\nif x:\n\timport h\nfrom . import i"
    assert imported(text) == {"a.b", "d", "e.f", "e.f.g", "h"}
    assert imported("(" * 10**6) == frozenset()


@needs_isolation
def test_a_cell_that_is_killed_is_replaced_and_the_program_tried_again(sandbox):
    (first,) = sandbox.run([Program("x = 1")])
    for slot in sandbox._all:
        for cell in slot._cells.values():  # one slot alone may get both programs
            os.kill(int(children_of(cell._process.pid)[0]), signal.SIGKILL)
            cell._process.wait()
    outcomes = sandbox.run([Program("x = 1")] * 2)
    assert first.attempts == 1
    assert verdicts(outcomes) == ["passed", "passed"]
    assert max(each.attempts for each in outcomes) > 1


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@needs_isolation
def test_cells_that_always_fail_are_an_error_of_the_infrastructure(sandbox, monkeypatch):
    def fail(*_):
        raise CellFailed("the fork server gave no answer")

    with Sandbox(SandboxConfig(cells=1, attempts=2)) as broken:
        monkeypatch.setattr(Cell, "send", fail)
        with pytest.raises(InfrastructureError, match="2 attempts at a program, and each time the fork server gave no"):
            broken.run([Program("x = 1")])


def test_waiting_for_a_core_is_not_sleeping():
    """Wall time in which a program was ready to run and got no core does not count; after very long it is given up."""
    assert overdue(wall=5, waited=0, limit=4) == "timeout"
    assert overdue(wall=5, waited=2, limit=4) == ""
    assert overdue(wall=4 * STARVED_AFTER - 1, waited=4 * STARVED_AFTER - 4, limit=4) == ""
    assert overdue(wall=4 * STARVED_AFTER + 1, waited=4 * STARVED_AFTER, limit=4) == "starved"
    assert overdue(wall=4 * STARVED_AFTER + 1, waited=0, limit=4) == "timeout"


@needs_isolation
def test_closing_ends_everything():
    sandbox = Sandbox(SandboxConfig(cells=2))
    sandbox.start()
    processes = [cell._process for slot in sandbox._all for cell in slot._cells.values()]
    below = [int(each) for process in processes for each in children_of(process.pid)]
    assert len(below) == 2
    sandbox.close()
    sandbox.close()
    assert [process.returncode for process in processes] == [0, 0]
    for pid in below:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(ConfigurationError, match="the sandbox is closed"):
        sandbox.run([Program("x = 1")])


@needs_isolation
def test_closing_does_not_wait_for_what_runs():
    sandbox = Sandbox(SandboxConfig(cells=1))
    sandbox.start()
    (cell,) = sandbox._all[0]._cells.values()
    sleeping = Program("import time\ntime.sleep(10**6)\n", limits=Limits(wall_seconds=10**5))
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(sandbox.run, [sleeping] * 3)
        (server,) = children_of(cell.process_id)
        while not children_of(server):
            pass
        sandbox.close()
        with pytest.raises(InfrastructureError, match="the sandbox was closed while programs ran"):
            running.result()
    assert cell._process.returncode == 0


@needs_isolation
def test_a_cell_whose_owner_has_gone_ends(tmp_path):
    """Its only tie is the socket: once that is closed, also by a killed owner, the fork server leaves."""
    cell = Cell(SandboxConfig(cells=1), Tier("bare"))
    cell._control.shutdown(socket.SHUT_RDWR)
    assert cell._process.wait(60) == 0
    cell.close()


@needs_isolation
def test_cells_of_one_sandbox_are_of_different_users():
    if os.geteuid() != 0:
        pytest.skip("only root can give each cell a user of its own")
    with Sandbox(SandboxConfig(cells=2)) as sandbox:
        sandbox.start()
        users = [cell.facts["uid"] for slot in sandbox._all for cell in slot._cells.values()]
    assert len(set(users)) == 2
    assert min(users) >= 1_000_000


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limits(cpu_seconds=0), "cpu_seconds: got 0, expected more than 0"),
        (lambda: Limits(cpu_seconds=float("nan")), "cpu_seconds: got nan"),
        (lambda: Limits(memory="2 GB"), "memory: got '2 GB', expected bytes or a size such as '2 GiB'"),
        (lambda: Limits(memory=0), "memory: got 0"),
        (lambda: Limits(threads=-1), "threads: got -1"),
        (lambda: Limits(wall_seconds=0), "wall_seconds: got 0"),
        (lambda: SandboxConfig(cells=0), "cells: got 0"),
        (lambda: SandboxConfig(tiers=()), "tiers: got the names of none"),
        (lambda: SandboxConfig(profile="none"), "profile: got 'none', expected bubblewrap or landlock"),
        (lambda: SandboxConfig(disk="much"), "disk: got 'much'"),
        (lambda: Program(b"x = 1"), "source: got bytes, expected text"),
        (lambda: Program("x = 1", in_process=True), "in_process: there are no `tests`"),
        (lambda: Sandbox().run(["x = 1"]), "sandbox: got str, expected a Program"),
        (lambda: Sandbox().run([Program("x", limits=Limits(memory="1 TiB"))]), "memory: got '1 TiB'"),
        (
            lambda: Sandbox().run([Program("x", limits=Limits(memory="9 GiB"))]),
            "limits: memory is 9 GiB, and the cells",
        ),
        (lambda: Sandbox().run([Program("x", limits=Limits(disk="9 GiB"))]), "limits: disk is 9 GiB"),
        (
            lambda: Sandbox(SandboxConfig(profile="landlock")).run([Program("x", limits=Limits(processes=1))]),
            "processes need a process space",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_bad_input_is_one_line(make, message):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes():
    assert [parse_size("x", each) for each in (5, "5 B", "1.5 KiB", "2GiB")] == [5, 5, 1536, 2 << 30]


def test_without_bubblewrap_nothing_runs(monkeypatch, tmp_path):
    """And nothing else is tried in its place."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="no bwrap is on the PATH; install it"), Sandbox() as sandbox:
        sandbox.run([Program("x = 1")])
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    fake.chmod(0o755)
    with (
        pytest.raises(SandboxUnavailable, match=r"is of version 0\.4\.1, and the sandbox needs 0\.8\.0"),
        Sandbox() as it,
    ):
        it.run([Program("x = 1")])
    fake.write_text("#!/bin/sh\n[ $1 = --version ] && echo bubblewrap 0.8.0 || { echo no namespaces >&2; exit 1; }\n")
    (tmp_path / "other").mkdir()
    other = (tmp_path / "bwrap").rename(tmp_path / "other" / "bwrap")
    monkeypatch.setenv("PATH", str(other.parent))
    with pytest.raises(
        SandboxUnavailable, match=r"no sandbox cell can be started: .*no namespaces.* `qecforge sandbox check`"
    ):
        Sandbox(SandboxConfig(cells=1)).run([Program("x = 1")])


def test_errors_are_in_the_tree():
    assert issubclass(SandboxUnavailable, InfrastructureError)
    assert issubclass(InfrastructureError, UserError)


def test_a_module_that_is_not_there_is_named():
    with (
        pytest.raises(MissingDependency, match="the sandbox needs unheard_of"),
        Sandbox(SandboxConfig(cells=1, tiers=(Tier("x", ("unheard_of",)),))) as sandbox,
    ):
        sandbox.run([Program("x = 1")])


@needs_isolation
def test_a_tier_is_used_once_and_leaves_no_threads(tmp_path, monkeypatch):
    """`warm` is called in the fork server; one that leaves a thread there is refused. Modules may be single files."""
    (tmp_path / "used_once.py").write_text(
        "import threading, time\nused = []\ndef use():\n    used.append(1)\n"
        "def leave():\n    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with Sandbox(SandboxConfig(cells=1, tiers=(Tier("used", ("used_once",), ("used_once:use",)),))) as sandbox:
        assert sandbox.run([Program("import used_once\nprint(used_once.used)")])[0].output == "[1]\n"
    threads = Tier("threads", ("used_once",), ("used_once:leave",))
    why = "its modules leave 1 threads behind, so it cannot fork safely"
    with Sandbox(SandboxConfig(cells=1, tiers=(threads,))) as sandbox, pytest.raises(SandboxUnavailable, match=why):
        sandbox.start()


@needs_isolation
def test_it_cleans_up_behind_itself(tmp_path, monkeypatch):
    """Folders and control groups of cells go with them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Sandbox(SandboxConfig(cells=1)) as sandbox:
        sandbox.run([Program("open('left', 'w').write('x')")])
        groups = [cell.group for slot in sandbox._all for cell in slot._cells.values()]
    assert list(tmp_path.iterdir()) == []
    assert not [folder for group in groups if group is not None for folder in group.folders if folder.exists()]
