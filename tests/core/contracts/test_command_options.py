"""Which fields of a configuration a command line can carry, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from qecforge.contracts.config import PluginConfig
from qecforge.contracts.options import command_options, option_of, texts_of, values_of


class Nested(BaseModel):
    depth: int = 1


@pytest.mark.parametrize(
    ("annotation", "shape", "metavar"),
    [
        (str, "value", "TEXT"),
        (int, "value", "INTEGER"),
        (float | None, "value", "NUMBER"),
        (Annotated[int, Field(ge=1)] | None, "value", "INTEGER"),
        (bool, "switch", ""),
        (bool | None, "switch", ""),
        (Literal["fast", "exact"], "value", "<fast|exact>"),
        (tuple[str, ...], "list", "NAMES"),
        (tuple[int, ...] | None, "list", "NUMBERS"),
        (Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] | None, "list", "NUMBERS"),
        (tuple[Literal["a", "b"], ...], "list", "NAMES"),
    ],
)
def test_what_a_command_line_can_carry(annotation, shape, metavar):
    option = option_of("some_thing", annotation, "What it is.")
    assert (option.shape, option.metavar, option.help) == (shape, metavar, "What it is.")
    assert option.flags == (("--some-thing", "--no-some-thing") if shape == "switch" else ("--some-thing",))


@pytest.mark.parametrize(
    "annotation",
    [Any, None, dict[str, int], list[str], set[str], tuple[str, int], tuple[bool, ...], tuple[tuple[int, ...], ...],
     int | str, Literal[1, 2], Nested, bytes],
)  # fmt: skip
def test_what_it_cannot(annotation):
    assert option_of("thing", annotation) is None


class Options(PluginConfig):
    names: tuple[str, ...] | None = Field(None, description="Names.")
    sizes: tuple[int, ...] = Field((3,), description="Sizes.")
    rate: float = Field(0.5, description="A rate.")
    way: Literal["left", "right"] = Field("left", description="A way.")
    fast: bool = Field(False, description="Fast.")


def test_texts_become_values_that_the_model_takes():
    given = {"names": " a, b,", "sizes": "5,7", "rate": "1e-3", "way": "right", "fast": True}
    assert Options.model_validate(values_of(Options, given)) == Options(
        names=("a", "b"), sizes=(5, 7), rate=1e-3, way="right", fast=True
    )
    assert values_of(Options, {"names": None, "sizes": " , "}) == {"sizes": []}


words = st.text("abcdefgh_0123456789", min_size=1, max_size=8)


@given(
    st.builds(
        Options,
        names=st.none() | st.lists(words, min_size=1, max_size=3).map(tuple),
        sizes=st.lists(st.integers(), min_size=1, max_size=4).map(tuple),
        rate=st.floats(allow_nan=False),
        way=st.sampled_from(["left", "right"]),
        fast=st.booleans(),
    )
)
def test_options_round_trip_by_way_of_texts(options):
    assert Options.model_validate(values_of(Options, texts_of(options))) == options


def test_options_stand_in_the_order_of_the_fields():
    assert [option.name for option in command_options(Options)] == ["names", "sizes", "rate", "way", "fast"]
