"""What the sandbox refuses, and machines on which it cannot run."""

import pytest

from qecforge.errors import ConfigurationError, InfrastructureError, MissingDependency, SandboxUnavailable, UserError
from qecforge.sandbox import Limits, Program, Sandbox, SandboxConfig, Tier
from qecforge.sandbox.program import parse_size


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
    with pytest.raises(SandboxUnavailable, match=r"no sandbox cell can be started: .*no namespaces.* `qecforge"):
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
