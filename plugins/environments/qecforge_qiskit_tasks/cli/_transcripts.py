"""Where commands keep what was run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["TRANSCRIPTS", "TranscriptsOption"]

TRANSCRIPTS = Path("results.artifacts/transcripts.db")
"""In the folder of the store that commands have by default."""
TranscriptsOption: TypeAlias = Annotated[
    Path, typer.Option("--transcripts", help="File of programs and their results. A program in it is not run again.")
]
