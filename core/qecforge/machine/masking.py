"""Passwords in what is printed or filed: each is replaced by `***`.

Whatever may hold the URL of a store goes through `masked`: messages, hints, tracebacks, the command line in a run's
record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["MASK", "masked", "masked_command", "masked_values"]

MASK = "***"

_ACCOUNT = re.compile(r"(?P<start>[A-Za-z][\w+.-]*(?::/{0,2}|/{2})[^\s:/]*:)\S*@")
"""Scheme, user and password. The last `@` ends it: a password may hold others, and one that is cut says a part."""

_SETTING = re.compile(
    r"(?P<start>(?P<before>[?&;]?)(?<![\w%])(?P<key>[\w.%-]+)=)(?P<value>'[^']*'|\"[^\"]*\"|[^\s&;'\"]+)"
)
_SECRET = re.compile(r"(?:^|[._-])(?:\w*(?:password|passwd|passphrase|pwd|secret)|api_?key)$", re.IGNORECASE)
_SECRET_IN_QUERY = re.compile(r"pass|pwd|secret|token|api_?key|credential", re.IGNORECASE)


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the passwords in its URLs (`//user:password@`, `?password=`) and settings (`password=`).

    Args:
        secrets: What is to go too, wherever it stands.
    """
    for secret in secrets:
        text = text.replace(secret, MASK) if secret else text
    if "=" in text:
        text = _SETTING.sub(_mask_setting, text)
    return _ACCOUNT.sub(rf"\g<start>{MASK}@", text) if "@" in text else text


def masked_command(arguments: Iterable[str]) -> list[str]:
    """The arguments of a command line, each masked; a URL may hold blanks there."""
    return [masked(each.replace(" ", "%20") if "://" in each and "@" in each else each) for each in arguments]


def masked_values(value: Any) -> Any:
    """Nested mappings and lists with every text masked."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: masked_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(each) for each in value]
    return value


def _mask_setting(found: re.Match[str]) -> str:
    secret = _SECRET_IN_QUERY if found["before"] else _SECRET
    if secret.search(unquote(found["key"])):
        return f"{found['start']}{MASK}"
    return f"{found['start']}{_SETTING.sub(_mask_setting, found['value'])}"  # a URL with a query of its own, say
