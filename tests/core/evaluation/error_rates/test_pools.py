"""Processes that draw shots: what they hand back, and what becomes of those that are killed."""

import multiprocessing
import os
import signal
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import replace

import pytest

from qecforge.codes import StabilizerCode
from qecforge.errors import DecoderError
from qecforge.evaluation import LogicalErrorRateConfig, plan_error_rates
from qecforge.evaluation.error_rates.pools import process_pool
from qecforge.evaluation.error_rates.sampling import Chunk, draw_chunk


@pytest.fixture(scope="module")
def chunk() -> Chunk:
    five = StabilizerCode.from_paulis(["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"])
    config = LogicalErrorRateConfig(p=[0.01], shots=10_000)
    (planned,) = plan_error_rates(five, config)
    return planned.chunk(0)


def without_times(counts):
    return replace(counts, seconds=0.0)


def test_chunks_equal_those_drawn_here_in_any_order(chunk):
    """Twelve of them, of which two are not wanted any more: more than processes and pipes hold at a time."""
    chunks = [replace(chunk, index=index) for index in range(12)]
    with process_pool(2) as pool:
        drawings = [pool.submit(each) for each in chunks]
        for unwanted in (5, 11):
            drawings[unwanted].cancel()
        drawn = {place: drawings[place].result() for place in (10, 0, 1, 9, 3, 2, 4, 6, 7, 8)}
    assert {place: without_times(counts) for place, counts in drawn.items()} == {
        place: without_times(draw_chunk(chunks[place])) for place in drawn
    }
    assert not multiprocessing.active_children()


def test_what_drawing_raises_is_raised_here(chunk):
    with process_pool(1) as pool, pytest.raises(DecoderError) as raised:
        pool.submit(replace(chunk, decoder="no_such_decoder")).result()
    with pytest.raises(DecoderError) as here:
        draw_chunk(replace(chunk, decoder="no_such_decoder"))
    assert str(here.value) == str(raised.value)
    (note,) = raised.value.__notes__
    assert note.startswith("in a process that draws shots:\nTraceback")


def test_a_chunk_that_is_not_wanted_any_more_is_not_waited_for(chunk):
    with process_pool(1) as pool:
        _, second = (pool.submit(replace(chunk, index=index)) for index in range(2))
        second.cancel()
        with pytest.raises(CancelledError):
            second.result()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_processes_end_the_wait_and_leave_nothing(chunk, number):
    """All of them at once, as a signal to the group does, with work handed to each and more waiting."""
    with process_pool(2) as pool:
        drawings = [pool.submit(replace(chunk, index=index)) for index in range(8)]
        drawings[0].result()
        for child in multiprocessing.active_children():
            os.kill(child.pid, number)
        with pytest.raises(BrokenExecutor, match=r"^process \d+ is gone$"):
            [drawing.result() for drawing in drawings[1:]]
    assert not multiprocessing.active_children()
