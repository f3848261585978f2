"""The plugin of docs/plugin.md, as someone writes it down: installed by pip, held to the contract, run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from outside import Outside, run
from pages import blocks, titled

from qecforge import Store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugin.md"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """(environment, folder) of the plugin, written down from the page and installed as it says."""
    folder = tmp_path_factory.mktemp("plugin")
    files = titled(PAGE)
    ((_, listed),) = [block for block in blocks(PAGE, "text") if "pyproject.toml" in block[1]]
    assert sorted(files) == sorted(listed.split())
    for title, text in files.items():
        (folder / title).parent.mkdir(exist_ok=True)
        (folder / title).write_text(text, encoding="utf-8")
    environment = Outside(tmp_path_factory.mktemp("outside") / "env")
    environment.install_editable(folder)
    return environment, folder


def test_what_the_shell_is_told(plugin):
    """The commands of the page are those that are tried here."""
    (shell,) = [text for _, text in blocks(PAGE, "bash") if "pip install -e ." in text]
    assert [line.partition("#")[0].strip() for line in shell.splitlines()] == [
        "pip install -e .",
        "python -m pytest",
        "qecforge plugins list",
        "qecforge plugins show detection",
        "qecforge run qecforge_detection/detect.yaml",
        "qecforge reproduce",
        "qecforge reproduce four_qubit --quick --out tables",
    ]


def test_it_is_listed_with_its_settings(plugin):
    environment, folder = plugin
    rows = json.loads(environment.qecforge("plugins", "list", "--format", "json", cwd=folder))
    own = {(row["kind"], row["name"], row["status"]) for row in rows if row["distribution"] == "qecforge-detection"}
    assert own == {("reward", "detection", "ok"), ("reproduction", "four_qubit", "ok")}
    assert "Penalty of a code that detects no error" in environment.qecforge("plugins", "show", "detection", cwd=folder)


def test_it_keeps_the_contract(plugin):
    environment, folder = plugin
    shown = run(environment.python, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", cwd=folder)
    (passed,) = re.findall(r"= (\d+) passed in", shown)
    assert int(passed) >= 9


def test_it_finds_the_four_qubit_code_and_its_reproduction_holds(plugin):
    environment, folder = plugin
    shown = environment.qecforge("run", "qecforge_detection/detect.yaml", cwd=folder)
    assert "[[4,2,2]]" in shown
    with Store(f"sqlite:///{folder / 'results.db'}", read_only=True) as store:
        (record,) = store.codes(limit=1)
        assert (record.distance, record.distance_kind) == (2, "exact")
    assert "four_qubit" in environment.qecforge("reproduce", cwd=folder)
    environment.qecforge("reproduce", "four_qubit", "--quick", "--out", "tables", cwd=folder)
    (claim,) = json.loads((folder / "tables" / "claims.json").read_text())
    assert (claim["part"], claim["seeds"], claim["criterion"], claim["holds"]) == ("scale 5.0", 2, "at least 2", True)
