"""What steering was worth: the run's control beside a fixed and the optimal one, in the same drift.

Detection rates, distances and the response to steps are exact. Logical error rates of all policies of an epoch are
estimated from the same shots, weighed by how likely their faults are under each. All is a function of the environment's
seed, the policy and the configuration.

Source: arXiv 2511.08493, figures 3(a), 4 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import Environment, EvaluationContext, Policy
from qecforge.errors import ConfigurationError
from qecforge.evaluation import PairedRates
from qecforge.parameters import GaussianParameters, ParameterTrajectory
from qecforge_surface_steering.decoding.logical import LogicalDecoder, LogicalMemory
from qecforge_surface_steering.decoding.paired import compare_logical, equivalent_counts
from qecforge_surface_steering.decoding.priors import GateErrorInference, nominal_errors
from qecforge_surface_steering.device.drift import Step
from qecforge_surface_steering.environment import SurfaceSteering
from qecforge_surface_steering.evaluations.config import ControlName, PriorName, SteeringEvaluationConfig

__all__ = ["evaluate_steering", "steered_device"]

FloatArray = NDArray[np.float64]

_SHOTS, _CALIBRATION = 1, 2
"""Streams of an epoch's seed."""
_EPOCHS_AT_ONCE = 256
_DECODERS_KEPT = 4


def evaluate_steering(
    env: Environment, policy: Policy, config: SteeringEvaluationConfig, context: EvaluationContext
) -> None:
    """Record, at the step of an epoch, with POLICY one of `config.policies` and PRIOR one of `config.priors`:

    `steering/POLICY/rate`: exact mean detection rate; `steering/POLICY/distance`: root mean square distance from the
    optimum, in exploration scales; both at each snapshot of the policy's trajectory.
    `steering/POLICY/total`: mean exact rate over all epochs from `settle` on, at the last; steered control moves
    linearly between snapshots.
    `steering/POLICY/PRIOR/ler`, `errors`, `shots`: logical error rate per cycle, and the counts of independent shots
    that would be as certain; `effective`: effective sample size as a share of the shots.
    `steering/POLICY/PRIOR/reduction`, `reduction_low`, `reduction_high`: how much lower it is, relatively, than that of
    the first policy with the first prior, and its 95 % interval; where both have failing shots.
    `steering/response/I`: how far control has followed profile I, a step, at each snapshot from the step on: 0 where it
    was before, 1 at the new optimum. Parameters that other profiles move too are left out.
    `steering/trace/PARAMETER/mean`, `optimum`: of some drifting parameters, at each snapshot.
    `steering/stabilizer/POLICY/OBJECTIVE`: exact detection rate at the first and the last snapshot; not of the optimal.

    Args:
        env: A fresh `SurfaceSteering`.
        policy: A `GaussianParameters` with a trajectory.
        config: As in the manifest.
        context: Its seed does not matter.

    Raises:
        ConfigurationError: Another environment or policy, no trajectory, `settle` beyond the last epoch, or a circuit
            without logical observable where logical error rates are wanted.
        DecoderError: pymatching on circuits whose faults are not graph-like.
        MissingDependency: The decoder's package is not installed.
    """
    course = _Course(steered_device(env), _trajectory(policy))
    first, last = course.epochs[0], course.epochs[-1]
    if config.settle >= last:
        raise ConfigurationError(
            f"evaluation.steering.settle: {config.settle} epochs are all of a run of {last}: give fewer"
        )
    for name in config.policies:
        for epoch, rate in zip(course.epochs, course.rates(name, course.epochs), strict=True):
            context.record(f"steering/{name}/rate", epoch, float(rate.mean()))
            context.record(f"steering/{name}/distance", epoch, course.distance(name, epoch))
        total = np.concatenate([rate.mean(axis=1) for rate in course.rates_in_parts(name, range(config.settle, last))])
        context.record(f"steering/{name}/total", last, float(total.mean()))
        if name != "optimal":
            for epoch, rates in zip((first, last), course.rates(name, (first, last)), strict=True):
                for objective, rate in zip(course.env.model.objective_names, rates, strict=True):
                    context.record(f"steering/stabilizer/{name}/{objective}", epoch, float(rate))
    _record_response(course, context)
    _record_traces(course, config.traces, context)
    if config.ler_epochs:
        _record_logical_errors(course, config, context)


