"""JSON Schema (2020-12) of the whole manifest with the installed plugins, so that editors complete and check it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from qecforge.errors import PluginError, one_line
from qecforge.evaluation.built_in import BUILT_IN
from qecforge.hookspecs import EvaluationSpec, QuantizerSpec
from qecforge.manifest._sections import (
    FINE_TUNE,
    MANIFEST_VERSION,
    MAX_SEED,
    NAME_PATTERN,
    SECTIONS,
    SWEPT,
    Budget,
    Checkpoint,
    Teacher,
)
from qecforge.registry import Registry, Spec

__all__ = ["manifest_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
JSONSchema = dict[str, Any]


def manifest_schema(registry: Registry) -> JSONSchema:
    """The schema of manifests that name plugins of this registry.

    Each section is one of its plugins' configurations, told apart by `plugin`. What a schema cannot say (which reward
    fits which environment, checks across fields) is left to `load_manifest`.

    Raises:
        PluginError: a plugin's configuration has no JSON Schema.
    """
    definitions = dict(_definitions(registry))
    return {
        "$schema": DIALECT,
        "title": "qecforge manifest",
        "type": "object",
        "properties": {
            "qecforge": {"const": MANIFEST_VERSION, "description": "Version of the manifest's format."},
            "name": {"type": "string", "pattern": NAME_PATTERN, "description": "A label for the runs."},
            "environment": _section("environment", definitions, "What is acted on."),
            "reward": _section(
                "reward", definitions, "What is maximised; native: the environment's own.", {"const": "native"}
            ),
            "agent": _section("agent", definitions, "What learns."),
            "quantizer": _section("quantizer", definitions, "Gives an INT8 policy; none if absent.", {"type": "null"}),
            "evaluation": _evaluation(registry),
            "seeds": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
                "minItems": 1,
                "uniqueItems": True,
                "default": [0],
                "description": "One run for each seed and each combination of the sweep.",
            },
            "sweep": _sweep(definitions),
            "budget": _reference("budget"),
            "checkpoint": _reference("checkpoint"),
        },
        "required": ["qecforge", "name", "environment", "agent"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _definitions(registry: Registry) -> Iterator[tuple[str, JSONSchema]]:
    """Everything that sections refer to, by `kind.name`."""
    yield "budget", _model_schema("budget", Budget)
    yield "checkpoint", _model_schema("checkpoint", Checkpoint)
    yield "teacher", _model_schema("teacher", Teacher)
    for core in BUILT_IN:
        yield f"evaluation.{core.name}", _model_schema(f"evaluation.{core.name}", core.config)
    for kind, registered in registry:
        if kind in SECTIONS:
            yield f"{kind}.{registered.spec.name}", _plugin_schema(kind, registered.spec)
    for key, each in _brought(registry):
        yield key, _model_schema(key, each.config) | {"description": each.summary}


def _brought(registry: Registry) -> Iterator[tuple[str, EvaluationSpec]]:
    """The evaluations that environments and agents bring, by their keys."""
    for name, environment in registry.environments.items():
        for each in environment.spec.evaluations:
            yield f"evaluation.{name}.{each.name}", each
    for name, agent in registry.agents.items():
        for each in agent.spec.evaluations:
            yield f"evaluation.agent.{name}.{each.name}", each


def _plugin_schema(kind: str, spec: Spec) -> JSONSchema:
    """A plugin's configuration with the key `plugin` that names it."""
    schema = _model_schema(f"{kind}.{spec.name}", spec.config)
    properties: JSONSchema = {"plugin": {"const": spec.name, "description": spec.summary}}
    if isinstance(spec, QuantizerSpec):
        properties["teacher"] = _reference("teacher")
        if spec.kind == "training_aware":
            properties["fine_tune"] = {"type": "object", "description": FINE_TUNE}
    return schema | {
        "title": spec.name,
        "description": spec.summary,
        "properties": properties | schema.get("properties", {}),
        "required": ["plugin", *schema.get("required", [])],
    }


def _model_schema(key: str, model: type[BaseModel]) -> JSONSchema:
    """A model's schema as it stands under `$defs/key`, with the models that it mentions below it."""
    try:
        schema = model.model_json_schema(ref_template=f"#/$defs/{key}/$defs/{{model}}")
    except Exception as error:
        text = one_line(error)
        raise PluginError(f"{key}: {model.__name__} has no JSON Schema: {text}. Report it to the authors.") from error
    if "$ref" in schema:  # a model that mentions itself stands below its own key too
        own = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**own, "$defs": schema["$defs"]}
    return schema


def _section(kind: str, definitions: JSONSchema, description: str, *others: JSONSchema) -> JSONSchema:
    """One of the plugins of a kind: as a mapping, or as its name alone where nothing must be set."""
    names = [key.partition(".")[2] for key in definitions if key.startswith(f"{kind}.")]
    bare = [name for name in names if definitions[f"{kind}.{name}"]["required"] == ["plugin"]]
    choices = [*others, *([{"enum": bare}] if bare else []), *(_reference(f"{kind}.{name}") for name in names)]
    return {
        "description": description,
        "discriminator": {"propertyName": "plugin"},
        **({"oneOf": choices} if choices else {"not": {}}),
    }


def _evaluation(registry: Registry) -> JSONSchema:
    own: dict[str, list[JSONSchema]] = {}
    for key, each in _brought(registry):
        own.setdefault(each.name, []).append(_reference(key))
    return {
        "type": ["object", "null"],
        "description": "What is measured after training.",
        "properties": {
            **{each.name: _reference(f"evaluation.{each.name}") for each in BUILT_IN},
            **{name: {"anyOf": references} for name, references in own.items()},
        },
        "additionalProperties": False,
    }


def _sweep(definitions: JSONSchema) -> JSONSchema:
    values = {"type": "array", "minItems": 1}
    known = {
        f"{kind}.{name}": values | ({"description": field["description"]} if "description" in field else {})
        for key, schema in definitions.items()
        if (kind := key.partition(".")[0]) in ("environment", "reward", "agent", "quantizer", "budget")
        for name, field in schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "description": "A grid: dotted paths to lists of values; one run for each combination and seed.",
        "minProperties": 1,
        "propertyNames": {"pattern": rf"^({'|'.join(SWEPT)})(\.|$)"},
        "properties": known,
        "additionalProperties": values,
    }


def _reference(key: str) -> JSONSchema:
    return {"$ref": f"#/$defs/{key}"}
