"""The searches for encoders with few gates: which they are, and what the store says of each.

Families and manifests are files beside this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.contracts import PlannedRun
from qecforge.manifest import RunPlan, load_manifest
from qecforge.manifest._yaml import parse_yaml, plain
from qecforge.reproduction import check_names, finished

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import CodeRecord, Discovery, Run, Store

__all__ = ["AGENTS", "QUICK", "Family", "Planned", "Result", "collect", "families", "plan_runs"]

AGENTS = ("annealing", "ppo")
"""How circuits are sought; `AGENT.yaml` beside this module."""

QUICK = ("5_1_3", "7_1_3", "8_3_3", "9_2_3", "10_1_4", "10_4_3", "11_1_4", "12_2_4", "12_5_3", "15_2_5")
"""Families of the smaller variant."""

_FILES = Path(__file__).parent
_TRIES = {3: 36_000_000, 4: 20_000_000, 5: 8_000_000}
_CHAINS = {3: 128, 4: 128}
"""By distance; scoring a code takes longer the larger it is, and many at once are worth it where that is short."""
_COOLING = 250_000


@dataclass(frozen=True)
class Family:
    """Codes [[n, k, d]] that are sought under the same rules.

    Attributes:
        name: Such as `7_1_3`, with what is special about its rules behind it.
        released: Whether Olle et al. released codes of it.
        gates, two_qubit: Fewest gates of an encoder there, and of two-qubit gates in one, for released families; what
            ours is held against for others; None where there is nothing.
        known: Who names the code, where it is no released one.
        length: Gates of the first circuits tried.
        tries: Circuits tried.
        environment, agent: Settings of the manifest that differ.
    """

    name: str
    n: int
    k: int
    d: int
    released: bool
    length: int
    tries: int
    gates: int | None = None
    two_qubit: int | None = None
    known: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict, hash=False)
    agent: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def code(self) -> str:
        """As people write it, such as `[[7,1,3]]`, with its special rules."""
        special = self.name.split("_")[3:]
        return f"[[{self.n},{self.k},{self.d}]]" + "".join(f" {word}" for word in special)


@dataclass(frozen=True, kw_only=True)
class Planned(PlannedRun):
    """One search."""

    plan: RunPlan
    family: Family
    agent: str


@dataclass(frozen=True)
class Result:
    """What the store knows of a finished search.

    Attributes:
        code: Its code with the fewest gates whose distance is proved to be at least the family's; None where it found
            none.
        found: The run's discovery of it.
        first_seconds: From the run's beginning to its first proven code. The store keeps of each code when its shortest
            encoder was found, so that this is an upper bound.
    """

    family: Family
    agent: str
    seed: int
    run: Run
    code: CodeRecord | None = None
    found: Discovery | None = None
    first_seconds: float | None = None


@cache
def families() -> Mapping[str, Family]:
    """By name, in the order of the file."""
    content: Any = plain(parse_yaml((_FILES / "families.yaml").read_text(encoding="utf-8")))
    return {
        name: _family(name, each, released=part == "released")
        for part in ("released", "further")
        for name, each in content[part].items()
    }


def _family(name: str, entry: Mapping[str, Any], *, released: bool) -> Family:
    n, k, d = (int(text) for text in name.split("_")[:3])
    return Family(name, n, k, d, released, **{"tries": _TRIES.get(d, 0), **entry})


def plan_runs(
    chosen: Sequence[str],
    agents: Sequence[str],
    *,
    seeds: Sequence[int],
    quick: bool,
    registry: Registry,
    overrides: Sequence[str] = (),
) -> list[Planned]:
    """One search for each family, agent and seed, in this order.

    Args:
        chosen: Names of `families()`.
        agents: Of `AGENTS`.
        quick: Whether to try a tenth of the circuits.
        overrides: `path=value` texts put into every manifest.

    Raises:
        ConfigurationError: an unknown family or agent.
        ManifestError, PluginError: a manifest does not fit the plugins that are installed.
    """
    check_names("family", chosen, families())
    check_names("agent", agents, AGENTS)
    planned = []
    for family in (families()[name] for name in dict.fromkeys(chosen)):
        for agent in dict.fromkeys(agents):
            texts = [*_settings(family, agent, quick=quick), f"seeds={json.dumps(list(seeds))}", *overrides]
            manifest = load_manifest(_FILES / f"{agent}.yaml", registry=registry, overrides=texts)
            planned += [
                Planned(plan=plan, labels={"family": family.name, "agent": agent}, family=family, agent=agent)
                for plan in manifest.runs()
            ]
    return planned


def _settings(family: Family, agent: str, *, quick: bool) -> list[str]:
    """What a family sets in an agent's manifest."""
    share = 10 if quick else 1
    tries, chains = family.tries // share, _CHAINS.get(family.d, 32)
    environment: dict[str, Any] = {
        "n": family.n,
        "k": family.k,
        "target_distance": family.d,
        "max_gates": family.length if agent == "annealing" else family.length + family.length // 2,
        **family.environment,
    }
    of_agent: dict[str, Any] = {"total_steps": 500_000 // share}
    if agent == "annealing":
        of_agent = {
            "length": family.length,
            "total_steps": family.length * tries,
            "chains": chains,
            "cooling": min(_COOLING, tries // chains),
            "report_every": min(20_000, tries // 200),
            **family.agent,
        }
    return [
        f"name={family.name}_{agent}",
        *(f"environment.{name}={json.dumps(value)}" for name, value in environment.items()),
        *(f"agent.{name}={json.dumps(value)}" for name, value in of_agent.items()),
    ]


def collect(store: Store, planned: Iterable[Planned]) -> list[Result]:
    """What the store knows of those searches that are finished, in the order of `planned`."""
    return [_result(store, each, run) for each, run in finished(store, planned)]


def _result(store: Store, planned: Planned, run: Run) -> Result:
    family = planned.family
    proven = [
        (code, found)
        for code in store.codes(run=run.id)
        if code.distance >= family.d and code.distance_kind in ("exact", "lower_bound")
        for found in code.discoveries
        if found.run_id == run.id
    ]
    best = min(proven, key=lambda pair: (pair[1].gate_count, pair[1].step), default=None)
    return Result(
        family=family,
        agent=planned.agent,
        seed=run.seed,
        run=run,
        code=best[0] if best else None,
        found=best[1] if best else None,
        first_seconds=min((found.wall_time for _, found in proven), default=None),
    )
