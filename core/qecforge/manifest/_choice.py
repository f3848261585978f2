"""A plugin that a manifest names, with its configuration; and what the checks of plugins refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic

from qecforge.contracts.config import PluginConfig
from qecforge.errors import ManifestError, PluginError, UserError, one_line
from qecforge.manifest._yaml import Place
from qecforge.registry.registry import S

__all__ = ["Choice", "Gathered", "Named", "listed", "refusals"]


@dataclass(frozen=True)
class Named(Generic[S]):
    """A plugin that a manifest names, and the distribution that it comes from."""

    spec: S
    distribution: str
    version: str

    @property
    def owner(self) -> str:
        """Who is to blame if the plugin itself fails: `ppo (qecforge 0.1.0)`."""
        return f"{self.spec.name} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Choice(Generic[S]):
    """A plugin with its configuration, and the distribution that it comes from."""

    spec: S
    config: PluginConfig
    distribution: str
    version: str

    @property
    def owner(self) -> str:
        """Who is to blame if the plugin itself fails: `ppo (qecforge 0.1.0)`."""
        return f"{self.spec.name} ({self.distribution} {self.version})"


class Gathered:
    """What is wrong with a manifest, gathered over checks that do not need one another.

    gathered = Gathered()
    with gathered:
        ...             # a ManifestError ends the block, and is kept
    gathered.refuse()   # raises all of them as one
    """

    def __init__(self) -> None:
        self.errors: list[ManifestError] = []

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, ManifestError):
            return False
        self.errors += error.all
        return True

    def refuse(self) -> None:
        """Raise `ManifestError` where anything was wrong."""
        if self.errors:
            raise ManifestError.joined(self.errors)


@contextmanager
def refusals(place: Place, path: str, owner: str) -> Iterator[None]:
    """What a plugin's check refuses, as an error at this place of the manifest.

    Raises:
        ManifestError: the check refused.
        PluginError: the check itself failed.
    """
    try:
        yield
    except (ValueError, UserError) as error:
        raise place.error(one_line(str(error)), path) from error
    except Exception as error:
        raise PluginError(
            f"{owner} failed while it checked `{path}`: {type(error).__name__}: {one_line(str(error))}. "
            "Report it to the plugin's authors."
        ) from error


def listed(names: Sequence[str]) -> str:
    """Names to choose from."""
    return " or ".join(names)
