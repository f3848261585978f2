"""The fields of a configuration as options of a command: which types a command line can carry, and how."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from qecforge.contracts.config import PluginConfig

__all__ = ["CommandOption", "command_options", "option_of", "texts_of", "values_of"]

Shape: TypeAlias = Literal["switch", "value", "list"]

_WORDS = {str: "TEXT", int: "INTEGER", float: "NUMBER"}


@dataclass(frozen=True)
class CommandOption:
    """One field on a command line.

    Attributes:
        name: The field's.
        flags: `--name`, hyphens for underscores; for a switch `--no-name` too.
        shape: `switch`: without a text; `value`: one text; `list`: one text with commas between the items.
        metavar: What stands for the text in a help page; empty for a switch.
        help: The field's description.
    """

    name: str
    flags: tuple[str, ...]
    shape: Shape
    metavar: str
    help: str


def command_options(config: type[PluginConfig]) -> tuple[CommandOption, ...]:
    """An option for each field that a command line can carry, in the fields' order."""
    found = (option_of(name, field.annotation, field.description) for name, field in config.model_fields.items())
    return tuple(option for option in found if option is not None)


def option_of(name: str, annotation: Any, description: str | None = "") -> CommandOption | None:
    """The option of one field; None where its type has no form on a command line."""
    kind = _without_none(annotation)
    words, text = name.replace("_", "-"), description or ""
    if kind is bool:
        return CommandOption(name, (f"--{words}", f"--no-{words}"), "switch", "", text)
    if (word := _word(kind)) is not None:
        return CommandOption(name, (f"--{words}",), "value", word, text)
    items = get_args(kind)
    if get_origin(kind) is tuple and len(items) == 2 and items[1] is Ellipsis and _word(_bare(items[0])) is not None:
        word = "NUMBERS" if _bare(items[0]) in (int, float) else "NAMES"
        return CommandOption(name, (f"--{words}",), "list", word, text)
    return None


def values_of(config: type[PluginConfig], texts: Mapping[str, str | bool | None]) -> dict[str, Any]:
    """What was given of a configuration's options, for the model to validate.

    Args:
        texts: By field: a text, a truth value for a switch; None where the option was not given.

    Returns:
        A list for an option of that shape, without blanks around its items and without empty items.
    """
    lists = {option.name for option in command_options(config) if option.shape == "list"}
    return {
        name: [item.strip() for item in text.split(",") if item.strip()]
        if name in lists and isinstance(text, str)
        else text
        for name, text in texts.items()
        if text is not None
    }


def texts_of(options: PluginConfig) -> dict[str, str | bool | None]:
    """The reverse of `values_of`: what to give for these options; None where leaving it out says the same."""
    texts: dict[str, str | bool | None] = {}
    for option in command_options(type(options)):
        value = getattr(options, option.name)
        if value is None or isinstance(value, bool):
            texts[option.name] = value
        else:
            texts[option.name] = ",".join(map(str, value)) if option.shape == "list" else str(value)
    return texts


def _word(kind: Any) -> str | None:
    """What stands for a value of a type; None where it is no type of one value."""
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return f"<{'|'.join(choices)}>" if all(isinstance(choice, str) for choice in choices) else None
    return _WORDS.get(kind) if isinstance(kind, type) else None


def _without_none(annotation: Any) -> Any:
    kind = _bare(annotation)
    if get_origin(kind) in (Union, types.UnionType):
        others = [each for each in get_args(kind) if each is not type(None)]
        return _bare(others[0]) if len(others) == 1 else kind
    return kind


def _bare(annotation: Any) -> Any:
    """Without what `Annotated` adds."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
