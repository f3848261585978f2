"""Files that are there whole or not at all."""

import os
import resource
import signal
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest

from qecforge.machine.files import size_words, too_large, write_whole


@contextmanager
def full_disk():
    """Files of more than 1,000 bytes cannot be written: nor can pytest's own output, so it is for a few calls alone."""
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_on_a_full_disk_nothing_changes(tmp_path):
    path = tmp_path / "policy.onnx"
    with pytest.raises(OSError, match="File too large"), full_disk():
        write_whole(path, b"x" * 5000)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="File too large"), full_disk():
        write_whole(path, b"x" * 5000)
    assert [each.name for each in tmp_path.iterdir()] == ["policy.onnx"]
    assert path.read_bytes() == b"before"


def test_what_exists_is_replaced_or_refused(tmp_path):
    path, link = tmp_path / "policy.onnx", tmp_path / "link"
    write_whole(path, b"one", replace=False)
    with pytest.raises(FileExistsError):
        write_whole(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, b"three")
    assert path.read_bytes() == b"three"
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_new_files_keep_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_device_is_written_to_and_stays_one():
    write_whole(Path(os.devnull), b"gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"), (12_345, "12.3 kB"), (999_499, "999 kB"),
        (999_500, "1 MB"), (1_000_000, "1 MB"), (64_000_000, "64 MB"), (6_500_000_000, "6.5 GB"), (10**15, "1e+03 TB"),
    ],
)  # fmt: skip
def test_sizes_in_words(size, words):
    assert size_words(size) == words


def test_a_file_that_is_too_large_is_told_with_its_size(tmp_path):
    path = tmp_path / "x"
    for size, words in ((3000, "has 3 kB, expected at most 2 kB"), (2001, "has 2,001 bytes, expected at most 2 kB")):
        path.write_bytes(b"x" * size)
        with path.open("rb") as file:
            assert too_large(file, 2000) == words
    with Path("/dev/zero").open("rb") as file:
        assert too_large(file, 2000) == "has more than 2 kB"
