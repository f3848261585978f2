"""What a sandbox is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from qecforge.errors import ConfigurationError
from qecforge.sandbox.inside.codec import Bounds
from qecforge.sandbox.program import parse_size

__all__ = ["Profile", "SandboxConfig", "Tier"]


class Profile(StrEnum):
    """How cells are isolated."""

    BUBBLEWRAP = "bubblewrap"
    """Namespaces, and in them Landlock, seccomp and limits."""
    LANDLOCK = "landlock"
    """Landlock, seccomp and limits alone: names and sizes of the host's files can be seen, and there is no process
    space of its own. Never chosen for the user; for where containers forbid namespaces."""


@dataclass(frozen=True)
class Tier:
    """A kind of fork server.

    Attributes:
        name: By which a program may ask for it.
        modules: Imported before any program; a program is run by the first tier that has all of what it imports and
            any tier has, packages and the modules in them that are listed here.
        warm: Functions, as `module:function`, called once before any program, so that their first use is paid once.
            They must leave no thread behind: a process with threads cannot fork safely.
    """

    name: str
    modules: Sequence[str] = ()
    warm: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """A sandbox.

    Attributes:
        cells: How many programs run at once; None for the number of cores that may be used.
        tiers: The fork servers, the smallest first. A cell starts one when a program first needs it.
        types: Modules that list `CODEC_TYPES` (`CodecType`), imported in every cell: what the codec knows beyond the
            built-in types and numpy's.
        hidden: Folders that are empty in a cell, such as those of tasks with their tests and solutions, which would be
            readable where they are installed beside other packages.
        environment: Variables of the cells, beside our own; nothing else is passed on.
        profile: Never chosen by the sandbox itself.
        disk: Size of the file system that a cell's programs write to; a program's `Limits.disk` is at most that.
        memory: What a cell takes at most, its fork server included, where a control group can be had.
        attempts: How often a program is tried where its cell is out of order, each time in a fresh one.
        largest_source: Bytes of source; a longer one is `invalid`.
        bounds: Of the values between program and judge.
        layers: False takes the layers of the children away, for measurements; programs are not safe then.
    """

    cells: int | None = None
    tiers: Sequence[Tier] = (Tier("python", ("numpy",)),)
    types: Sequence[str] = ()
    hidden: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    profile: Profile = Profile.BUBBLEWRAP
    disk: str | int = "256 MiB"
    memory: str | int = "4 GiB"
    attempts: int = 3
    largest_source: str | int = "1 MiB"
    bounds: Bounds = field(default_factory=Bounds)
    layers: bool = True

    def __post_init__(self) -> None:
        for name, value in (("cells", self.cells), ("attempts", self.attempts)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigurationError(f"{name}: got {value!r}, expected a whole number, 1 or more")
        for name in ("disk", "memory", "largest_source"):
            if parse_size(name, getattr(self, name)) <= 0:
                raise ConfigurationError(f"{name}: got {getattr(self, name)!r}, expected more than 0")
        names = [tier.name for tier in self.tiers]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(f"tiers: got the names {', '.join(names) or 'of none'}, expected each once")
        if self.profile not in list(Profile):
            raise ConfigurationError(f"profile: got {self.profile!r}, expected {' or '.join(Profile)}")
        object.__setattr__(self, "profile", Profile(self.profile))
        if self.hidden and self.profile is Profile.LANDLOCK:
            raise ConfigurationError(
                f"hidden: the profile landlock cannot hide {', '.join(self.hidden)}; use the profile bubblewrap"
            )

    @property
    def number_of_cells(self) -> int:
        """`cells`, or what stands for None."""
        if self.cells is not None:
            return self.cells
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def tier(self, name: str) -> Tier:
        """A tier by name. Raises `ConfigurationError`."""
        for tier in self.tiers:
            if tier.name == name:
                return tier
        raise ConfigurationError(f"tier: got {name!r}, expected one of {', '.join(each.name for each in self.tiers)}")
