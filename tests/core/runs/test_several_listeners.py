"""Several listeners at once, those of plugins among them, and the log."""

import logging
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from qecforge import Registry, RunListener, RunOptions, load_manifest, run_manifest
from qecforge.contracts import PluginConfig
from qecforge.errors import MissingDependency, PluginError
from qecforge.executors.listeners import SeveralListeners, make_listener, opened_listeners
from qecforge.hookspecs import ListenerSpec, hookimpl
from qecforge.machine.logs import write_logs

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9, find_at: 40}
agent: {plugin: walker, total_steps: 400}
evaluation: {count: {episodes: 5}}
seeds: [5]
"""


class Config(PluginConfig):
    fails_in: str = ""
    times: int = 1


class Told(RunListener):
    """Keeps the names of what it is told, and fails where it shall."""

    made: ClassVar[list["Told"]] = []

    def __init__(self, config):
        self.config, self.events = config, []
        Told.made.append(self)
        for name in [each for each in vars(RunListener) if each.startswith("on_")] + ["close"]:
            setattr(self, name, lambda *arguments, name=name: self._tell(name))

    def _tell(self, name):
        self.events.append(name)
        if name == self.config.fails_in:
            raise OSError("the tracker\ndoes not answer")


class Plugin:
    @hookimpl
    def qecforge_listeners(self):
        return [ListenerSpec(name="told", summary="Keeps it.", config=Config, make=Told)]


@pytest.fixture
def registry(monkeypatch):
    Told.made.clear()
    monkeypatch.setitem(__import__("sys").modules, "a_listening_plugin", Plugin())
    modules = {"toy": "toy_plugin", "listening": "a_listening_plugin"}
    found = Registry.load([EntryPoint(name, module, "qecforge") for name, module in modules.items()])
    assert found.broken == ()
    return found


@pytest.fixture
def silence():
    yield
    write_logs()


def carry_out(registry, url, listener):
    return run_manifest(load_manifest(MANIFEST, registry=registry), options=RunOptions(url), listener=listener)


def test_listeners_of_plugins_are_told_all_and_closed_once(registry, tmp_path):
    own, said = Told(Config()), []
    with opened_listeners(["told", "told:times=2"], registry, said.append) as others:
        carry_out(registry, f"sqlite:///{tmp_path}/a.db", SeveralListeners([own, *others]))
    _, first, second = Told.made
    assert second.config.times == 2
    assert first.events == second.events == [*own.events, "close"]
    assert {"on_start", "on_phase", "on_progress", "on_code", "on_end"} <= set(own.events)
    assert said == []


@pytest.mark.parametrize("event", ["on_start", "on_progress", "on_end", "close"])
def test_one_that_fails_is_named_once_and_the_run_goes_on(registry, tmp_path, event):
    said, well = [], Told(Config())
    with opened_listeners([f"told:fails_in={event}"], registry, said.append) as others:
        (outcome,) = carry_out(registry, f"sqlite:///{tmp_path}/a.db", SeveralListeners([*others, well]))
    assert outcome.status == "finished"
    assert said == [f"listener told failed in {event} and is told nothing more: OSError: the tracker does not answer"]
    failed = Told.made[-1]
    assert failed.events.count(event) == 1
    assert failed.events[-1] == "close"
    assert well.events[-1] == "on_end"


def test_names_and_settings_are_checked(registry):
    with pytest.raises(PluginError, match=r"unknown listener 'tolt'.*Did you mean 'told'"):
        make_listener("tolt", registry)
    assert make_listener("told:times=3", registry).config == Config(times=3)


def test_all_are_closed_where_one_cannot_be_made(registry, monkeypatch):
    def missing(config):
        raise MissingDependency("listener other: nothing is installed")

    spec = ListenerSpec(name="other", summary="Fails.", config=Config, make=missing)
    make = registry.listener
    monkeypatch.setattr(
        type(registry), "listener", lambda self, name: make(name) if name == "told" else type("R", (), {"spec": spec})
    )
    with pytest.raises(MissingDependency), opened_listeners(["told", "other"], registry, print):
        pass
    assert Told.made[-1].events == ["close"]


def test_the_log_says_what_happens(registry, tmp_path, silence, capsys):
    write_logs(1, tmp_path / "log.txt")
    (outcome,) = carry_out(registry, f"sqlite:///{tmp_path}/a.db", None)
    shown, written = capsys.readouterr().err, (tmp_path / "log.txt").read_text()
    for text in (shown, written):
        assert f"INFO    qecforge.executors.listeners: run {outcome.run_id} (walk seed 5) starts" in text
        assert f"run {outcome.run_id} finished after" in text
        assert "phase train" in text
        assert f"INFO    qecforge.runs.training: run {outcome.run_id}: checkpoint of step 400 saved" in text
        assert "[[5,1,3]]" in text
    assert "step 200 of 400" in written
    assert "step 200 of 400" not in shown


def test_a_library_is_silent(registry, tmp_path, capsys):
    carry_out(registry, f"sqlite:///{tmp_path}/a.db", None)
    assert capsys.readouterr() == ("", "")
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("qecforge").handlers)
