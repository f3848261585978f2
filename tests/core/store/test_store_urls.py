"""What a URL may name: a file and nothing beside it, or the memory of one process."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from qecforge import RunOptions, Store, run_manifest
from qecforge.errors import StoreError
from qecforge.store.engine import parse_url
from qecforge.store.models import RunRow
from qecforge.testing.store import discovered, distance, example_code, example_run


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://", "sqlite:///"])
def test_a_store_in_memory_works_for_one_process(url, tmp_path):
    with Store(url, artifacts=tmp_path / "files") as store:
        run = example_run(store)
        store.add_metrics(run.id, [("cost", 1, 2.0, 0.1)])
        store.add_discovery(run.id, discovered(example_code()), distance(3), wall_time=0.0, proof={})
        kept = store.add_artifact(run.id, "policy", "weights", b"weights")
        assert store.read_artifact(kept) == b"weights"
        assert store.metrics(run.id, "cost").last == 2.0
        assert [record.n for record in store.codes()] == [5]
        assert store.in_memory
        store.delete_run(run.id)
        assert store.runs() == []
    with Store(url) as other:
        assert other.runs() == []


def test_runs_need_a_file():
    class Nothing:
        checkpoint = type("Checkpoint", (), {"every_seconds": 1.0})

    with pytest.raises(StoreError, match="`store_url`: a store in memory is gone with each run: name a file"):
        run_manifest(Nothing, options=RunOptions("sqlite:///:memory:"))
    for settings in ({"create": False}, {"read_only": True}):
        with pytest.raises(StoreError, match="begins empty, so there is nothing to read: name a file"):
            Store("sqlite:///:memory:", **settings)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///q?x.db", "what follows a ?"),
        ("sqlite:///q?", "what follows a ?"),
        ("sqlite:///:memory:?cache=shared", "what follows a ?"),
        ("sqlite://results.db", "with three slashes"),
        ("sqlite://host:1/results.db", "with three slashes"),
        (f"sqlite:///{'x' * 300}", "File name too long"),
        (f"sqlite:///{'x' * 250}", "File name too long"),
        (f"sqlite:///{'x/' * 3000}y", "File name too long"),
        ("sqlite:///a\0b", "null byte"),
        ("sqlite:///\ud800.db", "surrogates not allowed"),
    ],
)
def test_what_is_refused_makes_no_file(url, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError) as refused:
        Store(url)
    assert said in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["q?x.db", "100%.db", "a b#c.db", b"\xff.db"])
def test_any_file_can_be_named_by_its_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store(Path(os.fsdecode(name))) as store:
        example_run(store)
    assert [each.name for each in tmp_path.iterdir()] == [os.fsdecode(name)]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_artifacts_keep_the_umask(mask, tmp_path):
    before = os.umask(mask)
    try:
        with Store(tmp_path / "results.db") as store:
            store.add_artifact(example_run(store).id, "policy", "weights", b"weights")
    finally:
        os.umask(before)
    (artifact,) = [path for path in (tmp_path / "results.artifacts").rglob("*") if path.is_file()]
    assert stat.S_IMODE(artifact.stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE(artifact.parent.stat().st_mode) == 0o777 & ~mask


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("9999", "made by a newer qecforge"),
        ("0000", "which no qecforge has made"),
        ("\x1b[2J", "which no qecforge has made"),
        ("abcd", "which no qecforge has made"),
    ],
)
def test_revisions_that_are_not_known(revision, said, tmp_path):
    with Store(tmp_path / "results.db") as store:
        example_run(store)
    with sqlite3.connect(tmp_path / "results.db") as database:
        database.execute("UPDATE qecforge_schema SET version_num = ?", [revision])
    database.close()
    with pytest.raises(StoreError) as refused:
        Store(tmp_path / "results.db")
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


def test_numbers_past_64_bits_and_text_that_is_not_unicode(tmp_path):
    with Store(tmp_path / "results.db") as store:
        run = example_run(store)
        for call in (
            lambda: store.runs(seed=10**30),
            lambda: store.runs(limit=2**63),
            lambda: store.codes(n=-(10**30)),
            lambda: store.add_metrics(run.id, [("cost", 2**63, 1.0, 0.0)]),
        ):
            with pytest.raises(StoreError, match="more than 64 bits: give a smaller one"):
                call()
        for call in (lambda: store.run("\udcff"), lambda: store.runs(name="\udcff"), lambda: store.code("\udcff")):
            with pytest.raises(StoreError, match="is not Unicode, which a store keeps"):
                call()
        assert store.run(run.id).id == run.id, "the connection is as good as before"
        assert RunRow.__tablename__ == "runs"


@pytest.mark.parametrize("url", ["u:secretpw@host/db", "u:secretpw@ret/pw@host", "secretpw@host"])
def test_an_account_without_its_scheme_is_not_shown(url):
    with pytest.raises(StoreError, match="write its scheme first") as refused:
        parse_url(url)
    assert "secretpw" not in str(refused.value)
    assert "ret/pw" not in str(refused.value)
    assert refused.value.__cause__ is None