def steered_device(env: Environment) -> SurfaceSteering:
    """`env`. Raises `ConfigurationError` where it is another environment than `surface_steering`."""
    if not isinstance(env, SurfaceSteering):
        raise ConfigurationError(
            f"evaluation: got the environment {type(env).__name__}, expected SurfaceSteering: evaluate it there"
        )
    return env


def _trajectory(policy: Policy) -> ParameterTrajectory:
    trajectory = policy.trajectory if isinstance(policy, GaussianParameters) else None
    if trajectory is None:
        raise ConfigurationError(
            f"evaluation.steering: the {type(policy).__name__} has no trajectory of the control "
            "parameters: set agent.snapshots to 2 or more"
        )
    return trajectory


class _Course:
    """Where control and optimum were, epoch by epoch.

    An epoch is looked up in the drift as the last that a table knows, where it ends before.
    """

    def __init__(self, env: SurfaceSteering, trajectory: ParameterTrajectory) -> None:
        expected = len(env.parameter_names)
        if trajectory.means.shape[1] != expected:
            raise ConfigurationError(
                f"evaluation.steering: the policy has {trajectory.means.shape[1]} parameters, expected {expected}: "
                "evaluate it in the environment that it was trained in"
            )
        self.env, self.epochs = env, trajectory.epochs.tolist()
        self._means = trajectory.means

    def seed(self, epoch: int, stream: int) -> int:
        """Of a stream of random numbers."""
        own = int(self.env.state_dict()["seed"])
        return int(np.random.SeedSequence((own, epoch, stream, 0x57EE)).generate_state(1, np.uint64)[0]) >> 2

    def known(self, epoch: int) -> int:
        """The epoch that the drift is looked up at."""
        ends = self.env.drift.ends
        return epoch if ends is None else min(epoch, ends - 1)

    def optimum(self, epoch: int) -> FloatArray:
        """(P,)."""
        optimum: FloatArray = self.env.optimum(self.known(epoch))
        return optimum

    def control(self, name: ControlName, epoch: int) -> FloatArray:
        """(P,): of steered control the mean, linear between snapshots."""
        if name == "fixed":
            return self.env.initial_parameters
        if name == "optimal":
            return self.optimum(epoch)
        place = float(np.interp(epoch, self.epochs, np.arange(len(self.epochs))))
        before, part = int(place), place % 1
        around = self._means[before : before + 2].astype(np.float64)
        mean: FloatArray = (1 - part) * around[0] + part * around[-1]
        return mean

    def distance(self, name: ControlName, epoch: int) -> float:
        """Root mean square distance of control from the optimum, in exploration scales."""
        off = (self.control(name, epoch) - self.optimum(epoch)) / self.env.exploration_scale
        return float(np.sqrt(np.mean(off**2)))

    def gate_errors(self, name: ControlName, epoch: int) -> FloatArray:
        """(G,)."""
        errors: FloatArray = self.env.gate_errors(self.control(name, epoch), self.known(epoch))
        return errors

    def rates(self, name: ControlName, epochs: Sequence[int]) -> FloatArray:
        """(E, m) exact detection rates of each objective."""
        return np.concatenate(list(self.rates_in_parts(name, epochs)))

    def rates_in_parts(self, name: ControlName, epochs: Sequence[int]) -> Iterator[FloatArray]:
        """The same, so many epochs at a time."""
        for start in range(0, len(epochs), _EPOCHS_AT_ONCE):
            some = epochs[start : start + _EPOCHS_AT_ONCE]
            yield self.env.model.rates(np.stack([self.gate_errors(name, epoch) for epoch in some]))


def _record_response(course: _Course, context: EvaluationContext) -> None:
    every = np.arange(len(course.env.parameter_names))
    moved = [np.isin(every, course.env.moved_by(i)) for i in range(len(course.env.config.drift))]
    for number, profile in enumerate(course.env.config.drift):
        if not isinstance(profile, Step) or profile.begins > course.epochs[-1]:
            continue
        alone = np.flatnonzero(moved[number] & (np.sum(moved, axis=0) == 1))
        whole = course.optimum(profile.begins)[alone] - course.optimum(profile.begins - 1)[alone]
        if not whole.any():
            continue
        before = course.control("steered", profile.begins)[alone]
        for epoch in course.epochs:
            if epoch >= profile.begins:
                way = course.control("steered", epoch)[alone] - before
                context.record(f"steering/response/{number}", epoch, float(way @ whole / (whole @ whole)))


