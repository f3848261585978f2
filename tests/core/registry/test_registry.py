from __future__ import annotations

import itertools
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from registry_fakes import agent_module, install

from qecforge.errors import PluginError, nearest
from qecforge.registry import Registry

_counter = itertools.count()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on sys.path, and nothing installed but what a test puts there."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "path", [str(folder), *(path for path in sys.path if "packages" in path)])
    return folder


def unique(stem: str) -> str:
    """A module name that no other test has imported."""
    return f"registry_test_{stem}_{next(_counter)}"


def put(site: Path, name: str, text: str, *, entry: str | None = None, version: str = "1.0") -> str:
    module = unique(entry or name.replace("-", "_"))
    install(site, name, {module: text}, {entry or name: module}, version)
    return module


def load_only(site: Path, *modules: str) -> Registry:
    """Load what was put into `site`, without the built-in plugins."""
    from importlib.metadata import distributions

    points = [each for found in distributions(path=[str(site)]) for each in found.entry_points]
    assert points
    return Registry.load(points)


def test_a_plugin_is_found_with_its_distribution_version_and_entry_point(site):
    put(site, "wise-agent", agent_module("wise"), entry="wise_plugin", version="2.3")
    registry = Registry.load()
    found = registry.agent("wise")
    assert (found.spec.name, found.distribution, found.version) == ("wise", "wise-agent", "2.3")
    assert found.entry_point == "wise_plugin"
    assert found.spec.config().steps == 1
    assert registry.agents["wise"] is found


def test_built_in_plugins_come_through_the_same_door():
    agents = Registry.load().agents
    assert agents["ppo"].distribution == "qecforge"


def test_the_mappings_cannot_be_changed():
    with pytest.raises(TypeError):
        Registry.load().agents["mine"] = None  # type: ignore[index]


@pytest.mark.parametrize(
    ("before", "error"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise BaseException('panic')", "BaseException: panic"),
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("import warnings; warnings.warn('old')", "UserWarning: old"),
    ],
)
def test_a_plugin_that_fails_to_import_is_reported_and_harms_nothing_else(site, before, error):
    put(site, "bad-agent", agent_module("bad", before=before), version="0.9")
    put(site, "good-agent", agent_module("good"))
    registry = load_only(site)
    assert list(registry.agents) == ["good"]
    (broken,) = registry.broken
    assert (broken.name, broken.distribution, broken.version) == ("bad-agent", "bad-agent", "0.9")
    assert error in broken.error
    assert "\n" not in broken.error
    assert "Traceback" in broken.traceback
    assert error.split(":")[0] in broken.traceback


def test_an_entry_point_to_something_absent_is_reported(site):
    install(site, "lost", {}, {"lost": "registry_test_lost:plugin"})
    (broken,) = load_only(site).broken
    assert "registry_test_lost" in broken.error


SPEC = "AgentSpec(name='a', summary='s', config=Config, make=make, trains_on=frozenset({'discrete'}))"
HEAD = """
from qecforge.contracts import PluginConfig, Reading, RunView
from qecforge.hookspecs import *
from pydantic import BaseModel, ConfigDict, Field
class Config(PluginConfig):
    pass
class Loose(PluginConfig):
    model_config = ConfigDict(extra="allow")
class Thawed(PluginConfig):
    model_config = ConfigDict(frozen=False)
class Taken(PluginConfig):
    plugin: str = "x"
class Teaching(PluginConfig):
    teacher: str = "x"
class Foreign(BaseModel):
    pass
class Chosen(PluginConfig):
    names: tuple[str, ...] | None = Field(None, description="Names.")
class Quick(PluginConfig):
    quick: bool = Field(False, description="Quick.")
class Bare(PluginConfig):
    names: tuple[str, ...] = ()
class Needy(PluginConfig):
    names: tuple[str, ...] = Field(description="Names.")
class Deep(PluginConfig):
    names: dict[str, int] = Field({}, description="Names.")
class Renamed(PluginConfig):
    names: str = Field("", alias="name", description="Names.")
class Doubled(PluginConfig):
    fast: bool = Field(False, description="Fast.")
    no_fast: str = Field("", description="Not fast.")
def make(config): ...
def evaluate(env, policy, config, context): ...
def environment(**changes):
    return EnvironmentSpec(**({"name": "e", "summary": "s", "config": Config, "make": make, "actions": "discrete",
                               "native_reward": True} | changes))
def evaluation(**changes):
    return EvaluationSpec(**({"name": "v", "summary": "s", "config": Config, "evaluate": evaluate} | changes))
def reading(**changes):
    return Reading(**({"metric": "loss", "label": "loss"} | changes))
def agent(**changes):
    return AgentSpec(**({"name": "a", "summary": "s", "config": Config, "make": make,
                         "trains_on": frozenset({"discrete"})} | changes))
def reward(**changes):
    return RewardSpec(**({"name": "r", "summary": "s", "config": Config, "make": make, "scores": "t"} | changes))
def quantizer(**changes):
    return QuantizerSpec(**({"name": "q", "summary": "s", "config": Config, "make": make,
                             "kind": "post_training"} | changes))
def reproduction(**changes):
    return ReproductionSpec(**({"name": "p", "summary": "s", "source": "a book", "quick": "less", "needs": (),
                                "options": Chosen, "plan": make, "report": make} | changes))
"""


