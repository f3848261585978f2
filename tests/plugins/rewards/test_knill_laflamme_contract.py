"""The contract of every reward, for each form and method of `knill_laflamme`; and the contract's own teeth."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from qecforge.contracts import CompiledReward, PluginConfig, Reward, RewardBuffers
from qecforge.hookspecs import RewardSpec
from qecforge.testing.rewards import RewardContract
from qecforge_knill_laflamme import qecforge_rewards

SPEC = qecforge_rewards()[0]


class TestPenalty(RewardContract):
    spec = SPEC


class TestLogPenalty(RewardContract):
    spec = SPEC
    settings: ClassVar = {"form": "log_penalty", "bias": 3.0, "scale": 1.0}


class TestResidual(RewardContract):
    spec = SPEC
    settings: ClassVar = {"form": "residual"}


class TestWeightedResidual(RewardContract):
    spec = SPEC
    settings: ClassVar = {"form": "residual", "weighted": True, "bias": 3.0}


class _NoSettings(PluginConfig):
    pass


class _Flawed(Reward, CompiledReward):
    """Minus the number of bits set; remembers, mutates or looks at neighbours as `flaw` says."""

    components = ("residual",)
    flaw = ""

    def __init__(self, config: Any) -> None:
        self.calls = 0

    def compile(self, subject: Any) -> CompiledReward:
        return self

    def score(self, batch: Any, out: RewardBuffers | None = None) -> RewardBuffers:
        self.calls += 1
        bits = np.bitwise_count(batch.words).sum(axis=(1, 2, 3)).astype(np.float64)
        if self.flaw == "remembers":
            bits += self.calls
        if self.flaw == "neighbours":
            bits -= bits.mean()
        if self.flaw == "mutates":
            batch.words[:] = 0
        if self.flaw == "nan":
            bits[0] = np.nan
        fresh = RewardBuffers(values=-bits.astype(np.float32), components={"residual": bits})
        if out is None or self.flaw == "ignores_buffers":
            return fresh
        out.values[: len(bits)] = fresh.values
        for component in out.components.values():
            component[: len(bits)] = bits
        return out


@pytest.mark.parametrize(
    ("flaw", "test"),
    [
        ("remembers", "test_is_a_pure_function_of_the_batch"),
        ("neighbours", "test_members_are_scored_alone"),
        ("mutates", "test_does_not_mutate_the_batch"),
        ("nan", "test_shapes_and_types"),
        ("ignores_buffers", "test_fills_the_buffers_it_is_given"),
        ("", "test_refuses_a_subject_it_cannot_score"),
    ],
)
def test_contract_catches(flaw: str, test: str) -> None:
    class Contract(RewardContract):
        spec = RewardSpec(
            name="flawed",
            summary="For this test",
            config=_NoSettings,
            make=type("Flawed", (_Flawed,), {"flaw": flaw}),
            scores=SPEC.scores,
        )

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(Contract(), test)()
    sound = [name for name in dir(Contract) if name.startswith("test_shapes")]
    if flaw == "":
        for name in sound:
            getattr(Contract(), name)()
