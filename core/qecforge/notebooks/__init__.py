"""How codes, runs and series look in a notebook: HTML and SVG from plain values, without matplotlib.

Objects call these in `_repr_html_`, which Jupyter asks for; nothing here imports them.
"""

from qecforge.notebooks.code import circuit_svg, code_html
from qecforge.notebooks.run import run_html
from qecforge.notebooks.series import series_html

__all__ = ["circuit_svg", "code_html", "run_html", "series_html"]
