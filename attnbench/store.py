"""Records to disk and back: the journal (append-only, the truth), and the tables derived from it.

A run folder holds ``run.json`` (suite, trials, command, seed, host, counts, schema), ``journal.jsonl`` (one line for
each visit of a trial), ``records.parquet`` and ``samples.parquet`` (derived), and ``laws.json``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from attnbench.errors import RunError
from attnbench.law import Law, told_once
from attnbench.record import SCHEMA, Counted, Host, Status, Visit
from attnbench.summary import TUKEY_LABELS, summarise, tukey_labels
from attnbench.trial import AXES, Choices, Trial, ordered, subject_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType


#: Whole numbers that are counted for each trial.
_COUNTS = ("flops", "parameters", "peak_bytes", "saved_bytes", "depth")


class TakenError(RunError):
    """The name of a run folder is taken."""


@dataclass(frozen=True)
class RunInfo:
    """Everything about a run that is known before its first round: the content of ``run.json``.

    Attributes:
        name: the run folder's name.
        suite: the suite as a mapping, as it was run (overrides applied).
        suite_name: its name.
        command: the command line that reproduces the run.
        seed: the run's seed.
        started: ISO 8601 time in UTC.
        version: attnbench's version.
        host: facts about the machine.
        plugins: files and modules of plugins.
        trials: the plan, in order.
        skipped: trial id → reason, for planned trials that were left out before measuring.
        unsupported: trial id → reason, for one trial of each layer and choice that cannot be run at all.
        counted: trial id → exact counts.
        claims: layer → metric → claimed formula.
        scopes: layer → scope.
        counted_laws: laws of all counted metrics; judging needs them, `shown_laws` are those that were asked for.
        windows: layer and choices (as in trial ids) → one sentence on the window its time law is read from, and why.
        calibration: what the pilot saw: rows of layer, device, sizes, seconds, flops.
        calibration_seconds: clock that the pilot took.
        timer_overhead_seconds: cost of reading the clock twice.
        visit_seconds: trial id → clock that one visit aims for.
        reach: layer → pairs of distance and mean gradient norm at it, the largest being 1: how far inputs really act.
    """

    name: str
    suite: dict[str, Any]
    suite_name: str
    command: str
    seed: int
    started: str
    version: str
    host: Host
    trials: tuple[Trial, ...]
    counted: dict[str, Counted]
    counted_laws: tuple[Law, ...]
    plugins: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    unsupported: dict[str, str] = field(default_factory=dict)
    claims: dict[str, dict[str, str]] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    windows: dict[str, str] = field(default_factory=dict)
    calibration: tuple[dict[str, Any], ...] = ()
    calibration_seconds: float = 0.0
    timer_overhead_seconds: float = 0.0
    visit_seconds: dict[str, float] = field(default_factory=dict)
    reach: dict[str, list[list[float]]] = field(default_factory=dict)

    @property
    def shown_laws(self) -> tuple[Law, ...]:
        """Laws of the counted metrics that the suite asks for."""
        return told_once(law for law in self.counted_laws if law.metric in self.suite.get("metrics", law.metric))

    def window(self, layer: str, choices: Choices) -> str:
        """Why a law is read where it is; empty without a window. Early runs tell one for all choices of a layer."""
        return self.windows.get(subject_id(layer, choices)) or self.windows.get(layer, "")

    def as_json(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        content = asdict(self)
        content["trials"] = [{"layer": t.layer, "sizes": t.sizes, **asdict(t.choices)} for t in self.trials]
        content["counted"] = {trial: counted.as_json() for trial, counted in self.counted.items()}
        content["counted_laws"] = [law.as_json() for law in self.counted_laws]
        return {"schema": SCHEMA, **content}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> RunInfo:
        """Inverse of `as_json`. Raises KeyError, TypeError or ValueError on a foreign mapping."""
        values = {key: value for key, value in content.items() if key != "schema"}
        values["host"] = Host(**_with_tuples(content["host"], "devices", "load"))
        values["trials"] = tuple(
            Trial(t["layer"], t["sizes"], Choices(t["device"], t["dtype"], t["mode"], t["threads"]))
            for t in content["trials"]
        )
        values["counted"] = {key: Counted.from_json(value) for key, value in content["counted"].items()}
        values["counted_laws"] = tuple(Law.from_json(row) for row in content["counted_laws"])
        return cls(**_with_tuples(values, "plugins", "calibration"))


class Journal:
    """The append-only file of visits; each line is on disk before `append` returns.

    Only one process at a time holds the journal of a run.

    Raises:
        RunError: another process is writing to this run, or the file cannot be opened.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / "journal.jsonl"
        try:
            self._file = self._path.open("ab+")
        except OSError as error:
            raise RunError(f"{self._path} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise RunError(f"another process is writing to {run}; wait for it or choose another folder") from None
        self._drop_torn_line()

    def append(self, visit: Visit) -> None:
        """Write one line and wait until it is on disk."""
        try:
            self._file.write(json.dumps(visit.as_json()).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(f"{self._path} cannot be written: {error.strerror}; everything before is kept") from None

    def _drop_torn_line(self) -> None:
        """A write that was cut off leaves a line without its end; the next one must not be glued to it."""
        self._file.seek(0)
        written = self._file.read()
        self._file.truncate(written.rfind(b"\n") + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


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
        """One row a trial: its axes, status, seconds (location for laws), median with interval, and exact counts."""
        frame = pd.DataFrame([self._record(trial) for trial in self.info.trials], columns=self._record_columns)
        return frame.astype(dict.fromkeys([*self._axes, *_COUNTS], "Int64"))

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a timed block: ``trial, process, round, block, iterations, seconds`` (per call) and ``outlier``."""
        rows = [
            (v.trial, v.process, v.round, block, v.iterations, seconds)
            for v in self.visits
            for block, seconds in enumerate(v.block_seconds)
        ]
        columns = ["trial", "process", "round", "block", "iterations", "seconds"]
        frame = pd.DataFrame(rows, columns=columns).astype({"trial": "str", "seconds": "float64"})
        labels = frame.groupby("trial")["seconds"].transform(lambda column: tukey_labels(column.to_numpy()))
        return frame.assign(outlier=[TUKEY_LABELS[int(label)] for label in labels])

    @cached_property
    def laws(self) -> pd.DataFrame:
        """One row a law, intervals as text; `found_laws` has the values."""
        rows = [
            {
                "layer": law.layer,
                "device": law.device,
                "metric": law.metric,
                "claim": law.claim,
                "formula": law.formula,
                "verdict": str(law.verdict),
                **{f"{axis}_exponent": e.estimate.value for axis, e in law.exponents.items()},
                **{f"{axis}_half_width": e.estimate.half_width for axis, e in law.exponents.items()},
                "trials": law.trials,
                "reason": law.reason,
            }
            for law in self.found_laws
        ]
        return pd.DataFrame(rows)

    @property
    def _axes(self) -> list[str]:
        present = {axis for trial in self.info.trials for axis in trial.sizes}
        return list(ordered(dict.fromkeys({*AXES, *present}, 0)))

    @property
    def _record_columns(self) -> list[str]:
        before = ["trial", "layer", "device", "dtype", "mode", "threads"]
        after = ["status", "reason", "seconds", "seconds_low", "seconds_high", "seconds_median", "samples", "visits"]
        counts = [
            "flops",
            "parameters",
            "peak_bytes",
            "saved_bytes",
            "depth",
            "hops",
            "lower_bound",
            "first_call_seconds",
            "host",
        ]
        return [*before, *self._axes, *after, *counts]

    @cached_property
    def _visits_by_trial(self) -> dict[str, list[Visit]]:
        grouped: dict[str, list[Visit]] = {}
        for visit in self.visits:
            grouped.setdefault(visit.trial, []).append(visit)
        return grouped

    def _record(self, trial: Trial) -> dict[str, Any]:
        visits = self._visits_by_trial.get(trial.id, [])
        counted = self.info.counted.get(trial.id)
        status, reason = _outcome(trial.id, visits, self.info)
        summary = summarise([visit.block_seconds for visit in visits])
        first = [visit.first_call_seconds for visit in visits if visit.first_call_seconds is not None]
        return {
            "trial": trial.id,
            "layer": trial.layer,
            **asdict(trial.choices),
            **trial.sizes,
            "status": str(status),
            "reason": reason,
            **summary,
            "visits": len(visits),
            **{count: _whole(getattr(counted, count, None)) for count in _COUNTS},
            "hops": counted.hops if counted else None,
            "lower_bound": bool(counted.uncounted) if counted else None,
            "first_call_seconds": first[0] if first else None,
            "host": self.info.host.key,
        }

    def write_derived(self) -> None:
        """Write the tables and the laws beside the journal.

        Raises:
            RunError: the folder cannot be written.
        """
        try:
            _put(self.path / "records.parquet", lambda path: self.records.to_parquet(path, index=False))
            _put(self.path / "samples.parquet", lambda path: self.samples.to_parquet(path, index=False))
            _put_json(self.path / "laws.json", [law.as_json() for law in self.found_laws])
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror or error}") from None


def create(folder: Path, info: RunInfo) -> None:
    """Make the run folder with its ``run.json``.

    Raises:
        TakenError: the folder exists.
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True)  # of two processes that want this name, one gets it
        _put_json(folder / "run.json", info.as_json())
    except FileExistsError:
        raise TakenError(
            f"{folder} already holds a run; choose another folder, or continue it with --resume {folder}"
        ) from None
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}; choose another place with --results") from None


def load_stored(folder: Path) -> StoredRun:
    """Read a run folder; tables are derived from the journal, so an interrupted run reads like a finished one.

    Raises:
        RunError: the folder is no run, has another schema, or a file in it that cannot be derived anew is damaged.
    """
    info = _read_info(folder / "run.json")
    visits = tuple(_read_journal(folder / "journal.jsonl"))
    laws = read_laws(folder)
    return StoredRun(folder, info, visits, info.shown_laws if laws is None else laws)


def read_laws(folder: Path) -> tuple[Law, ...] | None:
    """The laws that were fitted when the run ended; None where there are none to read, and the journal must do."""
    try:
        return tuple(Law.from_json(row) for row in json.loads((folder / "laws.json").read_text(encoding="utf-8")))
    except (OSError, *_FOREIGN):
        return None


def forget_laws(folder: Path) -> None:
    """Drop laws that the visits to come will outdate, so that nobody reads them if the run is cut off."""
    with contextlib.suppress(OSError):
        (folder / "laws.json").unlink()


def runs_in(folder: Path) -> list[Path]:
    """Run folders directly inside `folder`, newest first."""
    found = [path.parent for path in folder.glob("*/run.json")]
    return sorted(found, key=lambda path: (path / "run.json").stat().st_mtime, reverse=True)


#: What a foreign mapping makes `from_json` raise.
_FOREIGN = (ValueError, KeyError, TypeError, AttributeError)


def _read_info(path: Path) -> RunInfo:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (schema := content["schema"]) == SCHEMA:
            return RunInfo.from_json(content)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{path.parent} is not a run: it has no run.json; `attnbench list runs` shows the runs"
        ) from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except _FOREIGN as error:
        raise RunError(f"{path} is damaged: {type(error).__name__} {error}") from None
    raise RunError(f"{path} has schema {schema}; this version reads schema {SCHEMA}")


def _put(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and then give it its own: a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        os.replace(draft, path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _put_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    _put(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _read_journal(path: Path) -> Iterable[Visit]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    *lines, _torn = content.split(b"\n")  # what follows the last newline is a write that was cut off
    for number, line in enumerate(lines, start=1):
        try:
            yield Visit.from_json(json.loads(line))
        except _FOREIGN as error:
            raise RunError(f"{path}, line {number}, is damaged: {type(error).__name__} {error}") from None


def _whole(value: int | None) -> Any:
    """A cell of whole numbers: None would make floats of its column, exact to 2**53 only."""
    return pd.NA if value is None else value


def _outcome(trial: str, visits: list[Visit], info: RunInfo) -> tuple[Status, str]:
    if trial in info.unsupported:
        return Status.UNSUPPORTED, info.unsupported[trial]
    if trial in info.skipped:
        return Status.SKIPPED, info.skipped[trial]
    failed = next((visit for visit in visits if visit.status is not Status.OK), None)
    if failed is not None:
        return failed.status, failed.reason
    return (Status.OK, "") if visits else (Status.SKIPPED, "the run ended before this trial was visited")


def _with_tuples(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: tuple(value) if key in keys else value for key, value in values.items()}
