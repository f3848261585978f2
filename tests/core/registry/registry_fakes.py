"""Distributions on disk, as pip would leave them, for the registry to find."""

from __future__ import annotations

import textwrap
from pathlib import Path


def install(
    folder: Path, name: str, modules: dict[str, str], entry_points: dict[str, str], version: str = "1.0"
) -> None:
    """Write the modules and the dist-info of a distribution into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(text))
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}" for key, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[qecforge]", *lines, ""]))


def agent_module(name: str, *, before: str = "", summary: str = "An agent.") -> str:
    """Source of a plugin module with one agent."""
    return f"""
{before}
from qecforge.contracts import PluginConfig
from qecforge.hookspecs import AgentSpec, hookimpl

class Config(PluginConfig):
    steps: int = 1

def make(config):
    raise NotImplementedError

@hookimpl
def qecforge_agents():
    trains_on = frozenset({{"discrete"}})
    return [AgentSpec(name={name!r}, summary={summary!r}, config=Config, make=make, trains_on=trains_on)]
"""
