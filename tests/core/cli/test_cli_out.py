"""Every `--out`: where it cannot be written to, one line says so, and a file that was there is whole."""

from pathlib import Path

import pytest
from cli_harness import invoke

from qecforge.errors import ConfigurationError
from qecforge.reproduction.files import write_files
from qecforge.store import Store

FILES = [
    ("report", "--out", "OUT"),
    ("codes", "export", "CODE", "--format", "stim", "--out", "OUT"),
    ("runs", "export-policy", "RUN", "--format", "safetensors", "--out", "OUT"),
    ("init", "code", "OUT"),
    ("runs", "list", "--log-file", "OUT"),
]
FOLDERS = [
    ("runs", "figures", "RUN", "--out", "OUT"),
    ("runs", "export-policy", "RUN", "--format", "files", "--out", "OUT"),
    ("examples", "copy", "five_qubit", "--to", "OUT"),
]
HOPELESS = ("/dev/full/x", "/proc/x", "walk.yaml/x", "no\0name", "x" * 300, "loop/x", f"{'x/' * 3000}y")


@pytest.fixture
def ids(filled):
    (filled / "loop").symlink_to("loop")
    with Store("sqlite:///results.db") as store:
        return {"RUN": store.runs(status="finished")[0].id, "CODE": store.codes()[0].id}


def refused(command, ids, out):
    before = Path("walk.yaml").read_bytes()
    result = invoke(*({**ids, "OUT": out}.get(each, each) for each in command))
    assert isinstance(result.exception, SystemExit), (out, result.exception)
    assert result.exit_code == 2, (out, result.output)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert Path("walk.yaml").read_bytes() == before
    return result.stderr


@pytest.mark.parametrize("command", FILES, ids=" ".join)
@pytest.mark.parametrize("out", [*HOPELESS, "/dev/full", "figures"])
def test_a_file_that_cannot_be_written(ids, command, out):
    Path("figures").mkdir()
    if "--log-file" in command and out == "/dev/full":
        pytest.skip("it can be opened; what is lost of a log is no error of the command")
    refused(command, ids, out)


@pytest.mark.parametrize("command", FOLDERS, ids=" ".join)
@pytest.mark.parametrize("out", [*HOPELESS, "/dev/full", "walk.yaml"])
def test_a_folder_that_cannot_be_written(ids, command, out):
    if "figures" in command:
        pytest.importorskip("matplotlib")
    refused(command, ids, out)


@pytest.mark.parametrize("out", [*HOPELESS, "/dev/full", "walk.yaml"])
def test_a_folder_of_a_reproduction(ids, out):
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_files({}, {}, Path(out))
