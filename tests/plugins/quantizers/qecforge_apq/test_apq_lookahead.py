"""An environment that cannot look ahead is refused while the manifest is read, before any teacher is trained."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import toy_plugin

from qecforge.errors import ManifestError, PluginError
from qecforge.manifest import load_manifest
from qecforge.registry import Registry

MANIFEST = """\
qecforge: 1
name: student
environment: walk
agent: {plugin: ppo, total_steps: 256}
quantizer: {plugin: apq, %s}
"""


class Seeing(toy_plugin.WalkEnvironment):
    can_peek = True

    def compact_states(self):
        return self.position

    def peek(self, actions, states=None):
        paid = np.zeros(actions.shape)
        return {"reward": paid, "place": paid, "now_place": paid[:, 0]}


def broken(config, **made_with):
    raise OSError("no device")


@pytest.fixture
def plans_with(monkeypatch):
    """The runs of the manifest with these settings of apq, in a walk made and described like this."""

    def load(settings, make=toy_plugin.WalkEnvironment, **spec):
        names = {"toy": "toy_plugin"} | {name: f"qecforge_{name}" for name in ("apq", "ppo")}
        (walk,) = toy_plugin.qecforge_environments()
        monkeypatch.setattr(
            toy_plugin,
            "qecforge_environments",
            toy_plugin.hookimpl(specname="qecforge_environments")(lambda: [replace(walk, make=make, **spec)]),
        )
        registry = Registry.load([EntryPoint(name, module, "qecforge") for name, module in names.items()])
        return load_manifest(MANIFEST % settings, registry=registry).runs()

    return load


@pytest.mark.parametrize("settings", ["safe: expected", "safe: literal", "residual_change: sensitivity"])
@pytest.mark.parametrize("spec", [{}, {"can_peek": False, "make": broken}])
def test_no_look_ahead(plans_with, settings, spec):
    with pytest.raises(ManifestError, match=r"^5:21 quantizer: environment walk cannot look ahead, and safe: .* needs"):
        plans_with(settings, **spec)


@pytest.mark.parametrize("settings", ["safe: none", "residual_change: sensitivity, residual_component: reward"])
def test_what_needs_none_is_taken(plans_with, settings):
    assert len(plans_with(settings, make=broken)) == 1


def test_components_of_a_native_reward(plans_with):
    """They are known from what the environment looks up."""
    assert len(plans_with("residual_component: place", make=Seeing)) == 1
    with pytest.raises(
        ManifestError, match=r"residual_component is 'residual', expected one of the reward's, place, r"
    ):
        plans_with("safe: expected", make=Seeing)


def test_an_environment_that_cannot_be_made_is_named(plans_with):
    with pytest.raises(PluginError, match=r"walk \(.*OSError: no device"):
        plans_with("safe: expected", make=broken)
