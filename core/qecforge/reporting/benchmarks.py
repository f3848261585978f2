"""Benchmark scripts: how they are found, and what they give.

A benchmark is a Python file whose docstring begins with the claim it measures and which has

    def run(quick: bool) -> list[dict]

returning a row for each figure: `claim`, `ours`, `unit`, `peer`, `peer_name`, `ratio` and `target` (None where there is
none), plus what else it has to say.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qecforge.errors import ConfigurationError, did_you_mean

__all__ = ["ROW_KEYS", "Benchmark", "find_benchmarks", "source_directory"]

ROW_KEYS = ("claim", "ours", "unit", "peer", "peer_name", "ratio", "target")


@dataclass(frozen=True)
class Benchmark:
    """A script: its name, the first line of its docstring, and where it lies."""

    name: str
    summary: str
    path: Path

    def run(self, *, quick: bool) -> list[dict[str, Any]]:
        """Import the script and measure.

        Returns:
            Its rows with the keys of `ROW_KEYS`, `benchmark` (its name) and `extra` (all other keys of the row).

        Raises:
            ConfigurationError: the script has no `run`, or a row has no claim.
        """
        module = _load(self)
        measure = getattr(module, "run", None)
        if not callable(measure):
            raise ConfigurationError(f"{self.path}: has no function run(quick); a benchmark needs one")
        return [self._row(row) for row in measure(quick=quick)]

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if not row.get("claim"):
            raise ConfigurationError(f"{self.path}: run() gave a row without `claim`: {sorted(row)}")
        known: dict[str, Any] = {key: row.get(key) for key in ROW_KEYS}
        extra = {key: value for key, value in row.items() if key not in ROW_KEYS}
        return {"benchmark": self.name, **known, "extra": extra or None}


def source_directory() -> Path | None:
    """The folder `benchmarks/` of the source checkout that this package is imported from; None where it is not one."""
    root = Path(__file__).resolve().parents[3]
    folder = root / "benchmarks"
    return folder if folder.is_dir() and (root / "setup.cfg").is_file() else None


def find_benchmarks(names: Sequence[str] = (), directory: Path | None = None) -> list[Benchmark]:
    """Benchmarks by name, in the order asked for; all, sorted, where no name is given.

    Args:
        names: Script names without `.py`.
        directory: Where the scripts lie; None for the source checkout's `benchmarks/`.

    Raises:
        ConfigurationError: no such folder, an unknown name (the nearest are offered), or a file that is not Python.
    """
    folder = directory or source_directory()
    if folder is None:
        raise ConfigurationError(
            "benchmarks are part of the source tree, and qecforge runs from an installed package: "
            "name the folder of scripts (`directory`)",
            parameter="directory",
        )
    if not folder.is_dir():
        raise ConfigurationError(
            f"`directory`: {folder} is not a folder; name the one that holds the scripts", parameter="directory"
        )
    scripts = {path.stem: path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")}
    for name in names:
        if name not in scripts:
            known = ", ".join(scripts) or "none"
            raise ConfigurationError(f"no benchmark {name!r} in {folder}.{did_you_mean(name, scripts)} Known: {known}")
    return [Benchmark(name, _summary(scripts[name]), scripts[name]) for name in names or scripts]


def _summary(path: Path) -> str:
    try:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not Python ({error}); correct it or move it away") from error
    return (docstring or "").strip().split("\n", 1)[0]


def _load(benchmark: Benchmark) -> Any:
    """Import a script under a name of its own, its folder on the path so that scripts may share helpers."""
    folder = str(benchmark.path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = f"qecforge_benchmark_{benchmark.name}"
    spec = importlib.util.spec_from_file_location(name, benchmark.path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{benchmark.path}: cannot be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
