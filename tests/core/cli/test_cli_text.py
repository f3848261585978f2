"""A run on text in the shell: what is shown of it, and its policy of two files taken out."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from cli_harness import LOAD, invoke, one_line
from qecforge_thirdparty_text.agent import TablePolicy

from qecforge import RunListener, RunOptions, Store, load_manifest
from qecforge.registry import Registry
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: words
environment: {plugin: number_words, numbers: 2}
agent: {plugin: word_table, words: [zero, one], total_steps: 128}
"""


@pytest.fixture
def run(folder, monkeypatch):
    """Id of a finished run on text, in the current directory."""
    points = [EntryPoint("number_words", "qecforge_thirdparty_text", "qecforge")]
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: LOAD(cls, points)))
    Path("words.yaml").write_text(MANIFEST)
    result = invoke("run", "words.yaml")
    assert result.exit_code == 0, result.stderr
    with Store("sqlite:///results.db") as store:
        return store.runs(status="finished")[0].id


def test_what_the_run_filed_is_shown(run):
    shown = invoke("runs", "show", run).stdout
    assert "environment number_words, reward native, agent word_table" in shown
    for name in ("episode_return", "invalid_rewards", "policy preferences.safetensors", "policy words.json"):
        assert name in shown


def test_all_files_of_a_policy_into_a_folder(run):
    arguments = ("runs", "export-policy", run[:8], "--format", "files", "--out", "out/policy")
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(f"out/policy: preferences.safetensors, words.json of the policy of run {run}, ")
    folder = Path("out/policy")
    assert sorted(path.name for path in folder.iterdir()) == ["preferences.safetensors", "words.json"]
    assert json.loads((folder / "words.json").read_text())["words"] == ["zero", "one"]
    with Store("sqlite:///results.db") as store:
        for artifact in store.artifacts(run, kind="policy"):
            assert (folder / artifact.name).read_bytes() == store.read_artifact(artifact)
    (folder / "words.json").unlink()
    (folder / "preferences.safetensors").write_text("mine")
    assert "out/policy/preferences.safetensors exists; replace it with --force" in one_line(invoke(*arguments))
    assert [path.name for path in folder.iterdir()] == ["preferences.safetensors"]
    assert invoke(*arguments, "--force").exit_code == 0
    assert len((folder / "preferences.safetensors").read_bytes()) > 4


def test_a_policy_that_fits_no_other_format_says_so(run):
    export = ("runs", "export-policy", run, "--format")
    for form in ("safetensors", "onnx"):
        assert one_line(invoke(*export, form, "--out", "policy")) == (
            f"run {run}: its policy is several files (preferences.safetensors, words.json), and {form} is one: "
            "use --format files"
        )
    assert not Path("policy").exists()
    assert "--format files writes a folder" in one_line(invoke(*export, "files"))
    Path("taken").write_text("mine")
    assert "--out: taken cannot be used as a folder" in one_line(invoke(*export, "files", "--out", "taken"))
    assert Path("taken").read_text() == "mine"


def test_a_policy_that_answers_prompts_has_no_onnx_form_though_it_is_one_file(run, monkeypatch):
    with Store("sqlite:///results.db") as store:
        (plan,) = load_manifest(MANIFEST.replace("128", "64"), registry=Registry.load()).runs()
        monkeypatch.setattr(TablePolicy, "files", lambda self: {"table.safetensors": b"weights"})
        monkeypatch.setattr(TablePolicy, "load_files", lambda self, files: None)
        other = execute(plan, RunOptions("sqlite:///results.db"), RunListener()).run_id
        assert [each.name for each in store.artifacts(other)] == ["table.safetensors"]
    assert f"run {other}: its policy generates text and cannot be written as ONNX: use --format files" == one_line(
        invoke("runs", "export-policy", other, "--format", "onnx", "--out", "policy")
    )
