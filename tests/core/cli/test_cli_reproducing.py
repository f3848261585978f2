"""What the commands `qecforge reproduce PAPER` share."""

import pytest

from qecforge.cli._reproducing import names
from qecforge.errors import ConfigurationError


def test_names_have_commas_between_them():
    assert names("a, b,", ["c"]) == ["a", "b"]
    assert names(None, ["c"]) == ["c"]


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_a_list_without_a_name_is_one_line(text):
    with pytest.raises(ConfigurationError, match=r"has none: give some, such as drift, map$"):
        names(text, ["drift", "map"])
