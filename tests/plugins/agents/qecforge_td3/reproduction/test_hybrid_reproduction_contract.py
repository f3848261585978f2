"""What is asked of every reproduction, asked of the hybrid paper's."""

from __future__ import annotations

from hybrid_records import file_training

from qecforge.testing.reproductions import ReproductionContract
from qecforge_td3.reproduction.spec import REPRODUCTION


class TestHybridReproduction(ReproductionContract):
    spec = REPRODUCTION
    options = {"experiments": ("pendulum",)}  # noqa: RUF012

    def fill(self, store, planned):
        for each in planned:
            file_training(store, each)
