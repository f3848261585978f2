"""What is asked of every reproduction, asked of APQ's."""

from __future__ import annotations

from apq_records import file_run

from qecforge.testing.reproductions import ReproductionContract
from qecforge_apq.reproduction.spec import REPRODUCTION


class TestApqReproduction(ReproductionContract):
    spec = REPRODUCTION
    options = {"methods": ("fp32", "ptq", "apq", "apq_no_safe")}  # noqa: RUF012
    unrecorded = ("codes", "ler_1e3", "ler_1e4", "ler_of", "seconds", "latency", "rollouts", "rollouts_ratio")

    def fill(self, store, planned):
        for each in planned:
            file_run(store, each)
