"""What a worker has of the driver: its store, locks and checkpoints; letters as Ray carries them, without Ray."""

import pickle

import numpy as np
import pytest
from row_tables import assert_holds, table_of

from qecforge import RunListener, Store
from qecforge.errors import CheckpointError, ConfigurationError, Interrupted, StoreError
from qecforge.executors._ray import workspace as workspace_module
from qecforge.executors._ray.channel import Question
from qecforge.executors._ray.desk import Attempt, Desk
from qecforge.executors._ray.mailbox import Letter
from qecforge.executors._ray.workspace import RemoteStore, RemoteWorkspace
from qecforge.runs.lock import RunLocks
from qecforge.runs.workspace import Workspace
from qecforge.testing.examples import example_run
from qecforge.testing.store import StoreContract


class DirectChannel:
    """Letters that reach the desk at once; pickled, as on the way through the mailbox."""

    def __init__(self, desk, token="token"):
        self.desk, self.token, self.given_up = desk, token, False
        self.attempt = Attempt(0, token, None)
        desk.listen_to(self.attempt)

    def ask(self, method, *arguments, **named):
        letter = Letter(self.token, 7, pickle.dumps(Question(method, arguments, named)))
        ((number, content),) = self.desk.read([pickle.loads(pickle.dumps(letter))])
        answer = pickle.loads(content)
        assert number == 7
        if answer.kind == "given_up":
            self.given_up = True
            raise Interrupted("given up")
        if answer.kind == "error":
            raise answer.content
        return answer.content


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "results.db") as store:
        yield store


@pytest.fixture
def desk(store):
    with RunLocks(store) as locks:
        yield Desk([], Workspace(store, locks), RunListener())


def workspace_of(channel, folder):
    folder.mkdir()
    return RemoteWorkspace(channel, folder, chunk_pool=None)


class TestRemoteStore(StoreContract):
    """A worker's store does all that a store does but for what needs the database itself."""

    @pytest.fixture
    def store_url(self, tmp_path):
        return f"sqlite:///{tmp_path}/results.db"

    @pytest.fixture
    def open_store(self, store_url, tmp_path):
        def opened():
            store = Store(store_url, artifacts=tmp_path / "files")
            return RemoteStore(
                DirectChannel(Desk([], Workspace(store, RunLocks(store)), RunListener())), store.directory
            )

        return opened

    test_a_store_is_pickled_by_its_address = None
    test_a_closed_store_refuses_use = None


def test_what_is_not_public_is_not_for_workers(desk):
    with pytest.raises(ConfigurationError, match="expected a public method"):
        DirectChannel(desk).ask("store", "__init__", "sqlite://")


def test_a_worker_that_was_given_up_is_refused_and_its_locks_are_free(desk, store, tmp_path):
    run = example_run(store)
    lost = DirectChannel(desk)
    assert lost.ask("take_lock", run.id) is None
    desk.give_up(lost.attempt)
    assert store.run_locks() == []
    again = DirectChannel(desk, "again")
    assert again.ask("take_lock", run.id) is None
    with pytest.raises(Interrupted):
        RemoteStore(lost, tmp_path).mark_run(run.id, "failed")
    assert store.run(run.id).status == "pending"
    with pytest.raises(Interrupted):
        lost.ask("release_lock", run.id)
    assert [lock.run_id for lock in store.run_locks()] == [run.id]


def test_a_checkpoint_goes_on_elsewhere_with_its_rows(desk, store, tmp_path, monkeypatch):
    """Saved on one node, loaded on another whose disk is empty; of rows only the new ones are sent."""
    monkeypatch.setattr(workspace_module, "PIECE_BYTES", 1000)
    run = example_run(store)
    first = DirectChannel(desk)
    first.ask("take_lock", run.id)
    checkpoint = workspace_of(first, tmp_path / "one").checkpoint(run.id)
    assert checkpoint.load() is None
    table = table_of(500, capacity=600)
    weights = np.arange(700.0)
    checkpoint.save({"step": 1, "weights": weights, "rows": table})
    desk.give_up(first.attempt)

    second = DirectChannel(desk, "again")
    second.ask("take_lock", run.id)
    checkpoint = workspace_of(second, tmp_path / "two").checkpoint(run.id)
    state = checkpoint.load()
    np.testing.assert_array_equal(state["weights"], weights)
    assert_holds(state["rows"], 500, capacity=600)
    checkpoint.save({"step": 2, "weights": weights, "rows": state["rows"]})
    theirs = Workspace(store, None).checkpoint(run.id)
    assert theirs.load()["step"] == 2
    assert sorted(file.name for file in theirs.path.parent.iterdir()) == sorted(
        file.name for file in checkpoint.path.parent.iterdir()
    )
    checkpoint.remove()
    assert not theirs.path.parent.exists()
    assert checkpoint.load() is None


def test_a_save_that_is_cut_short_leaves_the_earlier_checkpoint(desk, store, tmp_path):
    run = example_run(store)
    channel = DirectChannel(desk)
    channel.ask("take_lock", run.id)
    checkpoint = workspace_of(channel, tmp_path / "one").checkpoint(run.id)
    checkpoint.save({"step": 1})
    channel.ask("write_checkpoint", run.id, "training.ckpt", 0, b"half")
    theirs = Workspace(store, None).checkpoint(run.id)
    assert theirs.load()["step"] == 1
    checkpoint.save({"step": 2})
    assert theirs.load()["step"] == 2
    assert [file.name for file in theirs.path.parent.iterdir()] == ["training.ckpt"]


def test_a_damaged_checkpoint_is_named_where_it_lies(desk, store, tmp_path):
    run = example_run(store)
    channel = DirectChannel(desk)
    channel.ask("take_lock", run.id)
    theirs = Workspace(store, None).checkpoint(run.id)
    theirs.path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError) as error:
        workspace_of(channel, tmp_path / "one").checkpoint(run.id).load()
    assert str(error.value).startswith(f"{theirs.path}: not a qecforge checkpoint")


@pytest.mark.parametrize("name", ["../../results.db", "/etc/passwd", "training.ckpt.x.rows", "other"])
def test_workers_reach_no_other_file(desk, store, name):
    run = example_run(store)
    channel = DirectChannel(desk)
    channel.ask("take_lock", run.id)
    for question in (("read_checkpoint", run.id, name, 0, 10), ("write_checkpoint", run.id, name, 0, b"x")):
        with pytest.raises(ConfigurationError, match="expected the checkpoint's own"):
            channel.ask(*question)


def test_checkpoints_are_for_the_one_that_holds_the_lock(desk, store):
    run = example_run(store)
    with pytest.raises(ConfigurationError, match="does not hold its lock"):
        DirectChannel(desk).ask("checkpoint_files", run.id)
    with pytest.raises(StoreError):
        DirectChannel(desk).ask("take_lock", "f" * 12)
