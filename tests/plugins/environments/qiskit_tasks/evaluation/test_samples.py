"""Files of completions: read, or refused in one line."""

import gzip
import json

import pytest

from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks.evaluation.models import parse_model, read_samples

KNOWN = ("circuits/bell", "circuits/ghz")


def lines(*pairs, **more):
    return b"".join(json.dumps({"task_id": a, "completion": b, **more}).encode() + b"\n" for a, b in pairs)


TWO = lines(("circuits/bell", "x"), ("circuits/ghz", "y"))


def read(tmp_path, content, wanted=None, name="samples.jsonl"):
    path = tmp_path / name
    path.write_bytes(content)
    return read_samples(path, KNOWN, wanted)


def test_completions_by_task_in_order(tmp_path):
    content = lines(("circuits/ghz", "1"), ("circuits/bell", "ä\x00\ud800"), passed=False) + b"\n \n" + TWO
    assert read(tmp_path, content, 2) == {"circuits/bell": ["ä\x00\ud800", "x"], "circuits/ghz": ["1", "y"]}


def test_packed_files_and_marks_of_byte_order(tmp_path):
    assert read(tmp_path, gzip.compress(TWO), name="s.jsonl.gz")["circuits/ghz"] == ["y"]
    assert read(tmp_path, b"\xef\xbb\xbf" + TWO)["circuits/bell"] == ["x"]


@pytest.mark.parametrize(
    ("content", "wanted", "said"),
    [
        (b"", None, "there is no completion, expected some of 2 tasks"),
        (
            TWO + lines(("circuits/bel", "z")),
            None,
            r":3: there is no task 'circuits/bel'\. Did you mean 'circuits/bell'",
        ),
        (lines(("zzz", "z")), None, r":1: there is no task 'zzz'\. There are 2, such as circuits/bell"),
        (TWO[:-1] + b"\x00\n", None, ":2: a NUL character"),
        (b'{"task_id": "\xff"}\n', None, ":1: byte 14 is not UTF-8"),
        (b"not json\n", None, ":1: not JSON"),
        (b"[" * 100_000 + b"\n", None, ":1: not JSON"),
        (b"[1]\n", None, ":1: got list, expected task_id and completion"),
        (b'{"task_id": "circuits/bell", "answer": "x"}\n', None, ":1: got task_id, answer, expected"),
        (b'{"task_id": 3, "completion": "x"}\n', None, ":1: task_id is int, expected text"),
        (b'{"task_id": "circuits/bell", "completion": null}\n', None, ":1: completion is NoneType, expected text"),
        (
            TWO + lines(("circuits/bell", "z")),
            None,
            "1 of 2 tasks do not have 2 completions, such as circuits/ghz with 1",
        ),
        (lines(("circuits/bell", "z")), None, "1 of 2 tasks do not have 1 completions, such as circuits/ghz with 0"),
        (TWO, 3, "2 of 2 tasks do not have 3 completions, such as circuits/bell with 1; .*: give -n 1"),
    ],
)
def test_what_is_refused(tmp_path, content, wanted, said):
    with pytest.raises(ConfigurationError, match=said):
        read(tmp_path, content, wanted)


def test_a_completion_of_100_megabytes_is_not_read_whole(tmp_path):
    path = tmp_path / "samples.jsonl"
    with path.open("wb") as file:
        file.write(b'{"task_id": "circuits/bell", "completion": "')
        file.truncate(100 << 20)
    with pytest.raises(ConfigurationError, match=r":1: a line of more than 8,388,608 bytes"):
        read_samples(path, KNOWN)


def test_a_packed_file_that_unfolds_without_end_is_not_read_whole(tmp_path):
    with pytest.raises(ConfigurationError, match=":1: a line of more than"):
        read(tmp_path, gzip.compress(b" " * (64 << 20)), name="s.gz")


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(TWO)[:-12]])
def test_broken_packing_is_one_line(tmp_path, content):
    with pytest.raises(ConfigurationError, match=r"s\.gz: cannot be read"):
        read(tmp_path, content, name="s.gz")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_samples(tmp_path / "none", KNOWN)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_samples(tmp_path, KNOWN)


@pytest.mark.parametrize(
    ("text", "kind", "place", "name"),
    [
        ("http://127.0.0.1:8000/v1#qwen/Qwen2.5", "server", "http://127.0.0.1:8000/v1", "qwen/Qwen2.5"),
        ("https://host/v1/#a#b", "server", "https://host/v1", "a#b"),
        ("http://[::1]:80/v1#m", "server", "http://[::1]:80/v1", "m"),
        ("hf:models/tiny", "hf", "models/tiny", ""),
        ("run:0123", "run", "0123", ""),
        ("file:C:/x.jsonl", "file", "C:/x.jsonl", ""),
    ],
)
def test_names_of_models(text, kind, place, name):
    found = parse_model(text)
    assert (found.kind, found.place, found.name) == (kind, place, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpt", "expected http://HOST:PORT/v1#NAME, hf:PATH, run:ID or file:"),
        ("", "expected http://"),
        ("ftp://x#y", "expected http://"),
        ("hf:", "something after the colon"),
        ("http://host/v1", "does not name a model, expected http://host/v1#NAME"),
        ("http://user:secret@host/v1#m", "OPENAI_API_KEY"),
        ("http:///v1#m", "got the URL"),
        ("http://host:x/v1#m", "is no URL"),
        ("http://host/v1?key=1#m", "got the URL"),
        ("http://ho st/v1#m", "got the URL"),
        ("http://host/v\r\n1#m", "got the URL"),
    ],
)
def test_what_names_no_model(text, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_model(text)
    assert "secret" not in str(caught.value)
