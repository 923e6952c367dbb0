"""What a list of runs says of each: read from ``run.json`` and ``laws.json`` alone, as a journal may be long."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attnbench.errors import InputError
from attnbench.law import Verdict
from attnbench.record import MEASURED_METRICS
from attnbench.store.damage import FOREIGN
from attnbench.store.derived import whole_laws
from attnbench.store.run_info import read_info, runs_in


@dataclass(frozen=True)
class Overview:
    """One run in a list of runs.

    Attributes:
        path: the folder.
        name: the run's name; that of the folder where the run cannot be read.
        title, question, suite: of the suite: its title (or its name), its question, and its name.
        started: ISO 8601 time in UTC.
        host: model of the processor.
        layers: their names, in the order of the plan.
        trials: how many were planned, skipped and unsupported, the last two also being planned.
        verdicts: verdict → how many claims of measured metrics got it; of counted ones where nothing was measured.
        inferred: laws of measured metrics without a claim.
        finished: whether its laws were fitted after its last visit.
        damage: why it cannot be read, in one line; empty for a run that can be.
    """

    path: Path
    name: str
    title: str = ""
    question: str = ""
    suite: str = ""
    started: str = ""
    host: str = ""
    layers: tuple[str, ...] = ()
    trials: tuple[int, int, int] = (0, 0, 0)
    verdicts: dict[Verdict, int] = field(default_factory=dict)
    inferred: int = 0
    finished: bool = False
    damage: str = ""


def overviews(results: Path) -> list[Overview]:
    """The runs in `results`, newest first; a damaged one says so and hides no other."""
    return [_or_damage(folder) for folder in runs_in(results)]


def run_rows(results: Path) -> list[dict[str, Any]]:
    """One row for each run in `results`, newest first; a damaged run is a row that says so."""
    return [
        {"name": run.path.name, "damaged": run.damage}
        if run.damage
        else {"name": run.path.name, "started": run.started, "verdicts": _verdicts(run), "path": str(run.path)}
        for run in overviews(results)
    ]


def _verdicts(run: Overview) -> str:
    counts = [f"{number} {verdict}" for verdict, number in run.verdicts.items()]
    counts += [f"{run.inferred} {Verdict.INFERRED}"] if run.inferred else []
    return ", ".join(counts) if run.finished else "laws not fitted"


def overview(folder: Path) -> Overview:
    """One run. The journal is not opened, so that what is wrong in it is found by whoever reads the whole run.

    Raises:
        RunError: it is no run, or its ``run.json`` is damaged.
    """
    info = read_info(folder)
    rows = _judged(folder)
    measured = [row for row in rows or () if row[0] in MEASURED_METRICS]
    claimed = [verdict for _, verdict, claim in measured or rows or () if claim is not None]
    return Overview(
        folder,
        info.name,
        title=info.plan.suite.title or info.plan.suite.name or info.name,
        question=info.plan.suite.question,
        suite=info.plan.suite.name,
        started=info.started,
        host=info.host.cpu,
        layers=tuple(dict.fromkeys((*info.plan.scopes, *(trial.layer for trial in info.plan.trials)))),
        trials=(len(info.plan.trials), len(info.plan.skipped), len(info.plan.unsupported)),
        verdicts={verdict: claimed.count(verdict) for verdict in Verdict if verdict in claimed},
        inferred=sum(claim is None for _, _, claim in measured),
        finished=rows is not None,
    )


def _or_damage(folder: Path) -> Overview:
    try:
        return overview(folder)
    except InputError as error:
        return Overview(folder, folder.name, damage=str(error))


def _judged(folder: Path) -> list[tuple[str, Verdict, str | None]] | None:
    """Metric, verdict and claim of each law; None where the run has none that are whole."""
    if (text := whole_laws(folder)) is None:
        return None
    try:
        return [(str(row["metric"]), Verdict(row["verdict"]), row["claim"]) for row in json.loads(text)]
    except FOREIGN:
        return None
