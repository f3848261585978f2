"""What the tests of runs with quantizers share: listeners, and what of a run must not depend on interruptions."""

import threading

from qecforge import RunListener, Store

CLOCKS = ("codes_per_hour", "seconds_to_first_code", "steps_per_second")


class Watch(RunListener):
    """Remembers what it is told as (name, event)."""

    def __init__(self):
        self.events, self.stop = [], threading.Event()

    def on_start(self, plan, run_id, resumed):
        self.events.append((plan.name, "resumed" if resumed else "started"))

    def on_phase(self, plan, phase):
        self.events.append((plan.name, phase))

    def on_end(self, plan, outcome):
        self.events.append((plan.name, outcome.status))


class StopAt(Watch):
    """Cancels when the run of this name has reported `step`."""

    def __init__(self, name, step):
        super().__init__()
        self.name, self.step = name, step

    def on_progress(self, plan, step, total, metrics):
        if plan.name == self.name and step >= self.step:
            self.stop.set()


def record(url, *, by_identity=False):
    """By name (or identity), all of each run that is promised to be the same: no times, nor where it ran."""
    found = {}
    with Store(url) as store:
        for run in store.runs():
            names = [name for name in store.metric_names(run.id) if not name.startswith("time/")]
            series = {name: store.metrics(run.id, name) for name in names}
            found[run.identity if by_identity else run.name] = {
                "run": (run.status, run.phase, run.identity, run.manifest),
                "metrics": {name: (each.step.tolist(), each.value.tolist()) for name, each in series.items()},
                "codes": [(code.digest, code.best.step) for code in store.codes(run=run.id, order_by="gate_count")],
                "artifacts": [(each.kind, each.sha256) for each in store.artifacts(run.id)],
                "evaluations": {
                    each.name: (
                        {name: value for name, value in each.values.items() if name not in CLOCKS},
                        each.payload if each.name != "search" else each.payload["steps"],
                    )
                    for each in store.policy_evaluations(run.id)
                },
            }
    return found
