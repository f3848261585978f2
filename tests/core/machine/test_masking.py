"""Passwords in URLs and settings, wherever they stand in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qecforge.machine.masking import masked, masked_command, masked_values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:hunter2@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("--store=postgresql+psycopg://:hunter2@/db", "--store=postgresql+psycopg://:***@/db"),
        ("store 'postgresql://me:hunter2@host/db': no", "store 'postgresql://me:***@host/db': no"),
        ("postgresql://me:hun@ter/2?x@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me@host/db?password=hunter2&port=1", "postgresql://me@host/db?password=***&port=1"),
        ("postgresql://me@host/db?port=1&sslpassword=hunter2", "postgresql://me@host/db?port=1&sslpassword=***"),
        ("postgresql:///db?user=me&p%61ssword=hunter2", "postgresql:///db?user=me&p%61ssword=***"),
        ("postgresql:/me:hunter2@host", "postgresql:/me:***@host"),
        ("postgresql//me:hunter2@host", "postgresql//me:***@host"),
        ("--log=postgresql://me@host/db?password=hunter2", "--log=postgresql://me@host/db?password=***"),
        ("host=h password='hunter2 2' user=me", "host=h password=*** user=me"),
        ("--set agent.password=hunter2", "--set agent.password=***"),
        ("https://me:hunter2@a/b and https://me:hunter2@a/c", "https://me:***@a/b and https://me:***@a/c"),
        ("sqlite:////data/results.db", "sqlite:////data/results.db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        (
            "--set agent.total_steps=1000 evaluation.max_tokens=5",
            "--set agent.total_steps=1000 evaluation.max_tokens=5",
        ),
        ("@hook\ndef f(x: int) -> a @ b", "@hook\ndef f(x: int) -> a @ b"),
    ],
)
def test_passwords_are_masked_and_nothing_else(text, expected):
    assert masked(text) == expected
    assert masked(expected) == expected
    assert masked_values({"a": [text, {"b": (text, 1, None)}]}) == {"a": [expected, {"b": [expected, 1, None]}]}


def test_arguments_of_a_command_may_hold_blanks():
    assert masked_command(["run", "a b.yaml", "--store", "postgresql://me:hunter 2@host/db"]) == [
        "run", "a b.yaml", "--store", "postgresql://me:***@host/db",
    ]  # fmt: skip


def test_what_is_named_goes_too():
    assert masked("the server quotes hunter2", ["hunter2", ""]) == "the server quotes ***"


@given(st.text(st.characters(exclude_categories=("Cs", "Zs", "Zl", "Zp", "Cc"))).filter(lambda each: len(each) > 3))
def test_no_password_is_left(password):
    for text in (f"x postgresql://me:{password}@host/db y", f"run --store postgresql://me:{password}@host/db"):
        assert f":{password}@" not in masked(text)
