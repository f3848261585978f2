"""Manifests for text: what fits, what is refused, and the revision of what they name outside of themselves."""

import hashlib
import json
import tempfile
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import qecforge_thirdparty_text
from qecforge_thirdparty_text import AGENT, TableConfig

from qecforge.errors import ManifestError, PluginError
from qecforge.manifest import RunPlan, load_manifest
from qecforge.registry import Registry

MANIFEST = """\
qecforge: 1
name: words
environment: {plugin: number_words, numbers: 3}
agent: {plugin: word_table, words: [zero, one, two, three]}
"""
BASED = MANIFEST.replace("words: [zero, one, two, three]", "base: BASE")


@pytest.fixture(scope="module")
def registry():
    modules = {"number_words": "qecforge_thirdparty_text", "toy": "toy_plugin"}
    modules |= {name: f"qecforge_{name}" for name in ("apq", "distil", "lsq", "ppo", "ptq", "smoothquant")}
    return Registry.load([EntryPoint(name, module, "qecforge") for name, module in modules.items()])


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"words": ["zero", "one", "two"], "preferences": [0, 0, 1]}))
    return path


def plan_of(text, registry):
    (plan,) = load_manifest(text, registry=registry, allow=[tempfile.gettempdir()]).runs()
    return plan


def refusal(text, registry):
    with pytest.raises(ManifestError) as caught:
        load_manifest(text, registry=registry, allow=[tempfile.gettempdir()])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("reward", "scores"), [("", None), ("reward: native\n", None), ("reward: letters\n", "text_completions")]
)
def test_the_reward_is_native_or_scores_texts(registry, reward, scores):
    plan = plan_of(MANIFEST + reward, registry)
    assert (plan.reward and plan.reward.spec.scores) == scores
    assert RunPlan.from_canonical(plan.canonical, registry).canonical == plan.canonical


@pytest.mark.parametrize("quantizer", ["ptq", "distil", "auto", "smoothquant", "lsq", "apq", "round", "learn"])
def test_no_quantizer_takes_text(registry, quantizer):
    kinds = "continuous actions or discrete actions" if quantizer in ("ptq", "distil", "auto") else "discrete actions"
    assert refusal(f"{MANIFEST}quantizer: {quantizer}\n", registry) == (
        f"5:12 quantizer.plugin: {quantizer} quantizes policies for {kinds}, but environment number_words "
        "takes text: no installed quantizer fits; leave it out"
    )


def test_what_does_not_fit_is_said_in_one_line(registry):
    for old, new, message in (
        ("word_table, words: [zero, one, two, three]", "ppo", "4:17 agent.plugin: ppo trains on discrete actions, but "
            "environment number_words takes text: use word_table"),
        ("number_words, numbers: 3", "walk", "4:17 agent.plugin: word_table trains on text, but environment walk takes "
            "discrete actions: use ppo or walker"),
        ("agent:", "evaluation: {decision_fidelity: {}}\nagent:", "number_words takes text"),
        ("agent:", "evaluation: {search: {}}\nagent:", "environment number_words finds no codes: use accuracy"),
        ("agent:", "evaluation: {returns: {}}\nagent:", "takes text, scored whole: it has no episodes: use accuracy"),
        ("agent:", "budget: {stop_at_first_code: true}\nagent:", "environment number_words finds no codes"),
    ):  # fmt: skip
        assert message in refusal(MANIFEST.replace(old, new), registry)


def test_the_revision_of_the_base_is_part_of_the_identity(registry, base):
    text = BASED.replace("BASE", str(base))
    plan = plan_of(text, registry)
    found = hashlib.sha256(base.read_bytes()).hexdigest()
    assert json.loads(plan.canonical)["agent"]["base_sha256"] == found
    assert plan.agent.config.base_sha256 == found
    assert plan_of(text, registry).identity == plan.identity
    assert plan_of(text.replace(f"{base}", f"{base}, base_sha256: {found}"), registry).identity == plan.identity
    assert RunPlan.from_canonical(plan.canonical, registry).identity == plan.identity
    base.write_text(json.dumps({"words": ["zero", "one", "two"], "preferences": [0, 0, 2]}))
    assert plan_of(text, registry).identity != plan.identity


def test_another_base_than_the_one_planned_with_is_refused(registry, base):
    text = BASED.replace("BASE", str(base))
    plan = plan_of(text, registry)
    first = plan.agent.config.base_sha256
    base.write_text(json.dumps({"words": ["zero", "one", "two"], "preferences": [0, 0, 2]}))
    other = hashlib.sha256(base.read_bytes()).hexdigest()
    expected = (
        f"agent: base: '{base}' has the hash {other[:12]}, expected {first[:12]}: restore the file, or run with the new"
    )
    with pytest.raises(ManifestError, match="has the hash") as refused:
        RunPlan.from_canonical(plan.canonical, registry)
    assert str(refused.value).startswith(expected)
    assert refusal(text.replace(f"{base}", f"{base}, base_sha256: {first}"), registry).startswith(f"4:17 {expected}")
    base.unlink()
    assert f"4:17 agent: base: '{base}' cannot be read (No such file or directory)" in refusal(text, registry)


def test_what_a_sweep_names_is_pinned_for_each_run(registry, base, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"words": ["zero", "one", "two"], "preferences": [1, 0, 0]}))
    text = MANIFEST + f"sweep: {{agent.base: [null, {base}, {other}]}}\n"
    hashes = [plan.agent.config.base_sha256 for plan in load_manifest(text, registry=registry, allow=[tmp_path]).runs()]
    assert hashes == [None, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in (base, other))]


@pytest.mark.parametrize("kind", ["agent", "environment"])
def test_a_pin_that_gives_something_else_is_the_plugins_fault(monkeypatch, kind):
    specs = [replace(getattr(qecforge_thirdparty_text, kind.upper()), pin=lambda config: config.model_dump())]
    monkeypatch.setattr(qecforge_thirdparty_text, f"qecforge_{kind}s", hook(f"qecforge_{kind}s", specs))
    registry = Registry.load([EntryPoint("number_words", "qecforge_thirdparty_text", "qecforge")])
    with pytest.raises(PluginError, match=r"pin gave a dict, expected a .*Config. Report it to the plugin's authors"):
        load_manifest(MANIFEST, registry=registry)


def hook(name, specs):
    def give():
        return specs

    give.__name__ = name
    return qecforge_thirdparty_text.hookimpl(give)


def test_a_pin_is_a_function(monkeypatch):
    specs = [replace(AGENT, pin="sha256")]
    monkeypatch.setattr(qecforge_thirdparty_text, "qecforge_agents", hook("qecforge_agents", specs))
    (broken,) = Registry.load([EntryPoint("number_words", "qecforge_thirdparty_text", "qecforge")]).broken
    assert "agent 'word_table': pin is 'sha256', expected a function" in broken.error


def test_an_agent_without_a_base_names_no_revision():
    assert TableConfig().base_sha256 is None
