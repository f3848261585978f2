"""What is said of runs that were stopped or lost: the command that goes on, and where a traceback is."""

import inspect
import shlex
from dataclasses import replace

import pytest
from cli_harness import MANIFEST, invoke, with_toys

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest
from qecforge.cli import _run
from qecforge.cli._output import raise_failed
from qecforge.errors import Interrupted, RunFailed
from qecforge.executors import run_manifest
from qecforge.runs.execute import execute, file_lost
from qecforge.runs.lock import RunLocks


@pytest.fixture
def plan(toys):
    return load_manifest(MANIFEST, registry=with_toys(Registry)).runs()[0]


@pytest.fixture
def options(tmp_path):
    return RunOptions(f"sqlite:///{tmp_path}/results.db")


def stops_at(count):
    answers = iter([False] * count + [True] * 1000)
    return lambda: next(answers)


def test_every_option_but_force_is_in_the_command_that_goes_on(manifest, monkeypatch):
    """Those apart that change no run: what is printed, and a dry run."""
    given = {
        "store": ["--store", "sqlite:///a b.db"],
        "executor": ["--executor", "ray"],
        "workers": ["--workers", "2"],
        "executor_options": ["--executor-option", "retries=1", "--executor-option", "num_cpus=2"],
        "overrides": ["--set", "seeds=[5]"],
        "listeners": ["--listener", "bell"],
        "allow": ["--allow", "/data"],
    }
    assert set(inspect.signature(_run.run).parameters) - set(given) == {"manifest", "force", "dry_run", "show", "form"}
    seen = []
    monkeypatch.setattr("qecforge.cli._run.opened_listeners", lambda *_: _nothing())

    def stop(_manifest, *, options, **_more):
        seen.append(options.again)
        raise Interrupted("stopped")

    monkeypatch.setattr("qecforge.executors.run_manifest", stop)
    words = [word for each in given.values() for word in each]
    assert invoke("run", "walk.yaml", *words, "--force").exit_code == 130
    assert invoke("run", "walk.yaml", *words).exit_code == 130
    command, _, rest = seen[0].removeprefix("`").partition("`")
    assert rest == " (without --force)"
    assert sorted(shlex.split(command)) == sorted(["qecforge", "run", "walk.yaml", *words])
    assert seen[1] == "the same command"


def _nothing():
    from contextlib import nullcontext

    return nullcontext([])


@pytest.mark.parametrize("force", [False, True])
def test_a_stopped_run_says_what_goes_on(plan, options, force):
    options = replace(options, force=force, again="`that`" if force else options.again)
    what = "`that`" if force else "the same command"
    for stop, said in ((stops_at(0), "stopped"), (stops_at(5), "its state is saved")):
        outcome = execute(plan, options, RunListener(), stop)
        assert outcome.status == "interrupted"
        assert said in outcome.error
        assert outcome.error.endswith(f"; {what} resumes it")
        with Store(options.store_url) as store:
            assert store.run(outcome.run_id).error == outcome.error


def test_a_call_with_force_names_the_call_without(toys, options, monkeypatch):
    manifest = load_manifest(MANIFEST, registry=with_toys(Registry))
    monkeypatch.setattr("qecforge.executors._process.stop_signals", lambda _: _stopped())
    with pytest.raises(
        Interrupted, match=r"^2 of 2 runs were interrupted; the same call without `force` continues them$"
    ):
        run_manifest(manifest, options=replace(options, force=True))


def _stopped():
    import threading
    from contextlib import nullcontext

    stop = threading.Event()
    stop.set()
    return nullcontext(stop)


@pytest.mark.parametrize("traceback", [None, "Traceback: at the very start"])
def test_a_lost_process_is_one_plain_line(plan, options, traceback):
    outcome = file_lost(plan, options, "its process was ended by SIGKILL", traceback=traceback)
    line = f"run {outcome.run_id}: its process was ended by SIGKILL; the same command goes on from step 0"
    assert (outcome.status, outcome.error) == ("failed", line)
    show = f"`qecforge runs show {outcome.run_id} --store {options.store_url}`"
    said = f"1 of 1 runs failed: {line}"
    if traceback is not None:
        said = f"1 of 1 runs failed, the first with {line}; {show} has the traceback"
    with pytest.raises(RunFailed) as failed:
        raise_failed([outcome], options.store_url)
    assert str(failed.value) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--executor-option", "foo=3"], "--executor-option: 'foo' is none of executor process's: it has none."),
        (
            ["--executor", "ray", "--executor-option", "retries=-1"],
            "--executor-option: retries of executor ray: got '-1', expected 0 or more",
        ),
        (["--executor-option", "foo"], "--executor-option: got 'foo', expected NAME=VALUE, such as num_cpus=2"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_options_of_an_executor_are_checked_first(folder, arguments, said, dry):
    result = invoke("run", "no-such-manifest.yaml", *arguments, *dry)
    assert (result.exit_code, result.stderr) == (2, f"{said}\n")


def test_a_run_that_another_process_has_is_no_lost_one(plan, options):
    with Store(options.store_url) as store, RunLocks(store) as locks:
        lost = file_lost(plan, options, "its process was ended by SIGKILL")
        assert locks.take(lost.run_id) is None
        store.mark_run(lost.run_id, "running")
        file_lost(plan, options, "its process was ended by SIGKILL")
        assert store.run(lost.run_id).status == "running"
