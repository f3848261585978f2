"""The command line in an empty folder, with the toy plugin in place of those installed, and a filled store."""

import shutil

import pytest
from cli_harness import MANIFEST, invoke, with_toys

from qecforge.registry import Registry


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def toys(monkeypatch):
    """`Registry.load()` finds the toy plugin alone."""
    monkeypatch.setattr(Registry, "load", classmethod(with_toys))


@pytest.fixture
def manifest(folder, toys):
    path = folder / "walk.yaml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder with `walk.yaml` and the `results.db` that its runs left."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "walk.yaml").write_text(MANIFEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Registry, "load", classmethod(with_toys))
        result = invoke("run", "walk.yaml")
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def filled(folder, toys, finished):
    """The current directory, with a copy of what `finished` holds."""
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    return folder
