"""Tables of rows in checkpoints: only what is new is written, and a kill at any instant leaves the last one whole."""

import copy
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_tables import COLUMNS, assert_holds, rows, table_of

from qecforge.errors import CheckpointError, StoreError
from qecforge.learning.rows import RowTable
from qecforge.runs import _segments
from qecforge.runs.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint

ROW = 27
"""Bytes of a row."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "training.ckpt"


@pytest.fixture
def small_segments(monkeypatch):
    """Files of at most 8 rows; those of fewer than 3 are merged with what follows."""
    monkeypatch.setattr(_segments, "SEGMENT_BYTES", 8 * ROW)
    monkeypatch.setattr(_segments, "MERGE_BYTES", 3 * ROW)


def save(path, table):
    save_checkpoint(path, {"count": table.appended, "table": table})


def segments(path):
    return {each.name: each.stat().st_size for each in path.parent.glob("*.rows")}


def assert_whole(path, *counts):
    """The checkpoint is one of so many rows, and nothing lies beside it that it does not name."""
    state = load_checkpoint(path)
    assert state["count"] in counts
    assert_holds(state["table"], state["count"])
    return state["table"]


def assert_tidy(path, table):
    names = {each.name for each in table.filed.segments}
    assert {each.name for each in path.parent.iterdir()} == {path.name, *names}


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 47, 400])
def test_rows_come_back_to_the_bit(path, small_segments, count):
    save(path, table_of(count))
    assert_whole(path, count)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["save", "load", "fail", "elsewhere"])), max_size=12))
def test_any_history_of_saves_leaves_the_rows_and_nothing_else(tmp_path_factory, history):
    """Loaded in between, saved elsewhere, and after a save that failed."""
    path = tmp_path_factory.mktemp("history") / "a.ckpt"
    table, saved = table_of(0), None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_segments, "SEGMENT_BYTES", 8 * ROW)
        patch.setattr(_segments, "MERGE_BYTES", 3 * ROW)
        for size, event in history:
            table.append(rows(table.appended, size))
            if event == "fail":
                with pytest.MonkeyPatch.context() as broken:
                    broken.setattr("os.replace", full)
                    with pytest.raises(StoreError):
                        save(path, table)
            else:
                save(path.with_name("b.ckpt") if event == "elsewhere" else path, table)
                saved = saved if event == "elsewhere" else table.appended
            if saved is not None:
                loaded = assert_whole(path, saved)
                if event == "load":
                    table = loaded
            beside = [each for each in path.parent.iterdir() if each.name.startswith("a.ckpt.")]
            assert sum(each.stat().st_size for each in beside) <= (20 + 8) * ROW


def full(*_):
    raise OSError(28, "No space left on device")


def test_only_new_rows_are_written(path, small_segments):
    table = table_of(4)
    save(path, table)
    before = {name: (path.parent / name).stat() for name in segments(path)}
    for count in (9, 15, 16, 17, 20):
        table.append(rows(table.appended, count - table.appended))
        save(path, table)
        assert_whole(path, count)
        for name, stat in before.items():
            now = (path.parent / name).stat()
            assert (now.st_ino, now.st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns), "an older segment was rewritten"
    ranges = [(each.first, each.count) for each in table.filed.segments]
    assert ranges == [(0, 4), (4, 5), (9, 6), (15, 5)], "small segments grow with those that follow"


def test_nothing_new_writes_no_segment(path):
    table = table_of(9)
    save(path, table)
    before = segments(path)
    save(path, table)
    assert segments(path) == before


def test_segments_go_once_the_ring_has_overwritten_their_rows(path, small_segments):
    table = table_of(0)
    for _ in range(40):
        table.append(rows(table.appended, 3))
        save(path, table)
        assert_whole(path, table.appended)
        assert_tidy(path, table)
        assert sum(segments(path).values()) <= (20 + 3) * ROW
    first = table.filed.segments[0]
    assert first.end > table.oldest


def test_a_loaded_table_goes_on_with_the_segments_that_it_came_from(path, small_segments):
    save(path, table_of(15))
    before = segments(path)
    table = load_checkpoint(path)["table"]
    table.append(rows(15, 3))
    save(path, table)
    assert_whole(path, 18)
    assert before.items() < segments(path).items()


def test_two_tables_from_one_checkpoint_do_not_take_each_others_rows(path, small_segments):
    """Rows of one number may differ: what one has filed is not the other's."""
    save(path, table_of(10))
    first, second = load_checkpoint(path)["table"], load_checkpoint(path)["table"]
    third = copy.deepcopy(first)
    first.append(rows(500, 6))
    save(path, first)
    for other in (second, third):
        other.append(rows(10, 7))
        save(path, other)
        assert_whole(path, 17)
        assert_tidy(path, other)


