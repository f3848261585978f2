"""States of numpy's generators, in numbers and strings."""

import json

import numpy as np
import pytest

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.generators import generator_state, restored_generator


@pytest.mark.parametrize("drawn", [0, 1, 2, 1001])
def test_a_restored_generator_goes_on_to_the_bit(drawn):
    rng = np.random.default_rng(3)
    rng.integers(7, size=drawn, dtype=np.uint32)
    state = json.loads(json.dumps(generator_state(rng)))
    again = restored_generator(state)
    for draw in (lambda g: g.integers(5, size=3, dtype=np.uint32), lambda g: g.random(4), lambda g: g.normal(size=9)):
        np.testing.assert_array_equal(draw(again), draw(rng))
    assert generator_state(again) == generator_state(rng)


def test_the_state_is_what_numpy_says_of_a_known_generator():
    """Numbers of 128 bits in decimal digits; numpy's documentation of PCG64 shows these."""
    assert generator_state(np.random.default_rng(0)) == {
        "state": "35399562948360463058890781895381311971",
        "inc": "87136372517582989555478159403783844777",
        "has_uint32": 0,
        "uinteger": 0,
    }


def test_generators_of_another_kind_are_refused():
    with pytest.raises(ConfigurationError, match="random generator: got MT19937, expected PCG64: make it with"):
        generator_state(np.random.Generator(np.random.MT19937(0)))


@pytest.mark.parametrize(
    "change", [{"state": "x"}, {"inc": None}, {"state": str(-1)}, {"uinteger": 2**70}, {"has_uint32": []}]
)
def test_states_that_make_no_sense_are_refused_in_one_line(change):
    state = generator_state(np.random.default_rng(0)) | change
    with pytest.raises(CheckpointError, match=r"random generator is damaged \([A-Za-z]+: .*\): restore") as caught:
        restored_generator(state)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="KeyError"):
        restored_generator({})
