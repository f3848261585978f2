"""Errors of the library speak of its parameters; the command line speaks of its options."""

import ast
import json
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_graph import strings_of
from typer.main import get_command

from qecforge import errors
from qecforge.cli._app import app
from qecforge.cli._output import OPTIONS, in_options
from qecforge.errors import (
    CheckpointError,
    ConfigurationError,
    ManifestError,
    QecforgeError,
    UserError,
    one_line,
    printable,
)

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ("environments/qecforge_code_discovery", "environments/qecforge_surface_steering", "quantizers/qecforge_apq")
EVALUATION = "plugins/environments/qecforge_qiskit_tasks/evaluation"
OF_COMMANDS = {
    "core/qecforge/contracts/options.py",
    *(f"plugins/{kind}/reproduction/spec.py" for kind in PAPERS),
    *(file.relative_to(ROOT).as_posix() for file in (ROOT / EVALUATION).rglob("*.py")),
}
"""What makes options of fields, and the help of such options; what one command alone uses."""

OF_OTHERS = {
    "plugins/agents/qecforge_grpo/hf/base.py",
    *(f"core/qecforge/sandbox/{name}.py" for name in ("bubblewrap", "checking")),
}
"""What gives options to other programs: bubblewrap, and in remedies Docker, systemd, pip and hf."""

HARD = "a\n\r\t\x00\x1b[2J\x1e\x7f\x85\x9b\u200b\u2028\u2029\u202a\u202e\u2066\u2069\ud800\udcff\U000e0001 é字$`"
TEXTS = st.text(st.one_of(st.sampled_from(HARD), st.characters(codec=None)), max_size=30)
"""Of all characters, lone surrogates among them."""

LIBRARY = [
    file
    for file in [*ROOT.glob("core/qecforge/**/*.py"), *ROOT.glob("plugins/**/*.py")]
    if "cli" not in file.relative_to(ROOT).parts and file.relative_to(ROOT).as_posix() not in OF_COMMANDS | OF_OTHERS
]


def test_no_message_of_the_library_names_an_option():
    found = [
        (file.relative_to(ROOT).as_posix(), line, text)
        for file in LIBRARY
        for line, text in strings_of(file)
        if re.search(r"(^|[^\w-])--[a-z]", text)
    ]
    assert [each for each in found if each[2] != "--porcelain"] == []  # an argument of git


def parameters_named():
    """`parameter` of each error that is raised, with the text of its message."""
    for file in LIBRARY:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            given = {each.arg: each.value for each in node.keywords} if isinstance(node, ast.Call) else {}
            parameter = given.get("parameter")
            if isinstance(parameter, ast.Constant) and getattr(node.func, "id", "").endswith(("Error", "Dependency")):
                yield file.name, parameter.value, node


def test_a_parameter_that_an_error_carries_has_an_option():
    named = {parameter for _, parameter, _ in parameters_named()}
    assert named | {CheckpointError.parameter, "overrides"} == set(OPTIONS)


def test_options_of_parameters_are_there():
    def options(command):
        for below in getattr(command, "commands", {}).values():
            yield from options(below)
        for each in command.params:
            shown = (each.metavar or each.name or "").strip("[].").upper()
            yield from [shown] if each.param_type_name == "argument" else each.opts

    assert set(OPTIONS.values()) <= set(options(get_command(app)))


def test_the_option_stands_where_the_parameter_is_named():
    assert in_options(CheckpointError("x.ckpt: damaged:\nstart the run anew with `force`")) == (
        "x.ckpt: damaged: start the run anew with --force"
    )
    told = ConfigurationError("`workers`: got 0, expected 1 or more", parameter="workers")
    assert in_options(told) == "--workers: got 0, expected 1 or more"
    assert in_options(ManifestError("no", source="`overrides`", path="a", parameter="overrides")) == "--set a: no"


def test_other_text_stays_as_it_is():
    assert in_options(ConfigurationError("agent.`force`: got 0")) == "agent.`force`: got 0"
    assert in_options(ValueError("`force`")) == "`force`"
    assert in_options(UserError("`pressure`", parameter="pressure")) == "`pressure`"


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__ if name[0].isupper()])
def test_errors_pass_between_processes(kind):
    given = {"parameter": "store_url"} if issubclass(kind, UserError) else {}
    error = kind("x: got 1, choose `store_url`", **given)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (kind, "x: got 1, choose `store_url`")
    assert vars(copy) == vars(error)


def kinds(kind=QecforgeError):
    """Every class of errors of ours, those of plugins that are loaded among them."""
    found = [kind, *(below for each in kind.__subclasses__() for below in kinds(each))]
    return [each for each in found if each.__module__.startswith("qecforge")]


class Own(UserError):
    """An error of a plugin's, which says what it likes."""

    def __init__(self, message):
        Exception.__init__(self, message, "and more")


@given(TEXTS, TEXTS)
def test_every_message_is_one_line_that_can_be_printed(name, path):
    text = f"{path}: no such file; did you mean {name!r} or {name}?"
    for error in (*(kind(text) for kind in kinds()), Own(text)):
        for said in (str(error), in_options(error)):
            assert said.isprintable(), (type(error), said)
            assert len(said.splitlines()) == 1


@given(TEXTS, TEXTS, TEXTS)
def test_errors_of_a_manifest_are_a_line_each(message, source, path):
    errors = [ManifestError(f"{message}{number}", source=source, line=number, path=path) for number in (1, 2, 3)]
    joined = ManifestError.joined(errors)
    assert len(joined.all) == 3
    for said in (str(joined), joined.message, *map(str, joined.all), *map(in_options, joined.all)):
        assert said.isprintable()


@given(TEXTS)
def test_printable_text(text):
    shown = printable(text)
    assert printable(shown) == shown
    assert all(each.isprintable() or each in "\n\t" or each.isspace() for each in shown)
    assert one_line(text).isprintable()
    if text.isprintable():
        assert shown == text


def test_printable_text_is_the_same_in_json():
    text = "\x1b[2J\u202e\u2066\x85\U000e0001 é字 \n"
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text
    assert printable("\x1b[2J\u202e\udcff") == "\\u001b[2J\\u202e\\udcff"
