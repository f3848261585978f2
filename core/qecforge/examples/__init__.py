"""The examples that come with qecforge, and templates of manifests to begin with.

They are files of the package `qecforge_examples`, which is `examples/` of a clone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from qecforge.errors import ConfigurationError, did_you_mean
from qecforge.machine.files import why_not, write_whole

__all__ = ["Example", "copy_examples", "find_example", "list_examples", "template", "template_kinds", "write_template"]

_PACKAGE = "qecforge_examples"
_TEMPLATES = "templates"
_SUFFIXES = {".yaml", ".stim", ".py"}
_CIRCUIT = re.compile(r"(\d+)_(\d+)_(\d+)_(\d+)(?:_(css|grid))?\.stim")
"""n, k, d, the number of gates and what restricts the circuit, as circuits are named."""
_RESTRICTED = {None: "", "css": ", CSS", "grid": ", between neighbours on a grid"}
_SENTENCE_END = re.compile(r"(?<=\.) (?!\d)")
"""A year may follow a full stop, as in "et al. 2010"."""


@dataclass(frozen=True)
class Example:
    """A file among the examples.

    Attributes:
        path: Below the folder of examples, such as `steering/drift_d5.yaml`.
        text: What it holds.
    """

    path: PurePosixPath
    text: str

    @property
    def summary(self) -> str:
        """One line: the first sentence of its first comment or docstring, or what its name says."""
        if circuit := _CIRCUIT.fullmatch(self.path.name):
            n, k, d, gates, restricted = circuit.groups()
            return f"encoder of a [[{n},{k},{d}]] code, {gates} gates{_RESTRICTED[restricted]}"
        text = ast.get_docstring(ast.parse(self.text)) if self.path.suffix == ".py" else _first_comment(self.text)
        return _SENTENCE_END.split((text or "").partition("\n\n")[0].replace("\n", " "))[0].removesuffix(".")


def list_examples() -> list[Example]:
    """All of them, manifests first, then those in folders; by name.

    Raises:
        ConfigurationError: they are not installed.
    """
    found = [
        Example(path, each.read_text(encoding="utf-8"))
        for path, each in _walk(_root(), PurePosixPath())
        if path.suffix in _SUFFIXES and path.name != "__init__.py" and path.parts[0] != _TEMPLATES
    ]
    return sorted(found, key=lambda each: (len(each.path.parts), each.path))


def find_example(name: str) -> Example:
    """The example of that name.

    Args:
        name: Its path, or the end of it, with or without the suffix: `drift_d5`, `steering/drift_d5.yaml`.

    Raises:
        ConfigurationError: there is none, or there are several; both with the names that fit.
    """
    wanted = PurePosixPath(name.strip("/"))
    examples = list_examples()
    found = [each for each in examples if wanted in _names(each.path)]
    if len(found) == 1:
        return found[0]
    if found:
        paths = " or ".join(str(each.path) for each in found)
        raise ConfigurationError(f"`examples`: {name!r} is more than one example: write {paths}", parameter="examples")
    known = [str(each.path.with_suffix("")) for each in examples]
    near = did_you_mean(name, [*known, *(PurePosixPath(each).name for each in known)])
    raise ConfigurationError(
        f"`examples`: no example is called {name!r}.{near} `qecforge examples list` has all of them",
        parameter="examples",
    )


def copy_examples(examples: list[Example], directory: Path, *, overwrite: bool = False) -> list[Path]:
    """Write examples into a folder, which is made where it is missing; those of a folder keep it.

    Returns:
        The files written, in the order of `examples`.

    Raises:
        ConfigurationError: a file with another content is there already and `overwrite` is False, or one cannot be
            written. Nothing is written where such a file is there.
    """
    targets = [directory.joinpath(*each.path.parts) for each in examples]
    for each, target in zip(examples, targets, strict=True):
        _refuse_existing(target, each.text, overwrite)
    for each, target in zip(examples, targets, strict=True):
        _write(target, each.text)
    return targets


def template_kinds() -> dict[str, str]:
    """Name -> summary of each template, by name.

    Raises:
        ConfigurationError: they are not installed.
    """
    return {name: Example(PurePosixPath(f"{name}.yaml"), text).summary for name, text in sorted(_templates().items())}


def template(kind: str) -> str:
    """A commented manifest that runs as it is.

    Raises:
        ConfigurationError: there is no template of this kind.
    """
    known = _templates()
    if kind not in known:
        raise ConfigurationError(
            f"`kind`: got {kind!r}, expected {' or '.join(sorted(known))}.{did_you_mean(kind, known)}", parameter="kind"
        )
    return known[kind]


def write_template(kind: str, path: Path, *, overwrite: bool = False) -> None:
    """Write the template of this kind to `path`.

    Raises:
        ConfigurationError: there is no such kind, a file with another content is there already and `overwrite` is
            False, or it cannot be written.
    """
    text = template(kind)
    _refuse_existing(path, text, overwrite)
    _write(path, text)


def _root() -> Traversable:
    try:
        return files(_PACKAGE)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the examples are not installed (no package {_PACKAGE}): install qecforge again"
        ) from error


def _walk(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _walk(each, path / each.name)
        else:
            yield path / each.name, each


def _templates() -> dict[str, str]:
    folder = _root() / _TEMPLATES
    return {
        path.stem: each.read_text(encoding="utf-8")
        for path, each in _walk(folder, PurePosixPath())
        if path.suffix == ".yaml"
    }


def _names(path: PurePosixPath) -> set[PurePosixPath]:
    """By what an example may be called."""
    ends = [PurePosixPath(*path.parts[start:]) for start in range(len(path.parts))]
    return {*ends, *(end.with_suffix("") for end in ends)}


def _first_comment(text: str) -> str:
    """The lines of comment that a manifest begins with; of one that has none, its name and plugins."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return "\n".join(lines) or _what_it_names(text)


def _what_it_names(text: str) -> str:
    plugins = re.findall(r"^(environment|agent|quantizer):[^\n]*(?:\n  [^\n]*)*?\bplugin: (\w+)", text, re.MULTILINE)
    return ", ".join(f"{kind} {name}" for kind, name in plugins)


def _refuse_existing(path: Path, text: str, overwrite: bool) -> None:
    """One with the same text is none to refuse: in a clone the examples are there."""
    if overwrite:
        return
    try:
        same = not path.exists() or (path.is_file() and path.read_bytes() == text.encode())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be used ({why_not(error)}): choose another place", parameter="directory"
        ) from error
    if not same:
        raise ConfigurationError(
            f"{path} is there already, with another content: choose another place, or set `force`", parameter="force"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be written ({why_not(error)}): choose another place", parameter="directory"
        ) from error
