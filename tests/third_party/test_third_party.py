"""Plugin distributions from outside: built, installed with pip into a new environment, listed, and run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from outside import Outside, run

from qecforge import Store
from qecforge.codes import StabilizerCode

HERE = Path(__file__).parent
MANIFEST = """\
qecforge: 1
name: repetition
environment: {plugin: bit_flip_chain, n: 3, max_gates: 12}
reward: spread
agent: {plugin: gradient_bandit, total_steps: 8192, num_envs: 16}
seeds: [0, 1]
"""


def build(name: str, folder: Path) -> Path:
    """A wheel of one of the distributions beside this file; nothing is fetched."""
    source = shutil.copytree(HERE / name, folder / "source" / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / name), str(source))
    (wheel,) = (folder / name).glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    return {name: build(name, folder) for name in ("example", "broken", "duplicate")}


@pytest.fixture(scope="module")
def outside(tmp_path_factory, wheels) -> Outside:
    """With the sound distribution and the broken one."""
    environment = Outside(tmp_path_factory.mktemp("outside") / "env")
    environment.install(wheels["example"])
    environment.install(wheels["broken"])
    return environment


def listed(environment: Outside, cwd: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Rows of `plugins list` by name and distribution."""
    rows = json.loads(environment.qecforge("plugins", "list", "--format", "json", cwd=cwd))
    return {(row["name"], row["distribution"]): row for row in rows}


def test_plugins_are_listed_and_the_broken_one_harms_no_other(outside, tmp_path):
    rows = listed(outside, tmp_path)
    for name, kind in (
        ("bit_flip_chain", "environment"),
        ("spread", "reward"),
        ("gradient_bandit", "agent"),
        ("chain", "reproduction"),
    ):
        row = rows[name, "qecforge-thirdparty-example"]
        assert (row["kind"], row["version"], row["status"]) == (kind, "0.3.1", "ok")
    assert rows["ppo", "qecforge"]["status"] == "ok"
    broken = rows["broken", "qecforge-thirdparty-broken"]
    assert broken["status"] == "broken"
    assert "a_library_that_nobody_has" in broken["error"]


def test_a_manifest_runs_from_training_to_a_proven_code_in_the_store(outside, tmp_path):
    (tmp_path / "repetition.yaml").write_text(MANIFEST)
    outside.qecforge("validate", "repetition.yaml", cwd=tmp_path)
    outside.qecforge("run", "repetition.yaml", cwd=tmp_path)
    with Store(f"sqlite:///{tmp_path / 'results.db'}", read_only=True) as store:
        runs = store.runs(environment="bit_flip_chain", status="finished")
        assert sorted(each.seed for each in runs) == [0, 1]
        (record,) = store.codes(n=3, k=1)
        assert record.code == StabilizerCode.from_paulis(["ZZ_", "_ZZ"])
        assert record.code.distance().value == 1
        manifest = json.loads(runs[0].manifest)
        assert manifest["plugins"]["agent"] == {"distribution": "qecforge-thirdparty-example", "version": "0.3.1"}
        for each in runs:
            returns = store.metrics(each.id, "episode_return").value
            assert returns[-1] > 1.5
            shortest = 2 / 3 + 1
            np.testing.assert_allclose(returns[-1], shortest, atol=0.2)
        before = [(each.id, each.ended_at) for each in runs]
    outside.qecforge("run", "repetition.yaml", cwd=tmp_path)
    with Store(f"sqlite:///{tmp_path / 'results.db'}", read_only=True) as store:
        assert [(each.id, each.ended_at) for each in store.runs()] == before


def test_its_reproduction_has_a_command_that_carries_it_out(outside, tmp_path):
    assert "Gradient bandits on chains of qubits" in outside.qecforge("reproduce", cwd=tmp_path)
    command = ("reproduce", "chain", "--quick", "--out", "out")
    shown = outside.qecforge(*command, cwd=tmp_path)
    assert "Claims of the paper, ours beside theirs" in shown
    (row,) = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert (row["part"], row["theirs"], row["criterion"]) == ("chain of 3", "1.667", "within 15% of 1.667")
    assert (row["seeds"], row["holds"]) == (2, True)
    with Store(f"sqlite:///{tmp_path / 'results.db'}", read_only=True) as store:
        runs = store.runs(environment="bit_flip_chain", status="finished")
        returns = [store.metrics(each.id, "episode_return").last for each in runs]
        before = [(each.id, each.ended_at) for each in runs]
    assert row["value"]["mean"] == sum(returns) / 2
    np.testing.assert_allclose(returns, 5 / 3, rtol=0.15)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Sutton and Barto 2018" in page
    assert "data:image/png;base64," in page
    assert (tmp_path / "out" / "returns.png").read_bytes().startswith(b"\x89PNG")
    assert outside.qecforge(*command, cwd=tmp_path) == shown
    with Store(f"sqlite:///{tmp_path / 'results.db'}", read_only=True) as store:
        assert [(each.id, each.ended_at) for each in store.runs()] == before
    refused = outside.qecforge("reproduce", "chain", "--steps", "1", cwd=tmp_path, code=2)
    assert "'--steps': got '1', expected 16 or more" in refused


def test_what_is_wrong_in_a_manifest_is_said_in_the_plugins_words(outside, tmp_path):
    path = tmp_path / "bad.yaml"
    for old, new, message in (
        ("n: 3", "n: 1", "bad.yaml:3:42 environment.n: got 1, expected 2 or more (Qubits of the chain)"),
        ("spread", "knill_laflamme", "bad.yaml:4:9 reward.plugin: knill_laflamme scores stabilizer_tableau, but "
            "environment bit_flip_chain shows logical_x_support: use spread"),
        ("gradient_bandit", "gradient_bandid", "Did you mean 'gradient_bandit'"),
        ("gradient_bandit", "broken", "plugin 'broken' of qecforge-thirdparty-broken 0.0.1 could not be loaded"),
    ):  # fmt: skip
        path.write_text(MANIFEST.replace(old, new))
        shown = outside.qecforge("validate", "bad.yaml", cwd=tmp_path, code=2)
        assert message in " ".join(shown.split())


def test_a_name_given_twice_is_an_error_that_names_both_distributions(wheels, tmp_path):
    environment = Outside(tmp_path / "env")
    environment.install(wheels["example"])
    environment.install(wheels["duplicate"])
    rows = listed(environment, tmp_path)
    assert rows["gradient_bandit", "qecforge-thirdparty-example"]["status"] == "ok"
    for distribution in ("qecforge-thirdparty-example", "qecforge-thirdparty-duplicate"):
        assert rows["bit_flip_chain", distribution]["status"] == "given twice"
    (tmp_path / "repetition.yaml").write_text(MANIFEST)
    shown = " ".join(environment.qecforge("run", "repetition.yaml", cwd=tmp_path, code=2).split())
    assert "environment 'bit_flip_chain' is given twice" in shown
    assert "qecforge-thirdparty-duplicate 0.0.1" in shown
    assert "qecforge-thirdparty-example 0.3.1" in shown
    assert not (tmp_path / "results.db").exists()


def test_the_plugins_keep_the_contracts(outside, tmp_path):
    tests = shutil.copytree(HERE / "example" / "tests", tmp_path / "tests")
    run(outside.python, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tests), cwd=tmp_path)
