"""One page of HTML from tables and figures, in a single file that needs no other: figures are embedded as PNG data, the
few rules of style stand in the page, and a browser is told to fetch nothing."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from qecforge.errors import printable
from qecforge.reporting.figures import figure_png
from qecforge.reporting.tables import Table, alignment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["html_page"]

_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; }
nav ul { columns: 3 16rem; padding-left: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
th.right, td.right { text-align: right; white-space: nowrap; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: 0.875rem; color: #555; }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html_page(
    title: str, tables: Mapping[str, Table], figures: Mapping[str, Figure], *, notes: Sequence[str] = ()
) -> str:
    """A whole page: title, notes, contents, tables, figures, in the order given. The same input gives the same text.

    Args:
        title: The page's heading, plain text.
        tables: By a short name, which the page's anchors use; a table's own title stands above it, the name where it
            has none. Columns marked `detail` are left out, values are as people see them.
        figures: By a short name, which stands below each. Without any, matplotlib is not needed.
        notes: Paragraphs of plain text below the title.

    Returns:
        HTML with everything escaped that is not markup of this module; lines end in LF.
    """
    anchors = [(_anchor("table", name), table.title or name) for name, table in tables.items()]
    anchors += [(_anchor("figure", name), name) for name in figures]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_escape(title)}</title>",
            f"<style>\n{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{_escape(title)}</h1>",
            *(f"<p>{_escape(note)}</p>" for note in notes),
            *_contents(anchors),
            *(line for name, table in tables.items() for line in _table(name, table)),
            *(line for name, figure in figures.items() for line in _figure(name, figure)),
            "</body>",
            "</html>",
            "",
        ]
    )


def _escape(text: str) -> str:
    """A text, which may come from a store, in HTML. What cannot be printed is shown as its number."""
    return html.escape(printable(text))


def _anchor(kind: str, name: str) -> str:
    """An id without the white space that ids may not have."""
    return f"{kind}-{'-'.join(name.split())}"


def _contents(anchors: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Links to what follows, where that is more than one thing."""
    if len(anchors) < 2:
        return
    yield "<nav><ul>"
    yield from (f'<li><a href="#{_escape(quote(anchor))}">{_escape(text)}</a></li>' for anchor, text in anchors)
    yield "</ul></nav>"


def _table(name: str, table: Table) -> Iterator[str]:
    columns = [column for column in table.columns if not column.detail]
    sides = [' class="right"' if alignment(table, column) == "right" else "" for column in columns]
    yield f'<h2 id="{_escape(_anchor("table", name))}">{_escape(table.title or name)}</h2>'
    if not table.rows:
        yield "<p>No rows.</p>"
        return
    yield '<div class="scroll"><table>'
    heads = (f"<th{side}>{_escape(column.head)}</th>" for column, side in zip(columns, sides, strict=True))
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        cells = (
            f"<td{side}>{_escape(column.text(row.get(column.key)))}</td>"
            for column, side in zip(columns, sides, strict=True)
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody>"
    yield "</table></div>"


def _figure(name: str, figure: Figure) -> Iterator[str]:
    picture = base64.b64encode(figure_png(figure)).decode("ascii")
    yield f'<figure id="{_escape(_anchor("figure", name))}">'
    yield f'<img alt="{_escape(name)}" src="data:image/png;base64,{picture}">'
    yield f"<figcaption>{_escape(name)}</figcaption>"
    yield "</figure>"
