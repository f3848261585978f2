"""The runs of the argmax-preserving quantization paper: which they are, and what the store says of each.

    planned = plan_runs(["e1"], ["fp32", "ptq", "apq"], seeds=range(2), registry=Registry.load())
    with Store(url) as store:
        print(to_text(decision_table(collect(store, planned))))

Experiments and methods are files beside this module.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qecforge.contracts import PlannedRun
from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE
from qecforge.evaluation.policies.fidelity import DecisionFidelity
from qecforge.manifest import RunPlan, load_manifest
from qecforge.manifest._yaml import parse_yaml, plain
from qecforge.reproduction import check_names, finished

if TYPE_CHECKING:
    from qecforge.registry import Registry
    from qecforge.store import CodeRecord, ErrorRate, PolicyEvaluation, Run, Store

__all__ = [
    "EXPERIMENTS",
    "LATENCY",
    "MAIN_EXPERIMENTS",
    "PAPER_EXPERIMENTS",
    "RECORDED",
    "Method",
    "Paper",
    "Planned",
    "Result",
    "collect",
    "methods",
    "plan_runs",
]

FIDELITY = "decision_fidelity"
SEARCH = "search"
LATENCY = "latency"
RECORDED = (
    "quantizer/step_change_mean",
    "quantizer/step_change_largest",
    "quantizer/held_out_top1",
    "time/cpu_seconds",
)
"""Metrics of a student's training that the report reads, the last value of each."""

_FILES = Path(__file__).parent
_DEEP = "agent.policy={hidden_sizes: [512, 512, 512, 256], activation: gelu, value: mirror}"
_FIDELITY = "evaluation.decision_fidelity={states: 10000, rollouts: both}"

PAPER_EXPERIMENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "e1": ("paper_e1.yaml", ()),
    "e2": ("paper_e2.yaml", ()),
    "e3": ("paper_e3.yaml", ()),
    "e1_deep": ("paper_e1.yaml", (_DEEP,)),
}
"""By name: the manifest, and what is set in it. `e1_deep` is the paper's four-layer variant."""
WIDTHS = (6, 5, 4, 3, 2)
"""Bits below the paper's 8."""
MAIN_EXPERIMENTS = ("e1", "e2", "e3")
"""Those that the paper's tables 2 and 3 are means over."""
EXPERIMENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **PAPER_EXPERIMENTS,
    **{
        f"{name}_{bits}bits": (PAPER_EXPERIMENTS[name][0], (f"quantizer.bits={bits}",))
        for bits in WIDTHS
        for name in MAIN_EXPERIMENTS
    },
}
"""The paper's, and its first three at other widths, with the same teachers."""

_PREFERRED = ("ml_lookup", "tesseract", "pymatching", "bposd", "bplsd")
"""Decoders, the most accurate first; others come after them."""


@dataclass(frozen=True)
class Paper:
    """What the paper reports of a method: means over E1-E3 and five seeds; None where it does not say.

    Attributes:
        name: The paper's.
        flips: Upper end of what its appendix 7.2 says of flips in the lowest bucket.
        hours: Time to d = 5.
    """

    name: str
    top1: float | None = None
    tau: float | None = None
    ler_1e3: float | None = None
    ler_1e4: float | None = None
    latency_ms: float | None = None
    steps_per_second: float | None = None
    flips: float | None = None
    hours: float | None = None


@dataclass(frozen=True)
class Method:
    """One row of the tables. Without a quantizer it is the float policy, the others' teacher; `ours` are methods that
    the paper does not have, in the table of widths alone."""

    name: str
    label: str
    table: Literal["main", "ablation", "ours"]
    quantizer: Mapping[str, Any] | None
    paper: Paper

    @property
    def overrides(self) -> tuple[str, ...]:
        """What it sets in an experiment's manifest."""
        return () if self.quantizer is None else (f"quantizer={json.dumps(self.quantizer)}", _FIDELITY)


@dataclass(frozen=True, kw_only=True)
class Planned(PlannedRun):
    """One run of the reproduction; with `decisions_only` neither searches, error rates nor latencies are measured."""

    plan: RunPlan
    experiment: str
    method: Method
    decisions_only: bool = False


