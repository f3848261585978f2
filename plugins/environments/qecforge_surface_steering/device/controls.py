"""Which control parameter reaches which gates: one gate's own as a rule, or one of several gates.

A *slot* is parameter i of gate g, number g·P + i. A gate may have fewer than P parameters, and gates may share one; so
a control vector u makes the slots' x by x_s = u_c(s), and slots that a gate has not stay at their optimum.

Source: arXiv 2511.08493 (parameters of gates); sharing is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qecforge.contracts import ParameterLimits, PluginConfig
from qecforge_surface_steering.device.landscape import matching, parameter_kinds

__all__ = ["Controls", "Limit", "Shared", "limits_of"]

FloatArray = NDArray[np.float64]


class Shared(PluginConfig):
    """One parameter of several gates, for each of the kinds: a line that drives them all, say."""

    name: str = Field(min_length=1, description="What it is called; its parameters are NAME.KIND.")
    gates: tuple[str, ...] = Field(min_length=1, description="Gates that share it: names or patterns such as xy1*.")
    kinds: tuple[str, ...] = Field(default=("*",), min_length=1, description="Kinds that are shared; others are not.")


class Limit(PluginConfig):
    """What the device tolerates of some parameters. Where several are about one parameter, the narrowest holds."""

    parameters: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Parameters: names or patterns such as cz*.strength."
    )
    low: float | None = Field(default=None, allow_inf_nan=False, description="Least value; none: no bound.")
    high: float | None = Field(default=None, allow_inf_nan=False, description="Greatest value; none: no bound.")
    step: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="How far a candidate may be from the mean of its epoch, and the mean may go in one; none: any way.",
    )


@dataclass(frozen=True, eq=False)
class Controls:
    """Parameters that an agent steers, and the slots that each of them sets.

    Attributes:
        names: P names, `gate.kind`, or `name.kind` of a shared one, in order of their first slot.
        control: (S,) int64, the parameter of each slot; -1 where a gate has none.
        per_gate: Slots of a gate.
    """

    names: tuple[str, ...]
    control: NDArray[np.int64]
    per_gate: int

    @classmethod
    def of(
        cls,
        gates: Sequence[str],
        family: NDArray[np.int64],
        per_gate: int,
        *,
        fewer: Mapping[str, int],
        shared: Sequence[Shared],
    ) -> Controls:
        """Those of a device.

        Raises:
            ValueError: A pattern that matches nothing, a number of parameters outside 1..per_gate or given twice, a
                slot that is shared twice, or two parameters of one name.
        """
        counts = _counts(gates, per_gate, fewer)
        kinds = [parameter_kinds(int(n), per_gate)[:count] for n, count in zip(family, counts, strict=True)]
        owner: dict[int, str] = {}
        for each in shared:
            known = sorted({kind for own in kinds for kind in own})
            wanted = {kind for pattern in each.kinds for kind in matching(pattern, known, "kind of parameter")}
            chosen = {gate for pattern in each.gates for gate in matching(pattern, gates, "gate")}
            for g, gate in enumerate(gates):
                for i, kind in enumerate(kinds[g]):
                    if gate in chosen and kind in wanted:
                        before = owner.setdefault(g * per_gate + i, f"{each.name}.{kind}")
                        if before != f"{each.name}.{kind}":
                            raise ValueError(f"shared: {gate}.{kind} is part of {before} and of {each.name}: keep one")
        number: dict[str, int] = {}
        control = np.full(len(gates) * per_gate, -1, dtype=np.int64)
        for g, gate in enumerate(gates):
            for i, kind in enumerate(kinds[g]):
                slot = g * per_gate + i
                control[slot] = number.setdefault(owner.get(slot, f"{gate}.{kind}"), len(number))
        for slot in set(range(len(control))) - set(owner):
            own = control[slot]
            if own >= 0 and (control == own).sum() > 1 and shared:
                raise ValueError(f"shared: {tuple(number)[own]} is the name of a gate's own parameter: choose another")
        return cls(tuple(number), control, per_gate)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(G,) parameters that each gate has."""
        found: NDArray[np.int64] = (self.control >= 0).reshape(-1, self.per_gate).sum(axis=1)
        return found

    @cached_property
    def plain(self) -> bool:
        """Whether parameters are the slots, one for one."""
        return bool(np.array_equal(self.control, np.arange(len(self.control))))

    @cached_property
    def gates(self) -> tuple[tuple[int, ...], ...]:
        """For each parameter the numbers of the gates that it acts on, ascending."""
        found: list[set[int]] = [set() for _ in self.names]
        for slot in np.flatnonzero(self.control >= 0).tolist():
            found[self.control[slot]].add(slot // self.per_gate)
        return tuple(tuple(sorted(each)) for each in found)

    def slots(self, parameters: NDArray[Any], optimum: FloatArray) -> NDArray[Any]:
        """(..., S) values of the slots, with (..., P) parameters and (S,) optima."""
        if self.plain:
            return parameters
        missing = self.control < 0
        found = parameters[..., self.control]
        found[..., missing] = optimum[missing]
        return found

    def compromise(self, slots: FloatArray, weight: FloatArray) -> FloatArray:
        """(P,) of (S,) values: where slots share a parameter, their mean by (S,) weights, which is the optimum of a sum
        of parabolas of such curvatures."""
        if self.plain:
            return slots
        used = self.control >= 0
        own, w = self.control[used], weight[used]
        return np.bincount(own, w * slots[used], len(self.names)) / np.bincount(own, w, len(self.names))

    def least(self, slots: FloatArray) -> FloatArray:
        """(P,) the least of each parameter's slots."""
        if self.plain:
            return slots
        found = np.full(len(self.names), np.inf)
        used = self.control >= 0
        np.minimum.at(found, self.control[used], slots[used])
        return found

    def numbers(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of the parameters that set some of these slots, ascending."""
        own = self.control[slots]
        return np.unique(own[own >= 0])


def limits_of(limits: Sequence[Limit], names: Sequence[str]) -> ParameterLimits | None:
    """Box and largest step of each parameter; None where there are none.

    Raises:
        ValueError: A pattern that matches no parameter, or bounds that leave a parameter no value.
    """
    if not limits:
        return None
    lower, upper, step = np.full(len(names), -np.inf), np.full(len(names), np.inf), np.full(len(names), np.inf)
    number = {name: i for i, name in enumerate(names)}
    for each in limits:
        for pattern in each.parameters:
            of = [number[name] for name in matching(pattern, names, "parameter")]
            lower[of] = np.maximum(lower[of], -np.inf if each.low is None else each.low)
            upper[of] = np.minimum(upper[of], np.inf if each.high is None else each.high)
            step[of] = np.minimum(step[of], np.inf if each.step is None else each.step)
    empty = np.flatnonzero(lower > upper)
    if len(empty):
        i = empty[0]
        raise ValueError(f"{names[i]} has to be from {lower[i]:g} to {upper[i]:g}: let low be at most high")
    return ParameterLimits(lower, upper, step)


def _counts(gates: Sequence[str], per_gate: int, fewer: Mapping[str, int]) -> list[int]:
    counts, given = [per_gate] * len(gates), dict[str, str]()
    number = {gate: g for g, gate in enumerate(gates)}
    for pattern, count in fewer.items():
        if not 1 <= count <= per_gate:
            raise ValueError(
                f"parameters: {pattern!r} has {count}: give 1 to {per_gate} (parameters_per_gate is the most)"
            )
        for gate in matching(pattern, gates, "gate"):
            if given.setdefault(gate, pattern) != pattern:
                raise ValueError(f"parameters: {given[gate]!r} and {pattern!r} are both about {gate}: keep one")
            counts[number[gate]] = count
    return counts
