from __future__ import annotations

import time

import pytest

from qecforge.errors import ManifestError
from qecforge.manifest._yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse_yaml, plain, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1E+4", 1e4),
        (".5", 0.5),
        ("-.5e-1", -0.05),
        ("1.", 1.0),
        ("1_0.2_5", 10.25),
        ("500_000", 500_000),
        ("-3", -3),
        ("+2", 2),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("9223372036854775807", 2**63 - 1),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("5__0", "5__0"),
        ("_5", "_5"),
        ("5_", "5_"),
        ("e5", "e5"),
        ("1.2.3", "1.2.3"),
        ("'1'", "1"),
        ('"a\\tb"', "a\tb"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("=", "="),
        ("all_to_all", "all_to_all"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_are_those_of_yaml_1_2_with_underscores_in_numbers(text, value):
    got = plain(parse_yaml(f"key: {text}"))
    assert got == {"key": value}
    assert type(got["key"]) is type(value)


def test_every_value_knows_where_it_stands():
    root = parse_yaml("a: 1\nlist:\n  - x\n  - {deep: [y, z]}\n", "f.yaml")
    deep = root.get("list").items[1].get("deep")
    assert (deep.items[1].place.source, deep.items[1].place.line, deep.items[1].place.column) == ("f.yaml", 4, 16)
    assert root.get("list").items[1].entries["deep"].key_place.column == 6
    assert (root.size, root.height) == (8, 5)


def test_keys_are_text():
    assert plain(parse_yaml("{1: a, true: b, '': c, null: d}")) == {"1": "a", "true": "b", "": "c", "null": "d"}


def test_json_is_yaml_in_keys_too():
    assert plain(parse_yaml('{"\\ud83d\\ude00": 1}')) == {"\U0001f600": 1}
    with pytest.raises(ManifestError, match="1:2 half of a surrogate pair"):
        parse_yaml('{"\\ude00": 1}')


def test_aliases_stand_for_their_values():
    assert plain(parse_yaml("a: &x [1, 2]\nb: *x\nc: {d: *x}\n")) == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


def test_an_alias_stands_where_it_is_used():
    root = parse_yaml("a: &x 1\nb: *x\n")
    assert (root.get("b").place.line, root.get("b").place.column) == (2, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1 the file is empty"),
        ("# nothing\n", "f:1:1 the file is empty"),
        ("a: {", "f:1:5 not YAML: expected the node content"),
        ("a: b: c", "f:1:5 not YAML: mapping values are not allowed here: correct the text here"),
        ("\ta: 1", r"f:1:1 not YAML: found character '\t' that cannot start any token"),
        ("a: 'x", "f:1:6 not YAML: found unexpected end of stream"),
        ("a: @b", "f:1:4 not YAML: found character '@'"),
        ("a:\n  b: '\x07'", "f:2:7 not YAML: the character U+0007 is not allowed"),
        ('a: "\\U00110000"', "not YAML from here on"),
        ("a: 1\n---\nb: 1", "f:3:1 a second document starts here"),
        ("%YAML 1.1\n---\na: yes", "f:2:1 YAML 1.1 is not supported"),
        ("a: !!str 3", "f:1:4 the tag tag:yaml.org,2002:str is not supported"),
        ("a: !!python/object/apply:os.system [true]", "f:1:4 the tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: ! 3", "f:1:4 the tag ! is not supported"),
        ("a: 1\nb: 2\na: 3", "f:3:1 the key 'a' is given twice, first in line 1"),
        ("{1: a, '1': b}", "f:1:8 the key '1' is given twice"),
        ("? [1]\n: 2", "f:1:3 a list or mapping is used as a key"),
        ("a: &x b\n*x : 2", "f:2:1 an alias is used as a key"),
        ("a: &x {b: 1}\nc: {<<: *x}", "f:2:5 merge keys (<<) are not part of YAML 1.2"),
        ("a: *x", "f:1:4 the alias *x has no anchor"),
        ("a: &x [1, *x]", "f:1:11 the alias *x stands inside its own anchor"),
        ("a: .inf", "f:1:4 '.inf' is not a finite number"),
        ("a: -.Inf", "is not a finite number"),
        ("a: .nan", "is not a finite number"),
        ("a: 1e999", "is not a finite number"),
        ("a: 9223372036854775808", "f:1:4 the whole number does not fit 64 bits"),
        ("a: 0x" + "f" * 100, "does not fit 64 bits"),
        ("a: " + "9" * 5000, "does not fit 64 bits"),
        ('a: "\\ud800"', "f:1:4 half of a surrogate pair"),
        ("[" * (MAX_DEPTH + 1), f"f:1:{MAX_DEPTH + 1} nested more than {MAX_DEPTH} deep"),
        ("- " * 10_000, f"nested more than {MAX_DEPTH} deep"),
        ("{a: " * 10_000, f"nested more than {MAX_DEPTH} deep"),
        ("? " * 10_000, f"nested more than {MAX_DEPTH} deep"),
        ("a: " + "x" * MAX_BYTES, f"characters are too many, expected at most {MAX_BYTES:,}"),
        ("[" + "1," * MAX_NODES + "]", f"more than {MAX_NODES} values"),
    ],
)
def test_what_is_refused_says_where(text, message):
    with pytest.raises(ManifestError) as caught:
        parse_yaml(text, "f")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.source == "f"
    assert caught.value.line is not None
    assert caught.value.column is not None


def test_a_quoted_merge_key_is_a_key():
    assert plain(parse_yaml("'<<': 1")) == {"<<": 1}


def test_a_bomb_ends_before_it_is_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    started = time.monotonic()
    with pytest.raises(ManifestError, match=r"bomb.yaml:5:\d+ more than 50000 values \(aliases expanded\)"):
        parse_yaml("\n".join(lines), "bomb.yaml")
    assert time.monotonic() - started < 1.0


def test_a_bomb_of_depth_ends_too():
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100)]
    with pytest.raises(ManifestError, match="nested more than 50 deep"):
        parse_yaml("\n".join(lines), "bomb.yaml")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("a\nb", "'a b'"),
        (1e-4, "0.0001"),
        ([1, "x"], "[1, 'x']"),
        ({"a": [None]}, "{a: [null]}"),
        ("x" * 100, "'" + "x" * 56 + "..."),
        (list(range(10**5)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16..."),
    ],
)
def test_values_are_shown_on_one_short_line(value, text):
    assert shown(value) == text
