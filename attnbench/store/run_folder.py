"""The run folder to disk and back.

A run folder holds ``run.json`` (suite, trials, command, seed, host, counts, schema), ``journal.jsonl`` (one line for
each visit of a trial), ``records.parquet`` and ``samples.parquet`` (derived), ``laws.json``, and ``SHA256SUMS``, which
says of what journal the derived files are.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from attnbench.errors import RunError
from attnbench.law import Law
from attnbench.record import Visit
from attnbench.store import derived, tables
from attnbench.store.atomic import put_json, sync_folder
from attnbench.store.journal import NAME as JOURNAL
from attnbench.store.journal import read_journal
from attnbench.store.run_info import RunInfo, read_info, with_hash
from attnbench.trial import Subject


class TakenError(RunError):
    """The name of a run folder is taken."""


@dataclass(frozen=True)
class StoredRun:
    """A run folder, read.

    Attributes:
        path: the folder.
        info: the content of ``run.json``.
        visits: the journal.
        found_laws: every law: counted ones, and measured ones once they were fitted.
    """

    path: Path
    info: RunInfo
    visits: tuple[Visit, ...]
    found_laws: tuple[Law, ...]

    @cached_property
    def records(self) -> pd.DataFrame:
        """One row a trial: its axes, status, seconds (location for laws) and their median, bytes, and exact counts."""
        return tables.records(self.info.plan, self.info.host.key, self.visits_by_trial)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a timed block: ``trial, process, round, block, iterations, seconds`` (per call) and ``outlier``."""
        return tables.samples(self.visits)

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """One row a visit: ``trial, process, round, started`` and what it was made under, where that was read."""
        return tables.conditions(self.visits)

    @cached_property
    def laws(self) -> pd.DataFrame:
        """One row a law, intervals as text; `found_laws` has the values."""
        return tables.laws(self.found_laws)

    @cached_property
    def places(self) -> dict[Subject, list[int]]:
        """Subject → where its trials stand in the plan, and so in `records`."""
        grouped: dict[Subject, list[int]] = {}
        for place, trial in enumerate(self.info.plan.trials):
            grouped.setdefault(trial.subject, []).append(place)
        return grouped

    @cached_property
    def visits_by_trial(self) -> dict[str, list[Visit]]:
        """Trial id → its visits, in the order in which they were made."""
        grouped: dict[str, list[Visit]] = {}
        for visit in self.visits:
            grouped.setdefault(visit.trial, []).append(visit)
        return grouped

    @cached_property
    def laws_by_subject(self) -> dict[tuple[Subject, str], Law]:
        """Subject and metric → the first law of them."""
        return {(law.subject, law.metric): law for law in reversed(self.found_laws)}

    @cached_property
    def exact_formulas(self) -> dict[tuple[Subject, str], str]:
        """Count key of a subject and metric → the formula that was counted, where it is no lower bound."""
        exact = [law for law in self.info.plan.counted_laws if law.formula and not law.lower_bound]
        return {(law.subject.count_key, law.metric): law.formula for law in reversed(exact)}

    @cached_property
    def calibration_by_layer(self) -> dict[str, list[dict[str, Any]]]:
        """Layer → what the pilot saw of it."""
        grouped: dict[str, list[dict[str, Any]]] = {}
        for row in self.info.plan.calibration:
            grouped.setdefault(str(row.get("layer")), []).append(row)
        return grouped

    def write_derived(self) -> None:
        """Write the tables and the laws beside the journal.

        Raises:
            RunError: the folder cannot be written.
        """
        derived.write_derived(self.path, (self.records, self.samples), self.found_laws)


def create(folder: Path, info: RunInfo) -> None:
    """Make the run folder with its ``run.json``.

    Raises:
        TakenError: the folder exists.
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True)  # of two processes that want this name, one gets it
        sync_folder(folder.parent)
        put_json(folder / "run.json", with_hash(info))
    except FileExistsError:
        raise TakenError(
            f"{folder} already holds a run; choose another folder, or continue it with --resume {folder}"
        ) from None
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()  # a folder without a run in it would only puzzle
        raise RunError(f"{folder} cannot be written: {error.strerror}; choose another place with --results") from None


def load_stored(folder: Path) -> StoredRun:
    """Read a run folder; tables are derived from the journal, so an interrupted run reads like a finished one.

    Raises:
        RunError: the folder is no run, has another schema, or a file in it that cannot be derived anew is damaged.
    """
    info = read_info(folder)
    visits = read_journal(folder, info.journal_start, older=not info.code)
    if foreign := {visit.trial for visit in visits} - {trial.id for trial in info.plan.trials}:
        raise RunError(f"{folder / JOURNAL} is of another run: run.json plans no trial {min(foreign)}")
    laws = derived.read_laws(folder)
    return StoredRun(folder, info, visits, info.plan.shown_laws if laws is None else laws)
