"""The files: a page a run, and the list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from attnbench.errors import RunError
from attnbench.report.page import build_context, render, write_index, write_report
from attnbench.store.overview import overview
from tests.report.fake_run import HOSTILE, attention, write_fake_run
from tests.report.reading import prose, read

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun


@pytest.fixture(scope="module")
def empty_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """No layers, so that its page is drawn at once."""
    return write_fake_run(tmp_path_factory.mktemp("empty") / "run", ())


class TestFiles:
    def test_a_report_is_called_after_its_run(self, empty_run: StoredRun, tmp_path: Path) -> None:
        written = write_report(empty_run, tmp_path / "new" / "reports")

        assert written == tmp_path / "new" / "reports" / "run.html"
        assert written.read_text(encoding="utf-8") == render(build_context(empty_run, written.parent))

    def test_leads_to_the_tables_wherever_it_is_put(self, empty_run: StoredRun, tmp_path: Path) -> None:
        written = write_report(empty_run, tmp_path / "far # away")
        links = [e.attributes.get("href") for e in read(written.read_text(encoding="utf-8")) if e.tag == "a"]
        targets = [written.parent / unquote(link) for link in links if link and link.endswith((".parquet", ".json"))]

        assert {target.resolve() for target in targets} >= {(empty_run.path / "run.json").resolve()}
        assert all(target.is_file() for target in targets)

    def test_the_index_lists_runs_in_the_order_given(self, run: StoredRun, tmp_path: Path) -> None:
        other = write_fake_run(tmp_path / "other", (attention(),), suite={"title": HOSTILE}, name="second run")
        text = write_index(tmp_path, [overview(other.path), overview(run.path)]).read_text(encoding="utf-8")
        links = [element for element in read(text) if element.tag == "a"][1:]

        assert [(link.text, link.attributes["href"]) for link in links] == [
            (HOSTILE, "second-run.html"),
            ("Three scaling laws", "scaling-1.html"),
        ]
        assert "2 confirmed" in prose(text)
        cells = [element.text for element in read(text) if element.tag == "td"][6:]
        assert cells == ["scaling", "4 November 2025, 09:41 UTC", "AMD EPYC 7B13", "77 planned, 2 skipped"]

    def test_the_index_of_no_runs_says_so(self, tmp_path: Path) -> None:
        text = write_index(tmp_path, []).read_text(encoding="utf-8")

        assert "No run has been reported yet." in prose(text)

    def test_a_folder_that_cannot_be_written_is_named(self, empty_run: StoredRun, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("", encoding="utf-8")
        target = tmp_path / "file" / "run.html"

        with pytest.raises(RunError) as caught:
            write_report(empty_run, tmp_path / "file")

        assert str(caught.value) in {
            f"{target} cannot be written: {reason}; choose another place with --reports"
            for reason in ("File exists", "Not a directory")
        }