def test_a_segment_that_was_lost_is_written_again(path, small_segments):
    table = table_of(12)
    save(path, table)
    name = table.filed.segments[0].name
    (path.parent / name).unlink()
    table.append(rows(12, 2))
    save(path, table)
    assert_whole(path, 14)
    (path.parent / table.filed.segments[0].name).write_bytes(b"short")
    save(path, table)
    assert_whole(path, 14)


def test_a_state_may_hold_several_tables_and_one_twice(path):
    one, other = table_of(5), table_of(23)
    save_checkpoint(path, {"a": [one, other], "b": one})
    state = load_checkpoint(path)
    assert_holds(state["b"], 5)
    assert_holds(state["a"][1], 23)
    assert state["b"] is state["a"][0]
    assert len(segments(path)) == 2


def test_removing_a_checkpoint_removes_its_segments(path):
    save(path, table_of(5))
    (path.parent / "other").touch()
    remove_checkpoint(path)
    assert [each.name for each in path.parent.iterdir()] == ["other"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda file: file.unlink(), r"rows of the checkpoint training\.ckpt are missing"),
        (
            lambda file: file.write_bytes(file.read_bytes()[:-1]),
            rf"damaged rows .* \({8 * ROW - 1} bytes, expected 216\)",
        ),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), r"damaged rows .* \(217 bytes, expected 216\)"),
        (lambda file: file.write_bytes(b"\1" + file.read_bytes()[1:]), r"damaged rows .* \(checksum differs\)"),
        (lambda file: (file.unlink(), file.mkdir()), r"cannot be read \(no regular file\)"),
    ],
)
@pytest.mark.parametrize("count", [16, 33], ids=["whole segments", "a segment partly overwritten"])
def test_damage_to_a_segment_is_named_in_one_line(path, small_segments, count, damage, why):
    table = table_of(13)
    save(path, table)
    table.append(rows(13, count - 13))
    save(path, table)
    segment = next(each for each in table.filed.segments if each.count == 8)
    damage(path.parent / segment.name)
    with pytest.raises(
        CheckpointError, match=rf"{re.escape(segment.name)}: {why}.*or start the run anew with `force`$"
    ) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_full_disk_while_a_segment_is_appended_leaves_the_earlier_checkpoint(path, small_segments, monkeypatch):
    table = table_of(13)
    save(path, table)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    write, room = os.write, 100

    def write_while_there_is_room(descriptor, content):
        nonlocal room
        if not room:
            full()
        content = content[:room]
        room -= len(content)
        return write(descriptor, content)

    monkeypatch.setattr("os.write", write_while_there_is_room)
    table.append(rows(13, 30))
    message = r"training\.ckpt: cannot be written \(No space left on device\): free space, or put the store elsewhere "
    message += r"\(`store_url`\)$"
    with pytest.raises(StoreError, match=message):
        save(path, table)
    monkeypatch.undo()
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    assert_whole(path, 13)
    save(path, table)
    assert_whole(path, 43)
    assert_tidy(path, table)


class Killed(BaseException):
    """Not to be caught by what cleans up after errors."""


FAULTS = ("open", "write", "fsync", "replace", "unlink", "mkdir", "listdir", "scandir", "stat")