def _record_traces(course: _Course, count: int, context: EvaluationContext) -> None:
    profiles = [course.env.moved_by(number).tolist() for number in range(len(course.env.config.drift))]
    longest = max((len(moved) for moved in profiles), default=0)
    in_turn = [moved[rank] for rank in range(longest) for moved in profiles if rank < len(moved)]
    for parameter in list(dict.fromkeys(in_turn))[:count]:
        name = f"steering/trace/{course.env.parameter_names[parameter]}"
        for epoch in course.epochs:
            context.record(f"{name}/mean", epoch, float(course.control("steered", epoch)[parameter]))
            context.record(f"{name}/optimum", epoch, float(course.optimum(epoch)[parameter]))


def _record_logical_errors(course: _Course, config: SteeringEvaluationConfig, context: EvaluationContext) -> None:
    bench = _Bench(course, config)
    epochs = _spread(course.epochs, config.ler_epochs)
    cases = [(n, p) for n in config.policies for p in config.priors if (n, p) != ("optimal", "learned")]
    if not cases:
        return
    for number, epoch in enumerate(epochs, 1):
        per_shot = bench.measure(cases, epoch)
        per_cycle = per_shot.per_round(course.env.config.rounds)
        for case, (name, prior) in enumerate(cases):
            metric = f"steering/{name}/{prior}"
            errors, shots = equivalent_counts(per_shot, case, config.shots)
            context.record(f"{metric}/ler", epoch, float(per_cycle.rates[case]))
            context.record(f"{metric}/errors", epoch, errors)
            context.record(f"{metric}/shots", epoch, shots)
            context.record(f"{metric}/effective", epoch, float(per_shot.effective[case]))
            if case and per_shot.rates[case] > 0 and per_shot.rates[0] > 0:
                lower = per_cycle.reduction(case)
                context.record(f"{metric}/reduction", epoch, lower.estimate)
                context.record(f"{metric}/reduction_low", epoch, lower.low)
                context.record(f"{metric}/reduction_high", epoch, lower.high)
        context.progress(number, len(epochs))


def _spread(epochs: Sequence[int], count: int) -> list[int]:
    """So many of the snapshots' epochs, those nearest to an even spread; fewer where there are not as many."""
    wanted = np.linspace(epochs[0], epochs[-1], count)
    return [epochs[i] for i in np.unique(np.abs(np.subtract.outer(wanted, epochs)).argmin(axis=1))]


class _Bench:
    """Measures logical error rates. What does not change from one to the next is made once."""

    def __init__(self, course: _Course, config: SteeringEvaluationConfig) -> None:
        env = course.env
        self._course, self._config = course, config
        self._nominal = nominal_errors(env.config, env.circuits[0].family)
        self._memory = LogicalMemory(
            env.circuits, rounds=env.config.rounds, decoder=config.decoder, reference=self._nominal
        )
        self._decoders: dict[bytes, LogicalDecoder] = {}

    @cached_property
    def _inference(self) -> GateErrorInference:
        return GateErrorInference(self._course.env.circuits, self._nominal, spread=self._config.prior_spread)

    def measure(self, cases: Sequence[tuple[ControlName, PriorName]], epoch: int) -> PairedRates:
        """Of each policy, decoded with a prior, at an epoch: rates per shot, all from the same shots."""
        errors = [self._course.gate_errors(name, epoch) for name, _ in cases]
        beliefs: dict[tuple[bytes, PriorName], FloatArray] = {}
        for each, (_, prior) in zip(errors, cases, strict=True):
            if (key := (each.tobytes(), prior)) not in beliefs:
                beliefs[key] = self._belief(each, prior, epoch)
        decoders = [
            self._decoder(beliefs[each.tobytes(), prior]) for each, (_, prior) in zip(errors, cases, strict=True)
        ]
        seed = self._course.seed(epoch, _SHOTS)
        return compare_logical(self._memory, errors, decoders, shots=self._config.shots, seed=seed)

    def _belief(self, errors: FloatArray, prior: PriorName, epoch: int) -> FloatArray:
        if prior == "nominal":
            return self._nominal
        if prior == "true":
            return errors
        seed = self._course.seed(epoch, _CALIBRATION)
        seen = self._memory.sample(errors, shots=self._config.calibration_shots, seed=seed)
        return self._inference.infer(self._inference.count(seen.events))

    def _decoder(self, prior: FloatArray) -> LogicalDecoder:
        """The latest used are kept."""
        key = prior.tobytes()
        found = self._decoders.pop(key, None) or self._memory.decoder(prior)
        self._decoders[key] = found
        if len(self._decoders) > _DECODERS_KEPT:
            del self._decoders[next(iter(self._decoders))]
        return found
