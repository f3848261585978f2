"""Replay buffers: beside a list, drawn with equal chances, resumed to the bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from row_tables import COLUMNS, rows
from scipy.stats import chisquare

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.learning.replay import ReplayBuffer
from qecforge.runs.checkpoints import load_checkpoint, save_checkpoint


def filled(count, capacity=20):
    buffer = ReplayBuffer(COLUMNS, capacity)
    buffer.add(rows(0, count))
    return buffer


def numbers(batch):
    """Which rows were drawn; all fields must be of the same ones."""
    drawn = np.rint(batch["observation"][:, 0, 0] / 6).astype(int)
    for name, expected in {name: np.concatenate([rows(n, 1)[name] for n in drawn]) for name in COLUMNS}.items():
        np.testing.assert_array_equal(batch[name], expected.astype(batch[name].dtype), strict=True)
    return drawn


@given(st.integers(1, 12), st.lists(st.integers(0, 30), max_size=10), st.integers(1, 40), st.integers(0, 2**32))
def test_a_batch_is_drawn_from_what_a_list_would_hold(capacity, batches, batch_size, seed):
    buffer, listed = ReplayBuffer(COLUMNS, capacity), []
    for size in batches:
        buffer.add(rows(len(listed), size))
        listed.extend(range(len(listed), len(listed) + size))
    kept = listed[-capacity:]
    assert len(buffer) == len(kept)
    rng = np.random.default_rng(seed)
    if not kept:
        with pytest.raises(ConfigurationError, match="0 rows are there"):
            buffer.sample(batch_size, rng)
        return
    slots = np.random.default_rng(seed).integers(len(kept), size=batch_size)
    by_slot = {number % capacity: number for number in kept}
    assert numbers(buffer.sample(batch_size, rng)).tolist() == [by_slot[slot] for slot in slots.tolist()]


@pytest.mark.parametrize("count", [15, 20, 33])
def test_every_row_is_drawn_equally_often(count):
    """10^5 draws; one seed in 10^5 would fail."""
    buffer, draws = filled(count), 100_000
    drawn = numbers(buffer.sample(draws, np.random.default_rng(5)))
    kept = np.arange(max(0, count - 20), count)
    found = np.bincount(drawn - kept[0], minlength=len(kept))
    assert len(found) == len(kept)
    assert chisquare(found).pvalue > 1e-5


def test_tensors_share_the_memory_of_the_arrays():
    buffer = filled(20)
    arrays = buffer.sample(8, np.random.default_rng(0))
    tensors = buffer.sample_tensors(8, np.random.default_rng(1))
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        "observation": torch.float32,
        "action": torch.int16,
        "done": torch.bool,
    }
    for name, tensor in tensors.items():
        assert tensor.data_ptr() == arrays[name].ctypes.data
    again = buffer.sample_tensors(8, np.random.default_rng(2))
    assert again["action"].data_ptr() == tensors["action"].data_ptr()
    other = buffer.sample_tensors(5, np.random.default_rng(2))
    assert other["observation"].shape == (5, 3, 2)
    numbers({name: tensor.numpy() for name, tensor in other.items()})


def test_a_resumed_buffer_draws_what_the_uninterrupted_one_draws(tmp_path):
    path, rng = tmp_path / "run.ckpt", np.random.default_rng(1)
    buffer, drawn = filled(13), []
    for step in range(6):
        buffer.add(rows(13 + 5 * step, 5))
        drawn.append(numbers(buffer.sample(7, rng)))
        if step == 2:
            save_checkpoint(path, {"buffer": buffer.state_dict(), "rng": generator_state(rng)})
    state, resumed = load_checkpoint(path), ReplayBuffer(COLUMNS, 20)
    resumed.load_state_dict(state["buffer"])
    again = restored_generator(state["rng"])
    for step in range(3, 6):
        resumed.add(rows(13 + 5 * step, 5))
        np.testing.assert_array_equal(numbers(resumed.sample(7, again)), drawn[step])


def test_a_state_that_is_another_buffers_is_refused():
    for state, message in (
        ({}, "has NoneType where a table of rows was expected"),
        ({"rows": np.zeros(3)}, "has ndarray where a table of rows was expected"),
        (filled(3, 21).state_dict(), "capacity 21, expected 20"),
        (ReplayBuffer({"x": np.float32}, 20).state_dict(), "columns x, expected observation, action, done"),
    ):
        buffer = filled(2)
        with pytest.raises(CheckpointError, match=message) as caught:
            buffer.load_state_dict(state)
        assert "\n" not in str(caught.value)
        assert len(buffer) == 2


@pytest.mark.parametrize("batch_size", [0, -1])
def test_empty_batches_are_refused(batch_size):
    with pytest.raises(ConfigurationError, match=f"a batch of {batch_size} was asked for and 3 rows are there"):
        filled(3).sample(batch_size, np.random.default_rng(0))
