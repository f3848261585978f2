"""The trainings of a tiny model on Qiskit: which they are, and what the store says of each.

Their manifest is a file beside this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.contracts import PlannedRun
from qecforge.manifest import RunPlan, load_manifest
from qecforge.manifest._yaml import parse_yaml, plain
from qecforge.reproduction import check_names, finished

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import Run, Series, Store

__all__ = ["ARMS", "Look", "Planned", "Result", "collect", "plan_runs"]

ARMS = ("grpo", "supervised")
"""GRPO after the warm start; as many demonstrations more as GRPO draws completions."""

_FILES = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Planned(PlannedRun):
    """One training."""

    plan: RunPlan
    arm: str


@dataclass(frozen=True)
class Look:
    """Mean scores of held-out tasks, one completion each.

    Attributes:
        step: Completions drawn for learning until then.
        seconds: From the run's beginning.
        removed: Share of the drawn completions that failed because of a call that Qiskit no longer has.
    """

    step: int
    seconds: float
    drawn: float
    greedy: float
    removed: float


@dataclass(frozen=True)
class Result:
    """What the store knows of a finished training.

    Attributes:
        warm: After the warm start.
        looks: While GRPO went on; the last one after it.
        shown: Demonstrations of the warm start.
        samples: Tasks of each look.
    """

    arm: str
    seed: int
    run: Run
    warm: Look
    looks: Sequence[Look]
    shown: int
    samples: int


def plan_runs(
    chosen: Sequence[str],
    *,
    seeds: Sequence[int],
    quick: bool,
    registry: Registry,
    transcripts: str = "qiskit_transcripts.db",
    overrides: Sequence[str] = (),
) -> list[Planned]:
    """One training for each seed and arm, in this order.

    Args:
        chosen: Of `ARMS`.
        quick: Whether to draw half the completions.
        transcripts: File of executed programs.
        overrides: `path=value` texts put into every manifest.

    Raises:
        ConfigurationError: an unknown arm.
        ManifestError, PluginError: the manifest does not fit the plugins that are installed.
    """
    check_names("arm", chosen, ARMS)
    planned = []
    for arm in dict.fromkeys(chosen):
        texts = [
            *_settings(arm, quick=quick),
            f"reward.transcripts={json.dumps(transcripts)}",
            f"seeds={json.dumps(list(seeds))}",
        ]
        given = [*texts, *overrides]
        manifest = load_manifest(_FILES / "tiny.yaml", registry=registry, overrides=given, allow=[transcripts])
        planned += [Planned(plan=plan, labels={"arm": arm}, arm=arm) for plan in manifest.runs()]
    return sorted(planned, key=lambda each: each.plan.seed)


def _settings(arm: str, *, quick: bool) -> list[str]:
    content: Any = plain(parse_yaml((_FILES / "tiny.yaml").read_text(encoding="utf-8")))
    agent = content["agent"]
    shown, drawn = agent["warm_start"]["completions"], agent["total_steps"]
    if quick:
        drawn //= 2
    if arm == "supervised":
        shown, drawn = shown + drawn, agent["groups"] * agent["group_size"]
    return [f"name=tiny_{arm}", f"agent.warm_start.completions={shown}", f"agent.total_steps={drawn}"]


def collect(store: Store, planned: Iterable[Planned]) -> list[Result]:
    """What the store knows of those trainings that are finished, in the order of `planned`."""
    return [_result(store, each, run) for each, run in finished(store, planned)]


def _result(store: Store, planned: Planned, run: Run) -> Result:
    agent = planned.plan.agent.config.model_dump()
    (warm,) = _looks(store, run, "warm_start")
    return Result(
        arm=planned.arm,
        seed=run.seed,
        run=run,
        warm=warm,
        looks=_looks(store, run, "held_out"),
        shown=agent["warm_start"]["completions"],
        samples=agent["held_out"]["samples"],
    )


def _looks(store: Store, run: Run, name: str) -> list[Look]:
    def series(way: str) -> Series:
        return store.metrics(run.id, f"{name}/{way}")

    drawn, greedy, removed = series("drawn"), series("greedy"), series("drawn_removed_api")
    rows = zip(drawn.step, drawn.wall_time, drawn.value, greedy.value, removed.value, strict=True)
    # That of the warm start is filed with the first update, before which it was taken.
    return [
        Look(0 if name == "warm_start" else int(step), float(seconds), float(one), float(other), float(share))
        for step, seconds, one, other, share in rows
    ]