@dataclass(frozen=True)
class Result:
    """What the store knows of a finished run.

    Attributes:
        fidelity: On states that the teacher visits, and on those that the student visits; None for the float policy.
        code: The run's best: greatest distance, then fewest gates. None where none was found.
        rates: Of that code, as the run's manifest asks for them, by p.
        seconds_to_code: From the run's beginning to its first code of the target distance; None without one. The store
            keeps of each code when its shortest encoder was found, so that this is an upper bound.
        search: Numbers of the evaluation `search`, and `successes_per_hour`, episodes that reached the target.
        latency: Payload of the evaluation `latency`, empty where it was not measured.
        training: Of a student's training, where there was one: `seconds` (with the playing of states), `cpu_seconds`,
            `step_change_mean`, `step_change_largest` and `held_out_top1`, as far as they were recorded.
    """

    experiment: str
    method: Method
    seed: int
    run: Run
    fidelity: DecisionFidelity | None = None
    fidelity_student: DecisionFidelity | None = None
    code: CodeRecord | None = None
    rates: tuple[ErrorRate, ...] = ()
    seconds_to_code: float | None = None
    search: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, float] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """Of the integers; 32 for the float policy."""
        quantization = None if self.method.quantizer is None else json.loads(self.run.manifest).get("quantizer")
        return 32 if quantization is None else int(quantization["bits"])

    @property
    def task(self) -> str:
        """The paper's experiment that it is, whatever the width: `e1` of `e1_4bits`."""
        return self.experiment.partition("_")[0] if self.experiment.endswith("bits") else self.experiment

    def rate_at(self, p: float) -> ErrorRate | None:
        """The rate measured at exactly this p."""
        return next((rate for rate in self.rates if rate.p == p), None)


@cache
def methods() -> Mapping[str, Method]:
    """The paper's methods by name, in the order of its tables."""
    content: Any = plain(parse_yaml((_FILES / "methods.yaml").read_text(encoding="utf-8")))
    return {
        name: Method(name, each["label"], each["table"], each.get("quantizer"), Paper(**each["paper"]))
        for name, each in content.items()
    }


def plan_runs(
    experiments: Sequence[str],
    chosen: Sequence[str],
    *,
    seeds: Sequence[int],
    registry: Registry,
    overrides: Sequence[str] = (),
    decisions_only: bool = False,
) -> list[Planned]:
    """The runs of these experiments and methods, one for each seed, in this order, each once; those with a quantizer
    after their teachers.

    Args:
        experiments: Of `EXPERIMENTS`.
        chosen: Names of `methods()`.
        seeds: One run each.
        overrides: `path=value` texts put into every manifest; what is about a quantizer, its fine-tuning or its
            fidelity into those that have one.
        decisions_only: Of the evaluations keep the fidelity of decisions alone. What is trained is the same.

    Raises:
        ConfigurationError: an unknown experiment or method.
        ManifestError, PluginError: a manifest does not fit the plugins that are installed.
    """
    for what, names, known in (("experiment", experiments, EXPERIMENTS), ("method", chosen, methods())):
        check_names(what, names, known)
    found: list[tuple[str, Method, RunPlan]] = []
    for experiment in dict.fromkeys(experiments):
        file, settings = EXPERIMENTS[experiment]
        for method in (methods()[name] for name in dict.fromkeys(chosen)):
            label = f"name={experiment}_{method.name}"
            texts = [label, f"seeds={json.dumps(list(seeds))}", *(["evaluation={}"] if decisions_only else [])]
            texts += method.overrides
            texts += [text for text in (*settings, *overrides) if _concerns(method, text)]
            manifest = load_manifest(_FILES / file, registry=registry, overrides=texts)
            found += [(experiment, method, plan) for plan in manifest.runs()]
    identities = {plan.identity for _, _, plan in found}
    once: dict[str, tuple[str, Method, RunPlan]] = {}
    for each in found:  # a teacher is the same run whatever becomes of it
        once.setdefault(each[2].identity, each)
    return [
        Planned(
            plan=plan,
            labels={"experiment": experiment, "method": method.name},
            after=_teacher(plan, identities),
            experiment=experiment,
            method=method,
            decisions_only=decisions_only,
        )
        for experiment, method, plan in once.values()
    ]


