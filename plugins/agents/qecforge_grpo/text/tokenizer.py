"""Byte pair encoding of a corpus: frequent neighbours become one token, within pieces that a digit or a comma ends.

A text is cut into pieces first, so that no token holds two numbers, or two operations: what is to be copied from a
prompt stays a token of its own.

Source: Sennrich et al. 2016, arXiv 1508.07909.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from qecforge.errors import CheckpointError

__all__ = ["ANSWER", "END", "Tokenizer", "learn_merges"]

END = 0
"""Ends a completion."""
ANSWER = 1
"""Ends a prompt."""
FIRST_BYTE = 2
FIRST_MERGE = FIRST_BYTE + 256
_PIECE = re.compile(r"\d|[;,\n]*[^\d;,\n]+|[;,\n]+")


class Tokenizer:
    """Texts to tokens and back; any text can be said, byte by byte at worst.

    Args:
        merges: Pairs of tokens that are one token, in the order in which they were learned.

    Raises:
        CheckpointError: a merge is of tokens that are not known before it.
    """

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        self.merges = tuple(merges)
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}
        self._bytes = [b"", b"", *(bytes([value]) for value in range(256))]
        for first, second in self.merges:
            if not (FIRST_BYTE <= first < len(self._bytes) and FIRST_BYTE <= second < len(self._bytes)):
                raise CheckpointError(
                    f"tokenizer: the merge of {first} and {second} is of tokens that are not known before it: the file "
                    "is damaged, or of another tokenizer"
                )
            self._bytes.append(self._bytes[first] + self._bytes[second])
        self._known: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        """Tokens that there are."""
        return len(self._bytes)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without marks."""
        return [token for piece in _PIECE.findall(text) for token in self._encoded(piece)]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; marks say nothing, and bytes that are no text become U+FFFD."""
        return b"".join(self._bytes[token] for token in tokens).decode("utf-8", errors="replace")

    def to_bytes(self) -> bytes:
        """As a file: JSON."""
        return json.dumps({"merges": [list(pair) for pair in self.merges]}, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Tokenizer:
        """From what `to_bytes` gave. Raises `CheckpointError` for anything else."""
        try:
            merges = [(int(first), int(second)) for first, second in json.loads(content)["merges"]]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CheckpointError(
                f"tokenizer: the file is no tokenizer ({type(error).__name__}): run its manifest anew"
            ) from error
        return cls(merges)

    def _encoded(self, piece: str) -> tuple[int, ...]:
        found = self._known.get(piece)
        if found is None:
            tokens = _tokens_of(piece)
            while len(tokens) > 1:
                rank, pair = min((self._rank.get(pair, len(self._rank)), pair) for pair in pairwise(tokens))
                if rank == len(self._rank):
                    break
                tokens = _merged(tokens, pair, FIRST_MERGE + rank)
            found = self._known[piece] = tuple(tokens)
        return found


def learn_merges(texts: Iterable[str], most: int) -> list[tuple[int, int]]:
    """At most so many merges: each time the pair of tokens that is most frequent, the first by number where several
    are. A pair that occurs once is not merged."""
    counts = Counter(piece for text in texts for piece in _PIECE.findall(text))
    words = [(_tokens_of(piece), count) for piece, count in counts.items()]
    pairs: Counter[tuple[int, int]] = Counter()
    places: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for place, (tokens, count) in enumerate(words):
        for pair in pairwise(tokens):
            pairs[pair] += count
            places[pair].add(place)
    merges: list[tuple[int, int]] = []
    while len(merges) < most and pairs:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        new = FIRST_MERGE + len(merges)
        merges.append(best)
        for place in places.pop(best):
            tokens, count = words[place]
            for pair in pairwise(tokens):
                pairs[pair] -= count
            merged = _merged(tokens, best, new)
            for pair in pairwise(merged):
                pairs[pair] += count
                places[pair].add(place)
            words[place] = merged, count
        pairs = +pairs
    return merges


def _tokens_of(piece: str) -> list[int]:
    return [FIRST_BYTE + value for value in piece.encode("utf-8", errors="replace")]


def _merged(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    merged: list[int] = []
    place = 0
    while place < len(tokens):
        if tuple(tokens[place : place + 2]) == pair:
            merged.append(new)
            place += 2
        else:
            merged.append(tokens[place])
            place += 1
    return merged
