"""Cells: what their fork servers have, whose they are, and how they end."""

import os
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
from qecforge.errors import ConfigurationError, InfrastructureError, SandboxUnavailable
from qecforge.sandbox import Limits, Program, Sandbox, SandboxConfig, Tier, Verdict
from qecforge.sandbox.cell import Cell, CellFailed
from qecforge.sandbox.program import imported


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


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
def test_a_cell_that_is_killed_is_replaced_and_the_program_tried_again(sandbox):
    (first,) = sandbox.run([Program("x = 1")])
    for slot in sandbox._all:
        for cell in slot._cells.values():  # one slot alone may get both programs
            os.kill(int(children_of(cell._process.pid)[0]), signal.SIGKILL)
            cell._process.wait()
    outcomes = sandbox.run([Program("x = 1")] * 2)
    assert first.attempts == 1
    assert [each.verdict for each in outcomes] == [Verdict.PASSED] * 2
    assert max(each.attempts for each in outcomes) > 1


@needs_isolation
def test_cells_that_always_fail_are_an_error_of_the_infrastructure(sandbox, monkeypatch):
    def fail(*_):
        raise CellFailed("the fork server gave no answer")

    with Sandbox(SandboxConfig(cells=1, attempts=2)) as broken:
        monkeypatch.setattr(Cell, "send", fail)
        with pytest.raises(InfrastructureError, match="2 attempts at a program, and each time the fork server gave no"):
            broken.run([Program("x = 1")])


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
