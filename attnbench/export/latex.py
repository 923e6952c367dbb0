r"""Tables for a paper: booktabs for the rules, siunitx for numbers with their uncertainties, formulas as mathematics.

An interval is written as the uncertainty of its value, ``1.99(3)``: the larger of its two sides, so that what is
printed holds the whole interval. The words under the table say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from attnbench.export.latex_text import escaped, listed
from attnbench.export.uncertain import Uncertain, decimals_of
from attnbench.formula import Formula
from attnbench.law import Law
from attnbench.record import MEASURED_METRICS
from attnbench.store.run_folder import StoredRun
from attnbench.trial import CHOICES, differences

#: The tables that have a form on paper.
LATEX_TABLES = ("records", "laws")
_PACKAGES = {"laws": ("booktabs", "siunitx"), "records": ("booktabs", "longtable", "siunitx")}
#: Factor from seconds, and the unit; the largest of which the middle time is at least one.
_TIME_UNITS = ((1.0, r"\second"), (1e-3, r"\milli\second"), (1e-6, r"\micro\second"), (1e-9, r"\nano\second"))
_MEBIBYTE, _GIGA = 1024**2, 1e9
_NO_NUMBER = "{--}"


@dataclass(frozen=True)
class _Column:
    """A column: how tabular sets it, its head, and its cells, all as LaTeX."""

    kind: str
    head: str
    cells: Sequence[str]


def latex(run: StoredRun, table: str) -> str:
    """The table as LaTeX to be put into a document; its first line says which packages that needs."""
    packages = f"% needs \\usepackage{{{','.join(_PACKAGES[table])}}}\n"
    return packages + (_laws(run) if table == "laws" else _records(run))


def as_document(table: str) -> str:
    """`table`, from `latex`, in a document that compiles as it stands."""
    return (
        "\\documentclass[a4paper]{article}\n"
        "\\usepackage[landscape,margin=15mm]{geometry}\n"
        f"\\usepackage{{{','.join(dict.fromkeys(one for names in _PACKAGES.values() for one in names))}}}\n"
        f"\\begin{{document}}\n{table}\\end{{document}}\n"
    )


# ----------------------------------------------------------------------------------------------------------------- laws


def _laws(run: StoredRun) -> str:
    laws = run.found_laws
    columns = [
        _Column("l", "Layer", [escaped(law.layer) for law in laws]),
        *_choices_of_laws(laws),
        _Column("l", "Metric", [escaped(law.metric.replace("_", " ")) for law in laws]),
        _Column("l", "Claim", [_math(law.claim) for law in laws]),
        _Column("l", "Found", [_found(law) for law in laws]),
        _Column("l", "Verdict", [escaped(str(law.verdict)) for law in laws]),
    ]
    head, body = _head_and_body(columns)
    levels = sorted({e.estimate.level for law in laws for e in law.exponents.values()})
    said = listed([rf"\qty{{{100 * level:g}}}{{\percent}}" for level in levels])
    note = f" Uncertainties hold {said} intervals." if levels else ""
    note += " Coefficients of time are in seconds." if any(law.metric == "time" and law.terms for law in laws) else ""
    return (
        "\\begin{table}\n\\centering\\small\n"
        f"\\caption{{Scaling laws of {escaped(run.info.name)}, on {escaped(run.info.host.key)}.{note}}}\n"
        f"\\begin{{tabular}}{{{''.join(column.kind for column in columns)}}}\n"
        f"\\toprule\n{head}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _choices_of_laws(laws: Sequence[Law]) -> list[_Column]:
    """What tells laws of one layer apart, where anything does."""
    apart = differences(law.choices for law in laws if law.metric in MEASURED_METRICS)
    cells = [escaped(apart.get(law.choices, "")) for law in laws]
    return [_Column("l", "Choices", cells)] if any(cells) else []


def _math(formula: str | None) -> str:
    return f"${Formula(formula).latex}$" if formula else "--"


def _found(law: Law) -> str:
    """Exponents or coefficients with their intervals; of a counted law its formula."""
    bound = r"\geq " if law.lower_bound else ""
    if law.exponents:
        powers = (rf"{Formula(axis).latex}^{{{_num(e.estimate)}}}" for axis, e in law.exponents.items())
        return f"${bound}{' '.join(powers)}$"
    if law.metric in MEASURED_METRICS and law.terms:
        terms = (rf"{_num(term.coefficient)}\,{Formula(term.term).latex}" for term in law.terms)
        return f"${bound}{' + '.join(terms)}$"
    return f"${bound}{Formula(law.formula).latex}$" if law.formula else "--"


def _num(estimate: Any) -> str:
    return rf"\num{{{Uncertain(estimate.value, estimate.low, estimate.high).text}}}"


# -------------------------------------------------------------------------------------------------------------- records


def _records(run: StoredRun) -> str:
    records = run.records
    columns = [
        _Column("l", "Layer", [escaped(layer) for layer in records["layer"]]),
        *_choices_of_records(records),
        *(_whole(records[axis], f"${Formula(axis).latex}$") for axis in _axes(run) if records[axis].notna().any()),
        *_seconds(records),
        _scaled(records["flops"], _GIGA, "Work / GFLOP"),
        _scaled(records["peak_bytes"], _MEBIBYTE, "Peak / MiB"),
        _Column("l", "Status", [escaped(status) for status in records["status"]]),
    ]
    head, body = _head_and_body(columns)
    caption = (
        f"Measurements of {escaped(run.info.name)}, on {escaped(run.info.host.key)}. Times are medians; "
        rf"uncertainties hold \qty{{90}}{{\percent}} intervals. Work and peak memory are counted."
    )
    return (
        "\\begingroup\\small\\setlength{\\tabcolsep}{4pt}\n"
        f"\\begin{{longtable}}{{{''.join(column.kind for column in columns)}}}\n"
        f"\\caption{{{caption}}}\\\\\n\\toprule\n{head}\\midrule\n\\endfirsthead\n"
        f"\\toprule\n{head}\\midrule\n\\endhead\n"
        f"\\midrule\n\\multicolumn{{{len(columns)}}}{{r}}{{continued}}\\\\\n\\endfoot\n\\bottomrule\n\\endlastfoot\n"
        f"{body}\\end{{longtable}}\n\\endgroup\n"
    )


def _axes(run: StoredRun) -> list[str]:
    return list(dict.fromkeys(axis for trial in run.info.plan.trials for axis in trial.sizes))


def _choices_of_records(records: pd.DataFrame) -> list[_Column]:
    """Choices that differ between trials; what all have in common is in every row the same."""
    varied = [name for name in CHOICES if records[name].nunique() > 1]
    return [_Column("l", name.capitalize(), [escaped(str(value)) for value in records[name]]) for name in varied]


def _whole(values: pd.Series[Any], head: str) -> _Column:
    texts = ["" if pd.isna(value) else str(value) for value in values]
    return _numbers(texts, head)


def _seconds(records: pd.DataFrame) -> list[_Column]:
    """Times in one unit, that of the middle one; none where nothing was timed."""
    timed = records["seconds_median"].dropna()
    if not len(timed):
        return []
    middle = float(timed.median())
    scale, unit = next((one for one in _TIME_UNITS if middle >= one[0]), _TIME_UNITS[-1])
    rows = records[["seconds_median", "seconds_low", "seconds_high"]].itertuples(index=False)
    texts = ["" if math.isnan(row[0]) else Uncertain(*(value / scale for value in row)).text for row in rows]
    return [_numbers(texts, rf"Time / \unit{{{unit}}}")]


def _scaled(values: pd.Series[Any], scale: float, head: str) -> _Column:
    """Three significant digits or more: all that stand before the point."""
    present = [None if pd.isna(value) else float(value) / scale for value in values]
    return _numbers(["" if one is None else f"{one:.{decimals_of(one, 3)}f}" for one in present], head)


def _numbers(texts: Sequence[str], head: str) -> _Column:
    """A column that siunitx aligns at the point; it is told how much room the longest parts need."""
    whole = max((len(text.partition("(")[0].partition(".")[0]) for text in texts), default=1)
    parts = max((len(text.partition("(")[0].partition(".")[2]) for text in texts), default=0)
    doubt = max((len(text.partition("(")[2].rstrip(")")) for text in texts), default=0)
    form = f"{max(whole, 1)}.{parts}" + (f"({doubt})" if doubt else "")
    return _Column(f"S[table-format={form}]", f"{{{head}}}", [text or _NO_NUMBER for text in texts])


def _head_and_body(columns: Sequence[_Column]) -> tuple[str, str]:
    """Rows of the table, their cells one below the other in the text too."""
    padded = []
    for column in columns:
        texts = [column.head, *column.cells]
        width = max(map(len, texts))
        padded.append([text.ljust(width) for text in texts])
    head, *body = (" & ".join(cells) + " \\\\\n" for cells in zip(*padded, strict=True))
    return head, "".join(body)
