"""Tables for a paper: they compile, they say what was found, and no name can do anything in them."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnbench.errors import InputError
from attnbench.export import content
from attnbench.export.latex_text import escaped
from attnbench.export.uncertain import Uncertain
from attnbench.session.reading import load
from tests.report.fake_run import HOSTILE, attention, write_fake_run

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun

EXAMPLE = Path(__file__).parents[2] / "results" / "example"
INSTALL = "apt-get install texlive-latex-base texlive-latex-recommended texlive-science"
#: Names that would end a cell, a row, the table or the run of LaTeX itself, if they were obeyed.
NASTY = "&\\\\ % $_^{}~#\\end{tabular}\\input{/etc/passwd} --- [x]* \"quoted' `é 中 ²\x1b[31m\nnext"


def pdflatex() -> str:
    """The program; a skip with the line that installs it, and a failure on CI."""
    found = shutil.which("pdflatex")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"no pdflatex here: {INSTALL}")
    return found or pytest.skip(f"no pdflatex here: {INSTALL}")


def compiled(text: str, folder: Path) -> str:
    """What LaTeX wrote of a document that it could set."""
    (folder / "table.tex").write_text(text, encoding="utf-8")
    program = [pdflatex(), "-halt-on-error", "-no-shell-escape", "-interaction=nonstopmode", "table.tex"]
    done = subprocess.run(program, cwd=folder, capture_output=True, timeout=300, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")

    assert done.returncode == 0, said[-3000:]
    assert (folder / "table.pdf").stat().st_size > 10_000
    return said


@pytest.mark.slow
@pytest.mark.parametrize("table", ["laws", "records"])
@pytest.mark.parametrize("name", ["example", "hostile"])
def test_a_standalone_table_compiles_and_fits_its_page(name: str, table: str, run: StoredRun, tmp_path: Path) -> None:
    said = compiled(
        content(load(EXAMPLE) if name == "example" else run, "latex", table, standalone=True).decode(), tmp_path
    )

    assert re.findall(r"Overfull|Missing character|LaTeX Warning: .*undefined", said) == []


@pytest.mark.slow
def test_any_text_is_set_as_text(tmp_path: Path) -> None:
    body = "\n\n".join(map(escaped, (NASTY, HOSTILE, "".join(map(chr, range(32, 0x250))), "n²d ≤ 8·10⁻³ µs")))

    said = compiled(f"\\documentclass{{article}}\\begin{{document}}{body}\\end{{document}}", tmp_path)

    assert "Missing character" not in said


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_latex_fails_on_ci_and_is_a_skip_that_says_what_to_install_elsewhere(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(outcome) as caught:
        pdflatex()

    assert str(caught.value) == f"no pdflatex here: {INSTALL}"


def rows(run: StoredRun, table: str) -> list[list[str]]:
    """Cells of the rows, heads included."""
    lines = content(run, "latex", table).decode().splitlines()
    return [[cell.strip() for cell in line[:-2].split(" & ")] for line in lines if " & " in line]


def test_a_law_is_a_row_with_claim_exponents_and_verdict(run: StoredRun) -> None:
    header, *body = rows(run, "laws")

    assert header == ["Layer", "Metric", "Claim", "Found", "Verdict"]
    assert len(body) == len(run.found_laws)
    assert ["rnn", "time", "$n d^{2}$", r"$n^{\num{1.000(20)}} d^{\num{1.760(50)}}$", "REFUTED"] in body
    assert ["conv1d", "flops", "$2 b k n d^{2}$", r"$\geq 2 b k n d^{2}$", "INCONCLUSIVE"] in body
    [terms] = [row for row in body if row[0] == "multi-head-attention" and row[1] == "time"]
    assert terms[3] == r"$\num{8.89(27)e-11}\,n d^{2} + \num{5.71(23)e-11}\,n^{2} d$"


def test_a_trial_is_a_row_with_its_sizes_and_its_time_in_the_unit_of_the_head(run: StoredRun) -> None:
    header, *body = rows(run, "records")
    records = run.records

    assert header[0] == "Layer"
    assert r"{Time / \unit{\milli\second}}" in header
    assert len(body) == len(records) + 1  # the head is there for the first page and for the others
    for cells, record in zip(body[1:], records.to_dict("records"), strict=True):
        told = dict(zip(header, cells, strict=True))
        assert told["{$n$}"] == str(record["n"])
        assert told["Status"] == record["status"]
        shown = re.fullmatch(r"([\d.]+)\((\d+)\)", told[r"{Time / \unit{\milli\second}}"])
        if math.isnan(record["seconds_median"]):
            assert shown is None
            continue
        assert shown
        value, doubt = float(shown[1]), int(shown[2]) * 10.0 ** -len(shown[1].partition(".")[2])
        assert value - doubt <= 1e3 * record["seconds_low"] * (1 + 1e-6)
        assert value + doubt >= 1e3 * record["seconds_high"] * (1 - 1e-6)


def test_the_first_line_names_the_packages(run: StoredRun) -> None:
    for table, packages in (("laws", "booktabs,siunitx"), ("records", "booktabs,longtable,siunitx")):
        assert content(run, "latex", table).decode().startswith(f"% needs \\usepackage{{{packages}}}\n")


def test_no_name_ends_a_cell_a_row_or_the_table(tmp_path: Path) -> None:
    layer = attention()
    renamed = type(layer)(**{**vars(layer), "name": NASTY, "law": None, "counted_laws": ()})
    run = write_fake_run(tmp_path / "run", (renamed,), name=NASTY)

    header, *body = rows(run, "records")
    text = content(run, "latex", "records").decode()

    assert {len(row) for row in body} == {len(header)}
    assert text.count(r"\end{") == 2 - 1
    assert r"\input" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("table", ["samples", "conditions"])
def test_a_table_that_has_no_form_on_paper_is_refused(table: str, run: StoredRun) -> None:
    with pytest.raises(InputError) as caught:
        content(run, "latex", table)

    assert str(caught.value) == f"--format latex has the tables records and laws, and not {table}"


# ---------------------------------------------------------------------------------------------------------- uncertainty


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (1.99, 1.96, 2.02, "1.990(30)"),
        (0.57, 0.36, 0.78, "0.57(21)"),
        (1.0, 0.9, 1.02, "1.00(10)"),
        (8.89e-11, 8.62e-11, 9.16e-11, "8.89(27)e-11"),
        (1234.0, 1200.0, 1240.0, "1234(34)"),
        (0.0, 0.0, 1.6e-7, "0.0(16)e-7"),
        (2.0, 2.0, 2.0, "2.000"),
        (0.0, 0.0, 0.0, "0"),
        (3.0e9, 2.0e9, 8.0e9, "3.0(50)e9"),
    ],
)
def test_an_interval_is_written_in_the_last_digits(value: float, low: float, high: float, text: str) -> None:
    assert Uncertain(value, low, high).text == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.floats(1e-14, 1e12), st.floats(0, 2), st.floats(0, 2))
def test_what_is_written_holds_the_whole_interval(value: float, below: float, above: float) -> None:
    low, high = value * (1 - below), value * (1 + above)
    match = re.fullmatch(r"(-?[\d.]+)(?:\((\d+)\))?(?:e(-?\d+))?", Uncertain(value, low, high).text)

    assert match
    unit = 10.0 ** -len(match[1].partition(".")[2])
    scale, doubt = 10.0 ** int(match[3] or 0), int(match[2] or 0) * unit
    slack = 1e-5 * max(doubt, unit) if match[2] else unit
    assert (float(match[1]) - doubt - slack) * scale <= low
    assert (float(match[1]) + doubt + slack) * scale >= high
