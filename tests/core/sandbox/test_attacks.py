"""Programs that try to get out, to stay, to take too much or to forge a verdict; as root and as a user.

The programs stand in `attacks/`; each says BREACH where it succeeds in what it must not. After each the same honest
program runs in the same cell and must find all as before.
"""

import json

import as_user
import attack_suite
import pytest
from isolation import needs_isolation, why_not_isolated

ATTACKS = {attack.name: attack for attack in attack_suite.load()}
KINDS = {"files", "kernel", "network", "processes"}
"""On which it depends by whom they are run."""
BY_USERS = [name for name, attack in ATTACKS.items() if attack.kind in KINDS]
LAYERS_GONE = 1
"""Processes below bubblewrap while nothing runs: the fork server alone."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """What became of each, run as the user who runs the tests."""
    folder = tmp_path_factory.mktemp("host")
    return {row["attack"]: row for row in attack_suite.run(folder)}


@pytest.fixture(scope="module")
def rows_of_a_user(request):
    """The same as a user without privileges, some kinds alone unless slow tests are run."""
    why = as_user.cannot() or why_not_isolated(as_a_user=True)
    if why:
        pytest.skip(f"programs cannot be isolated by a user here: {why}")
    wanted = [] if "slow" in request.config.getoption("-m").replace("not slow", "") else BY_USERS
    done = as_user.run_as_user(attack_suite.__file__, "bubblewrap", *wanted)
    assert done.returncode == 0, done.stderr[-2000:]
    return {row["attack"]: row for row in json.loads(done.stdout)}


def check(row):
    assert not row["passed"]
    assert row["breaches"] == []
    assert row["verdict"] in row["expected"], row["detail"]
    assert row["harmed"] == []
    assert row["next"] == ""
    assert row["left"] == [LAYERS_GONE] * len(row["left"])
    assert row["memory"] <= row["memory_limit"]
    assert row["output"] <= 1 << 16
    assert row["verdict"] == "timeout" or row["cpu"] <= row["cpu_limit"]


def test_there_are_many_and_each_has_its_own_name():
    every = [attack.name for attack in attack_suite.load()]
    assert len(every) == len(set(every)) >= 150
    assert len(BY_USERS) >= 60
    assert {attack.kind for attack in ATTACKS.values()} == {
        *("files", "forgery", "kernel", "memory", "native", "network", "processes", "time")
    }


def test_no_verdict_depends_on_how_fast_the_machine_is():
    """Who has a limit that could end it before it has done what it does is expected to time out."""
    for attack in ATTACKS.values():
        assert "timeout" in attack.expected or not {"cpu_seconds", "wall_seconds"} & set(attack.limits), attack.name


@needs_isolation
@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_comes_of_it(name, rows):
    check(rows[name])


@needs_isolation
@pytest.mark.parametrize("name", BY_USERS)
def test_nothing_comes_of_it_as_a_user(name, rows_of_a_user):
    check(rows_of_a_user[name])


@needs_isolation
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in BY_USERS])
def test_nothing_comes_of_the_others_as_a_user(name, rows_of_a_user):
    check(rows_of_a_user[name])


def test_a_breach_would_be_seen():
    """The names that attacks use are those of the table, and a call that works is said to be a breach."""
    source = attack_suite.PRELUDE + "must_fail('reading', open, os.devnull)\nmust_fail('no call', libc_call, 10**6)\n"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-W", "ignore", "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("BREACH reading")
    assert done.stdout.splitlines()[1] == "refused no call OSError"