def hooked(kind: str, result: str) -> str:
    return f"{HEAD}\n@hookimpl\ndef qecforge_{kind}s():\n    return {result}\n"


def test_sound_specs_of_every_kind_are_taken(site):
    for kind in ("environment", "reward", "agent", "quantizer", "reproduction"):
        put(site, f"sound-{kind}", hooked(kind, f"[{kind}()]"))
    registry = load_only(site)
    assert not registry.broken
    assert [(kind, each.spec.name) for kind, each in registry] == [
        ("environment", "e"),
        ("reward", "r"),
        ("agent", "a"),
        ("quantizer", "q"),
        ("reproduction", "p"),
    ]
    assert registry.environment("e").spec.native_reward
    assert registry.reward("r").spec.scores == "t"
    assert registry.quantizer("q").spec.kind == "post_training"
    assert registry.reproduction("p").spec.source == "a book"
    assert list(registry.reproductions) == ["p"]


@pytest.mark.parametrize(
    ("kind", "result", "message"),
    [
        ("agent", "agent()", "returned AgentSpec(name='a'"),
        ("agent", "'agent'", "returned 'agent', expected a list of AgentSpec"),
        ("agent", "[environment()]", "expected AgentSpec"),
        ("agent", "[agent(name='A')]", "lower case"),
        ("agent", "[agent(name='1a')]", "lower case"),
        ("agent", "[agent(name='a-b')]", "lower case"),
        ("agent", "[agent(name=3)]", "lower case"),
        ("agent", "[agent(summary='')]", "one line"),
        ("agent", "[agent(summary='a\\nb')]", "one line"),
        ("agent", "[agent(config=Foreign)]", "subclass of PluginConfig"),
        ("agent", "[agent(config=Config())]", "subclass of PluginConfig"),
        ("agent", "[agent(config=Loose)]", "extra='forbid'"),
        ("agent", "[agent(config=Thawed)]", "frozen=True"),
        ("agent", "[agent(config=Taken)]", "'plugin', which is reserved"),
        ("quantizer", "[quantizer(config=Teaching)]", "'teacher', which is reserved"),
        ("agent", "[agent(make=None)]", "expected a factory"),
        ("agent", "[agent(trains_on=frozenset())]", "expected some of discrete"),
        ("agent", "[agent(trains_on='discrete')]", "expected some of discrete"),
        ("agent", "[agent(trains_on=frozenset({'jumping'}))]", "expected some of discrete"),
        ("agent", "[agent(check_fine_tuning=3)]", "check_fine_tuning is 3, expected a function"),
        ("agent", "[agent(check_quantized=3)]", "check_quantized is 3, expected a function"),
        ("agent", "[agent(check='no')]", "check is 'no', expected a function"),
        ("agent", "[agent(evaluations=3)]", "evaluations is 3, expected a tuple of EvaluationSpec"),
        ("agent", "[agent(evaluations=(3,))]", "agent 'a': evaluations holds 3, expected EvaluationSpec"),
        ("agent", "[agent(evaluations=(evaluation(), evaluation()))]", "the evaluation name 'v' is taken"),
        ("agent", "[agent(evaluations=(evaluation(name='search'),))]", "the evaluation name 'search' is taken"),
        ("agent", "[agent(evaluations=(evaluation(check=3),))]", "evaluation 'v': check is 3, expected a function"),
        ("environment", "[environment(evaluations=(evaluation(name='returns'),))]", "is taken"),
        ("environment", "[environment(evaluations=(evaluation(evaluate=3),))]", "'v': evaluate is 3, expected a func"),
        ("environment", "[environment(endless='yes')]", "endless is 'yes', expected True or False"),
        ("agent", "[agent(view=3)]", "view is 3, expected RunView"),
        ("agent", "[agent(view=RunView(unit=''))]", "view.unit is '', expected a word such as steps"),
        ("agent", "[agent(view=RunView(tables=3))]", "view.tables is 3, expected a function"),
        ("environment", "[environment(view=RunView(figures='no'))]", "view.figures is 'no', expected a function"),
        ("agent", "[agent(view=RunView(readings='loss'))]", "view.readings is 'loss', expected a list of Reading"),
        ("agent", "[agent(view=RunView(readings=['loss']))]", "view.readings holds 'loss', expected Reading"),
        ("agent", "[agent(view=RunView(readings=[reading(label='')]))]", "expected a metric and a label of one line"),
        (
            "agent",
            "[agent(view=RunView(readings=[reading(show=3)]))]",
            "reading 'loss': show is 3, expected a function",
        ),
        ("agent", "[agent(view=RunView(readings=[reading(words='no')]))]", "words is 'no', expected one {} in it"),
        ("agent", "[agent(view=RunView(readings=[reading(), reading()]))]", "has the metric 'loss' twice"),
        ("agent", "[agent(resumes='later')]", "resumes is 'later', expected to_the_bit or between_episodes"),
        ("environment", "[environment(resumes=None)]", "resumes is None, expected to_the_bit or between_episodes"),
        (
            "environment",
            "[environment(actions='parameters', resumes='between_episodes')]",
            "resumes is 'between_episodes', and it has no episodes. Set it to 'to_the_bit'",
        ),
        ("environment", "[environment(actions='jumping')]", "expected some of discrete"),
        ("environment", "[environment(native_reward=False)]", "no native reward"),
        ("environment", "[environment(evaluations=(3,))]", "expected EvaluationSpec"),
        ("environment", "[environment(evaluations=(evaluation(name='X'),))]", "lower case"),
        ("environment", "[environment(evaluations=(evaluation(config=Foreign),))]", "subclass of PluginConfig"),
        ("environment", "[environment(evaluations=(evaluation(), evaluation()))]", "'v' is taken"),
        ("environment", "[environment(evaluations=(evaluation(name='logical_error_rate'),))]", "is taken"),
        ("reward", "[reward(name='native')]", "reserved"),
        ("reward", "[reward(scores='')]", "expected what environments show"),
        ("quantizer", "[quantizer(kind='magic')]", "post_training, training_aware or distillation"),
        ("quantizer", "[quantizer(quantizes=frozenset({'jumping'}))]", "expected some of discrete"),
        ("quantizer", "[quantizer(quantizes=frozenset({'discrete', 'text'}))]", "policies that answer prompts are not"),
        ("quantizer", "[quantizer(check='no')]", "check is 'no', expected a function"),
        ("reproduction", "[agent()]", "expected ReproductionSpec"),
        ("reproduction", "[reproduction(name='P')]", "lower case"),
        ("reproduction", "[reproduction(summary='a\\nb')]", "one line"),
        ("reproduction", "[reproduction(source='')]", "source is '', expected one line of text"),
        ("reproduction", "[reproduction(quick=True)]", "quick is True, expected one line of text"),
        ("reproduction", "[reproduction(plan=None)]", "plan is None, expected a function"),
        ("reproduction", "[reproduction(report=1)]", "report is 1, expected a function"),
        ("reproduction", "[reproduction(measure=1)]", "measure is 1, expected a function"),
        ("reproduction", "[reproduction(needs='agent.a')]", "expected a tuple of names"),
        (
            "reproduction",
            "[reproduction(needs=('ppo',))]",
            "needs 'ppo', expected kind.name with a kind of environment, ",
        ),
        ("reproduction", "[reproduction(needs=('robot.ppo',))]", "needs 'robot.ppo', expected kind.name"),
        ("reproduction", "[reproduction(needs=('reproduction.p',))]", "needs 'reproduction.p', expected kind.name"),
        ("reproduction", "[reproduction(needs=('agent.P',))]", "needs 'agent.P', expected kind.name"),
        ("reproduction", "[reproduction(seeds=0)]", "seeds is 0, expected a whole number from 1 to 1000"),
        ("reproduction", "[reproduction(quick_seeds=True)]", "quick_seeds is True, expected a whole number"),
        ("reproduction", "[reproduction(options=Foreign)]", "options is <class 'registry_test"),
        ("reproduction", "[reproduction(recorded='reward')]", "recorded is 'reward', expected a tuple of metrics"),
        ("reproduction", "[reproduction(options=Quick)]", "'quick', which is reserved"),
        ("reproduction", "[reproduction(options=Bare)]", "Bare.names has no description"),
        ("reproduction", "[reproduction(options=Needy)]", "Needy.names has no default"),
        ("reproduction", "[reproduction(options=Deep)]", "Deep.names is of a type that no option can carry"),
        ("reproduction", "[reproduction(options=Renamed)]", "Renamed.names has an alias"),
        ("reproduction", "[reproduction(options=Doubled)]", "Doubled.no_fast: the option --no-fast is another field's"),
        ("agent", "1 / 0", "ZeroDivisionError"),
        ("agnt", "[]", "unknown hook qecforge_agnts. Did you mean qecforge_agents?"),
    ],
)
def test_what_hooks_return_is_checked(site, kind, result, message):
    put(site, "odd", hooked(kind, result))
    put(site, "good-agent", agent_module("good"))
    registry = load_only(site)
    assert [each.spec.name for _, each in registry] == ["good"]
    (broken,) = registry.broken
    assert message in broken.error
    assert "\n" not in broken.error


