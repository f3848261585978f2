"""Cases of the store contract: locks of runs."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from qecforge.errors import StoreError
from qecforge.machine.processes import this_process
from qecforge.store import Store
from qecforge.testing.examples import example_run

__all__ = ["LockCases"]

_TAKERS = 8


class LockCases:
    """A lock has one holder; whoever finds it gone can take it from that holder alone."""

    def test_a_lock_is_taken_once_and_given_back_by_its_holder(self, store: Store) -> None:
        run, me = example_run(store), this_process()
        lock = store.take_run_lock(run.id[:5], "first", me)
        assert (lock.run_id, lock.token, lock.process, lock.beats) == (run.id, "first", me, 0)
        assert store.take_run_lock(run.id, "second", replace(me, pid=1)) == lock
        store.release_run_lock(run.id, "second")
        assert store.run_locks() == [lock]
        store.release_run_lock(run.id, "first")
        assert store.run_locks() == []
        assert store.take_run_lock(run.id, "second", me).token == "second"  # noqa: S105
        with pytest.raises(StoreError, match="there is none of this id"):
            store.take_run_lock("f" * 12, "first", me)

    def test_beats_are_the_holders_and_name_what_it_holds(self, store: Store) -> None:
        runs = [example_run(store, digit).id for digit in "abc"]
        for run_id, token in zip(runs, ("mine", "mine", "another"), strict=True):
            store.take_run_lock(run_id, token, this_process())
        assert store.beat_run_locks("mine") == store.beat_run_locks("mine") == set(runs[:2])
        assert {lock.run_id: lock.beats for lock in store.run_locks()} == dict(zip(runs, (2, 2, 0), strict=True))
        assert store.beat_run_locks("nobody") == set()

    def test_a_lock_is_taken_over_as_it_was_seen_or_not_at_all(self, store: Store) -> None:
        run, me = example_run(store), this_process()
        seen = store.take_run_lock(run.id, "gone", me)
        store.beat_run_locks("gone")
        (beaten,) = store.run_locks()
        assert store.take_run_lock(run.id, "next", me, instead_of=seen) == beaten
        assert store.take_run_lock(run.id, "next", me, instead_of=beaten).token == "next"  # noqa: S105
        assert store.take_run_lock(run.id, "late", me, instead_of=beaten).token == "next"  # noqa: S105
        assert store.beat_run_locks("gone") == set()

    def test_of_many_that_come_at_once_one_gets_the_lock(self, store: Store) -> None:
        run, me, tokens = example_run(store), this_process(), []
        gone = store.take_run_lock(run.id, "gone", me)
        barrier = threading.Barrier(_TAKERS)

        def take(number: int) -> None:
            barrier.wait()
            tokens.append(store.take_run_lock(run.id, f"taker{number}", me, instead_of=gone).token)

        threads = [threading.Thread(target=take, args=(number,)) for number in range(_TAKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (lock,) = store.run_locks()
        assert tokens == [lock.token] * _TAKERS
        assert lock.token.startswith("taker")

    def test_a_deleted_run_has_no_lock(self, store: Store) -> None:
        run = example_run(store)
        store.take_run_lock(run.id, "token", this_process())
        store.delete_run(run.id)
        assert store.run_locks() == []