def _concerns(method: Method, override: str) -> bool:
    """Whether a method's manifest has the section that an override is about."""
    path = override.partition("=")[0].strip()
    if path.startswith("quantizer.fine_tune"):
        return method.quantizer is not None and "fine_tune" in method.quantizer
    return method.quantizer is not None or not path.startswith(("quantizer", "evaluation.decision_fidelity"))


def _teacher(plan: RunPlan, identities: Collection[str]) -> tuple[str, ...]:
    """The identity of the run that a plan's teacher comes from, where that is one of these."""
    teacher = None if plan.quantization is None else plan.quantization.teacher
    return (teacher.identity,) if isinstance(teacher, RunPlan) and teacher.identity in identities else ()


def collect(store: Store, planned: Iterable[Planned]) -> list[Result]:
    """What the store knows of those runs that are finished, in the order of `planned`."""
    return [_result(store, each, run) for each, run in finished(store, planned)]


def _result(store: Store, planned: Planned, run: Run) -> Result:
    evaluations = {evaluation.name: evaluation for evaluation in store.policy_evaluations(run.id)}

    def fidelity(name: str) -> DecisionFidelity | None:
        payload = evaluations[name].payload if name in evaluations else None
        return None if payload is None else DecisionFidelity.from_payload(payload)

    codes = store.codes(run=run.id, order_by=("-distance", "gate_count"), limit=1)
    return Result(
        experiment=planned.experiment,
        method=planned.method,
        seed=run.seed,
        run=run,
        fidelity=fidelity(FIDELITY),
        fidelity_student=fidelity(f"{FIDELITY}_student"),
        code=codes[0] if codes else None,
        rates=_rates(store, planned.plan, codes[0]) if codes else (),
        seconds_to_code=_seconds_to_code(store, run.id),
        search=_search(evaluations[SEARCH]) if SEARCH in evaluations else {},
        latency=(evaluations[LATENCY].payload or {}) if LATENCY in evaluations else {},
        training=_training(store, run.id) if planned.method.quantizer is not None else {},
    )


def _training(store: Store, run_id: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in RECORDED:
        series = store.metrics(run_id, metric)
        if len(series):
            found[metric.partition("/")[2]] = float(series.value[-1])
            found["seconds"] = max(float(series.wall_time[-1]), found.get("seconds", 0.0))
    return found


def _seconds_to_code(store: Store, run_id: str) -> float | None:
    times = [
        found.wall_time
        for code in store.codes(run=run_id)
        for found in code.discoveries
        if found.run_id == run_id and found.target_distance is not None and code.distance >= found.target_distance
    ]
    return min(times, default=None)


def _search(evaluation: PolicyEvaluation) -> dict[str, float]:
    counts = evaluation.payload or {}
    if counts.get("successes") is None or not counts.get("seconds"):
        return dict(evaluation.values)
    return {**evaluation.values, "successes_per_hour": 3600 * counts["successes"] / counts["seconds"]}


def _rates(store: Store, plan: RunPlan, code: CodeRecord) -> tuple[ErrorRate, ...]:
    """Of a code, those that the plan asks for. The store may hold others, measured otherwise for other manifests.

    Of a strength that several decoders were tried on, the rate of the most accurate one.
    """
    from qecforge.evaluation.error_rates.noise import canonical_noise

    config = plan.evaluation.of(LOGICAL_ERROR_RATE)
    if config is None:
        return ()
    memory = config.experiment == "memory"
    wanted = (
        config.extraction if memory else "none",
        (config.rounds or code.distance) if memory else 0,
        config.basis if memory else "none",
        config.boundary if memory else "none",
    )
    found = store.error_rates(code.id, experiment=config.experiment, noise=canonical_noise(config.noise))
    fitting = [
        rate
        for rate in found
        if rate.p in config.strengths
        and (rate.task.extraction, rate.task.rounds, rate.task.basis, rate.task.boundary) == wanted
        and config.decoder in ("auto", rate.task.decoder)
    ]
    fitting.sort(key=lambda rate: _place(rate.task.decoder), reverse=True)
    by_strength = {rate.p: rate for rate in fitting}
    return tuple(by_strength[p] for p in sorted(by_strength))


def _place(decoder: str) -> int:
    """Among the decoders by accuracy."""
    return _PREFERRED.index(decoder) if decoder in _PREFERRED else len(_PREFERRED)