def test_a_module_without_hooks_is_reported(site):
    put(site, "hookless", "def qecforge_agents(): return []")
    (broken,) = load_only(site).broken
    assert "implements no hook" in broken.error
    assert "hookimpl" in broken.error


def test_a_name_given_twice_names_both_distributions_and_disables_only_itself(site):
    put(site, "first-twin", agent_module("twin"), version="1.1")
    put(site, "second-twin", agent_module("twin"), version="2.2")
    put(site, "other", agent_module("other"))
    registry = load_only(site)
    assert list(registry.agents) == ["other"]
    assert registry.broken == ()
    (clash,) = registry.clashes
    assert (clash.kind, clash.name) == ("agent", "twin")
    assert {each.distribution for each in clash.registered} == {"first-twin", "second-twin"}
    for use in (lambda: registry.agent("twin"), lambda: registry.find("twin")):
        with pytest.raises(PluginError, match=r"first-twin 1\.1.*second-twin 2\.2.*Uninstall one"):
            use()


def test_one_name_in_two_kinds_is_no_clash(site):
    put(site, "both", HEAD + "\n@hookimpl\ndef qecforge_agents(): return [agent(name='same')]\n"
        "@hookimpl\ndef qecforge_rewards(): return [reward(name='same')]\n")  # fmt: skip
    registry = load_only(site)
    assert registry.clashes == ()
    assert registry.agent("same").spec is not registry.reward("same").spec
    with pytest.raises(PluginError, match=r"write reward\.same or agent\.same"):
        registry.find("same")
    assert registry.find("agent.same") == ("agent", registry.agent("same"))


