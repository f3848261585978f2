"""How runs look: what a plugin has watched while they work, and the tables and figures of what they left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.reporting.tables import Table
    from qecforge.store import Run, Store

__all__ = ["Reading", "RunView"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A metric that is watched while a run works.

    Attributes:
        metric: Its name in the log.
        label: What people call it, such as `detection rate`.
        show: How a value is written; None: four significant digits.
        words: Its part of a sentence, with `{}` for the value, such as `{} epochs/s`; empty: label, then value.
    """

    metric: str
    label: str
    show: Callable[[float], str] | None = None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class RunView:
    """What a plugin shows of the runs that it takes part in.

    `tables` and `figures` read the store and change nothing. They are called for every run of the plugin, also for
    one that ended early or was filed by an older version, and give nothing where its record has nothing for them.
    What they raise is said in one line that names the plugin, and all else is shown.

    Attributes:
        readings: Watched live, in this order: those of the environment first, then those of the agent.
        unit: Of progress, in the plural, such as `epochs`; None leaves that to the other view (then: `steps`).
        tables: `tables(store, run_ids)`, by name; printed after the runs.
        figures: `figures(store, run)`, by name (lower case, digits and underscores), which becomes a file's name. One
            that is named like a figure of the core's takes its place.
    """

    readings: Sequence[Reading] = ()
    unit: str | None = None
    tables: Callable[[Store, Sequence[str]], Mapping[str, Table]] | None = None
    figures: Callable[[Store, Run], Mapping[str, Figure]] | None = None
