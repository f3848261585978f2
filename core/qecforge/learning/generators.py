"""Seeds, and states of numpy's random generators as checkpoints and other files keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qecforge.errors import CheckpointError, ConfigurationError, one_line

__all__ = ["generator_state", "restored_generator", "seed_for"]


def seed_for(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, 0..2^32 - 1, derived from `seed`."""
    return int(np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode())).generate_state(1, np.uint32)[0])


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a PCG64 generator, which is what `np.random.default_rng` gives, in numbers and strings.

    Its two numbers of 128 bits are strings of decimal digits.

    Raises:
        ConfigurationError: It is of another kind.
    """
    state = generator.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise ConfigurationError(
            f"random generator: got {state['bit_generator']}, expected PCG64: make it with numpy.random.default_rng"
        )
    return {
        "state": str(state["state"]["state"]),
        "inc": str(state["state"]["inc"]),
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def restored_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A generator that goes on from `generator_state`.

    Raises:
        CheckpointError: It is none.
    """
    generator = np.random.PCG64()
    try:
        generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": int(state["state"]), "inc": int(state["inc"])},
            "has_uint32": int(state["has_uint32"]),
            "uinteger": int(state["uinteger"]),
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"the state of a random generator is damaged ({type(error).__name__}: {one_line(error)}): "
            "restore the checkpoint, or start the run anew with `force`"
        ) from error
    return np.random.Generator(generator)
