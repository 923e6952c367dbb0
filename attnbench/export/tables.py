"""Tables as they are: CSV, Parquet and Markdown."""

from __future__ import annotations

import io
import re

import pandas as pd

from attnbench.escape_controls import plain

#: What Markdown would read as more than a character; an underscore within a word is none of it.
_MARKS = re.compile(r"[\\`*\[\]<>&|~$#]|(?<![^\W_])_|_(?![^\W_])")


def csv(frame: pd.DataFrame) -> str:
    """Comma-separated text with a header; a terminal that shows it has nothing to obey, and a line break is quoted."""
    return "\n".join(map(plain, frame.to_csv(index=False, lineterminator="\n").split("\n")))


def parquet(frame: pd.DataFrame) -> bytes:
    """Parquet, every value and type as it is in the run folder."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown; empty cells for missing values, and every other character stands for itself."""
    cells = frame.astype("object").where(frame.notna(), "").map(_cell)
    lines: list[list[str]] = [list(map(_cell, frame.columns)), ["---"] * len(frame.columns), *cells.to_numpy().tolist()]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(value: object) -> str:
    return _MARKS.sub(r"\\\g<0>", plain(str(value)))
