"""A run in formats that other programs read: tables of text, Parquet, LaTeX, and what pytest-benchmark compares."""

from __future__ import annotations

import pandas as pd

from attnbench.errors import InputError
from attnbench.export.latex import LATEX_TABLES, as_document, latex
from attnbench.export.pytest_benchmark import pytest_benchmark
from attnbench.export.tables import csv, markdown, parquet
from attnbench.store.run_folder import StoredRun

__all__ = ["FORMATS", "TABLES", "content"]

FORMATS = ("csv", "parquet", "markdown", "latex", "pytest-benchmark")
TABLES = ("records", "samples", "conditions", "laws")


def content(run: StoredRun, form: str, table: str | None = None, *, standalone: bool = False) -> bytes:
    """The content of a file.

    Args:
        run: what to export.
        form: one of `FORMATS`.
        table: one of `TABLES`; records where it is not said. pytest-benchmark has one form of its own.
        standalone: of LaTeX, a whole document instead of a table to be put into one.

    Raises:
        InputError: the format has no such table, or no such choice.
    """
    if standalone and form != "latex":
        raise InputError(f"--standalone is for --format latex; leave it out for {form}")
    if form == "pytest-benchmark":
        if table is not None:
            raise InputError("--format pytest-benchmark holds all samples of the run; leave out --table")
        return pytest_benchmark(run).encode()
    name = table or "records"
    if form == "latex":
        if name not in LATEX_TABLES:
            raise InputError(f"--format latex has the tables {' and '.join(LATEX_TABLES)}, and not {name}")
        text = latex(run, name)
        return (as_document(text) if standalone else text).encode()
    frame: pd.DataFrame = getattr(run, name)
    return parquet(frame) if form == "parquet" else (csv(frame) if form == "csv" else markdown(frame)).encode()
