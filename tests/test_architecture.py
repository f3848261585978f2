"""Dependencies point one way, core knows no plugin, and the wheel forgets no package."""

import configparser
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
from import_graph import ImportGraph, strings_of

from qecforge.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "core" / "qecforge"
PLUGINS = {path.name: path for path in sorted(ROOT.glob("plugins/*/qecforge_*"))}
EXAMPLES = ROOT / "examples"
DECLARED = {
    ("qecforge_apq", "qecforge_lsq"),
    ("qecforge_distil", "qecforge_ptq"),
    ("qecforge_qiskit_execution", "qecforge_qiskit_tasks"),
}
"""Plugins that build on another one, by its public face."""

LONG = {"plugins/environments/qecforge_code_discovery/_kernels.py"}
"""Files past 450 lines: this one is compiled for each shape of code as a whole."""


METRICS = {
    "approx_kl",
    "clip_fraction",
    "detection_rate",
    "displacement",
    "dlog_ler",
    "dlog_ler_error",
    "dlog_rate",
    "explained_variance",
    "ler",
    "logical_error_rate_nominal",
    "near_ties",
    "pairwise",
    "policy_loss",
    "recent_return",
    "rollout_steps_per_second",
    "sigma",
    "value_loss",
}
"""What the built-in plugins log, or did, that is theirs alone. Left out is what the core has a word of its own for:
its contracts (`episode_return`, `cost`), its loops (`epochs_per_second`), its evaluations (`steps_per_second`) and its
sentences (`entropy`, `learning_rate`, `budget`, `step_size`)."""

OWN_WORDS = {
    "logical_error_rate",
    "decision_fidelity",
    "action_fidelity",
    "search",
    "returns",
    "discovery",
    "auto",
    "qiskit",
}
"""Evaluations of the core's own; and words of its language (`Discovery`, `decoder: auto`, the library qiskit) that
name plugins too."""


@pytest.fixture(scope="module")
def graph():
    return ImportGraph.of(ROOT / "core", *sorted((ROOT / "plugins").iterdir()))


def top_of(module):
    return module.partition(".")[0]


def test_what_is_read_are_all_imports(tmp_path):
    """Those in functions and those for type checking too; a name from a package is a module where there is one."""
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import B\n")
    (package / "b.py").write_text("def f():\n    from p import a\n    return a\n")
    graph = ImportGraph.of(tmp_path)
    assert graph.imports == {"p": set(), "p.a": {"p.b"}, "p.b": {"p.a"}}
    assert graph.circles() == [["p.a", "p.b"]]


def test_no_circles_between_files(graph):
    assert graph.circles() == []


def test_a_concept_of_the_core_is_a_folder():
    """No private module at the root, and few public ones."""
    assert {path.name for path in CORE.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py", "hookspecs.py"}


def test_core_imports_no_plugin(graph):
    wrong = {
        (name, imported)
        for name, others in graph.imports.items()
        if top_of(name) == "qecforge"
        for imported in others
        if top_of(imported) in PLUGINS
    }
    assert wrong == set()


def test_no_string_of_the_core_names_a_plugin_or_its_metrics():
    registry = Registry.load()
    names = {each.spec.name for _, each in registry if each.distribution == "qecforge"} | METRICS
    names |= {each.name for env in registry.environments.values() for each in env.spec.evaluations}
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {text[:60]!r} names {sorted(found)}"
        for file in sorted(CORE.rglob("*.py"))
        for line, text in strings_of(file)
        if (found := (names - OWN_WORDS) & set(words_of(text)))
    ]
    assert wrong == []


def words_of(text):
    return "".join(each if each.isalnum() or each == "_" else " " for each in text).split()


def test_plugins_import_others_by_their_faces(graph):
    wrong = set()
    for name, others in graph.imports.items():
        for imported in others:
            mine, theirs = top_of(name), top_of(imported)
            by_its_face = (mine, theirs) in DECLARED and imported == theirs
            if mine in PLUGINS and theirs not in {"qecforge", mine} and not by_its_face:
                wrong.add((name, imported))
    assert wrong == set()


def test_faces_of_plugins_offer_what_they_list():
    for name in PLUGINS:
        face = import_module(name)
        assert [each for each in face.__all__ if not hasattr(face, each)] == []


def test_folders_and_files_stay_small(graph, capsys):
    """The counts of the house, printed: a crowded folder, and a file past 450 lines, is usually two ideas."""
    folders = {}
    for file in graph.files.values():
        folders.setdefault(file.parent, []).append(file)
    crowded = {str(path.relative_to(ROOT)): len(files) for path, files in folders.items() if len(files) > 17}
    lengths = {file.relative_to(ROOT).as_posix(): len(file.read_text().splitlines()) for file in graph.files.values()}
    long = {name for name, lines in lengths.items() if lines > 450}
    private = [path.name for path in CORE.glob("_[a-z]*.py")]
    with capsys.disabled():
        print(
            f"\ncircles of imports {len(graph.circles())}, private modules at core's root {len(private)}, files in one "
            f"flat folder at most {max(map(len, folders.values()))}, files past 450 lines {len(long)}"
        )
    assert crowded == {}
    assert long <= LONG


def packages_on_disk():
    roots = {ROOT / "core" / "qecforge": "qecforge", EXAMPLES: "qecforge_examples"}
    roots |= {path: name for name, path in PLUGINS.items()}
    return {
        ".".join([name, *init.parent.relative_to(root).parts])
        for root, name in roots.items()
        for init in root.rglob("__init__.py")
    }


def test_setup_cfg_lists_every_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(setup["options"]["packages"].split()) == packages_on_disk()


def test_wheel_holds_every_module(tmp_path):
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.fail("the architecture tests run in a git checkout")
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    wheel = zipfile.ZipFile(next(tmp_path.glob("*.whl")))
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        str(Path(*package.split("."), file.name))
        for package in packages_on_disk()
        for file in folder_of(package).iterdir()
        if file.suffix in {".py", ".mako", ".typed"}
    }
    expected |= {
        f"{name}/{file.relative_to(path).as_posix()}"
        for name, path in PLUGINS.items()
        for folder in ("reproduction", "shipped")
        for file in path.glob(f"{folder}/*.yaml")
    }
    examples = {file for file in EXAMPLES.rglob("*") if file.suffix in {".py", ".stim", ".yaml"}}
    expected |= {f"qecforge_examples/{file.relative_to(EXAMPLES).as_posix()}" for file in examples}
    assert held == expected


def folder_of(package):
    top, *rest = package.split(".")
    tops = {"qecforge": ROOT / "core" / "qecforge", "qecforge_examples": EXAMPLES, **PLUGINS}
    return Path(tops[top], *rest)
