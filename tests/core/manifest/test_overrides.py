from __future__ import annotations

import pytest
from manifest_fakes import MANIFEST

from qecforge.errors import ManifestError
from qecforge.manifest import load_manifest


def test_values_are_yaml_and_later_ones_win(registry):
    overrides = [
        "agent.total_steps=10",
        "agent.layers=[1, 2]",
        "agent.total_steps=1e1",
        " environment.n =5",
        "seeds=[9]",
    ]
    plans = load_manifest(MANIFEST, registry=registry, overrides=overrides).runs()
    assert [each.seed for each in plans] == [9, 9]
    assert plans[0].agent.config.total_steps == 10
    assert plans[0].agent.config.layers == (1, 2)
    assert plans[0].environment.config.n == 5


def test_sections_are_made_where_absent_and_mappings_of_plugin_names(registry):
    text = "qecforge: 1\nname: m\nenvironment: both\nagent: chooser"
    overrides = ["budget.seconds=5", "evaluation.agreement.episodes=2", "agent.total_steps=7", "reward.plugin=knill"]
    (plan,) = load_manifest(text, registry=registry, overrides=overrides).runs()
    assert plan.budget.seconds == 5.0
    assert plan.evaluation.others[0][1].episodes == 2
    assert plan.agent.config.total_steps == 7
    assert plan.reward is not None


def test_a_missing_section_is_given(registry):
    text = "qecforge: 1\nname: m\nagent: chooser"
    (plan,) = load_manifest(text, registry=registry, overrides=["environment=both"]).runs()
    assert plan.environment.spec.name == "both"


def test_the_sweep_itself_is_set(registry):
    overrides = ["sweep.agent.learning_rate=[0.5]", "sweep.environment.n=[5, 7]"]
    plans = load_manifest(MANIFEST, registry=registry, overrides=overrides).runs()
    assert {(each.agent.config.learning_rate, each.environment.config.n) for each in plans} == {(0.5, 5), (0.5, 7)}


def test_an_empty_value_is_null(registry):
    plans = load_manifest(MANIFEST, registry=registry, overrides=["evaluation="]).runs()
    assert not plans[0].evaluation.built_in


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("agent.total_steps", "`overrides` got 'agent.total_steps', expected PATH=VALUE"),
        ("=3", "`overrides` got '=3', expected PATH=VALUE"),
        ("agnt.total_steps=3", "`overrides` agnt.total_steps: unknown key. Did you mean 'agent'?"),
        ("agent.total_step=3", "`overrides` agent.total_step: unknown key. Did you mean 'total_steps'?"),
        ("agent.total_steps=x", "`overrides` agent.total_steps: got 'x', expected a whole number (Environment steps)"),
        ("agent.total_steps=[1", "`overrides` agent.total_steps: not YAML"),
        ("agent.total_steps=!x 1", "`overrides` agent.total_steps: the tag !x is not supported"),
        ("agent..total_steps=1", "`overrides` agent..total_steps: the path has an empty part"),
        ("agent.=1", "`overrides` agent.: the path has an empty part"),
        ("sweep.=[1]", "`overrides` sweep.: the path has an empty part"),
        ("seeds.0=1", "`overrides` seeds.0: seeds is [0, 1], which has no keys: set it as a whole"),
        ("name.x=1", "`overrides` name.x: name is 'steane', which has no keys"),
        (
            "agent.learning_rate=0.1",
            "`overrides` agent.learning_rate: the manifest sweeps agent.learning_rate: set 'sw",
        ),
        ("agent=chooser", "`overrides` agent: the manifest sweeps agent.learning_rate"),
        ("qecforge=2", "`overrides` qecforge: got manifest version 2"),
        ("sweep.agent.layers=3", "`overrides` sweep.agent.layers: got 3, expected a list of values"),
        ("sweep.agent.lay=[3]", "`overrides` agent.lay: unknown key. Did you mean 'layers'?"),
    ],
)
def test_a_bad_override_is_refused_in_one_line_that_names_it(registry, override, message):
    with pytest.raises(ManifestError) as caught:
        load_manifest(MANIFEST, registry=registry, overrides=[override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
