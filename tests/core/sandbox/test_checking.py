"""The report on the layers: rows that say what was seen, and what is wrong where something is made so."""

import json
import os
import struct

import as_user
import pytest
from cli_harness import invoke
from isolation import needs_isolation

from qecforge.errors import SandboxUnavailable
from qecforge.sandbox import Program, Sandbox, SandboxConfig, Tier, bubblewrap, checking
from qecforge.sandbox.cell import Cell
from qecforge.sandbox.checking import Layer, State, check_layers, sandbox_works
from qecforge.sandbox.inside import landlock, seccomp
from qecforge.sandbox.inside.syscalls import ALLOWED, DEADLY, NUMBERS, REFUSED

NEEDED = {
    *("bubblewrap", "process space", "network space", "files", "user", "capabilities", "seccomp", "limits"),
    *("environment", "disk", "nothing left behind", "judge"),
}


@pytest.fixture(scope="module")
def layers():
    return check_layers()


@needs_isolation
def test_each_layer_has_a_row(layers):
    rows = {each.layer: each for each in layers}
    assert {name for name, each in rows.items() if each.state is State.HOLDS} >= NEEDED
    assert set(rows) == NEEDED | {"Landlock", "memory in total", "starvation"}
    assert all(bool(each.remedy) == (each.state is not State.HOLDS) for each in rows.values())
    assert sandbox_works(list(rows.values()))
    assert rows["Landlock"].state is (State.HOLDS if landlock.abi() >= 6 else State.WEAK)


