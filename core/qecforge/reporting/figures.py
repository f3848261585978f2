"""Figures with matplotlib, drawn from plain numbers: each function gives a `Figure`, `save_figure` writes it.

matplotlib comes with the extra `plots`. Nothing here opens a window or touches `pyplot`'s global state.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.errors import ConfigurationError, escaped, printable
from qecforge.machine.extras import missing_dependency
from qecforge.machine.files import why_not, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    from qecforge.evaluation.statistics import SlopeFit

__all__ = [
    "BESIDE",
    "Bar",
    "Point",
    "add_legend",
    "error_lengths",
    "error_rate_figure",
    "figure_png",
    "make_folder",
    "new_axes",
    "plain_text",
    "require_matplotlib",
    "save_figure",
]

BESIDE: Mapping[str, Any] = {
    "fontsize": "small",
    "loc": "upper left",
    "bbox_to_anchor": (1, 1),
    "frameon": False,
}
"""A legend on the right of its axes, where it hides nothing."""

DPI = 150
"""Dots per inch of a figure as PNG."""


@dataclass(frozen=True)
class Bar:
    """A number with the ends of its interval, and what somebody else reports for it."""

    label: str
    value: float
    low: float
    high: float
    theirs: float | None = None


@dataclass(frozen=True)
class Point:
    """A point of a curve with the ends of its interval."""

    x: float
    y: float
    low: float
    high: float


def require_matplotlib() -> None:
    """Raises `MissingDependency` where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise missing_dependency("figures", "matplotlib", "plots") from error


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that the path's ending names (png, svg, pdf). Same figure, same bytes."""
    content = _drawn(figure, path.suffix[1:] or "png")
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written ({error.strerror}): choose another `folder`", parameter="folder"
        ) from error
    return path


def make_folder(folder: Path) -> None:
    """Make a folder for files, where it is missing.

    Raises:
        ConfigurationError: It cannot be made, or is something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = "it is no folder" if isinstance(error, FileExistsError) else why_not(error)
        raise ConfigurationError(
            f"{folder}: cannot be written ({why}): choose another `folder`", parameter="folder"
        ) from error


def figure_png(figure: Figure) -> bytes:
    """A figure as PNG, the bytes that `save_figure` writes for it."""
    return _drawn(figure, "png")


def plain_text(text: str) -> str:
    r"""A name, which may come from a store, for a figure: on one line, and no `$` of it begins a formula."""
    return printable(text, keep="").replace("$", r"\$")


def _drawn(figure: Figure, form: str) -> bytes:
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter

    for each in figure.findobj(Text):
        shown = _in_font(each.get_text(), each.get_fontproperties())
        if shown != each.get_text():
            each.set_text(shown)
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        ticks = axis.get_major_formatter()
        if isinstance(ticks, FixedFormatter):  # which writes its labels anew whenever they are drawn
            font = axis.get_label().get_fontproperties()
            ticks.seq = [_in_font(str(each), font) for each in ticks.seq]
    content, metadata = io.BytesIO(), dict[str, Any]({"Date": None} if form == "svg" else {})
    figure.savefig(content, format=form, dpi=DPI, bbox_inches="tight", metadata=metadata)
    return content.getvalue()


def _in_font(text: str, font: FontProperties) -> str:
    r"""The text with every character that its fonts do not have as `\u5b57`."""
    if text.isascii() and text.isprintable():
        return text
    from matplotlib.font_manager import findfont, get_font

    faces = []
    for family in font.get_family():
        one = font.copy()
        one.set_family(family)
        faces.append(get_font(findfont(one)))

    def drawn(character: str) -> bool:
        return character.isascii() or any(face.get_char_index(ord(character)) for face in faces)

    return "".join(each if drawn(each) else escaped(each) for each in printable(text))


def error_rate_figure(
    curves: Mapping[str, Sequence[Point]], title: str = "", fits: Mapping[str, SlopeFit] | None = None
) -> Figure:
    """Logical error rate over p, both logarithmic, with intervals. A rate of 0 is drawn as its upper limit alone.

    Args:
        fits: By the names of curves: these are drawn as points, with the fitted line dashed, its exponent and the
            exponent's interval in the legend.
    """
    figure, axes = new_axes(title, "physical error rate p", "logical error rate")
    handles: list[Any] = []
    for number, (name, points) in enumerate(curves.items()):
        colour, fit = f"C{number}", (fits or {}).get(name)
        seen = [point for point in points if point.y > 0]
        bars = [Bar("", point.y, point.low, point.high) for point in seen]
        drawn = axes.errorbar(
            [point.x for point in seen],
            [point.y for point in seen],
            yerr=error_lengths(bars, 1),
            fmt="o-" if fit is None else "o",
            markersize=3,
            capsize=2,
            color=colour,
            label=name,
        )
        handles.append(drawn)
        none = [point for point in points if point.y == 0]
        axes.plot([point.x for point in none], [point.high for point in none], "v", color=colour, fillstyle="none")
        if fit is not None:
            ends = [min(point.x for point in points), max(point.x for point in points)]
            words = f"fit: $p^{{{fit.slope:.2f}}}$, 95 % interval {fit.low:.2f} to {fit.high:.2f}"
            y = [fit.prefactor * x**fit.slope for x in ends]
            handles += axes.plot(ends, y, "--", color=colour, linewidth=1, label=words)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if fits and len(handles) > 4:
        axes.legend(handles=handles, **BESIDE)
    elif handles:
        axes.legend(handles=handles, fontsize="small")
    return figure


def new_axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, labelled."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0))
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def error_lengths(bars: Sequence[Bar], factor: float) -> list[list[float]]:
    """As matplotlib takes them: lengths below, lengths above."""
    return [[factor * (bar.value - bar.low) for bar in bars], [factor * (bar.high - bar.value) for bar in bars]]


def add_legend(axes: Axes, columns: int = 1) -> None:
    """A legend where something has a label."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small", ncols=columns)
