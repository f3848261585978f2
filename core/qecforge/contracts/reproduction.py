"""A paper's reproduction as a plugin brings it: the runs that it plans, the claims it holds them to, and its report.

The core carries out those of the runs that a store has not, decides the claims by one rule, and prints and writes one
table of them beside the report's own tables and figures. `qecforge.reproduction` has what planning and reducing need:
criteria of claims, checks of names, and which of the planned runs are finished.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.contracts.config import PluginConfig
    from qecforge.reporting.spread import Spread
    from qecforge.reporting.tables import Table
    from qecforge.store import Store

__all__ = ["MAX_SEEDS", "Claim", "Criterion", "Order", "Plan", "PlannedRun", "Report", "ReproductionSpec"]

MAX_SEEDS = 1000
"""Of one order."""

C = TypeVar("C", bound="PluginConfig", default=Any)
"""The options of a reproduction: its functions are given them validated."""


class Plan(Protocol):
    """What is read here of a `qecforge.manifest.RunPlan`, which is what a plan must be."""

    @property
    def name(self) -> str:
        """Of its manifest."""

    @property
    def seed(self) -> int:
        """The run's."""

    @property
    def identity(self) -> str:
        """What the store knows the run by."""

    @property
    def sweep_point(self) -> Mapping[str, Any]:
        """What the sweep set, by dotted path."""


@dataclass(frozen=True, kw_only=True)
class Order(Generic[C]):
    """What a user asks of a reproduction.

    Attributes:
        options: The spec's own, as it names them.
        seeds: One run of everything for each.
        quick: The smaller variant.
        overrides: `path=value` texts to put into every manifest that they are about.
    """

    options: C
    seeds: tuple[int, ...]
    quick: bool = False
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run. A reproduction may give objects of a subclass, with what its report wants to know of a run.

    Attributes:
        plan: A `qecforge.manifest.RunPlan`.
        labels: What tells it from the others, by column of a listing; the same columns for every run.
        after: Identities of other planned runs that end before this one begins.
    """

    plan: Plan
    labels: Mapping[str, str]
    after: tuple[str, ...] = ()


P = TypeVar("P", bound=PlannedRun, default=Any)
"""The planned runs of a reproduction: its report is given what its plan has returned."""


class Criterion(Protocol):
    """When a claim holds; `qecforge.reproduction` makes them."""

    @property
    def text(self) -> str:
        """After "holds if", such as `interval above 0`."""

    def holds(self, ours: Spread) -> bool | None:
        """Whether a number over seeds is as claimed; None where that is not decided."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of a paper, and our number with which it is compared.

    Attributes:
        part: Of the paper: an experiment, a result.
        text: What is claimed, one line.
        theirs: The paper's number as people read it; empty where it gives none.
        ours: A number over seeds with Student's interval (`Spread.student`); None where there is none.
        criterion: When it holds.
        note: A remark on our number, such as seeds without a value.
        show: How people see ours; None for four significant digits.
    """

    part: str
    text: str
    theirs: str = ""
    ours: Spread | None
    criterion: Criterion
    note: str = ""
    show: Callable[[float], str] | None = None

    @property
    def holds(self) -> bool | None:
        """The criterion's verdict; None where there is no number, or it does not decide."""
        return None if self.ours is None else self.criterion.holds(self.ours)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a store says of the planned runs that are finished.

    Attributes:
        claims: In the order of their table, which the core makes.
        tables: By file name without its ending; those without rows are left out. `claims` is the core's.
        figures: Draws the figures, by file name without its ending; called only where they are wanted.
        claims_after: The table of `tables` that the claims follow; empty where they come first.
    """

    claims: Sequence[Claim] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Callable[[], Mapping[str, Figure]] = dict
    claims_after: str = ""


@dataclass(frozen=True, kw_only=True)
class ReproductionSpec(Generic[C, P]):
    """A reproduction: `qecforge reproduce NAME`.

    Attributes:
        name: Of its command; lower case, digits and underscores.
        summary: One line.
        source: What is reproduced: `arXiv:2511.08493`, or a title and its authors.
        quick: What `--quick` makes of it and how long that takes, one sentence.
        needs: Plugins that its manifests name, as `kind.name`, such as `environment.code_discovery`.
        options: Its fields become options of the command, their descriptions the help texts. Each has a default and
            is a text, a number, a truth value, a `Literal` of texts or a tuple of one of these (commas between its
            items), or one of them or None.
        plan: `plan(order, registry)` gives the runs, always the same ones in one sequence for the same order. Raises a
            `UserError` for what cannot be planned.
        report: `report(store, planned)` of the planned runs that the store has finished; no claim and no row where
            there is none. Reads the store alone.
        measure: `measure(store, planned, registry)` adds to the finished runs of a store what is measured once they are
            there, such as latencies of this machine, and leaves what is there.
        seeds, quick_seeds: How many seeds where the user does not say.
        recorded: Metrics that the report reads of a run, where these and the numbers of its evaluations are all that it
            reads: finished runs can then be kept in a file (`--records FILE`), which others go on from. Of what else it
            reads, such as codes, it says nothing for runs that come from a file. None: it cannot do without.
        recorded_payloads: Evaluations whose payloads it reads too.
    """

    name: str
    summary: str
    source: str
    quick: str
    needs: tuple[str, ...]
    options: type[C]
    plan: Callable[[Order[C], Any], Sequence[P]]
    report: Callable[[Store, Sequence[P]], Report]
    measure: Callable[[Store, Sequence[P], Any], None] | None = None
    seeds: int = 5
    quick_seeds: int = 2
    recorded: tuple[str, ...] | None = None
    recorded_payloads: tuple[str, ...] = ()
