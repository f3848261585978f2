"""What a run's record says of where and with what it ran."""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from qecforge.machine.cores import available_cores
from qecforge.machine.masking import masked_command

__all__ = ["cpu_model", "provenance"]


def provenance() -> dict[str, Any]:
    """Versions, git revision, machine and thread counts, as JSON-ready values."""
    return {
        "qecforge": metadata.version("qecforge"),
        "python": platform.python_version(),
        "dependencies": _dependency_versions(),
        "git": _git_revision(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpu_count": os.cpu_count(),
        "gpu": _gpu(),
        "threads": _threads(),
        "command": masked_command(sys.argv),
    }


@functools.cache
def _dependency_versions() -> dict[str, str]:
    names = [re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0] for line in metadata.requires("qecforge") or []]
    versions = {}
    for name in sorted(set(names)):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def _git_revision() -> dict[str, Any] | None:
    """Of the source tree that qecforge was imported from; None where it is installed from a wheel."""

    def git(*arguments: str) -> str:
        return subprocess.run(  # noqa: S603
            ["git", "-C", str(Path(__file__).parent), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        if git("ls-files", Path(__file__).name) == "":
            return None
        return {"revision": git("rev-parse", "HEAD"), "modified": git("status", "--porcelain", "-uno") != ""}
    except (OSError, subprocess.SubprocessError):
        return None


@functools.cache
def cpu_model() -> str:
    """The processor's name, as the operating system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


def _threads() -> dict[str, int]:
    threads = {"available": available_cores()}
    if "torch" in sys.modules:
        threads["torch"] = sys.modules["torch"].get_num_threads()
    if "numba" in sys.modules:
        threads["numba"] = sys.modules["numba"].get_num_threads()
    return threads
