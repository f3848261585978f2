"""What every reward must do.

    from qecforge.testing.rewards import RewardContract

    class TestMyReward(RewardContract):
        spec = my_spec              # qecforge.hookspecs.RewardSpec
        settings = {"scale": 2.0}   # a configuration

Rewards of stabilizer tableaus are shown random codes, without noise, with shared noise and with noise of each
environment. A reward that takes only some codes overrides `examples`:

        def examples(self, rng):
            return tableau_examples(rng, sizes=((5, 1, 2), (6, 2, 2)))

A reward that scores anything else overrides `examples`, and `take` unless its batch is a numpy array of B rows.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from qecforge.codes.packed import TABLEAU, TableauBatch, TableauSubject, words_per_column
from qecforge.contracts.config import PluginConfig
from qecforge.contracts.reward import CompiledReward, Reward, RewardBuffers
from qecforge.errors import ConfigurationError
from qecforge.hookspecs import RewardSpec

__all__ = ["RewardContract", "RewardExample", "random_tableaus", "tableau_examples"]

_BATCH = 7


@dataclass(frozen=True)
class RewardExample:
    """A subject, and a batch of `size` members of what it describes."""

    subject: Any
    batch: Any
    size: int


def random_tableaus(n: int, k: int, size: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Words of random codes, (size, n, 2, W): the trivial code under 0 to 6n random H, S and CX gates."""
    words = np.zeros((size, n, 2, words_per_column(n, k)), np.uint64)
    for q in range(n):
        for column, row in ((0, k + q), (1, q)) if q < k else ((0, k + q),):
            words[:, q, column, row // 64] |= np.uint64(1 << (row % 64))
    for code in words:
        for _ in range(rng.integers(6 * n)):
            gate, (a, b) = rng.integers(3), rng.choice(n, 2, replace=False)
            if gate == 0:
                code[a] = code[a, ::-1].copy()
            elif gate == 1:
                code[a, 0] ^= code[a, 1]
            else:
                code[a, 0] ^= code[b, 0]
                code[b, 1] ^= code[a, 1]
    return words


def tableau_examples(
    rng: np.random.Generator, sizes: Sequence[tuple[int, int, int]] = ((5, 1, 3), (6, 2, 4), (40, 30, 2))
) -> list[RewardExample]:
    """Batches of 7 random codes under every kind of noise that a subject can declare.

    Args:
        sizes: Qubits, logical qubits and target distance of each batch's codes; two words a column where n + k > 64.
    """
    examples = []
    for n, k, d in sizes:
        words = random_tableaus(n, k, _BATCH, rng)
        alike = rng.dirichlet([9, 1, 1], size=_BATCH)[:, [0, 1, 1, 2]] * [1, 0.5, 0.5, 1]
        each_alike = np.repeat(alike[:, None], n, axis=1)
        each_qubit = rng.dirichlet([9, 1, 1, 1], size=(_BATCH, n))
        for noise, kind, uniform in (
            (None, None, True),
            (each_alike[0], "shared", True),
            (each_qubit[0], "shared", False),
            (each_alike, "per_env", True),
            (each_qubit, "per_env", False),
        ):
            subject = TableauSubject(n, k, d, num_envs=_BATCH, noise=kind, uniform=uniform)
            examples.append(RewardExample(subject, TableauBatch(words, noise), _BATCH))
    return examples


class RewardContract:
    """Subclass it, set `spec` (and `settings`), and pytest runs every test below."""

    spec: ClassVar[RewardSpec]
    settings: ClassVar[Mapping[str, Any]] = {}

    def examples(self, rng: np.random.Generator) -> Sequence[RewardExample]:
        """Subjects and batches to score. Rewards of other than tableaus override this."""
        if self.spec.scores != TABLEAU:
            raise NotImplementedError(f"{self.spec.name} scores {self.spec.scores}: override `examples` and `take`")
        return tableau_examples(rng)

    def take(self, batch: Any, rows: Sequence[int]) -> Any:
        """The batch of these members alone: of tableaus, or of a numpy array of B rows."""
        if isinstance(batch, np.ndarray):
            return batch[list(rows)]
        if not isinstance(batch, TableauBatch):
            raise NotImplementedError(f"the batch is a {type(batch).__name__}: override `take`")
        noise = batch.noise
        if noise is not None and noise.ndim == 3:
            noise = noise[list(rows)]
        return TableauBatch(batch.words[list(rows)], noise)

    def make(self) -> Reward:
        """The reward under test."""
        return self.spec.make(self.spec.config(**self.settings))

    def compiled(self) -> list[tuple[CompiledReward, RewardExample]]:
        """The reward, compiled anew for each example."""
        return [(self.make().compile(e.subject), e) for e in self.examples(np.random.default_rng(20))]

    def test_spec_describes_itself(self) -> None:
        """Name, one-line summary, a config model whose fields are described and that refuses unknown keys."""
        assert re.fullmatch(r"[a-z][a-z0-9_]*", self.spec.name)
        assert self.spec.summary
        assert "\n" not in self.spec.summary
        assert issubclass(self.spec.config, PluginConfig)
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{self.spec.name}.{name} has no description"
        with pytest.raises(ValueError, match="no_such_key"):
            self.spec.config(**{**self.settings, "no_such_key": 1})

    def test_refuses_a_subject_it_cannot_score(self) -> None:
        """With a `ConfigurationError`, on one line."""
        with pytest.raises(ConfigurationError) as refused:
            self.make().compile(object())
        assert "\n" not in str(refused.value)

    def test_shapes_and_types(self) -> None:
        """(B,) float32 values, (B,) bool solved and valid or None, every named component (B,) float64; all finite.

        Where `valid` is False the value is 0 and `solved` is False.
        """
        names = set(self.make().components)
        for compiled, example in self.compiled():
            out = compiled.score(example.batch)
            assert out.values.shape == (example.size,)
            assert out.values.dtype == np.float32
            assert np.isfinite(out.values).all()
            if out.solved is not None:
                assert out.solved.shape == (example.size,)
                assert out.solved.dtype == np.bool_
            if out.valid is not None:
                assert out.valid.shape == (example.size,)
                assert out.valid.dtype == np.bool_
                assert (out.values[~out.valid] == 0).all(), "a row that is no reward holds 0"
                assert out.solved is None or not out.solved[~out.valid].any(), "a row that is no reward is not solved"
            assert set(out.components) == names
            for name, component in out.components.items():
                assert component.shape == (example.size,), name
                assert component.dtype == np.float64, name
                assert np.isfinite(component).all(), name

    def test_is_a_pure_function_of_the_batch(self) -> None:
        """Same batch, same values: again, after another batch, and from another compilation."""
        for compiled, example in self.compiled():
            first = copy.deepcopy(compiled.score(example.batch))
            compiled.score(self.take(example.batch, [2, 0]))
            again = compiled.score(example.batch)
            _assert_same(again, first)
            _assert_same(self.make().compile(example.subject).score(example.batch), first)

    def test_does_not_mutate_the_batch(self) -> None:
        """The batch belongs to the environment."""
        for compiled, example in self.compiled():
            before = copy.deepcopy(example.batch)
            compiled.score(example.batch)
            _assert_unchanged(example.batch, before, "batch")

    def test_members_are_scored_alone(self) -> None:
        """A member's value does not depend on its neighbours, its place or the batch's size."""
        for compiled, example in self.compiled():
            whole = compiled.score(example.batch)
            order = list(np.random.default_rng(3).permutation(example.size))
            for rows in ([0], order[:3], order):
                _assert_same(compiled.score(self.take(example.batch, rows)), _rows(whole, rows))

    def test_fills_the_buffers_it_is_given(self) -> None:
        """Arrays at least as long as the batch are filled in place; what lies beyond the batch is left alone."""
        for compiled, example in self.compiled():
            fresh = compiled.score(example.batch)
            out = _buffers(example.size + 3, fresh)
            arrays = (out.values, out.solved, dict(out.components))
            returned = compiled.score(example.batch, out)
            assert returned is out
            assert out.values is arrays[0]
            assert out.solved is arrays[1]
            assert all(out.components[name] is array for name, array in arrays[2].items())
            _assert_valid(out, fresh)
            out.valid = fresh.valid = None
            _assert_same(_rows(out, slice(example.size)), fresh)
            _assert_same(
                _rows(out, slice(example.size, None)), _rows(_buffers(example.size + 3, fresh), slice(-3, None))
            )

    def test_fills_only_what_it_is_given(self) -> None:
        """`solved` and components that the buffers leave out are not added; `valid` is, where a row is no reward."""
        for compiled, example in self.compiled():
            out = compiled.score(example.batch, RewardBuffers(values=np.empty(example.size, np.float32)))
            fresh = compiled.score(example.batch)
            np.testing.assert_array_equal(out.values, fresh.values)
            _assert_valid(out, fresh)
            assert out.solved is None
            assert out.components == {}

    def test_closes_twice(self) -> None:
        """A compiled reward, and then the reward, are closed; a second time does nothing."""
        reward = self.make()
        compiled = [reward.compile(example.subject) for example in self.examples(np.random.default_rng(20))]
        for _ in range(2):
            for each in compiled:
                each.close()
            reward.close()


def _assert_unchanged(now: Any, before: Any, place: str) -> None:
    """Assert that a batch is as it was: an array, a container, an object with attributes, or a plain value."""
    assert type(now) is type(before), place
    if isinstance(now, np.ndarray):
        np.testing.assert_array_equal(now, before, err_msg=place)
    elif isinstance(now, Mapping):
        assert list(now) == list(before), place
        for key in now:
            _assert_unchanged(now[key], before[key], f"{place}[{key!r}]")
    elif isinstance(now, list | tuple):
        assert len(now) == len(before), place
        for index, (mine, earlier) in enumerate(zip(now, before, strict=True)):
            _assert_unchanged(mine, earlier, f"{place}[{index}]")
    elif attributes := _attributes(now):
        assert attributes == _attributes(before), place
        for name in attributes:
            _assert_unchanged(getattr(now, name), getattr(before, name), f"{place}.{name}")
    elif any("__eq__" in vars(kind) for kind in type(now).__mro__[:-1]):
        assert now == before, place


def _attributes(thing: Any) -> list[str]:
    """Names of what an object holds, in `__dict__` or in slots; of an object without any, none."""
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*getattr(thing, "__dict__", ()), *(name for name in slots if hasattr(thing, name))]


