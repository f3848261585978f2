"""A report as tables, for a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from qecforge.errors import one_line
from qecforge.reporting.tables import Column, Table, percent, to_markdown
from qecforge_qiskit_tasks.evaluation.report import Figure, Report

__all__ = ["headline", "report_tables", "to_markdown_report"]

REMOVED_COLUMNS = (
    Column("name", "removed name"),
    Column("since", "gone since"),
    Column("instead"),
    Column("completions", "used in"),
    Column("failed_by_it", "failed by it"),
    Column("tasks_lost", "tasks it cost"),
    Column("repaired"),
)
GROUPS = (("all", "pass@k"), ("level", "By level"), ("tag", "By tag"))


def report_tables(report: Report) -> list[Table]:
    """pass@k of all, by level and by tag, each figure with its 95 % interval; verdicts; removed names. A profile of the
    sandbox that is weaker than the default stands in each title."""
    tables = [
        _figures_table(title, [figure for figure in report.figures if figure.group == group]) for group, title in GROUPS
    ]
    verdicts = [{"verdict": name, "completions": count} for name, count in report.verdicts.items()]
    tables.append(Table((Column("verdict"), Column("completions")), verdicts, "Verdicts, of the last attempts"))
    rows = [use.model_dump() for use in report.removed_api]
    shown = [each for each in REMOVED_COLUMNS if each.key != "repaired" or report.sampling.get("attempts", 1) > 1]
    tables.append(Table(tuple(shown), rows, "Names that Qiskit no longer has, in first attempts"))
    weaker = "" if report.profile == "bubblewrap" else f"; sandbox profile {report.profile}"
    return [replace(table, title=f"{table.title}{weaker}") for table in tables if table.rows]


def headline(report: Report) -> list[str]:
    """What was evaluated, and with what; a line each."""
    model = ", ".join(f"{key} {one_line(value, 80)}" for key, value in report.model.items() if _is_short(value))
    sampling = ", ".join(f"{key} {value}" for key, value in report.sampling.items())
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    lines = [
        f"tasks: {report.tasks.get('name')}, {report.tasks.get('count')} tasks, {str(report.tasks.get('sha256'))[:12]}",
        f"model: {model}",
        f"sampling: {sampling}",
        f"ran with: {versions}, sandbox profile {report.profile}",
    ]
    if report.cut:
        lines.append(
            f"note: {report.cut} of {report.completions} first completions were cut off at max_tokens; give more"
        )
    if any(figure.tests == "in_process" for figure in report.figures):
        lines.append("note: in_process tests run beside the program, which can forge their verdict; they stand apart")
    return lines


def to_markdown_report(report: Report) -> str:
    """The whole report, but for its tasks one by one."""
    parts = ["# Evaluation on Qiskit tasks", "\n".join(f"- {line}" for line in headline(report))]
    parts += [f"## {table.title}\n\n{to_markdown(table)}" for table in report_tables(report)]
    if any(figure.method == "wilson" for figure in report.figures):
        parts.append(
            "Intervals are of 95 %, by a bootstrap over tasks; those marked w by Wilson's formula, where there are few "
            "tasks, or every task has the same value."
        )
    else:
        parts.append("Intervals are of 95 %, by a bootstrap over tasks.")
    return "\n\n".join(parts) + "\n"


def _is_short(value: object) -> bool:
    return isinstance(value, (str, int, float)) and len(str(value)) <= 200


def _figures_table(title: str, figures: Sequence[Figure]) -> Table:
    """A row for each group, kind of tests and number of attempts; k goes to the right."""
    rows: dict[tuple[str, str, int], dict[str, object]] = {}
    for figure in figures:
        row = rows.setdefault(
            (figure.name, figure.tests, figure.attempts),
            {
                "name": figure.name,
                "tests": figure.tests,
                "attempts": figure.attempts,
                "tasks": figure.tasks,
                "passed": f"{figure.passed} of {figure.completions}",
            },
        )
        row[f"pass@{figure.k}"] = figure
    ks = sorted({figure.k for figure in figures})
    columns = [Column("name", "tasks of"), Column("tests"), Column("attempts"), Column("tasks"), Column("passed")]
    columns += [Column(f"pass@{k}", f"pass@{k} [95 %]", show=_shown(), justify="right") for k in ks]
    return Table(tuple(columns), list(rows.values()), title)


def _shown() -> Callable[[Figure | None], str]:
    def show(figure: Figure | None) -> str:
        if figure is None:
            return ""
        mark = " w" if figure.method == "wilson" else ""
        return f"{percent(figure.estimate)} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]{mark}"

    return show