def test_a_distribution_seen_twice_on_the_path_is_one(tmp_path, monkeypatch):
    module = unique("seen_twice")
    for folder in ("editable", "egg"):
        install(tmp_path / folder, "seen-twice", {module: agent_module("once")}, {"once": module})
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    registry = Registry.load()
    assert not [clash for clash in registry.clashes if clash.name == "once"]
    assert registry.agent("once").distribution == "seen-twice"


def test_damaged_metadata_of_one_distribution_hides_no_other(site):
    put(site, "good-agent", agent_module("good"))
    install(site, "damaged", {}, {})
    (site / "damaged-1.0.dist-info" / "entry_points.txt").write_bytes(b"[qecforge]\n\xff\xfe = x\n")
    registry = Registry.load()
    assert "good" in registry.agents
    assert [broken.distribution for broken in registry.broken] == ["damaged"]


@pytest.mark.parametrize("found_by", ["importlib.metadata", "importlib_metadata"])
def test_a_distribution_without_metadata_still_counts(site, monkeypatch, found_by):
    """The backport finds distributions in the place of Python's own once a package has imported it."""
    finders = [each for each in sys.meta_path if type(each).__module__ != "importlib_metadata"]
    if found_by == "importlib_metadata":
        backport = pytest.importorskip(found_by)
        finders.insert(0, backport.MetadataPathFinder())
    monkeypatch.setattr(sys, "meta_path", finders)
    for name in ("one", "two"):
        module = put(site, f"nameless-{name}", agent_module(name))
        assert module
        (site / f"nameless_{name}-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    agents = Registry.load().agents
    assert {agents["one"].distribution, agents["two"].distribution} == {"unknown"}


def test_unknown_names_offer_the_nearest(site):
    for name in ("grpo", "reinforce", "random_search"):
        put(site, f"{name}-agent".replace("_", "-"), agent_module(name))
    registry = load_only(site)
    with pytest.raises(PluginError, match=r"unknown agent 'grop'\. Did you mean 'grpo'\? Installed agents: grpo, rand"):
        registry.agent("grop")
    with pytest.raises(PluginError, match="Did you mean 'random_search'"):
        registry.agent("Random_Serch")
    with pytest.raises(PluginError, match=r"unknown agent 'zzz'\. Installed agents"):
        registry.agent("zzz")
    with pytest.raises(PluginError, match=r"'grpo' is an agent\. No environment is installed"):
        registry.environment("grpo")
    with pytest.raises(PluginError, match=r"unknown plugin 'grp'\. Did you mean 'grpo'"):
        registry.find("grp")


def test_an_unknown_name_of_a_broken_plugin_says_that_it_is_broken(site):
    put(site, "fragile", agent_module("fragile", before="1 / 0"))
    registry = load_only(site)
    for use in (lambda: registry.agent("fragile"), lambda: registry.find("fragile")):
        with pytest.raises(PluginError, match=r"fragile 1\.0 could not be loaded \(ZeroDivisionError.*plugins list"):
            use()


CLI = """
from qecforge.hookspecs import hookimpl
@hookimpl
def qecforge_cli(app):
    {body}
"""


def test_plugins_add_commands_and_one_that_fails_to_is_reported(site):
    put(site, "adds", CLI.format(body="app.append('mine')"))
    put(site, "fails", CLI.format(body="raise SystemExit(1)"))
    registry = load_only(site)
    app: list[str] = []
    (failed,) = registry.extend_cli(app)
    assert app == ["mine"]
    assert (failed.name, failed.distribution, failed.error) == ("fails", "fails", "SystemExit: 1")
    assert failed in registry.broken


def test_registries_do_not_share_anything(site):
    put(site, "apart", agent_module("apart"))
    first, second = load_only(site), Registry.load([])
    assert list(first.agents) == ["apart"]
    assert list(second.agents) == []


def test_entry_points_without_a_distribution_are_taken():
    point = EntryPoint("ppo", "qecforge_ppo", "qecforge")
    found = Registry.load([point, point]).agent("ppo")
    assert (found.distribution, found.version) == ("unknown", "0")


def test_nearest_ignores_case_and_offers_at_most_three():
    assert nearest("STEPS", ["steps", "total_steps"]) == ["steps", "total_steps"]
    assert len(nearest("aaaa", ["aaab", "aaac", "aaad", "aaae"])) == 3
    assert nearest("xyz", ["steps"]) == []


def test_loading_imports_nothing_heavy():
    heavy = ("torch", "numba", "qiskit", "scipy.sparse", "sinter", "pandas", "ruamel")
    script = (
        "import sys; from qecforge.registry import Registry; r = Registry.load(); assert not r.broken, r.broken; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
