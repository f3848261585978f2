"""Run what README and docs tell a user to run, in a fresh environment: `scripts/check --docs [PAGE]...`.

Each page is followed in a copy of the tree, in a virtual environment into which the page's own `pip install` lines
install; pages that install the same share one. Each page's shell lines are run in order, with the ids, manifests and
files that the page means; then its Python blocks; and every `qecforge` command that it names has the options that it is
named with. What would take long, or needs other machines, is run with less to do (`INSTEAD`). What was run otherwise
than the page says, or not at all, is listed at the end with the reason. Some twenty minutes on two idle cores, with the
network for pip.

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
INSTALL = "pip install -c constraints.txt -e '.[plots,baselines,test]'"
"""For pages that take the package for granted."""
_TINY = (
    "--set environment.generator.count=60 --set agent.total_steps=16 --set agent.groups=2 --set agent.minibatch=16"
    " --set agent.warm_start.completions=128 --set agent.held_out.samples=4"
)
_RAY = "export HOME=$PWD RAY_TMPDIR=$PWD/ray RAY_AUTH_MODE=token"
INSTEAD: Mapping[str, tuple[str, str]] = {
    "pytest -n 2 --dist loadfile": (
        "pytest tests/core/test_errors.py tests/core/test_public_api.py",
        "`scripts/check` runs all tests",
    ),
    "qecforge run examples/apq.yaml": (
        "{} --set agent.total_steps=20480 --set quantizer.fine_tune.total_steps=4096"
        " --set evaluation.decision_fidelity.states=1000 --set evaluation.search.episodes=32",
        "it trains for minutes",
    ),
    "qecforge reproduce apq --quick": (
        "{} --seeds 1 --methods fp32,ptq,apq --set agent.total_steps=20480 --set evaluation.search.episodes=32"
        " --set evaluation.logical_error_rate.shots=1000",
        "it trains for minutes",
    ),
    "qecforge run examples/pendulum.yaml": (
        "{} --set agent.total_steps=700 --set evaluation.returns.episodes=2"
        " --set evaluation.quantum_backends.episodes=1",
        "it trains for minutes",
    ),
    "qecforge reproduce apq --decisions-only": (
        "{} --experiments e1_4bits --methods fp32,ptq --seeds 1 --set agent.total_steps=20480"
        " --set evaluation.decision_fidelity.states=1000",
        "it trains for days",
    ),
    "qecforge run examples/qiskit/smollm2.yaml": (
        "qecforge validate examples/qiskit/smollm2.yaml",
        "it trains for an hour",
    ),
    "qecforge reproduce hybrid --records": (
        "{} --arms none --seeds 1 --set agent.total_steps=1500 --set evaluation.returns.episodes=2",
        "it trains for days",
    ),
    "qecforge run examples/steering/drift_d5.yaml": (
        "{} --set agent.total_epochs=300 --set agent.snapshots=13",
        "it trains for minutes",
    ),
    "qecforge reproduce steering --quick": ("{} --seeds 1 --results drift,decoder", "it trains for minutes"),
    "qecforge run examples/grpo_steane.yaml": (
        "{} --set 'seeds=[0]' --set 'sweep.agent=[{plugin: ppo, total_steps: 40960},"
        " {plugin: grpo, total_steps: 20480, kl: 0.0}]' --set evaluation.logical_error_rate.shots=1000",
        "it trains for minutes",
    ),
    "qecforge run examples/qiskit/tiny.yaml": (
        "{} " + _TINY,
        "it takes long",
    ),
    "qecforge tasks check shipped": (
        "{} --only bell --repeats 2 --mutants 2 --least-score 0",
        "it takes long",
    ),
    "qecforge tasks check qiskit_human_eval.json": (
        "qecforge tasks check my_tasks.jsonl --only bell --mutants 1 --repeats 1 --least-score 0",
        "a public data set, which is not at hand",
    ),
    "qecforge tasks check my_tasks.jsonl": (
        "{} --repeats 2 --mutants 2 --least-score 0",
        "it takes minutes",
    ),
    "qecforge tasks generate --count 2000": ("{} --count 50", "it takes a minute"),
    "qecforge tasks eval shipped --model http://127.0.0.1:8000/v1#NAME": (
        "qecforge tasks eval --help >/dev/null",
        "a server with a model",
    ),
    "qecforge tasks eval shipped --model hf:PATH": ("qecforge tasks eval --help >/dev/null", "weights of a model"),
    "qecforge tasks eval shipped --model run:ID": (
        "qecforge tasks eval tasks.jsonl"
        " --model run:$(qecforge runs list --name tiny --format csv | sed -n 's/,.*//;2p')"
        " --temperature 0 -n 1",
        "few tasks, for each program takes a second",
    ),
    "python benchmarks/hybrid_gradients.py --plan short": (
        "python benchmarks/hybrid_gradients.py --plan quick --out gradients",
        "it takes long",
    ),
    "python -m pytest tests/core/sandbox -m slow": (
        "python -m pytest --collect-only -q tests/core/sandbox -m slow",
        "it takes minutes; they are run before a release",
    ),
    "ray get-auth-token --generate": ("export HOME=$PWD; {}", "a folder of its own for the token"),
    "ray start --head --port 6379": (
        f"{_RAY}; ray start --head --port 6391 --num-cpus 4 --block >head.log 2>&1 &"
        " echo $! >head.pid;"
        " until grep -q 'ray start --address' head.log; do kill -0 $(cat head.pid); sleep 1; done",
        "a second machine: here both nodes are on this one",
    ),
    "ray start --address FIRST:6379": (
        f"{_RAY}; ray start --address 127.0.0.1:6391 --num-cpus 4 --block >node.log 2>&1 &"
        " echo $! >node.pid; until grep -q 'Ray runtime started' node.log; do kill -0 $(cat node.pid); sleep 1; done",
        "a second machine: here both nodes are on this one",
    ),
    "qecforge run examples/steane.yaml --executor ray --executor-option address=auto": (
        f"{_RAY}; "
        "qecforge run examples/steane.yaml --force --executor ray --executor-option address=auto"
        " --executor-option num_cpus=4 --executor-option num_gpus=0 --executor-option memory=1GiB"
        " --set agent.total_steps=50_000",
        "a GPU, and 8 GiB of memory for Ray",
    ),
}
"""Beginnings of lines that take long or need another machine: what is run in their place ({} is the line), and why."""
FIRST = {
    "docs/qiskit_tasks_checking.md": (
        "qecforge tasks generate --count 10 --seed 0 --out ten.jsonl",
        'head -n 2 ten.jsonl | sed \'s/"id": *"/&bell_/\' >my_tasks.jsonl',
    ),
    "docs/qiskit_tasks_eval.md": (
        "qecforge tasks generate --count 6 --seed 0 --out tasks.jsonl",
        'python -c \'import json, sys; [print(json.dumps({"task_id": task["id"], "completion":'
        ' task["reference"]})) for task in map(json.loads, sys.stdin)]\' <tasks.jsonl >samples.jsonl',
        "qecforge run examples/qiskit/tiny.yaml",
        "for each in first second; do qecforge tasks eval tasks.jsonl --model file:samples.jsonl --out $each; done",
    ),
    "docs/manifest.md": ("qecforge run examples/five_qubit.yaml",),
    "docs/quantization.md": ("qecforge run FILE --set 'seeds=[0, 1]'",),
    "docs/steering.md": (
        "stim gen --code surface_code --task rotated_memory_z --distance 3 --rounds 3 --out CIRCUIT.stim",
        "stim gen --code surface_code --task rotated_memory_z --distance 3 --rounds 3"
        " --after_clifford_depolarization 0.005 --out device.stim",
        "stim detect --in device.stim --shots 20000 --out EVENTS.b8 --out_format b8 --obs_out OBSERVABLES.01",
    ),
    "docs/store.md": ("qecforge run examples/steane.yaml",),
}
"""What a page says in words, or on another page, that comes before its blocks."""
LAST = {"docs/executors.md": ("for each in node head; do kill $(cat $each.pid) || true; done",)}
"""What ends the processes that a page started."""
LONGEST = 1800
"""Seconds for a line; one that takes more has failed."""

_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`(qecforge [^`\n]+)`")
_OURS = "pip install -c constraints.txt"
"""How a line begins that installs qecforge, from the tree."""


@dataclass
class Page:
    """A page, a copy of the tree, and the folder in which a reader of it would stand.

    Attributes:
        failures: A text for each, once it was checked.
        otherwise: A line for each part that was not run as the page has it.
    """

    name: str
    tree: Path
    folder: Path
    python: Path
    pip: bool
    failures: list[str] = field(default_factory=list)
    otherwise: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Run all of it."""
        found = blocks(self.name)
        for language, title, text in found:
            if is_file(title):
                path = self.folder / title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            elif language == "yaml" and not title and not (self.folder / "page.yaml").exists():
                (self.folder / "page.yaml").write_text(text, encoding="utf-8")
        shell = shell_lines(self.name)
        for line in (*FIRST.get(self.name, ()), *shell):
            self.shell(line)
        program = "\n".join(text for language, title, text in found if language == "python" and not title)
        if program:
            (self.folder / "page.py").write_text(program, encoding="utf-8")
            self.run("python page.py")
        for line in LAST.get(self.name, ()):
            self.run(line)
        self.named(shell)

    def shell(self, line: str) -> None:
        """One line of the page. What has a reason not to be run as it is, is run otherwise or left out."""
        for part in (" ".join(each.split()) for each in line.split(" && ")):
            if not self.pip and part.startswith("pip install"):
                self.note(f"left out (the environment is given): {part}")
                continue
            start = max((each for each in INSTEAD if part.startswith(each)), key=len, default=None)
            if start is None:
                self.run(self.filled(part))
                continue
            replaced, why = INSTEAD[start]
            self.note(f"not as it is ({why}): {part}")
            self.run(self.filled(replaced.replace("{}", part)))

    def note(self, line: str) -> None:
        """Say and keep what is done otherwise."""
        say(f"  {line}")
        self.otherwise.append(f"{self.name}: {line}")

    def filled(self, line: str) -> str:
        """With the ids of runs for RUN, newest first, and the page's first manifest for FILE."""
        runs = self.ids() if re.search(r"\bRUN\b", line) else []
        for run in (*runs, *runs[-1:] * 9):
            line = re.sub(r"\bRUN\b", run, line, count=1)
        return re.sub(r"\bFILE\b", "page.yaml", line)

    def ids(self) -> list[str]:
        """Of finished runs in the page's store, newest first."""
        listed = self.done("qecforge runs list --status finished --format csv")
        return [row.split(",")[0] for row in listed.stdout.splitlines()[1:]]

    def named(self, shell: list[str]) -> None:
        """Every command in the text and in the blocks has a help page that names its options."""
        text = "\n".join([*shell, *_NAMED.findall((ROOT / self.name).read_text(encoding="utf-8"))])
        wanted: dict[str, set[str]] = {}
        for line in re.findall(r"qecforge [^\n#|]*", text):
            command = re.match(r"qecforge((?: [a-z][a-z0-9_-]*)*)", line)
            path = self.command(command[1].split() if command else [])
            wanted.setdefault(path, set()).update(re.findall(r"(?<= )--[a-z][a-z-]*", line))
        for path, options in sorted(wanted.items()):
            shown = self.done(f"qecforge {path} --help").stdout
            lacking = sorted(option for option in options - {"--debug", "--version", "--help"} if option not in shown)
            if not shown or lacking:
                self.failures.append(f"{self.name}: `qecforge {path}` has no {', '.join(lacking) or 'help'}")

    def command(self, words: list[str]) -> str:
        """The longest beginning of the words that is a command; the others are its arguments."""
        for length in range(min(len(words), 3), 0, -1):
            helped = self.done(f"qecforge {' '.join(words[:length])} --help")
            usage = " ".join(helped.stdout.split("[")[0].split())
            if helped.returncode == 0 and " ".join(words[:length]) in usage:
                return " ".join(words[:length])
        return " ".join(words)

    def run(self, line: str) -> None:
        """Run a shell line and note whether it failed."""
        say(f"  {line}")
        started = time.monotonic()
        done = self.done(line)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            self.failures.append(f"{self.name}: exit code {done.returncode} of {line}\n{last}")
            say(f"    FAILED with exit code {done.returncode}")
        else:
            say(f"    {time.monotonic() - started:.0f} s")

    def done(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a shell line in the page's environment. Exit code 124: it took more than `LONGEST`."""
        others = [each for each in os.environ["PATH"].split(":") if not (Path(each).parent / "pyvenv.cfg").exists()]
        environment = {**os.environ, "PATH": ":".join([str(self.python.parent), *others])}
        environment |= {"VIRTUAL_ENV": str(self.python.parents[1])}
        environment.pop("PYTHONPATH", None)
        return subprocess.run(  # noqa: S603
            ["timeout", str(LONGEST), "bash", "-euo", "pipefail", "-c", line],  # noqa: S607
            cwd=self.tree if line.startswith(_OURS) else self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Language, title and text of each block of code."""
    return _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def is_file(title: str) -> bool:
    """Whether a block's title is the name of a file, and not words such as `in a manifest`."""
    return bool(re.fullmatch(r"\S+\.\w+", title))


def shell_lines(page: str) -> list[str]:
    """The page's shell lines, in order."""
    return [line for language, title, text in blocks(page) if language == "bash" and not title for line in _lines(text)]


def installed(page: str) -> tuple[str, ...]:
    """The lines that install what the page needs, by which pages share an environment: its own, behind `INSTALL` where
    it takes qecforge for granted."""
    parts = [part for line in shell_lines(page) for part in line.split(" && ") if part.startswith("pip install")]
    return tuple(parts) if any(part.startswith(_OURS) for part in parts) else (INSTALL, *parts)


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
    otherwise: list[str] = []
    with tempfile.TemporaryDirectory(prefix="docs") as temporary:
        environments: dict[tuple[str, ...], Path] = {}
        for number, name in enumerate(asked.pages or PAGES):
            say(name)
            lines = installed(name)
            python = asked.python.absolute() if asked.python else environments.get(lines)
            fresh = python is None
            if python is None:
                place = Path(temporary) / f"e{len(environments)}"
                venv.create(place, with_pip=True)
                python = environments[lines] = place / "bin" / "python"
            tree = copied(Path(temporary) / f"t{number}")
            folder = tree
            if any(title == "pyproject.toml" for _, title, _ in blocks(name)):  # its files are a project of their own
                folder = Path(temporary) / f"p{number}"
                folder.mkdir()
            page = Page(name, tree, folder, python, pip=asked.python is None)
            if fresh and lines[0] == INSTALL:
                page.run(INSTALL)
            page.check()
            failures += page.failures
            otherwise += page.otherwise
    for line in otherwise:
        say(f"\n{line}")
    for failure in failures:
        say(f"\n{failure}")
    say(f"\n{len(failures)} failures" if failures else "\nall that the pages say can be done")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
