"""Every manifest that validates round-trips; every malformed one gives one clean error."""

from __future__ import annotations

import io
import json
import string
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from manifest_fakes import MANIFEST, science_registry
from ruamel.yaml import YAML

from qecforge.errors import ManifestError
from qecforge.manifest import RunPlan, load_manifest
from qecforge.manifest._yaml import parse_yaml, plain

REGISTRY = science_registry()
rates = st.floats(1e-6, 0.99)
whole = st.integers(1, 10**9)
probabilities = st.lists(st.floats(1e-6, 0.5), min_size=1, max_size=4, unique=True)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


noises = st.one_of(rates, st.just("none"), optional(low=rates, high=rates))
codes = st.integers(2, 40).flatmap(
    lambda n: st.fixed_dictionaries(
        {"plugin": st.just("codes"), "n": st.just(n)},
        optional={
            "k": st.integers(1, n - 1),
            "gates": st.lists(st.sampled_from(["h", "s", "cx", "cz"]), max_size=5),
            "edges": st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).map(list), max_size=4),
            "noise": noises,
            "masked": st.booleans(),
            "label": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5),
            "weights": st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=4), rates, max_size=3),
        },
    )
)
agents = st.fixed_dictionaries(
    {"plugin": st.just("chooser")},
    optional={"total_steps": whole, "learning_rate": rates, "layers": st.lists(whole, min_size=1, max_size=3)},
)
manifests = st.fixed_dictionaries(
    {
        "qecforge": st.just(1),
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
        "environment": codes,
        "reward": st.one_of(st.just("knill"), st.fixed_dictionaries({"plugin": st.just("knill"), "scale": rates})),
        "agent": st.one_of(st.just("chooser"), agents),
    },
    optional={
        "quantizer": st.sampled_from([None, "round", {"plugin": "round", "bits": 4, "teacher": {"run": "1"}}]),
        "evaluation": optional(logical_error_rate=optional(shots=whole, p=probabilities)),
        "seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True),
        "budget": optional(seconds=rates, stop_at_first_code=st.booleans()),
        "checkpoint": optional(every_seconds=rates),
        "sweep": st.fixed_dictionaries({"agent.total_steps": st.lists(whole, min_size=1, max_size=3, unique=True)}),
    },
)


def written(value: Any) -> str:
    """YAML as another program would write it."""
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(value, stream)
    return stream.getvalue()


@settings(max_examples=60, deadline=None)
@given(manifests)
def test_every_manifest_that_validates_round_trips(values):
    plans = load_manifest(json.dumps(values), registry=REGISTRY).runs()
    expected = len(values.get("seeds", [0])) * len(values.get("sweep", {}).get("agent.total_steps", [0]))
    assert len(plans) == len({plan.identity for plan in plans}) == expected
    for plan in plans:
        again = RunPlan.from_canonical(plan.canonical, REGISTRY)
        assert again.canonical == plan.canonical
        assert again.environment.config == plan.environment.config
        assert again.agent.config == plan.agent.config


@settings(max_examples=60, deadline=None)
@given(manifests)
def test_the_style_of_the_yaml_does_not_matter(values):
    once = [plan.identity for plan in load_manifest(json.dumps(values), registry=REGISTRY).runs()]
    shuffled = dict(reversed(list(values.items())))
    assert [plan.identity for plan in load_manifest(written(shuffled), registry=REGISTRY).runs()] == once


@settings(max_examples=60, deadline=None)
@given(manifests)
def test_a_canonical_text_written_as_a_manifest_is_the_same_run(values):
    plan = load_manifest(json.dumps(values), registry=REGISTRY).runs()[0]
    content = json.loads(plan.canonical)
    content |= {"name": "again", "seeds": [content.pop("seed")]}
    del content["plugins"]
    assert load_manifest(json.dumps(content), registry=REGISTRY).runs() == (plan,)


def attempt(text: str, overrides: tuple[str, ...] = ()) -> ManifestError | None:
    """Loads, or is refused in one line; the refusal."""
    refusal = None
    try:
        load_manifest(text, registry=REGISTRY, overrides=overrides)
    except ManifestError as error:
        refusal = error
    if refusal is not None:
        assert 0 < len(str(refusal)) < 2000
        assert "\n" not in str(refusal)
        assert (refusal.line is None) == (refusal.column is None) == (refusal.source == "`overrides`")
    return refusal


PIECES = """{ } [ ] : , - ? | > ' " # \\ @ é &a *a !t <<: null 1e999 .nan 0x environment plugin sweep seeds n teacher
    agent.learning_rate true -1 [[]] {} --- ... %YAML \ufeff"""
pieces = st.sampled_from([*PIECES.split(), ": ", "- ", "? ", "|\n", "\n---\n", "\n", "  ", "\t", "\x00", "\u2028"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(MANIFEST)), st.integers(0, 12), pieces | st.text(max_size=4)), max_size=4))
@example([(0, 12, "")])
def test_every_mutated_text_gives_a_manifest_or_one_clean_error(edits):
    text = MANIFEST
    for at, removed, inserted in edits:
        text = text[:at] + inserted + text[at + removed :]
    attempt(text)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [each for key, inner in below for each in paths(inner, (*path, key))]


VALUES: Any = plain(parse_yaml(MANIFEST))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_misplaced_value_gives_a_manifest_or_one_clean_error(data):
    values = json.loads(json.dumps(VALUES))
    for path in data.draw(st.lists(st.sampled_from(paths(VALUES)[1:]), min_size=1, max_size=3)):
        target = values
        try:
            for part in path[:-1]:
                target = target[part]
            target[path[-1]] = data.draw(junk)
        except (KeyError, IndexError, TypeError):
            continue
    attempt(json.dumps(values))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_arbitrary_text_is_refused_in_one_line(text):
    assert attempt(text) is not None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "manifest.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=REGISTRY)
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.text(max_size=20))
def test_every_override_gives_a_manifest_or_one_clean_error(path, value):
    for override in (f"{path}={value}", f"agent.{path}={value}", f"agent.total_steps={value}", path):
        refusal = attempt(MANIFEST, (override,))
        assert refusal is None or refusal.source == "`overrides`"
