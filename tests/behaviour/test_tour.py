"""The notebook docs/tour.ipynb, run as a reader runs it: every cell works, and its outputs are what the text says."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tour.ipynb"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What each cell put out, by the cell's id; nothing of the user's own Jupyter is read or written."""
    tour = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patched:
        for place in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            patched.setenv(place, str(tmp_path_factory.mktemp("jupyter")))
        patched.delenv("MPLBACKEND", raising=False)
        folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
        NotebookClient(tour, timeout=240, kernel_name="python3", resources=folder).execute()
    return {cell.id: cell.outputs for cell in tour.cells if cell.cell_type == "code"}


def shown(outputs: dict[str, list[Any]], cell: str, kind: str = "text/plain") -> str:
    [output] = outputs[cell]
    return str(output.data[kind])


def printed(outputs: dict[str, list[Any]], cell: str) -> str:
    [output] = outputs[cell]
    return str(output.text)


def test_no_cell_complains(outputs: dict[str, list[Any]]) -> None:
    assert [(cell, one) for cell, found in outputs.items() for one in found if one.get("name") == "stderr"] == []


def test_the_count_is_exact(outputs: dict[str, list[Any]]) -> None:
    assert shown(outputs, "count").startswith(f"<Counted flops={4 * 2**40 * 512} (2.25 PFLOP), parameters=0, ")
    assert "saved_bytes=4402341478400 (4.00 TiB)" in shown(outputs, "count")
    assert shown(outputs, "count-formula") == "True"


def test_the_run_and_its_law_show_themselves(outputs: dict[str, list[Any]]) -> None:
    page = shown(outputs, "run", "text/html")

    assert page.startswith("<table")
    assert {"attention-core", "rnn", "conv1d"} <= set(re.findall(r"<b>([\w-]+)</b>", page))
    assert "<math" in shown(outputs, "law", "text/html")
    assert re.fullmatch(r"Estimate\([12]\.\d+ \([12]\.\d+ to [12]\.\d+ at 90%\)\)", shown(outputs, "exponent"))
    assert shown(outputs, "tables").splitlines()[0].split() == [
        "layer", "n", "d", "seconds", "seconds_low", "seconds_high", "flops",
    ]  # fmt: skip


@pytest.mark.parametrize("cell", ["plot", "crossover-plot"])
def test_a_figure_is_a_picture_with_something_on_it(outputs: dict[str, list[Any]], cell: str) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown(outputs, cell, "image/png")))).convert("L"))

    assert min(pixels.shape) > 300
    assert 0.01 < (pixels < 200).mean() < 0.5


def test_a_forecast_has_an_interval_and_too_far_out_a_reason(outputs: dict[str, list[Any]]) -> None:
    assert re.match(r"<Forecast rnn at b=\d+, n=64, d=1024: [\d.]+ m?s \([\d.]+ m?s to ", shown(outputs, "predict"))
    assert printed(outputs, "refuse").endswith("and a forecast goes 16 times beyond the window at most\n")
    assert "fewer counted operations than rnn where n < d" in shown(outputs, "crossover")


def test_the_line_is_wrong_and_the_two_terms_are_right(outputs: dict[str, list[Any]]) -> None:
    slope, fit = map(float, re.findall(r"\d+\.\d+", printed(outputs, "line")))

    assert 1.3 < slope < 1.6
    assert fit > 0.99
    assert shown(outputs, "refuted").endswith("claim n**2*d REFUTED>")
    assert shown(outputs, "confirmed").endswith("claim n*d**2 + n**2*d CONFIRMED>")
    square, line = map(float, re.findall(r"(\S+)\*n", shown(outputs, "confirmed"))[:2])
    assert (square, line) == pytest.approx((8e-11, 1.6e-10), rel=0.03)


def test_a_layer_of_ones_own_is_counted(outputs: dict[str, list[Any]]) -> None:
    assert shown(outputs, "layer").startswith(f"<Counted flops={2 * 4096 * 64**2} ")
    assert shown(outputs, "layer").endswith("hops=1>")


def test_the_notebook_is_kept_without_outputs() -> None:
    code = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]

    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
