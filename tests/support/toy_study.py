"""A reproduction for tests of the core: walks of `toy_plugin` on rings of two sizes, the larger after the smaller."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qecforge.contracts import Claim, PlannedRun, PluginConfig, Report
from qecforge.hookspecs import ReproductionSpec, hookimpl
from qecforge.manifest import load_manifest
from qecforge.reporting.figures import new_axes
from qecforge.reporting.spread import Spread, row_of, spread
from qecforge.reporting.tables import Column, Table, number
from qecforge.reproduction import above, check_names, finished

MANIFEST = """\
qecforge: 1
name: walk
environment: {plugin: walk, size: 9}
agent: {plugin: walker}
seeds: [0]
"""
SIZES = ("5", "9")


class StudyOptions(PluginConfig):
    sizes: tuple[str, ...] | None = Field(None, description="Of 5,9; both.")
    steps: int = Field(40, ge=4, description="Steps of each walk.")
    way: Literal["both", "right"] = Field("both", description="Where it may go.")
    careful: bool = Field(True, description="Whether the larger waits for the smaller.")


class Walk(PlannedRun):
    @property
    def size(self):
        return int(self.labels["size"])


def plan(order, registry):
    sizes = order.options.sizes or (SIZES[:1] if order.quick else SIZES)
    check_names("size", sizes, SIZES)
    steps = [f"agent.total_steps={order.options.steps}", *order.overrides]
    planned = []
    for seed in order.seeds:
        before = ()
        for size in sizes:
            texts = [f"environment.size={size}", f"seeds=[{seed}]", f"name=walk_{size}", *steps]
            (run,) = load_manifest(MANIFEST, registry=registry, overrides=texts).runs()
            planned.append(Walk(plan=run, labels={"size": size}, after=before))
            before = (run.identity,) if order.options.careful else ()
    return planned


def report(store, planned):
    rewards = {}
    for each, run in finished(store, planned):
        rewards.setdefault(each.size, []).append(store.metrics(run.id, "reward").last)
    spreads = {size: Spread.student(values) for size, values in rewards.items()}
    return Report(
        claims=[
            Claim(part=f"ring of {size}", text="the mean position is right of 0", ours=ours, criterion=above(0))
            for size, ours in spreads.items()
        ],
        tables={
            "rewards": Table(
                (Column("size"), Column("reward", show=spread(number))),
                [{"size": size, "reward": row_of(ours)} for size, ours in spreads.items()],
                "Rewards",
            ),
            "none": Table((Column("nothing"),), [], "Nothing"),
        },
        figures=lambda: {"rewards": figure(spreads)} if spreads else {},
    )


def figure(spreads):
    drawn, axes = new_axes("Rewards", "size", "reward")
    axes.plot(list(spreads), [each.mean for each in spreads.values()])
    return drawn


def measure(store, planned, registry):
    for _, run in finished(store, planned):
        if not store.policy_evaluations(run.id):
            store.add_policy_evaluation(run.id, "weight", {"kilograms": 1.0})


def study(**changes):
    return ReproductionSpec(
        **{
            "name": "study",
            "summary": "Walks on rings of two sizes",
            "source": "A book about walks",
            "quick": "The small ring alone: a second",
            "needs": ("environment.walk", "agent.walker"),
            "options": StudyOptions,
            "plan": plan,
            "report": report,
            "measure": measure,
            "seeds": 3,
            "quick_seeds": 2,
            "recorded": ("reward",),
            **changes,
        }
    )


@hookimpl
def qecforge_reproductions():
    return [study()]
