"""What is asked of every reproduction, asked of the steering paper's."""

from __future__ import annotations

from steering_records import RECORDS, file_run

from qecforge.testing.reproductions import ReproductionContract
from qecforge_surface_steering.reproduction.spec import REPRODUCTION


class TestSteeringReproduction(ReproductionContract):
    spec = REPRODUCTION
    options = {"results": ("gradient_relation", "response", "recovery")}  # noqa: RUF012

    def fill(self, store, planned):
        for each in planned:
            file_run(store, each, RECORDS[each.experiment](each))