@needs_isolation
def test_the_command_prints_them(layers, monkeypatch):
    monkeypatch.setattr(checking, "check_layers", lambda profile: layers)
    result = invoke("sandbox", "check", "--format", "json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert {row["layer"] for row in rows} >= NEEDED
    assert {row["state"] for row in rows} <= {"holds", "weak", "absent"}
    assert "one that forges: error" in invoke("sandbox", "check").stdout


def test_without_bubblewrap_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = invoke("sandbox", "check")
    assert result.exit_code == 2
    assert "install bubblewrap 0.8.0 or later" in result.stdout
    assert result.stderr == "programs cannot be isolated here, so the sandbox runs none\n"
    (row,) = json.loads(invoke("sandbox", "check", "--format", "json").stdout)
    assert (row["layer"], row["state"]) == ("bubblewrap", "absent")


def test_what_forbids_namespaces_is_named(monkeypatch, tmp_path):
    """A bubblewrap that fails as it does where user namespaces are forbidden."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\n[ $1 = --version ] && echo bubblewrap 0.9.0 || { echo no permission >&2; exit 1; }\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    first, cell = check_layers()
    assert (first.layer, first.state) == ("bubblewrap", State.HOLDS)
    assert (cell.layer, cell.state) == ("cell", State.ABSENT)
    assert "no permission" in cell.probe
    assert cell.remedy
    assert not sandbox_works([first, cell])


@needs_isolation
def test_layers_that_are_taken_away_are_missed(monkeypatch):
    """Each probe can fail: without the layers of the children those rows are no longer `holds`."""
    real = checking.SandboxConfig
    monkeypatch.setattr(checking, "SandboxConfig", lambda **options: real(layers=False, **options))
    for probe in ("THREADS", "BLOCK"):  # without limits they would take long
        monkeypatch.setattr(checking, probe, "x = 1")
    rows = {each.layer: each.state for each in check_layers()}
    assert {name for name, state in rows.items() if state is not State.HOLDS} >= {
        "Landlock",
        "seccomp",
        "limits",
    }


def test_the_filter_by_hand():
    """The instructions of the filters, carried out here: system calls and what a child is answered."""
    allow, kill, denied, unknown = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
    numbers = NUMBERS["x86_64"]
    server, *of_children = seccomp.make_filters("x86_64")
    for processes, own in enumerate(of_children):

        def decide(number, *arguments, own=own, **options):
            """The strictest answer of both, as seccomp(2) has it."""
            answers = [carry_out(code, number, *arguments, **options) for code in (server, own)]
            return next(each for each in (kill, *sorted({*answers} - {kill, allow}), allow) if each in answers)

        for names, answer in ((ALLOWED, allow), (DEADLY, kill)):
            for name in names:
                if name in numbers:
                    assert decide(numbers[name]) == answer, name
        for name in REFUSED:
            freed = processes and name in seccomp.FOR_PROCESSES
            assert decide(numbers[name]) == (allow if freed else denied), name
        assert decide(10_000) == unknown
        assert decide(numbers["read"], architecture=0x40000003) == kill
        assert decide(numbers["read"] | 0x40000000) == kill
        assert decide(numbers["clone3"]) == unknown
        assert decide(numbers["clone"], 0x10F00) == allow
        assert decide(numbers["clone"], 17) == (allow if processes else denied)
        for namespace in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
            assert decide(numbers["clone"], 17 | namespace) == denied
        assert decide(numbers["prctl"], 15) == allow
        assert decide(numbers["prctl"], 4) == denied
        assert decide(numbers["ioctl"], 1, 0x5412) == 0x00050019
        assert decide(numbers["ioctl"], 1, 0x5401) == allow
        assert decide(numbers["fcntl"], 1, 1031) == denied
        assert decide(numbers["prlimit64"], 0) == allow
        assert decide(numbers["prlimit64"], 1) == denied
        assert decide(numbers["personality"], 0x0040000) == denied
        assert decide(numbers["tgkill"], 1) == (allow if processes else denied)
        assert decide(numbers["tgkill"], seccomp.OWN_PID) == allow
    _, strict, _ = seccomp.make_filters("x86_64", modes=False)
    assert carry_out(strict, numbers["chmod"]) == denied
    assert [carry_out(server, numbers[name]) for name in ("clone", "kill", "sendmsg", "socket")] == [allow] * 3 + [
        denied
    ]
    assert all(len(each) % 8 == 0 for each in seccomp.make_filters("aarch64"))
    with pytest.raises(OSError, match="no filter is written for machines of kind m68k"):
        seccomp.make_filters("m68k")


def carry_out(code, number, *arguments, architecture=0xC000003E):
    """An interpreter of the few instructions that the filter is made of (Linux, filter.rst)."""
    seen = struct.pack("<iIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    at, value = 0, 0
    while True:
        kind, yes, no, operand = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        if kind == 0x20:
            (value,) = struct.unpack_from("<I", seen, operand)
        elif kind == 0x05:
            at += operand
        elif kind == 0x06:
            return operand
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[kind]
            at += yes if holds else no


def test_no_system_call_is_in_two_lists():
    every = [*ALLOWED, *REFUSED, *DEADLY]
    assert len(every) == len(set(every))
    forbidden = {"socket", "fork", "execve", "ptrace", "mount", "bpf", "io_uring_setup", "unshare", "setns", "kill"}
    assert not forbidden & set(ALLOWED)


def test_rights_of_landlock_are_those_of_its_version():
    """ABI 1 has 13 rights on files, 2 moving, 3 truncation, 5 calls to devices."""
    counts = [bin(landlock.FILE_RIGHTS[version]).count("1") for version in (1, 2, 3, 4, 5)]
    assert counts == [13, 14, 15, 15, 16]


def test_the_profile_landlock_is_only_ever_chosen(monkeypatch, tmp_path):
    """Where bubblewrap fails nothing runs, though Landlock is there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable), Sandbox() as sandbox:
        sandbox.run([Program("x = 1")])


def test_the_profile_landlock_runs_as_a_user():
    why = as_user.cannot()
    if why or not landlock.abi():
        pytest.skip(why or "the kernel has no Landlock")
    done = as_user.run_as_user("-m", "qecforge", "sandbox", "check", "--profile", "landlock", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["layer"]: row["state"] for row in json.loads(done.stdout)}
    assert rows["namespaces"] == "weak"
    assert [rows[name] for name in ("seccomp", "limits", "environment", "judge")] == ["holds"] * 4


@needs_isolation
def test_a_fork_server_begins_only_in_a_process_space_of_its_own(monkeypatch):
    """Else what it kills after each program would be the processes of its user."""
    told = Cell._told

    def same_space(self):
        monkeypatch.setattr(
            bubblewrap, "START", bubblewrap.START.replace("serve(int", "import os; os.getpid = lambda: 2; serve(int")
        )
        return told(self)

    monkeypatch.setattr(Cell, "_told", same_space)
    with pytest.raises(SandboxUnavailable, match="RuntimeError: the process space is not the cell's own"):
        Cell(SandboxConfig(cells=1), Tier("bare"))


def test_rows_say_what_to_do():
    assert not sandbox_works([Layer("x", State.ABSENT, "seen", "do")])
    assert sandbox_works([Layer("x", State.WEAK, "seen", "do")])
