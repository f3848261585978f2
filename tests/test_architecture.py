"""Dependencies point one way, and the wheel forgets no package."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = {path.name: path for path in sorted(ROOT.glob("plugins/*/qecforge_*"))}
EXPERIMENTS = ROOT / "core" / "qecforge" / "reporting" / "experiments"
EXAMPLES = ROOT / "examples"
DECLARED = {("qecforge_code_discovery", "qecforge_knill_laflamme"), ("qecforge_apq", "qecforge_lsq")}

FLOORS = [
    {"qecforge.cli", "qecforge.__main__"},
    {"qecforge.executors", "qecforge.reporting"},
    {"qecforge.run"},
    {"qecforge._evaluating"},
    {"qecforge._quantizing"},
    {"qecforge._training", "qecforge.policies"},
    {"qecforge.manifest"},
    {"qecforge._resolve", "qecforge._schema", "qecforge._sweep"},
    {"qecforge._sections", "qecforge._validation"},
    {"qecforge._complaints"},
    {"qecforge._yaml", "qecforge.plugins", "qecforge.store"},
    {"qecforge._specs"},
    {"qecforge.evaluation", "qecforge.inference"},
    {"qecforge.parameters"},
    {"qecforge.hookspecs"},
    {"qecforge.codes", "qecforge.factor_graph"},
    {"qecforge.checkpoints", "qecforge._cores", "qecforge._provenance", "qecforge._signals"},
    {"qecforge.errors"},
]
"""From the top down: a module imports only from its own floor and those below (type-checking imports aside)."""


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("qecforge", *PLUGINS, exclude_type_checking_imports=True, cache_dir=None)


def floor_of(module):
    for number, names in enumerate(FLOORS):
        if any(module == name or module.startswith(f"{name}.") for name in names):
            return number
    return None


def test_every_core_module_has_a_floor(graph):
    placed_elsewhere = {"qecforge"} | {name for name in graph.modules if name.startswith("qecforge.testing")}
    core = {name for name in graph.modules if name == "qecforge" or name.startswith("qecforge.")}
    assert {name for name in core - placed_elsewhere if floor_of(name) is None} == set()


def test_core_imports_no_plugin(graph):
    core = [name for name in graph.modules if name.split(".")[0] == "qecforge"]
    wrong = {
        (name, imported)
        for name in core
        for imported in graph.find_modules_directly_imported_by(name)
        if imported.split(".")[0] in PLUGINS
    }
    assert wrong == set()


def test_arrows_run_down(graph):
    wrong = set()
    for name in graph.modules:
        floor = floor_of(name)
        if floor is None:
            continue
        for imported in graph.find_modules_directly_imported_by(name):
            if imported.startswith("qecforge.testing"):
                wrong.add((name, imported))
            other = floor_of(imported)
            if other is not None and other < floor:
                wrong.add((name, imported))
    assert wrong == set()


def test_plugins_import_core_and_declared_plugins_only(graph):
    wrong = {
        (name.split(".")[0], imported.split(".")[0])
        for name in graph.modules
        if name.split(".")[0] in PLUGINS
        for imported in graph.find_modules_directly_imported_by(name)
        if imported.split(".")[0] not in {"qecforge", name.split(".")[0]}
    }
    assert wrong <= DECLARED


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
    expected |= {f"qecforge/reporting/experiments/{file.name}" for file in EXPERIMENTS.iterdir()}
    expected |= {f"qecforge_examples/steering/{file.name}" for file in EXAMPLES.glob("steering/*.yaml")}
    assert held == expected


def folder_of(package):
    top, *rest = package.split(".")
    tops = {"qecforge": ROOT / "core" / "qecforge", "qecforge_examples": EXAMPLES, **PLUGINS}
    return Path(tops[top], *rest)
