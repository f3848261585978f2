"""The runs of the hybrid paper's reproduction: which they are, and what the store says of each.

Manifests and experiments are files beside this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qecforge.contracts import PlannedRun
from qecforge.manifest import RunPlan, load_manifest
from qecforge.manifest._yaml import parse_yaml, plain
from qecforge.reproduction import check_names, finished

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Run, Series, Store

__all__ = [
    "TEST_RETURN",
    "Experiment",
    "Planned",
    "Result",
    "Training",
    "UnderWay",
    "arms",
    "collect",
    "collect_under_way",
    "experiments",
    "plan_runs",
    "steps_of",
]

TEST_RETURN = "test_return"
"""The agent's metric: mean return of the episodes of a test while training."""

BACKEND_EPISODES = 5
"""On each backend of an experiment that names some: on a device's imitation every action is a circuit of its own."""

_BACKENDS = "quantum_backends/"
_FILES = Path(__file__).parent


@dataclass(frozen=True)
class Experiment:
    """Arms that are compared on one task.

    Attributes:
        manifest: Of the file beside this module.
        arms: Names of `arms()`.
        seeds: At most so many are run.
        goal: The return that counts as reached.
        quick: What the smaller variant sets in the agent.
        backends: As the evaluation `quantum_backends` takes them: where trained circuits are played.
    """

    name: str
    title: str
    manifest: str
    arms: tuple[str, ...]
    seeds: int
    goal: float
    quick: Mapping[str, Any]
    backends: Sequence[Any] = ()


@dataclass(frozen=True, kw_only=True)
class Planned(PlannedRun):
    """One training, for the experiments that it belongs to."""

    plan: RunPlan
    experiments: tuple[str, ...]
    arm: str


@dataclass(frozen=True)
class Training:
    """What the store knows of a training.

    Attributes:
        tests: Of the tests while training, by environment steps.
    """

    experiments: tuple[str, ...]
    arm: str
    seed: int
    plan: RunPlan
    run: Run
    tests: Series

    @property
    def total_steps(self) -> int:
        """Environment steps of the training, once it is finished."""
        return int(self.plan.agent.config.model_dump()["total_steps"])


class UnderWay(Training):
    """A training that has begun and is not finished; it has been tested once at least."""


@dataclass(frozen=True)
class Result(Training):
    """A finished training.

    Attributes:
        test_return: Mean return of the episodes after training; None where they were not played.
        backends: The same on each quantum backend, by its label.
    """

    test_return: float | None
    backends: Mapping[str, float]

    def steps_to(self, goal: float) -> int | None:
        """Environment steps until a test's mean return was at least `goal`; None where none was."""
        reached = np.flatnonzero(self.tests.value >= goal)
        return int(self.tests.step[reached[0]]) if len(reached) else None


@cache
def _content() -> Any:
    return plain(parse_yaml((_FILES / "experiments.yaml").read_text(encoding="utf-8")))


@cache
def arms() -> Mapping[str, Mapping[str, Any]]:
    """Settings of the agent, by name."""
    return dict(_content()["arms"])


@cache
def experiments() -> Mapping[str, Experiment]:
    """By name, in the order of the file."""
    return {
        name: Experiment(name, **{**each, "arms": tuple(each["arms"]), "goal": float(each["goal"])})
        for name, each in _content()["experiments"].items()
    }


