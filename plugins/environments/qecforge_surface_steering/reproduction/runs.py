"""The runs of the surface-code steering paper: which they are, and what the store says of each.

    planned = plan_runs(["drift", "response"], seeds=range(2), registry=Registry.load())
    with Store(url) as store:
        print(to_text(drift_table(collect(store, planned))))

The manifests are the examples of the package `qecforge_examples`; which result is made of which, and what `--quick`
changes, says `results.yaml` beside this module.

Source: arXiv 2511.08493.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import TRUE_COST, PlannedRun
from qecforge.errors import ConfigurationError
from qecforge.manifest import RunPlan, load_manifest
from qecforge.manifest._yaml import parse_yaml, plain
from qecforge.reproduction import check_names, finished

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Run, Series, Store

__all__ = ["Experiment", "Planned", "Result", "collect", "experiments", "manifest_names", "plan_runs"]

_FILE = Path(__file__).parent / "results.yaml"
_EXAMPLES = "qecforge_examples"
_KEPT = (TRUE_COST, "sigma", "displacement", "time/epochs_per_second")
_EVALUATIONS = ("steering/", "gradient_relation/", "decoder_priors/")
_STABILIZERS = "steering/stabilizer/"


@dataclass(frozen=True)
class Experiment:
    """A result of the paper.

    Attributes:
        manifests: Those it is made of, by name, with what `--quick` sets in each.
    """

    name: str
    title: str
    manifests: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Planned(PlannedRun):
    """One run of the reproduction."""

    plan: RunPlan
    experiment: str
    manifest: str


@dataclass(frozen=True)
class Result:
    """What the store knows of a finished run.

    Attributes:
        series: Metrics by name.
    """

    experiment: str
    manifest: str
    plan: RunPlan
    run: Run
    series: Mapping[str, Series]

    @property
    def seed(self) -> int:
        """The run's."""
        return self.plan.seed

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """The environment's configuration, every field."""
        return self.plan.environment.config.model_dump(mode="json")

    @cached_property
    def agent(self) -> Mapping[str, Any]:
        """The agent's configuration, every field."""
        return self.plan.agent.config.model_dump(mode="json")

    @cached_property
    def evaluation(self) -> Mapping[str, Any]:
        """The configuration of the evaluation `steering`, every field; empty where the run has none."""
        found = {spec.name: config for spec, config in self.plan.evaluation.others}
        return found["steering"].model_dump(mode="json") if "steering" in found else {}

    @property
    def settle(self) -> int:
        """Epochs at the beginning that totals and means over time leave out."""
        return int(self.evaluation.get("settle", 0))

    def values(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(T,) steps and (T,) values of a metric, both empty where the run has none of this name."""
        series = self.series.get(name)
        return (np.zeros(0, np.int64), np.zeros(0)) if series is None else (series.step, series.value)

    def last(self, name: str) -> float | None:
        """A metric's value at its largest step; None where the run has none of this name."""
        series = self.series.get(name)
        return None if series is None else series.last


@cache
def experiments() -> Mapping[str, Experiment]:
    """The results by name, in the paper's order."""
    content: Any = plain(parse_yaml(_FILE.read_text(encoding="utf-8")))
    return {
        name: Experiment(name, each["title"], {key: tuple(quick) for key, quick in each["manifests"].items()})
        for name, each in content.items()
    }


def manifest_names() -> list[str]:
    """The manifests of `qecforge_examples/steering`, sorted."""
    folder = files(_EXAMPLES) / "steering"
    return sorted(each.name.removesuffix(".yaml") for each in folder.iterdir() if each.name.endswith(".yaml"))


def plan_runs(
    chosen: Sequence[str],
    *,
    seeds: Sequence[int],
    registry: Registry,
    quick: bool = False,
    overrides: Sequence[str] = (),
) -> list[Planned]:
    """The runs of these results, in their order, one for each sweep point and seed.

    Args:
        chosen: Of `experiments()`.
        seeds: One run each.
        quick: The smaller variant of each.
        overrides: `path=value` texts put into every manifest; what is about an evaluation into those that have it.

    Raises:
        ConfigurationError: An unknown result, or an override about an evaluation that no manifest has.
        ManifestError, PluginError: A manifest does not fit the plugins that are installed.
    """
    check_names("result", chosen, experiments())
    planned, unused = [], dict.fromkeys(overrides)
    for experiment in (experiments()[name] for name in dict.fromkeys(chosen)):
        for name, smaller in experiment.manifests.items():
            with as_file(files(_EXAMPLES) / "steering" / f"{name}.yaml") as path:
                texts = [*(smaller if quick else ()), f"seeds={json.dumps(list(seeds))}"]
                own = [text for text in overrides if _concerns(path, text)]
                texts += own
                for text in own:
                    unused.pop(text, None)
                manifest = load_manifest(path, registry=registry, overrides=texts)
            planned += [_planned(experiment.name, name, plan) for plan in manifest.runs()]
    if unused and planned:
        raise ConfigurationError(
            f"`overrides` {next(iter(unused))}: none of these results has this evaluation", parameter="overrides"
        )
    return planned


def _planned(experiment: str, manifest: str, plan: RunPlan) -> Planned:
    labels = {"result": experiment, "manifest": manifest, "sweep": _shown(plan.sweep_point)}
    return Planned(plan=plan, labels=labels, experiment=experiment, manifest=manifest)


def collect(store: Store, planned: Iterable[Planned]) -> list[Result]:
    """What the store knows of those runs that are finished, in the order of `planned`."""
    return [
        Result(each.experiment, each.manifest, each.plan, run, _series(store, run, each.experiment))
        for each, run in finished(store, planned)
    ]


def _series(store: Store, run: Run, experiment: str) -> dict[str, Series]:
    """What tables and figures need; rates of single stabilizers are many, and shown of one result."""
    names = [
        name
        for name in store.metric_names(run.id)
        if name in _KEPT or (name.startswith(_EVALUATIONS) and _wanted(name, experiment))
    ]
    return {name: store.metrics(run.id, name) for name in names}


def _wanted(name: str, experiment: str) -> bool:
    return experiment == "drift" or not name.startswith(_STABILIZERS)


def _concerns(path: Path, override: str) -> bool:
    """Whether a manifest has the evaluation that an override is about."""
    section, _, name = override.partition("=")[0].strip().partition(".")
    if section != "evaluation" or not name:
        return True
    content: Any = plain(parse_yaml(path.read_text(encoding="utf-8")))
    return name.partition(".")[0] in content["evaluation"]


def _shown(point: Mapping[str, Any]) -> str:
    """A sweep point in words: `distance 3, frequency 0.001`."""
    words = []
    for path, value in point.items():
        if path == "environment.drift" and value:
            words += [f"{key} {value[0][key]}" for key in ("frequency", "amplitude") if key in value[0]]
        else:
            words.append(f"{path.rpartition('.')[2]} {value}")
    return ", ".join(words)