class Faults:
    """From its n-th call of the system on, everything fails: as after a kill, or on a disk that is gone."""

    def __init__(self, patch, n, error, *, once=False):
        self.calls, self.n, self.error, self.once = 0, n, error, once
        for name in FAULTS:
            patch.setattr(os, name, self.failing(name, getattr(os, name)))

    def failing(self, name, function):
        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == self.n or (self.calls > self.n and not self.once):
                if name == "write" and self.calls == self.n:
                    function(args[0], args[1][: len(args[1]) // 2])
                raise self.error
            return function(*args, **kwargs)

        return call


@pytest.mark.parametrize("appended", [1, 60])
@pytest.mark.parametrize("first", [0, 33], ids=lambda count: f"after {count}")
def test_a_kill_at_any_call_of_the_system_leaves_a_whole_checkpoint(tmp_path, small_segments, first, appended):
    """Killed before each call that a save makes, writes half done, and started again from what is on disk."""
    for n in range(1, 200):
        path = tmp_path / str(n) / "run.ckpt"
        table = table_of(first)
        save(path, table)
        table.append(rows(first, appended))
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, n, Killed())
            with suppress(Killed):
                save(path, table)
        restored = assert_whole(path, first, first + appended)
        restored.append(rows(restored.appended, 4))
        save(path, restored)
        assert_whole(path, restored.appended)
        assert_tidy(path, restored)
        if faults.calls < n:
            assert n > 8
            return
    raise AssertionError("a save makes more calls than were tried")


@pytest.mark.parametrize("once", [True, False], ids=["a call fails", "all calls fail from one on"])
@pytest.mark.parametrize("first", [0, 13, 33], ids=lambda count: f"after {count}")
def test_an_error_at_any_call_of_the_system_leaves_a_whole_checkpoint(tmp_path, small_segments, first, once):
    """The same table is saved again later, when there is room."""
    for n in range(1, 200):
        path = tmp_path / str(n) / "run.ckpt"
        table = table_of(first)
        save(path, table)
        table.append(rows(first, 9))
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, n, OSError(28, "No space left on device"), once=once)
            with suppress(StoreError):
                save(path, table)
        assert_whole(path, first, first + 9)
        table.append(rows(first + 9, 4))
        save(path, table)
        assert_whole(path, first + 13)
        assert_tidy(path, table)
        if faults.calls < n:
            assert n > 8
            return
    raise AssertionError("a save makes more calls than were tried")


def test_nothing_is_named_before_it_is_on_the_disk(path, small_segments, monkeypatch):
    """What a loss of power leaves: files and their names are synced before the checkpoint that names them is there."""
    opened, events = {}, []

    def watched(name, note):
        function = getattr(os, name)

        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            events.append(note(result, *args))
            return result

        monkeypatch.setattr(os, name, call)

    def name_of(descriptor):
        return re.sub(r"[0-9a-f]{16}|[0-9]+", "N", opened[descriptor])

    def note_open(descriptor, file, *_):
        opened[descriptor] = Path(file).name

    watched("open", note_open)
    watched("write", lambda _, descriptor, *__: f"write {name_of(descriptor)}")
    watched("fsync", lambda _, descriptor: f"sync {name_of(descriptor)}")
    watched("replace", lambda *_: "replace")
    watched("unlink", lambda *_: "unlink")
    table = table_of(2)
    save(path, table)
    table.append(rows(2, 2))
    events.clear()
    save(path, table)
    steps = [each for n, each in enumerate(events) if each is not None and each != events[n - 1]]
    segment, main, folder = "training.ckpt.N.rows", "training.ckpt.N.tmp", "run"
    expected = [f"write {segment}", f"sync {segment}", f"write {main}", f"sync {main}", f"sync {folder}", "replace"]
    assert steps == [*expected, f"sync {folder}", "unlink"]


def test_a_kill_while_a_checkpoint_is_removed_leaves_a_whole_one_or_none(tmp_path):
    for n in range(1, 50):
        path = tmp_path / str(n) / "run.ckpt"
        save(path, table_of(7))
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, n, Killed())
            with suppress(Killed):
                remove_checkpoint(path)
        if path.exists():
            assert_whole(path, 7)
        remove_checkpoint(path)
        assert list(path.parent.iterdir()) == []
        if faults.calls < n:
            return
    raise AssertionError("a removal makes more calls than were tried")


def test_columns_of_every_kind_come_back(path):
    columns = {kind: (kind, (2,)) for kind in ("?", "i1", "<u2", ">i4", "u8", "f2", "f4", ">f8", "c8", "c16")}
    table = RowTable(columns, 5)
    rng = np.random.default_rng(0)
    given = {name: rng.integers(0, 2, (7, 2)).astype(dtype[0]) for name, dtype in columns.items()}
    table.append(given)
    save_checkpoint(path, {"table": table})
    loaded = load_checkpoint(path)["table"]
    assert loaded.columns == table.columns
    loaded.check(columns, 5)
    for name, array in given.items():
        np.testing.assert_array_equal(loaded.column(name)[np.arange(2, 7) % 5], array[2:], strict=True)


def test_the_table_that_is_expected_is_another(path):
    save(path, table_of(3))
    with pytest.raises(CheckpointError, match="capacity 20, expected 30"):
        load_checkpoint(path)["table"].check(COLUMNS, 30)
