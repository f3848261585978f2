"""`qecforge examples` and `init`."""

import json
from pathlib import Path

import pytest
from cli_harness import invoke, one_line

from qecforge import Registry, load_manifest
from qecforge.errors import ConfigurationError
from qecforge.examples import Example, copy_examples, find_example, list_examples, template, template_kinds

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    path.relative_to(ROOT / "examples").as_posix()
    for path in (ROOT / "examples").rglob("*")
    if path.suffix in {".yaml", ".stim", ".py"} and path.name != "__init__.py" and path.parent.name != "templates"
}


def test_all_examples_are_listed_with_a_line_each():
    rows = json.loads(invoke("examples", "list", "--format", "json").stdout)
    assert {row["example"] for row in rows} == FILES
    for row in rows:
        assert row["summary"], row
        assert "\n" not in row["summary"]
    summaries = {row["example"]: row["summary"] for row in rows}
    assert summaries["codes/5_1_3_10.stim"] == "encoder of a [[5,1,3]] code, 10 gates"
    assert summaries["codes/25_1_5_30_css.stim"] == "encoder of a [[25,1,5]] code, 30 gates, CSS"
    assert summaries["codes/24_2_5_39_grid.stim"].endswith("39 gates, between neighbours on a grid")
    assert summaries["steering/baselines_pgpe.yaml"].startswith(
        "Plain parameter-exploring policy gradient (Sehnke et al. 2010)"
    )
    assert summaries["steering/device_loop.py"].startswith("The loop around a device")


@pytest.mark.parametrize(
    ("path", "text", "summary"),
    [
        ("a.yaml", "# One thing. Another.\n# More.\nqecforge: 1\n", "One thing"),
        ("a.yaml", "# Over two\n# lines.\nqecforge: 1\n", "Over two lines"),
        ("a.yaml", "environment: {plugin: walk}\nagent:\n  # so\n  plugin: walker\n", "environment walk, agent walker"),
        ("a.py", '"""What it does.\n\nHow.\n"""\n', "What it does"),
        ("7_1_3_9.stim", "H 0\n", "encoder of a [[7,1,3]] code, 9 gates"),
    ],
)  # fmt: skip
def test_summaries(path, text, summary):
    assert Example(Path(path), text).summary == summary


def test_all_are_copied_in_their_folders(folder):
    result = invoke("examples", "copy")
    assert result.exit_code == 0, result.stderr
    for name in FILES:
        copied = (folder / "examples" / name).read_bytes()
        assert copied == (ROOT / "examples" / name).read_bytes()
    assert {path for path in folder.rglob("*") if path.is_file()} == {folder / "examples" / name for name in FILES}
    assert load_manifest(folder / "examples" / "five_qubit.yaml", registry=Registry.load()).runs()


@pytest.mark.parametrize("name", ["drift_d5", "drift_d5.yaml", "steering/drift_d5", "steering/drift_d5.yaml"])
def test_one_is_copied_by_any_of_its_names(folder, name):
    assert invoke("examples", "copy", name, "--to", "mine").stdout == "mine/steering/drift_d5.yaml\n"
    assert (folder / "mine" / "steering" / "drift_d5.yaml").exists()


def test_a_file_that_is_there_is_kept(folder):
    invoke("examples", "copy", "five_qubit")
    path = folder / "examples" / "five_qubit.yaml"
    path.write_text("mine")
    line = one_line(invoke("examples", "copy", "ten_qubit", "five_qubit"))
    told = "is there already, with another content: choose another place, or set --force"
    assert line == f"examples/five_qubit.yaml {told}"
    assert path.read_text() == "mine"
    assert not (folder / "examples" / "ten_qubit.yaml").exists(), "all or nothing"
    path.write_text(find_example("five_qubit").text)
    assert invoke("examples", "copy", "five_qubit").exit_code == 0, "the same already, as in a clone"
    path.write_text("mine")
    assert invoke("examples", "copy", "five_qubit", "--force").exit_code == 0
    assert path.read_text() == find_example("five_qubit").text


@pytest.mark.parametrize("name", ["fife_qubit", "../setup.cfg", "/etc/passwd", "templates/code", "", "__init__"])
def test_what_is_no_example_is_refused(folder, name):
    line = one_line(invoke("examples", "copy", name))
    assert line.startswith(f"EXAMPLE: no example is called {name!r}.")
    assert list(folder.iterdir()) == []


def test_a_name_of_two_is_refused(monkeypatch):
    found = [Example(Path(name), "") for name in ("a/same.yaml", "b/same.yaml")]
    monkeypatch.setattr("qecforge.examples.list_examples", lambda: found)
    with pytest.raises(ConfigurationError, match=r"more than one example: write a/same\.yaml or b/same\.yaml"):
        find_example("same")


def test_a_folder_that_cannot_be_written_is_named(folder):
    (folder / "taken").write_text("a file")
    line = one_line(invoke("examples", "copy", "five_qubit", "--to", "taken"))
    assert line.startswith("taken/five_qubit.yaml cannot be written (")


def test_init_writes_a_manifest_that_is_valid(folder):
    for kind in template_kinds():
        result = invoke("init", kind)
        assert result.stdout == f"{kind}.yaml\n"
        assert f"`qecforge run {kind}.yaml`" in result.stderr
        assert (folder / f"{kind}.yaml").read_text() == template(kind)
        assert invoke("validate", f"{kind}.yaml").exit_code == 0
    assert sorted(template_kinds()) == ["code", "quantized", "steering"]


def test_init_keeps_what_is_there_and_quotes_paths(folder):
    assert "`qecforge run 'my file.yaml'`" in invoke("init", "code", "my file.yaml").stderr
    assert invoke("init", "code", "my file.yaml").exit_code == 0
    (folder / "my file.yaml").write_text("mine")
    assert one_line(invoke("init", "code", "my file.yaml")).startswith("my file.yaml is there already, with another ")
    assert (folder / "my file.yaml").read_text() == "mine"
    assert invoke("init", "code", "my file.yaml", "--force").exit_code == 0


def test_init_names_its_kinds():
    assert one_line(invoke("init", "kode")).startswith(
        "KIND: got 'kode', expected code or quantized or steering. Did you mean 'code'?"
    )
    shown = invoke("init")
    assert shown.exit_code == 0
    for kind, summary in template_kinds().items():
        assert f"{kind} " in shown.stdout
        assert summary in shown.stdout


def test_missing_examples_are_one_line(monkeypatch):
    monkeypatch.setattr("qecforge.examples._PACKAGE", "no_such_package_of_examples")
    assert "the examples are not installed" in one_line(invoke("examples", "list"))


def test_copies_keep_their_order(tmp_path):
    examples = list_examples()[:3]
    assert copy_examples(examples, tmp_path) == [tmp_path / each.path for each in examples]
