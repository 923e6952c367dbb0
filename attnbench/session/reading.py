"""Runs read from their folders: one with its laws and its report, and two compared.

``attnbench.load`` and ``attnbench.compare`` live here, and so does the `Run` that they and ``attnbench.run`` return.
Nothing here needs torch: an old run is read on a laptop without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from attnbench.fitting.compare.runs import MIN_CHANGE, RunComparison
from attnbench.fitting.compare.runs import compare as compare_runs
from attnbench.law import Law
from attnbench.session.judge import fit_laws
from attnbench.session.queries import OpenRun
from attnbench.store.derived import read_laws
from attnbench.store.overview import overviews
from attnbench.store.run_folder import StoredRun, load_stored


class Run(OpenRun):
    """A run folder with its tables, its laws and its report."""

    @property
    def budget_seconds(self) -> float:
        """Clock that the suite allows."""
        return self.info.plan.suite.budget

    def report(self, folder: str | Path = "reports") -> Path:
        """Write the HTML report into `folder`, bring the index beside it up to date, and return the report's path.

        Raises:
            RunError: the folder cannot be written.
        """
        from attnbench.report.page import write_report  # drawing takes a second to import

        page = write_report(self, Path(folder))
        index_reports([self.path.parent], page.parent)
        return page


def load(path: str | Path) -> Run:
    """Read a run folder; laws that are missing or damaged are fitted anew.

    Raises:
        RunError: it is no run, or damaged.
    """
    stored = load_stored(Path(path))
    laws = stored.found_laws if read_laws(stored.path) is not None else all_laws(stored)
    return Run(stored.path, stored.info, stored.visits, laws)


def all_laws(stored: StoredRun) -> tuple[Law, ...]:
    """The counted laws of a run, and those of its measurements, fitted anew."""
    return (*stored.info.plan.shown_laws, *fit_laws(stored))


def compare(
    base: StoredRun | str | Path, new: StoredRun | str | Path, *, least: float = MIN_CHANGE, across_hosts: bool = False
) -> RunComparison:
    """Say which trials and which laws changed from one run to another, with intervals.

    Args:
        base: the run to compare with, or its folder.
        new: the other run, or its folder.
        least: smallest relative change of a time that matters.
        across_hosts: compare also where the machines differ.

    Raises:
        InputError: a folder is no run, the machines differ, or the runs have nothing in common.
    """
    one, other = (run if isinstance(run, StoredRun) else load(run) for run in (base, new))
    return compare_runs(one, other, least=least, across_hosts=across_hosts)


def index_reports(results: Iterable[Path], reports: Path) -> Path:
    """Write the index of the runs in the folders `results` that have a page in `reports`, and of the damaged ones.

    Raises:
        RunError: the folder cannot be written.
    """
    from attnbench.report.page import file_name, write_index

    runs = (run for folder in results for run in overviews(folder))
    return write_index(reports, (run for run in runs if run.damage or (reports / file_name(run.name)).exists()))
