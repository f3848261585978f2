"""The contract on the databases that are supported."""

import threading
import time

import pytest
from sqlalchemy import insert, select

from qecforge.store.models import CodeRow, DiscoveryRow
from qecforge.testing.store import StoreContract, discovered, distance, example_code, example_run


class TestSQLiteFile(StoreContract):
    @pytest.fixture
    def store_url(self, tmp_path):
        return f"sqlite:///{tmp_path}/results.db"


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def store_url(self, postgresql_url):
        return postgresql_url

    def test_a_code_stays_that_another_run_is_filing_while_its_finder_is_deleted(self, store):
        goer, keeper = example_run(store, "a"), example_run(store, "b")
        record = store.add_discovery(goer.id, discovered(example_code()), distance(3), wall_time=0.0, proof={})
        deletion = threading.Thread(target=store.delete_run, args=(goer.id,))
        with store._database.writing() as connection:
            connection.execute(select(CodeRow.id).where(CodeRow.id == record.id).with_for_update())
            found = connection.execute(select(DiscoveryRow.__table__)).one()._asdict()
            connection.execute(insert(DiscoveryRow), {**found, "run_id": keeper.id})
            deletion.start()
            time.sleep(0.5)  # by now it waits for this transaction
            assert deletion.is_alive()
        deletion.join()
        assert [kept.run_ids for kept in store.codes()] == [(keeper.id,)]
