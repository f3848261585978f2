"""The suite of rewards asks of `valid` what the contract says."""

from dataclasses import dataclass

import numpy as np
import pytest

from qecforge.contracts import CompiledReward, PluginConfig, Reward, RewardBuffers, require_valid
from qecforge.errors import ConfigurationError, InfrastructureError
from qecforge.hookspecs import RewardSpec
from qecforge.testing.rewards import RewardContract, RewardExample


@dataclass
class Numbers:
    """(B,) numbers; a negative one stands for a device that does not answer."""

    numbers: np.ndarray


class Sqrt(Reward):
    """The square root of a number, solved from 1 on."""

    components = ("number",)

    def compile(self, subject):
        if subject != "numbers":
            raise ConfigurationError(f"sqrt: got {subject!r}, expected numbers")
        return CompiledSqrt()


class CompiledSqrt(CompiledReward):
    def score(self, batch, out=None):
        numbers = batch.numbers
        valid = numbers >= 0
        if out is None:
            size = len(numbers)
            out = RewardBuffers(np.empty(size, np.float32), np.empty(size, bool), {"number": np.empty(size)})
        rows = slice(len(numbers))
        out.values[rows] = self.root(np.where(valid, numbers, 0))
        if out.solved is not None:
            out.solved[rows] = valid & (numbers >= 1)
        if "number" in out.components:
            out.components["number"][rows] = np.where(valid, numbers, 0)
        out.valid = None if valid.all() else valid
        return out

    def root(self, numbers):
        return np.sqrt(numbers)


class Config(PluginConfig):
    pass


class TestSqrt(RewardContract):
    spec = RewardSpec(
        name="sqrt", summary="The square root.", config=Config, make=lambda config: Sqrt(), scores="numbers"
    )

    def examples(self, rng):
        good, bad = rng.random(7) * 2, rng.random(7) * 2
        bad[[1, 4]] = -1
        return [RewardExample("numbers", Numbers(numbers), 7) for numbers in (good, bad)]

    def take(self, batch, rows):
        return Numbers(batch.numbers[list(rows)])


class Plain(Reward):
    """The square of each number of a plain array."""

    def compile(self, subject):
        if subject != "array":
            raise ConfigurationError(f"plain: got {subject!r}, expected array")
        return CompiledPlain()


class CompiledPlain(CompiledReward):
    def score(self, batch, out=None):
        out = out or RewardBuffers(np.empty(len(batch), np.float32))
        out.values[: len(batch)] = batch**2
        return out


class TestPlainArray(RewardContract):
    spec = RewardSpec(
        name="plain", summary="A square.", config=Config, make=lambda config: Plain(), scores="a plain array"
    )

    def examples(self, rng):
        return [RewardExample("array", rng.random(7), 7)]


@dataclass
class Slotted:
    __slots__ = ("numbers",)
    numbers: np.ndarray


@pytest.mark.parametrize(
    "wrap",
    [
        lambda array: array,
        lambda array: {"numbers": array},
        lambda array: ([array], "text"),
        Numbers,
        Slotted,
        lambda array: Numbers({"numbers": (1, array, None)}),
    ],
    ids=["array", "mapping", "tuple", "object", "slots", "nested"],
)
def test_a_reward_that_changes_its_batch_is_caught(wrap, monkeypatch):
    array = np.arange(7.0)
    batch = wrap(array)

    class Changes(CompiledPlain):
        def score(self, given, out=None):
            array_of(given)[2] += 1
            return super().score(np.zeros(7), out)

    def array_of(thing):
        while not isinstance(thing, np.ndarray):
            if isinstance(thing, dict):
                thing = thing["numbers"]
            elif isinstance(thing, tuple | list):
                thing = thing[0] if isinstance(thing[0], list | np.ndarray) else thing[1]
            else:
                thing = thing.numbers
        return thing

    suite = TestPlainArray()
    monkeypatch.setattr(suite, "examples", lambda rng: [RewardExample("array", batch, 7)], raising=False)
    monkeypatch.setattr(Plain, "compile", lambda self, subject: CompiledPlain())
    monkeypatch.setattr(CompiledPlain, "score", lambda self, given, out=None: RewardBuffers(np.zeros(7, np.float32)))
    suite.test_does_not_mutate_the_batch()
    monkeypatch.undo()
    monkeypatch.setattr(suite, "examples", lambda rng: [RewardExample("array", batch, 7)], raising=False)
    monkeypatch.setattr(Plain, "compile", lambda self, subject: Changes())
    with pytest.raises(AssertionError, match="batch"):
        suite.test_does_not_mutate_the_batch()


def test_a_batch_that_cannot_be_taken_apart_is_named():
    with pytest.raises(NotImplementedError, match="the batch is a Numbers: override `take`"):
        RewardContract().take(Numbers(np.zeros(7)), [0])


class OneForTheInvalid(CompiledSqrt):
    def score(self, batch, out=None):
        out = super().score(batch, out)
        if out.valid is not None:
            out.values[: len(batch.numbers)][~out.valid] = 1
        return out


class SolvedWithoutReward(CompiledSqrt):
    def score(self, batch, out=None):
        out = super().score(batch, out)
        if out.solved is not None and out.valid is not None:
            out.solved[: len(batch.numbers)] |= ~out.valid
        return out


class ForgetsToSay(CompiledSqrt):
    """Says it only in fresh buffers."""

    def score(self, batch, out=None):
        scores = super().score(batch, out)
        if out is not None:
            scores.valid = None
        return scores


class Wide(CompiledSqrt):
    def score(self, batch, out=None):
        scores = super().score(batch, out)
        scores.valid = None if scores.valid is None else scores.valid[:, None]
        return scores


@pytest.mark.parametrize(
    ("compiled", "test", "message"),
    [
        (OneForTheInvalid, "test_shapes_and_types", "a row that is no reward holds 0"),
        (SolvedWithoutReward, "test_shapes_and_types", "a row that is no reward is not solved"),
        (Wide, "test_shapes_and_types", "shape|assert"),
        (ForgetsToSay, "test_fills_the_buffers_it_is_given", "rows that are no reward"),
        (ForgetsToSay, "test_fills_only_what_it_is_given", "rows that are no reward"),
    ],
)
def test_what_breaks_the_contract_is_caught(compiled, test, message, monkeypatch):
    monkeypatch.setattr(Sqrt, "compile", lambda self, subject: compiled())
    with pytest.raises(AssertionError, match=message):
        getattr(TestSqrt(), test)()


def test_require_valid_counts_what_is_missing():
    scores = RewardBuffers(np.zeros(3, np.float32))
    assert require_valid(scores, "walk") is scores
    scores.valid = np.ones(3, bool)
    assert require_valid(scores, "walk") is scores
    scores.valid = np.array([True, False, False])
    with pytest.raises(InfrastructureError, match=r"^walk: its reward could not score 2 of 3 members: ") as raised:
        require_valid(scores, "walk")
    assert "\n" not in str(raised.value)
