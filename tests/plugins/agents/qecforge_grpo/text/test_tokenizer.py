"""Merges by hand, and texts that come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qecforge.errors import CheckpointError
from qecforge_grpo.text.tokenizer import FIRST_BYTE, FIRST_MERGE, Tokenizer, learn_merges

A, B, C = (FIRST_BYTE + ord(each) for each in "abc")


def test_the_most_frequent_pair_is_merged_first():
    """`ab` occurs three times, then `ab` + `c` twice; `c` + `a`, which occurs once, is no merge."""
    assert learn_merges(["abcab", "abc"], 10) == [(A, B), (FIRST_MERGE, C)]
    assert learn_merges(["abcab", "abc"], 1) == [(A, B)]
    tokenizer = Tokenizer([(A, B), (FIRST_MERGE, C)])
    assert tokenizer.encode("abcab") == [FIRST_MERGE + 1, FIRST_MERGE]
    assert len(tokenizer) == FIRST_MERGE + 2


def test_overlapping_pairs_are_counted_as_they_stand():
    """`aaaa` holds `aa` three times, and becomes two tokens `aa`, which are merged in turn."""
    assert learn_merges(["aaaa", "aaaa"], 10) == [(A, A), (FIRST_MERGE, FIRST_MERGE)]


def test_numbers_and_parts_of_a_list_stay_apart():
    text = "qc.cx(0, 1); h on 12\n    return"
    tokenizer = Tokenizer(learn_merges([text] * 3, 500))
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode(text)]
    assert pieces == ["qc.cx(", "0", ", ", "1", ")", "; h on ", "1", "2", "\n    return"]


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(text):
    tokenizer = Tokenizer([(A, B), (FIRST_MERGE, C)])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert Tokenizer.from_bytes(tokenizer.to_bytes()).merges == tokenizer.merges


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"merges": [[1]]}', b'{"merges": [[2, 9999]]}', b"\xff", b"[" * 99999]
)
def test_damaged_files_are_refused(content):
    with pytest.raises(CheckpointError, match="tokenizer: "):
        Tokenizer.from_bytes(content)