def _buffers(length: int, like: RewardBuffers) -> RewardBuffers:
    """Buffers full of what no reward writes."""
    return RewardBuffers(
        values=np.full(length, -123.0, np.float32),
        solved=None if like.solved is None else np.ones(length, np.bool_),
        components={name: np.full(length, -123.0) for name in like.components},
    )


def _rows(scored: RewardBuffers, rows: Any) -> RewardBuffers:
    return RewardBuffers(
        values=scored.values[rows],
        solved=None if scored.solved is None else scored.solved[rows],
        components={name: component[rows] for name, component in scored.components.items()},
        valid=None if scored.valid is None else scored.valid[rows],
    )


def _assert_valid(one: RewardBuffers, other: RewardBuffers) -> None:
    """None says the same as all True."""
    mine, theirs = (np.ones(0, np.bool_) if each.valid is None else each.valid for each in (one, other))
    message = "rows that are no reward"
    np.testing.assert_array_equal(np.flatnonzero(~mine), np.flatnonzero(~theirs), err_msg=message)


def _assert_same(one: RewardBuffers, other: RewardBuffers) -> None:
    np.testing.assert_array_equal(one.values, other.values)
    assert (one.solved is None) == (other.solved is None)
    if one.solved is not None and other.solved is not None:
        np.testing.assert_array_equal(one.solved, other.solved)
    _assert_valid(one, other)
    assert one.components.keys() == other.components.keys()
    for name in one.components:
        np.testing.assert_array_equal(one.components[name], other.components[name], err_msg=name)
