"""The command line by which bubblewrap makes a cell, and what a fork server needs to find inside."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from qecforge.errors import MissingDependency, SandboxUnavailable, one_line

__all__ = [
    "PACKAGES",
    "Surroundings",
    "bwrap_command",
    "bwrap_version",
    "readable_system",
    "refuse_other_systems",
    "surroundings",
]

LOWEST_VERSION = (0, 8, 0)
PACKAGES = "/packages"
"""Where packages that stand in no folder of installed packages, such as those under development, are in a cell."""
WORK = "/cell"
LOADER_CACHE = "/etc/ld.so.cache"
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
DEVICES = ("null", "zero", "random", "urandom")
START = (
    "import sys; sys.path[:0] = sys.argv[2:]; import site; site.setquit(); site.sethelper(); "
    "from qecforge.sandbox.inside.zygote import serve; serve(int(sys.argv[1]))"
)


@dataclass(frozen=True)
class Surroundings:
    """What of the host a cell sees, all of it read-only.

    Attributes:
        python: The interpreter, as a file and not a link.
        folders: Bound where they are.
        packages: Bound by their name below `PACKAGES`.
        path: Where the fork server looks for modules beside the standard library, in a cell.
    """

    python: str
    folders: Sequence[str]
    packages: Mapping[str, str]
    path: Sequence[str]

    def python_command(self, control: int, *, inside: bool = True) -> list[str]:
        """The fork server's command; `inside` where `PACKAGES` is there."""
        own = [PACKAGES] if inside else [str(Path(each).parent) for each in self.packages.values()]
        return [self.python, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", START, str(control), *own, *self.path]


def surroundings(modules: Iterable[str]) -> Surroundings:
    """What a fork server needs that imports these modules. Raises `MissingDependency` for one that is not there."""
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    installed = [
        each for each in sys.path if Path(each).name in ("site-packages", "dist-packages") and _is_folder(each)
    ]
    folders = dict.fromkeys([sys.base_prefix, sysconfig.get_path("stdlib"), *installed])
    kept = [each for each in map(os.path.realpath, folders) if not any(_within(each, system) for system in SYSTEM)]
    packages = {"qecforge": str(Path(__file__).resolve().parents[1])}
    for name in modules:
        top = name.partition(":")[0].partition(".")[0]
        place = _place_of(top)
        if place is not None and not any(_within(place, each) for each in [*kept, *SYSTEM]):
            packages[top] = place
    return Surroundings(python, _outermost(kept), packages, list(map(os.path.realpath, installed)))


def readable_system(around: Surroundings) -> list[str]:
    """What Landlock lets a program read of the system and of installed packages, none within another."""
    there = [os.path.realpath(each) for each in (*SYSTEM, *around.folders) if _is_folder(each)]
    return [*_outermost(list(dict.fromkeys(there))), LOADER_CACHE]


def _place_of(top: str) -> str | None:
    """Folder or file of a package or module; None for one that is built in."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise MissingDependency(f"the sandbox needs {top}, which is not installed; install it")
    locations = list(spec.submodule_search_locations or ())
    found = locations[0] if locations else spec.origin
    return os.path.realpath(found) if found and os.path.exists(found) else None  # noqa: PTH110


def _is_folder(path: str) -> bool:
    """False for what this user may not look at, of which `Path.is_dir` raises PermissionError."""
    return os.path.isdir(path)  # noqa: PTH112


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _outermost(paths: Sequence[str]) -> list[str]:
    return [each for each in paths if not any(each != other and _within(each, other) for other in paths)]


def refuse_other_systems() -> None:
    """Raises `SandboxUnavailable` where this is not Linux."""
    if not sys.platform.startswith("linux"):
        raise SandboxUnavailable(f"the sandbox needs Linux, this is {sys.platform}; use a Linux machine")


def find_bwrap() -> str:
    """The program. Raises `SandboxUnavailable` where it is missing or too old, with what to do."""
    refuse_other_systems()
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailable(
            "the sandbox needs bubblewrap, and no bwrap is on the PATH; install it (Debian, Ubuntu: apt-get install "
            "bubblewrap; Fedora: dnf install bubblewrap), then see `qecforge sandbox check`"
        )
    version = bwrap_version(found)
    if version < LOWEST_VERSION:
        raise SandboxUnavailable(
            f"{found} is of version {'.'.join(map(str, version)) or 'unknown'}, and the sandbox needs 0.8.0 or later; "
            "install a later bubblewrap"
        )
    return found


@cache
def bwrap_version(bwrap: str) -> tuple[int, ...]:
    """Its version; empty where it gives none."""
    try:
        said = subprocess.run([bwrap, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailable(f"{bwrap} cannot be run ({one_line(error)}); install bubblewrap again") from error
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, match.groups())) if match else ()


def bwrap_command(
    around: Surroundings,
    *,
    control: int,
    environment: Mapping[str, str],
    disk: int,
    as_root: bool,
    hidden: Sequence[str] = (),
) -> list[str]:
    """The whole command. As root there is no user namespace: the fork server drops to an unprivileged user itself."""
    command = [
        *(find_bwrap(), "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--as-pid-1", "--new-session", "--hostname", "cell", "--clearenv", "--cap-drop", "ALL"),
    ]
    if as_root:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            command += ["--cap-add", capability]
    else:
        command += ["--unshare-user", "--disable-userns"]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    command += _system()
    made = {"/", "/usr"}
    for folder in around.folders:
        command += [*_parents(folder, made), "--ro-bind", folder, folder]
    command += ["--perms", "0755", "--dir", PACKAGES]
    for name, folder in around.packages.items():
        command += ["--ro-bind", folder, f"{PACKAGES}/{name if Path(folder).is_dir() else Path(folder).name}"]
    for place in _hidden_places(around, hidden):
        command += ["--size", "4096", "--perms", "0555", "--tmpfs", place, "--remount-ro", place]
    command += ["--perms", "0755", "--dir", "/dev"]
    for name in DEVICES:
        command += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    command += ["--proc", "/proc", "--perms", "0777", "--size", str(disk), "--tmpfs", WORK]
    if "/tmp" not in made:  # noqa: S108  # with packages below it it is there already, and TMPDIR has to do
        command += ["--symlink", f"{WORK}/run", "/tmp"]  # noqa: S108
    command += ["--remount-ro", "/", "--chdir", "/", "--"]
    return [*command, *around.python_command(control)]


def _system() -> list[str]:
    command = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM[1:]:
        path = Path(name)
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            command += ["--ro-bind", name, name]
    if Path(LOADER_CACHE).exists():
        command += ["--perms", "0755", "--dir", "/etc", "--ro-bind", LOADER_CACHE, LOADER_CACHE]
    return command


def _hidden_places(around: Surroundings, hidden: Sequence[str]) -> list[str]:
    """Where folders of the host are in a cell, if they are there at all."""
    mounts = {os.path.realpath(each): each for each in (*SYSTEM, *around.folders) if _is_folder(each)}
    mounts |= {folder: f"{PACKAGES}/{name}" for name, folder in around.packages.items()}
    found = []
    for folder in map(os.path.realpath, hidden):
        for outer, place in mounts.items():
            if _within(folder, outer):
                found.append(place + folder[len(outer) :])
    return found


def _parents(folder: str, made: set[str]) -> list[str]:
    """Folders above, readable by all, as those of the host may not be."""
    command: list[str] = []
    for parent in reversed(Path(folder).parents):
        if str(parent) not in made:
            made.add(str(parent))
            command += ["--perms", "0755", "--dir", str(parent)]
    return command
