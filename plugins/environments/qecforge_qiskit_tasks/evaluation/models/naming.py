"""`--model`: what a text names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from qecforge.errors import ConfigurationError, one_line

__all__ = ["ModelName", "parse_model"]

FORMS = "http://HOST:PORT/v1#NAME, hf:PATH, run:ID or file:SAMPLES.jsonl"


@dataclass(frozen=True)
class ModelName:
    """A model by name.

    Attributes:
        kind: A server, weights on this machine, the policy of a run, or completions of a file.
        place: URL without the name, path, or id.
        name: Of the model on a server; else empty.
    """

    kind: Literal["server", "hf", "run", "file"]
    place: str
    name: str = ""


def parse_model(text: str) -> ModelName:
    """Raises `ConfigurationError` where the text is none of the forms."""
    kind, colon, rest = text.partition(":")
    if colon and kind in ("http", "https"):
        return _server(text)
    if colon and kind in ("hf", "run", "file"):
        if not rest:
            raise ConfigurationError(f"--model: got {text!r}, expected something after the colon: {FORMS}")
        return ModelName(kind, rest)  # type: ignore[arg-type]
    raise ConfigurationError(f"--model: got {one_line(text, 100)!r}, expected {FORMS}")


def _server(text: str) -> ModelName:
    url, _, name = text.partition("#")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"--model: {one_line(url, 100)!r} is no URL ({error}); expected {FORMS}") from None
    if parts.username or parts.password:
        raise ConfigurationError(
            "--model: a user name or password in the URL would appear in reports; set the environment variable "
            "OPENAI_API_KEY instead"
        )
    if not host or parts.query or not url.isascii() or any(each.isspace() or not each.isprintable() for each in url):
        raise ConfigurationError(f"--model: got the URL {one_line(url, 100)!r}, expected {FORMS}")
    if not name:
        raise ConfigurationError(
            f"--model: {one_line(url, 100)} does not name a model, expected {one_line(url, 100)}#NAME with a "
            f"name that the "
            "server knows it by"
        )
    return ModelName("server", url.rstrip("/"), name)
