"""Run what README and docs tell a user to run, in a fresh environment: `scripts/check --docs [PAGE]...`.

A copy of the tree is made, and a virtual environment into which the page's own `pip install` lines install. Each page's
shell lines are run in order, with the ids, manifests and files that the page means; then its Python blocks; and every
`qecforge` command that it names has the options that it is named with. Minutes to an hour, with the network for pip.

    scripts/check --docs README.md docs/store.md
    scripts/check --docs --python .venv/bin/python docs/steering.md     # an environment that is there; no pip
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
INSTALL = "pip install -c constraints.txt -e '.[plots,baselines,test]'"
"""For pages that take the package for granted."""
NOT_RUN = {
    "pytest": "the tests are `scripts/check`",
    "python -m pytest": "the tests of the page's plugin are tests/third_party/test_plugin_page.py",
}
FIRST = {
    "docs/manifest.md": ("qecforge run examples/five_qubit.yaml",),
    "docs/quantization.md": ("qecforge run FILE --set 'seeds=[0, 1]'",),
    "docs/store.md": ("qecforge run examples/steane.yaml",),
}
"""What a page says in words, or on another page, that comes before its blocks."""

_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`(qecforge [^`\n]+)`")


@dataclass
class Page:
    """A page and the folder in which a reader of it would stand."""

    name: str
    tree: Path
    folder: Path
    python: Path
    pip: bool
    failures: list[str] = field(default_factory=list)

    def check(self) -> list[str]:
        """Run all of it; gives a line for each failure."""
        blocks = _BLOCK.findall((ROOT / self.name).read_text(encoding="utf-8"))
        for language, title, text in blocks:
            if title:
                path = self.folder / title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            elif language == "yaml" and not (self.folder / "page.yaml").exists():
                (self.folder / "page.yaml").write_text(text, encoding="utf-8")
        shell = [line for language, title, text in blocks if language == "bash" and not title for line in _lines(text)]
        if self.pip and not any(line.startswith("pip install -c") for line in shell):
            self.run(INSTALL, self.tree)
        for line in (*FIRST.get(self.name, ()), *shell):
            self.shell(line)
        program = "\n".join(text for language, title, text in blocks if language == "python" and not title)
        if program:
            (self.folder / "page.py").write_text(program, encoding="utf-8")
            self.run("python page.py", self.folder)
        self.named(shell)
        return self.failures

    def shell(self, line: str) -> None:
        """One line of the page. Parts with a reason not to be run are left out."""
        for part in line.split(" && "):
            why = next((reason for start, reason in NOT_RUN.items() if part.startswith(start)), None)
            if why is None and not self.pip and part.startswith("pip install"):
                why = "the environment is given"
            if why is not None:
                say(f"  left out ({why}): {part}")
                continue
            self.run(self.filled(part), self.folder)

    def filled(self, line: str) -> str:
        """With the ids of runs for RUN, newest first, and the page's first manifest for FILE."""
        runs = self.ids() if re.search(r"\bRUN\b", line) else []
        for run in (*runs, *runs[-1:] * 9):
            line = re.sub(r"\bRUN\b", run, line, count=1)
        return re.sub(r"\bFILE\b", "page.yaml", line)

    def ids(self) -> list[str]:
        """Of finished runs in the page's store, newest first."""
        listed = self.done("qecforge runs list --status finished --format csv", self.folder)
        return [row.split(",")[0] for row in listed.stdout.splitlines()[1:]]

    def named(self, shell: list[str]) -> None:
        """Every command in the text and in the blocks has a help page that names its options."""
        text = "\n".join([*shell, *_NAMED.findall((ROOT / self.name).read_text(encoding="utf-8"))])
        wanted: dict[str, set[str]] = {}
        for line in re.findall(r"qecforge [^\n#|]*", text):
            command = re.match(r"qecforge((?: [a-z][a-z-]*)*)", line)
            path = self.command(command[1].split() if command else [])
            wanted.setdefault(path, set()).update(re.findall(r"(?<= )--[a-z][a-z-]*", line))
        for path, options in sorted(wanted.items()):
            shown = self.done(f"qecforge {path} --help", self.folder).stdout
            lacking = sorted(option for option in options - {"--debug", "--version", "--help"} if option not in shown)
            if not shown or lacking:
                self.failures.append(f"{self.name}: `qecforge {path}` has no {', '.join(lacking) or 'help'}")

    def command(self, words: list[str]) -> str:
        """The longest beginning of the words that is a command; the others are its arguments."""
        for length in range(min(len(words), 3), 0, -1):
            if self.done(f"qecforge {' '.join(words[:length])} --help", self.folder).returncode == 0:
                usage = self.done(f"qecforge {' '.join(words[:length])} --help", self.folder).stdout.split("[")[0]
                if " ".join(words[:length]) in " ".join(usage.split()):
                    return " ".join(words[:length])
        return " ".join(words)

    def run(self, line: str, folder: Path) -> None:
        """Run a shell line and note whether it failed."""
        say(f"  {line}")
        started = time.monotonic()
        done = self.done(line, folder)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            self.failures.append(f"{self.name}: exit code {done.returncode} of {line}\n{last}")
            say(f"    FAILED with exit code {done.returncode}")
        else:
            say(f"    {time.monotonic() - started:.0f} s")

    def done(self, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a shell line in the page's environment."""
        environment = {**os.environ, "PATH": f"{self.python.parent}:{os.environ['PATH']}"}
        environment |= {"VIRTUAL_ENV": str(self.python.parents[1])}
        environment.pop("PYTHONPATH", None)
        return subprocess.run(  # noqa: S603
            ["bash", "-euo", "pipefail", "-c", line],  # noqa: S607
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def _lines(text: str) -> Iterator[str]:
    """Commands of a block, without comments; a line that ends with a backslash goes on."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield command


def say(line: str) -> None:
    """Say how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def copied(folder: Path) -> Path:
    """The files of the tree that git knows, as they are now."""
    git = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")  # noqa: S603
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def main(arguments: list[str]) -> int:
    """Check pages; 1 where something fails."""
    parser = argparse.ArgumentParser(prog="scripts/check --docs", description="Run what README and docs say.")
    parser.add_argument("--python", type=Path, help="Python of an environment with qecforge installed; no pip then.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="Default: README.md and all of docs.")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.pages if name not in PAGES]
    if unknown:
        parser.error(f"{unknown[0]} is no page; expected some of {', '.join(PAGES)}")
    failures: list[str] = []
    for name in asked.pages or PAGES:
        say(name)
        with tempfile.TemporaryDirectory() as temporary:
            tree = copied(Path(temporary) / "qecforge")
            titled = any(title for _, title, _ in _BLOCK.findall((ROOT / name).read_text(encoding="utf-8")))
            folder = tree if not titled else Path(temporary) / "page"
            folder.mkdir(exist_ok=True)
            if asked.python is None:
                venv.create(Path(temporary) / "environment", with_pip=True)
            python = asked.python.absolute() if asked.python else Path(temporary) / "environment" / "bin" / "python"
            failures += Page(name, tree, folder, python, pip=asked.python is None).check()
    for failure in failures:
        say(f"\n{failure}")
    say(f"\n{len(failures)} failures" if failures else "\nall that the pages say can be done")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
