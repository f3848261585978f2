"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from manifest_fakes import MANIFEST, science_registry

from qecforge.manifest import load_manifest

GOLDEN = """\
qecforge: 1
name: golden
environment: {plugin: both, limbs: 6}
agent: {plugin: chooser, learning_rate: 1e-3}
quantizer: {plugin: round, teacher: {run: 1a2b}}
evaluation: {agreement: {}}
seeds: [7]
"""

GOLDEN_CANONICAL = (
    '{"agent":{"layers":[64,64],"learning_rate":0.001,"plugin":"chooser","total_steps":1000},'
    '"budget":{"seconds":null,"stop_at_first_code":false},'
    '"environment":{"limbs":6,"plugin":"both"},'
    '"evaluation":{"agreement":{"episodes":10}},'
    '"plugins":{"agent":{"distribution":"fake-science","version":"1.2.3"},'
    '"environment":{"distribution":"fake-science","version":"1.2.3"},'
    '"quantizer":{"distribution":"fake-science","version":"1.2.3"}},'
    '"qecforge":1,'
    '"quantizer":{"bits":8,"plugin":"round","teacher":{"manifest":null,"run":"1a2b"}},'
    '"reward":"native","seed":7}'
)
GOLDEN_IDENTITY = "1b78c39e9713188cb15dd60362cd96d47289159ec5820f6fc2342161851e7a44"


def identities(text: str, registry=None) -> list[str]:
    return [plan.identity for plan in load_manifest(text, registry=registry or science_registry()).runs()]


def test_golden():
    (plan,) = load_manifest(GOLDEN, registry=science_registry()).runs()
    assert plan.canonical == GOLDEN_CANONICAL
    assert plan.identity == GOLDEN_IDENTITY


def test_the_identity_is_the_sha256_of_the_canonical_text_without_evaluations(registry):
    for plan in load_manifest(MANIFEST, registry=registry).runs():
        content = json.loads(plan.canonical)
        del content["evaluation"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert plan.identity == hashlib.sha256(text.encode()).hexdigest()
        assert plan.canonical == json.dumps(
            json.loads(plan.canonical), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )


SAME = [
    "# a comment\n---\n" + GOLDEN,
    "\n".join(reversed(GOLDEN.strip().split("\n"))),
    GOLDEN.replace("{plugin: both, limbs: 6}", "\n  limbs: 0x6\n  'plugin': \"both\"\n"),
    GOLDEN.replace("limbs: 6", "limbs: 6.0"),
    GOLDEN.replace("1e-3", "0.001"),
    GOLDEN.replace("1e-3", "1.0e-3, total_steps: 1_000, layers: [64, 64]"),
    GOLDEN.replace("{agreement: {}}", "{agreement: {episodes: 10}}"),
    GOLDEN.replace("{agreement: {}}", "{agreement: {episodes: 11}}"),
    GOLDEN.replace("{agreement: {}}", "{}"),
    GOLDEN.replace("name: golden", "name: renamed"),
    GOLDEN + "reward: native\n",
    GOLDEN + "budget: {}\n",
    GOLDEN + "checkpoint: {every_seconds: 1}\n",
    GOLDEN.replace("learning_rate: 1e-3", "") + "sweep: {agent.learning_rate: [0.001]}\n",
    GOLDEN.replace("{plugin: both, limbs: 6}", "&it {plugin: both, limbs: 6}")
    .replace("[7]", "[*seed]")
    .replace("name: golden", "name: &seed 7")
    .replace("name: &seed 7", "checkpoint: {every_seconds: &seed 7}\nname: g"),
]


@pytest.mark.parametrize("text", SAME)
def test_what_does_not_change_a_run_does_not_change_its_identity(text):
    assert identities(text) == [GOLDEN_IDENTITY]


OTHER = [
    GOLDEN.replace("limbs: 6", "limbs: 5"),
    GOLDEN.replace("1e-3", "1.1e-3"),
    GOLDEN.replace("[7]", "[8]"),
    GOLDEN.replace("1a2b", "1a2c"),
    GOLDEN.replace("round,", "round, bits: 4,"),
    GOLDEN + "reward: knill\n",
    GOLDEN + "budget: {seconds: 5}\n",
]


def test_what_changes_a_run_changes_its_identity():
    found = [GOLDEN_IDENTITY, *(identity for text in OTHER for identity in identities(text))]
    assert len(set(found)) == len(OTHER) + 1


def test_another_version_of_a_plugin_is_another_run():
    assert identities(GOLDEN, science_registry("1.2.4")) != identities(GOLDEN)


def test_sets_have_one_order(registry):
    gates = ("[h, cx, s]", "[s, h, cx]", "[cx, s, h, h]")
    assert len({tuple(identities(MANIFEST.replace("[h, cx, s]", each), registry)) for each in gates}) == 1


def test_the_identity_does_not_depend_on_the_process():
    script = (
        "from manifest_fakes import MANIFEST, science_registry; from qecforge.manifest import load_manifest; "
        "print(*[plan.identity for plan in load_manifest(MANIFEST, registry=science_registry()).runs()])"
    )
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == identities(MANIFEST)