def plan_runs(
    chosen: Sequence[str],
    chosen_arms: Sequence[str] | None,
    *,
    seeds: Sequence[int],
    quick: bool,
    registry: Registry,
    overrides: Sequence[str] = (),
) -> list[Planned]:
    """One training for each seed, experiment and arm, in this order, so that arms have the same seeds but for the last
    one whenever it stops. What two experiments share is planned once.

    Args:
        chosen: Names of `experiments()`.
        chosen_arms: Of `arms()`; None for all that an experiment has.
        seeds: The first of them, as many as an experiment takes.
        quick: Whether to take the smaller variant.
        overrides: `path=value` texts put into every manifest.

    Raises:
        ConfigurationError: an unknown experiment or arm.
        ManifestError, PluginError: a manifest does not fit the plugins that are installed.
    """
    check_names("experiment", chosen, experiments())
    check_names("arm", chosen_arms or (), arms())
    plans: dict[str, RunPlan] = {}
    members: dict[str, list[str]] = {}
    of_arm: dict[str, str] = {}
    for experiment in (experiments()[name] for name in dict.fromkeys(chosen)):
        for arm in experiment.arms:
            if chosen_arms is None or arm in chosen_arms:
                taken = seeds[: experiment.seeds]
                for plan in _plans(experiment, arm, taken, quick=quick, registry=registry, overrides=overrides):
                    plans.setdefault(plan.identity, plan)
                    members.setdefault(plan.identity, []).append(experiment.name)
                    of_arm.setdefault(plan.identity, arm)
    return [
        Planned(
            plan=plan,
            labels={"experiments": ", ".join(members[identity]), "arm": of_arm[identity]},
            experiments=tuple(members[identity]),
            arm=of_arm[identity],
        )
        for identity, plan in sorted(plans.items(), key=lambda item: item[1].seed)
    ]


def _plans(
    experiment: Experiment,
    arm: str,
    seeds: Sequence[int],
    *,
    quick: bool,
    registry: Registry,
    overrides: Sequence[str],
) -> Sequence[RunPlan]:
    settings = {**arms()[arm], **(experiment.quick if quick else {})}
    texts = [
        f"name={experiment.manifest}_{arm}",
        *(f"agent.{name}={json.dumps(value)}" for name, value in settings.items()),
        *(["evaluation.returns.episodes=10"] if quick else []),
        *_backends(experiment, settings, quick=quick),
        f"seeds={json.dumps(list(seeds))}",
        *overrides,
    ]
    return load_manifest(_FILES / f"{experiment.manifest}.yaml", registry=registry, overrides=texts).runs()


def _backends(experiment: Experiment, settings: Mapping[str, Any], *, quick: bool) -> list[str]:
    """Overrides by which an arm with a circuit is played on the experiment's backends."""
    if not experiment.backends or settings["block"] != "pqc":
        return []
    given = {"backends": experiment.backends, "episodes": 1 if quick else BACKEND_EPISODES}
    return [f"evaluation.quantum_backends={json.dumps(given)}"]


def steps_of(experiment: Experiment, arm: str) -> int:
    """Environment steps of an arm's trainings, where nothing is overridden."""
    manifest: Any = plain(parse_yaml((_FILES / f"{experiment.manifest}.yaml").read_text(encoding="utf-8")))
    return int(arms()[arm].get("total_steps", manifest["agent"]["total_steps"]))


def collect(store: Store, planned: Iterable[Planned]) -> list[Result]:
    """What the store knows of those trainings that are finished, in the order of `planned`."""
    found = []
    for each, run in finished(store, planned):
        returns = {other.name: other.values.get("return_mean") for other in store.policy_evaluations(run.id)}
        backends = {
            name.removeprefix(_BACKENDS): value
            for name, value in returns.items()
            if name.startswith(_BACKENDS) and value is not None
        }
        found.append(Result(**_known(store, each, run), test_return=returns.get("returns"), backends=backends))
    return found


def collect_under_way(store: Store, planned: Iterable[Planned]) -> list[UnderWay]:
    """What the store knows of those that are not, and have been tested, in the order of `planned`."""
    runs = {run.identity: run for run in store.runs() if run.status != "finished"}
    begun = [(each, runs[each.plan.identity]) for each in planned if each.plan.identity in runs]
    found = [UnderWay(**_known(store, each, run)) for each, run in begun]
    return [each for each in found if len(each.tests)]


def _known(store: Store, planned: Planned, run: Run) -> dict[str, Any]:
    return {
        "experiments": planned.experiments,
        "arm": planned.arm,
        "seed": run.seed,
        "plan": planned.plan,
        "run": run,
        "tests": store.metrics(run.id, TEST_RETURN),
    }
