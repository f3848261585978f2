"""The JSON Schema that editors use agrees with the loader."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from manifest_fakes import MANIFEST, science_registry

from qecforge.errors import ManifestError
from qecforge.manifest import load_manifest, manifest_schema
from qecforge.manifest._yaml import parse_yaml, plain
from qecforge.registry import Registry

MINIMAL = "qecforge: 1\nname: m\nenvironment: both\nagent: chooser\n"

VALID = [
    MANIFEST,
    MINIMAL,
    MINIMAL + "reward: native\nquantizer: null\nevaluation: null\n",
    MINIMAL + "reward: knill\nquantizer: {plugin: round, bits: 4, teacher: {run: a}}\n",
    MINIMAL + "evaluation: {agreement: {episodes: 2}}\nbudget: {seconds: 3}\ncheckpoint: {every_seconds: 2}\n",
    MINIMAL.replace("chooser", "coach") + "evaluation: {posture: {episodes: 2}, returns: {episodes: 3}}\n",
    MINIMAL + "sweep: {agent: [chooser, {plugin: chooser, layers: [1]}]}\n",
    MANIFEST.replace("n: 7", "n: 7, noise: {low: 0.1}, edges: [[0, 1]], weights: {h: 2}"),
]

INVALID = [
    MINIMAL.replace("qecforge: 1", "qecforge: 2"),
    MINIMAL.replace("name: m\n", ""),
    MINIMAL.replace("name: m", "name: a b"),
    MINIMAL.replace("agent: chooser\n", ""),
    MINIMAL.replace("agent: chooser", "agent: {plugin: choser}"),
    MINIMAL.replace("agent: chooser", "agent: {plugin: chooser, step: 1}"),
    MINIMAL.replace("agent: chooser", "agent: {plugin: chooser, total_steps: 0}"),
    MINIMAL.replace("agent: chooser", "agent: {plugin: chooser, total_steps: x}"),
    MINIMAL.replace("agent: chooser", "agent: {total_steps: 1}"),
    MINIMAL.replace("environment: both", "environment: codes"),
    MINIMAL + "seed: [1]\n",
    MINIMAL + "seeds: []\n",
    MINIMAL + "seeds: [1, 1]\n",
    MINIMAL + "seeds: [-1]\n",
    MINIMAL + "sweep: {}\n",
    MINIMAL + "sweep: {seeds: [[1]]}\n",
    MINIMAL + "sweep: {agent.total_steps: []}\n",
    MINIMAL + "sweep: {agent.total_steps: 3}\n",
    MINIMAL + "evaluation: {agrement: {}}\n",
    MINIMAL + "evaluation: {agreement: {episodes: 0}}\n",
    MINIMAL.replace("chooser", "coach") + "evaluation: {posture: {episodes: 0}}\n",
    MINIMAL + "evaluation: {returns: {episodes: 0}}\n",
    MINIMAL + "quantizer: {plugin: round, teacher: {walk: a}}\n",
    MINIMAL + "budget: {seconds: 0}\n",
    MANIFEST.replace("shots: 1000", "shots: 0"),
    MANIFEST.replace("n: 7", "n: 7, noise: {lo: 1}"),
]


@pytest.fixture(scope="module")
def validator(registry) -> Draft202012Validator:
    return Draft202012Validator(manifest_schema(registry))


@pytest.mark.parametrize("each", ["fake", "installed", "none"])
def test_the_schema_is_one(each):
    registry = {"fake": science_registry, "installed": Registry.load, "none": lambda: Registry.load([])}[each]()
    schema = manifest_schema(registry)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    for reference in references(schema):
        assert resolves(schema, reference), reference


def references(schema) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [each for value in schema.values() for each in references(value)]
    return [each for value in schema for each in references(value)] if isinstance(schema, list) else []


def resolves(schema, reference: str) -> bool:
    for part in reference.removeprefix("#/").split("/"):
        if part not in schema:
            return False
        schema = schema[part]
    return reference.startswith("#/")


@pytest.mark.parametrize("text", VALID)
def test_what_the_loader_takes_the_schema_takes(registry, validator, text):
    assert load_manifest(text, registry=registry).runs()
    assert [error.message for error in validator.iter_errors(plain(parse_yaml(text)))] == []


@pytest.mark.parametrize("text", INVALID)
def test_what_the_schema_refuses_the_loader_refuses(registry, validator, text):
    assert not validator.is_valid(plain(parse_yaml(text)))
    with pytest.raises(ManifestError):
        load_manifest(text, registry=registry)


def test_every_plugin_stands_in_it_with_its_descriptions(registry):
    schema = manifest_schema(registry)
    for kind, registered in registry:
        definition = schema["$defs"][f"{kind}.{registered.spec.name}"]
        assert definition["properties"]["plugin"]["const"] == registered.spec.name
        assert definition["description"] == registered.spec.summary
    qubits = schema["$defs"]["environment.codes"]["properties"]["n"]
    assert (qubits["description"], qubits["minimum"]) == ("Physical qubits.", 2)
    assert schema["properties"]["sweep"]["properties"]["environment.n"]["description"] == "Physical qubits."


def test_nothing_can_be_written_where_nothing_is_installed():
    validator = Draft202012Validator(manifest_schema(Registry.load([])))
    errors = [".".join(map(str, error.path)) for error in validator.iter_errors(plain(parse_yaml(MINIMAL)))]
    assert errors == ["environment", "agent"]
