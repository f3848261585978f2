"""A virtual environment of its own, into which pip installs distributions."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path


class Outside:
    """A virtual environment that sees the packages of this one, and the distributions installed into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False)
        self.python = str(folder / "bin" / "python")
        (purelib,) = folder.glob("lib/python*/site-packages")
        seen = "".join(f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
        (purelib / "_outer.pth").write_text(seen)

    def install(self, wheel: Path) -> None:
        run(sys.executable, "-m", "pip", "--python", self.python, "install", "--no-index", "--no-deps", str(wheel))

    def install_editable(self, folder: Path) -> None:
        """`pip install -e .` in that folder, with the build tools that are installed; nothing is fetched."""
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "--no-index", "--no-build-isolation")
        run(*pip, "-e", ".", cwd=folder)

    def qecforge(self, *arguments: str, cwd: Path, code: int = 0) -> str:
        return run(self.python, "-m", "qecforge", *arguments, cwd=cwd, code=code)


def run(*command: str, cwd: Path | None = None, code: int = 0) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, f"{command} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr
