"""The codec: what goes in comes out as exact types, and bytes that are no value are refused, whatever they are."""

import contextlib
import math
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qecforge.sandbox import Bounds, CodecError, CodecType
from qecforge.sandbox.inside.calls import There
from qecforge.sandbox.inside.codec import DTYPES, Codec
from qecforge.sandbox.inside.judge import judge

EXACT = (type(None), bool, int, float, complex, str, bytes, list, tuple, set, dict, np.ndarray)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.binary(max_size=20)
)
keys = st.integers() | st.text(st.characters(codec="utf-8"), max_size=5) | st.tuples(st.booleans(), st.integers())
arrays = st.sampled_from(DTYPES).flatmap(lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, min_side=0)))
values = st.recursive(
    scalars | arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=4)
    ),
    max_leaves=12,
)


def same(one, other):
    """Equal in type and value, all the way down; a NaN is like another one."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for each, its in zip(one, other, strict=True):
            same(each, its)
    elif isinstance(one, dict):
        same(list(one.items()), list(other.items()))
    elif isinstance(one, complex):
        same((one.real, one.imag), (other.real, other.imag))
    elif isinstance(one, float):
        assert struct.pack("<d", one) == struct.pack("<d", other) or (math.isnan(one) and math.isnan(other))
    else:
        assert one == other


@given(values)
@settings(max_examples=300, deadline=None)
def test_what_goes_in_comes_out(value):
    codec = Codec()
    same(codec.decode(codec.encode(value)), value)


def test_bytes_by_hand():
    assert Codec().encode([None, True, -2, 0.5]) == (
        b"L\x04\x00\x00\x00" + b"N" + b"T" + b"I\x01\x00\x00\x00\xfe" + b"D" + b"\x00" * 6 + b"\xe0\x3f"
    )
    array = Codec().encode(np.array([[1, 2]], np.int16))
    assert array == b"A\x03\x02" + struct.pack("<QQ", 1, 2) + b"\x01\x00\x02\x00"
    assert Codec().encode({"a": b"b"}) == b"M\x01\x00\x00\x00" + b"S\x01\x00\x00\x00a" + b"B\x01\x00\x00\x00b"


def test_subclasses_and_numbers_of_numpy_become_what_they_are_of():
    class Lying(int):
        __eq__ = lambda self, other: True  # noqa: E731
        __hash__ = int.__hash__
        __index__ = __int__ = lambda self: 7

    codec = Codec()
    for given_, expected in (
        (Lying(3), 3),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (np.int8(-3), -3),
        (np.complex64(1j), 1j),
        (bytearray(b"x"), b"x"),
        (frozenset({1}), {1}),
    ):
        same(codec.decode(codec.encode(given_)), expected)
    big_endian = np.array([1.5, -2.0], ">f8")
    same(codec.decode(codec.encode(big_endian)), np.array([1.5, -2.0]))
    same(codec.decode(codec.encode(np.arange(6).reshape(2, 3).T)), np.arange(6).reshape(2, 3).T.copy())


@pytest.mark.parametrize(
    "value",
    [object(), print, iter([]), np.array([None]), np.array(["a"]), np.zeros(2, "m8[s]"), "\ud800", range(3)],
    ids=["object", "function", "iterator", "objects", "words", "durations", "surrogate", "range"],
)
def test_what_has_no_form_is_refused(value):
    with pytest.raises(CodecError):
        Codec().encode([value])


def text(content):
    return b"S" + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "end within"),
        (b"Z", "unknown type"),
        (b"NN", "follow"),
        (b"I\x00\x00\x00\x00", "int of 0"),
        (b"I\xff\xff\xff\xff", "end within"),
        (b"L\xff\xff\xff\xffN", "more values than bytes"),
        (b"L\x01\x00\x00\x00" * 200 + b"N", "nested"),
        (text(b"\xff"), "UTF-8"),
        (b"M\x01\x00\x00\x00L\x00\x00\x00\x00N", "key that cannot"),
        (b"M\x02\x00\x00\x00NNNN", "key twice"),
        (b"M\x02\x00\x00\x00I\x01\x00\x00\x00\x01NTN", "key twice"),
        (b"E\x02\x00\x00\x00NN", "twice"),
        (b"E\x01\x00\x00\x00L\x00\x00\x00\x00", "member"),
        (b"A\xff\x00", "unknown dtype"),
        (b"A\x0b\xff", "dimensions"),
        (b"A\x0b\x01" + struct.pack("<Q", 2**63), "bytes"),
        (b"A\x0b\x20" + struct.pack("<32Q", 0, *[2**26] * 31), "bytes"),
        (b"L\xff\xff\x1f\x00" + b"N" * 0x1FFFFF, "more than 1,048,576 values"),
        (b"A\x0b\x02" + struct.pack("<QQ", 2**20, 2**20), "bytes"),
        (b"A\x0b\x01" + struct.pack("<Q", 2) + bytes(8), "end within"),
        (b"A\x00\x01" + struct.pack("<Q", 1) + b"\x02", "truth"),
        (b"X" + struct.pack("<I", 4) + b"evilN", "not registered"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_what_is_no_value_is_refused(frame, why):
    with pytest.raises(CodecError, match=why):
        Codec().decode(frame)


def test_bounds_hold_both_ways():
    codec = Codec(bounds=Bounds(size=1000, depth=3, items=50, digits=4))
    for value in ([[[[[]]]]], list(range(50)), b"x" * 1000, 2**40, np.zeros(200)):
        with pytest.raises(CodecError):
            codec.encode(value)
        with pytest.raises(CodecError):
            codec.decode(Codec().encode(value))


def rebuild_angle(flat):
    if type(flat) is not float or not 0 <= flat < 7:
        raise ValueError("no angle")
    return Angle(flat)


class Angle:
    def __init__(self, radians):
        self.radians = radians


ANGLE = CodecType("angle", lambda value: isinstance(value, Angle), lambda value: value.radians, rebuild_angle)


def test_a_registered_type_is_rebuilt_by_its_own_rule():
    codec = Codec([ANGLE])
    (found,) = codec.decode(codec.encode([Angle(0.5)]))
    assert type(found) is Angle
    assert found.radians == 0.5
    with pytest.raises(CodecError, match="no angle: ValueError: no angle"):
        codec.decode(codec.encode(Angle(8.0)))
    with pytest.raises(CodecError, match="not registered"):
        Codec().decode(codec.encode(Angle(0.5)))


@st.composite
def hostile_frames(draw):
    """Bytes of any kind; values altered at a few places; pieces put together anew."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=80))
    if kind == 1:
        pieces = st.sampled_from([b"N", b"T", b"I", b"D", b"S", b"L", b"U", b"E", b"M", b"A", b"X", b"C", b"B"])
        return b"".join(draw(st.lists(pieces | st.binary(max_size=9), max_size=20)))
    frame = bytearray(
        Codec().encode([draw(st.integers(0, 2)), draw(st.sampled_from(["value", "error"])), draw(values)])
    )
    if kind == 2:
        for _ in range(draw(st.integers(1, 4))):
            frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    else:
        del frame[draw(st.integers(0, len(frame))) :]
        frame += draw(st.binary(max_size=10))
    return bytes(frame)


TESTS = """
def test_secret(program):
    assert program.answer() == "a text that nobody can guess"
"""
LOADED = Codec().encode([0, "loaded", {"verdict": "passed", "detail": ""}])


def exact(value):
    assert type(value) in EXACT
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set)):
        for each in value:
            exact(each)


def attack_with(frame):
    """Decode a frame, and give it to a judge as the only reply to its call."""
    codec = Codec([ANGLE], Bounds(size=1 << 20, items=1 << 12))
    with contextlib.suppress(CodecError):
        exact(codec.decode(frame))
    asking, answering = os.pipe(), os.pipe()
    try:
        for each in (LOADED, frame):
            os.write(answering[1], struct.pack("<I", len(each)) + each)
        os.close(answering[1])
        report = judge(There(codec, asking[1], answering[0]), {"tests": TESTS, "calls": []}, codec)
    finally:
        for each in (*asking, answering[0]):
            os.close(each)
    ((only),) = report["tests"]
    assert only["status"] in ("failed", "error")


unhurried = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(hostile_frames())
@settings(unhurried, max_examples=2000)
def test_no_hostile_frame_passes_or_breaks_the_judge(frame):
    attack_with(frame)


@pytest.mark.slow
@given(hostile_frames())
@settings(unhurried, max_examples=100_000)
def test_no_hostile_frame_of_very_many_passes(frame):
    attack_with(frame)


def test_the_same_attack_with_the_right_answer_passes():
    """Else the test above could not fail."""
    right = Codec().encode([1, "value", "a text that nobody can guess"])
    with pytest.raises(AssertionError):
        attack_with(right)
