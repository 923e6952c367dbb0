"""The run folder to disk and back: what was known before the first round, and the tables derived from the journal.

A run folder holds ``run.json`` (suite, trials, command, seed, host, counts, schema), ``journal.jsonl`` (one line for
each visit of a trial), ``records.parquet`` and ``samples.parquet`` (derived), ``laws.json``, and ``SHA256SUMS``, which
says of what journal the derived files are.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnbench.errors import InputError, RunError
from attnbench.formula import Formula
from attnbench.law import Law, told_once
from attnbench.record import SCHEMA, Conditions, Counted, Host, PathMap, Peaks, Status, Visit
from attnbench.spec import from_mapping
from attnbench.store.fingerprint import of_file, of_mapping
from attnbench.store.journal import NAME as JOURNAL
from attnbench.store.journal import read_journal, sync_folder
from attnbench.store.shape import FOREIGN, FlawError, check_type, damage
from attnbench.store.summary import TUKEY_LABELS, fence_labels, summarise
from attnbench.trial import AXES, CHOICES, Choices, Subject, Trial, ordered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


#: Whole numbers that are counted for each trial, and those that are measured once.
_COUNTS = ("flops", "parameters", "peak_bytes", "saved_bytes", "depth")
_PEAKS = ("allocated_bytes", "resident_bytes")

#: Key of run.json: the hash of all its other keys.
_SHA256 = "sha256"
#: File that says of what journal the derived files are.
_SUMS = "SHA256SUMS"
_LAWS_FROM = ("run.json", JOURNAL, "laws.json")
_TABLES = ("records.parquet", "samples.parquet")


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
        calibration_seconds: clock that the pilot took, the peaks included.
        peaks: what each device was seen to do at best, for each dtype and number of threads that is timed.
        timer_overhead_seconds: cost of reading the clock twice.
        floors: layer and its choices, as in ids → seconds of a call at tiny sizes: no constant cost is larger.
        visit_seconds: trial id → clock that one visit aims for.
        code: what measured → its fingerprint: attnbench, and each plugin by its file or module; empty where an older
            attnbench kept none.
        journal_start: the checksum from which that of the journal's first line goes on, drawn for this run; 0 where an
            older attnbench drew none.
        reach: layer → pairs of distance and mean gradient norm at it, the largest being 1: how far inputs really act.
        paths: layer → path lengths between all its positions, or why there are none; empty where the suite counts no
            hops, and in early runs.
        weights: layer → head, query, key → attention weight, on the same few random tokens for every layer.
        fading: layer → way of stacking it → what a read-out still tells of the position after 0, 1, 2 … layers, one
            list for each draw.
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
    floors: dict[str, float] = field(default_factory=dict)
    visit_seconds: dict[str, float] = field(default_factory=dict)
    journal_start: int = 0
    code: dict[str, str] = field(default_factory=dict)
    reach: dict[str, list[list[float]]] = field(default_factory=dict)
    paths: dict[str, PathMap] = field(default_factory=dict)
    weights: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    fading: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    peaks: tuple[Peaks, ...] = ()

    @property
    def shown_laws(self) -> tuple[Law, ...]:
        """Laws of the counted metrics that the suite asks for."""
        return told_once(law for law in self.counted_laws if law.metric in self.suite.get("metrics", law.metric))

    def measures(self, metric: str) -> bool:
        """Whether the suite asks for a measured metric."""
        return metric in self.suite.get("metrics", ("time",))

    def window(self, subject: Subject) -> str:
        """Why a law is read where it is; empty without a window. Early runs tell one for all choices of a layer."""
        return self.windows.get(subject.id) or self.windows.get(subject.layer, "")

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
        values = {key: value for key, value in content.items() if key not in ("schema", _SHA256)}
        values["host"] = Host(**_with_tuples(content["host"], "devices", "load", "accelerators"))
        values["trials"] = tuple(
            Trial(Subject(t["layer"], Choices(**{name: t[name] for name in CHOICES if name in t})), t["sizes"])
            for t in content["trials"]
        )
        values["counted"] = {key: Counted.from_json(value) for key, value in content["counted"].items()}
        values["counted_laws"] = tuple(Law.from_json(row) for row in content["counted_laws"])
        values["paths"] = {layer: PathMap(**found) for layer, found in content.get("paths", {}).items()}
        values["peaks"] = tuple(Peaks(**row) for row in content.get("peaks", ()))
        return cls(**_with_tuples(values, "plugins", "calibration"))


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
        frame = pd.DataFrame([self._record(trial) for trial in self.info.trials], columns=self._record_columns)
        return frame.astype(dict.fromkeys([*self._axes, *_COUNTS, *_PEAKS], "Int64"))

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
        by_trial = frame.groupby("trial")["seconds"]
        first, third = (by_trial.transform("quantile", share).to_numpy() for share in (0.25, 0.75))
        labels = fence_labels(frame["seconds"].to_numpy(), first, third)
        return frame.assign(outlier=np.array(TUKEY_LABELS)[labels])

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """One row a visit: ``trial, process, round, started`` and what it was made under, where that was read."""
        known = [one.name for one in fields(Conditions)]
        rows = [
            (v.trial, v.process, v.round, v.started, *(getattr(v.conditions or Conditions(), name) for name in known))
            for v in self.visits
        ]
        frame = pd.DataFrame(rows, columns=["trial", "process", "round", "started", *known])
        return frame.astype({"trial": "str", **dict.fromkeys(known[:-1], "float64")}).assign(
            throttle=["; ".join(words) for words in frame["throttle"]]
        )

    @cached_property
    def laws(self) -> pd.DataFrame:
        """One row a law, intervals as text; `found_laws` has the values."""
        rows = [
            {
                "layer": law.layer,
                "device": law.choices.device,
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
        before = ["trial", "layer", *CHOICES]
        after = ["status", "reason", "seconds", "seconds_low", "seconds_high", "seconds_median", "samples", "visits"]
        counts = [
            "flops",
            "parameters",
            "peak_bytes",
            "saved_bytes",
            *_PEAKS,
            "depth",
            "hops",
            "lower_bound",
            "first_call_seconds",
            "compile_seconds",
            "floor_seconds",
            "kernels",
            "host",
        ]
        return [*before, *self._axes, *after, *counts]

    @cached_property
    def places(self) -> dict[Subject, list[int]]:
        """Subject → where its trials stand in the plan, and so in `records`."""
        grouped: dict[Subject, list[int]] = {}
        for place, trial in enumerate(self.info.trials):
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
        exact = [law for law in self.info.counted_laws if law.formula and not law.lower_bound]
        return {(law.subject.count_key, law.metric): law.formula for law in reversed(exact)}

    @cached_property
    def calibration_by_layer(self) -> dict[str, list[dict[str, Any]]]:
        """Layer → what the pilot saw of it."""
        grouped: dict[str, list[dict[str, Any]]] = {}
        for row in self.info.calibration:
            grouped.setdefault(str(row.get("layer")), []).append(row)
        return grouped

    def _record(self, trial: Trial) -> dict[str, Any]:
        visits = self.visits_by_trial.get(trial.id, [])
        counted = self.info.counted.get(trial.id)
        status, reason = _outcome(trial.id, visits, self.info)
        summary = summarise([visit.block_seconds for visit in visits if visit.metric == "time"])
        weighed = next((visit for visit in visits if visit.metric == "memory"), None)
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
            **{peak: _whole(getattr(weighed, peak, None)) for peak in _PEAKS},
            "hops": counted.hops if counted else None,
            "lower_bound": bool(counted.uncounted) if counted else None,
            "first_call_seconds": first[0] if first else None,
            "compile_seconds": next((v.compile_seconds for v in visits if v.compile_seconds is not None), None),
            "floor_seconds": self.info.floors.get(trial.subject.id),
            "kernels": ";".join(next((visit.kernels for visit in visits if visit.kernels), ())),
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
            _put_text(self.path / _SUMS, _sums(self.path, (*_LAWS_FROM, *_TABLES)))
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
        sync_folder(folder.parent)
        content = info.as_json()
        _put_json(folder / "run.json", {**content, _SHA256: of_mapping(content)})
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
    if foreign := {visit.trial for visit in visits} - {trial.id for trial in info.trials}:
        raise RunError(f"{folder / JOURNAL} is of another run: run.json plans no trial {min(foreign)}")
    laws = read_laws(folder)
    return StoredRun(folder, info, visits, info.shown_laws if laws is None else laws)


def read_laws(folder: Path) -> tuple[Law, ...] | None:
    """The laws that were fitted when the run ended; None where there are none to read, and the journal must do.

    They are read where ``SHA256SUMS`` says that they are whole, and of this journal.
    """
    try:
        if not (folder / _SUMS).read_text(encoding="utf-8").startswith(_sums(folder, _LAWS_FROM)):
            return None
        return tuple(Law.from_json(row) for row in json.loads((folder / "laws.json").read_text(encoding="utf-8")))
    except (OSError, *FOREIGN):
        return None


def whole_laws(folder: Path) -> str | None:
    """The text of ``laws.json`` where it and ``run.json`` are as they were written; None where they are not.

    Quick, as the journal is not read: laws that are older than it were dropped when the run was continued.
    """
    try:
        told = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
        sums = _sums(folder, [name for name in _LAWS_FROM if name != JOURNAL]).splitlines()
        return (folder / "laws.json").read_text(encoding="utf-8") if set(sums) <= set(told) else None
    except (OSError, UnicodeDecodeError):
        return None


def forget_laws(folder: Path) -> None:
    """Drop laws that the visits to come will outdate, so that nobody reads them if the run is cut off again.

    Drafts of files that a crash left go with them.
    """
    drafts = (draft for name in (*_LAWS_FROM, *_TABLES, _SUMS) for draft in folder.glob(f".{name}.*"))
    for path in (folder / "laws.json", *drafts):
        with contextlib.suppress(OSError):
            path.unlink()


def runs_in(folder: Path) -> list[Path]:
    """Run folders directly inside `folder`, newest first."""
    found = [path.parent for path in folder.glob("*/run.json")]
    return sorted(found, key=lambda path: (path / "run.json").stat().st_mtime, reverse=True)


def read_info(folder: Path) -> RunInfo:
    """What was known of a run before its first round.

    Raises:
        RunError: the folder is no run, has another schema, or its ``run.json`` is damaged.
    """
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (schema := content["schema"]) == SCHEMA:
            return _checked(content)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{path.parent} is not a run: it has no run.json; `attnbench list runs` shows the runs"
        ) from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except FOREIGN as error:
        raise RunError(damage(path, error)) from None
    raise RunError(f"{path} has schema {schema!r:.40}; this version reads schema {SCHEMA}")


def _checked(content: dict[str, Any]) -> RunInfo:
    """Raises what `FOREIGN` lists where the file does not say what it said; an older attnbench kept no hash of it."""
    told = content.pop(_SHA256, None)
    if told is None and "code" not in content:
        return _looked_over(RunInfo.from_json(content))
    if told != of_mapping(content):
        raise FlawError("it was changed since the run began, so nothing can be read from it; start a new run")
    return RunInfo.from_json(content)


def _looked_over(info: RunInfo) -> RunInfo:
    """A run without a hash, once it has the types it needs, a suite that can be read, and a scope for each layer."""
    check_type(info, RunInfo, "run.json")
    try:
        from_mapping(info.suite, info.suite_name, "run.json")
        for layer, text in _formulas(info):
            sizes = {axis for trial in info.trials if trial.layer == layer for axis in trial.sizes}
            if sizes and (foreign := Formula(text).axes - sizes):
                raise FlawError(f"{text} of {layer} has {min(foreign)}, which no trial has")
    except InputError as error:
        raise FlawError(str(error)) from None
    if missing := {trial.layer for trial in info.trials} - set(info.scopes):
        raise FlawError(f"it does not say what scope {min(missing)} has")
    return info


def _formulas(info: RunInfo) -> Iterator[tuple[str, str]]:
    """Layer and text of whatever a fit may read as a formula."""
    for layer, claims in info.claims.items():
        yield from ((layer, text) for text in claims.values())
    yield from ((law.layer, law.formula) for law in info.counted_laws if law.formula)


def _sums(folder: Path, names: Sequence[str]) -> str:
    """What ``sha256sum --check`` reads."""
    return "".join(f"{of_file(folder / name)}  {name}\n" for name in names)


def _put(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and then give it its own: a reader never sees half of it, nor does a crash."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        _sync(draft)
        os.replace(draft, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _put_json(path: Path, content: Any) -> None:
    _put_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _put_text(path: Path, text: str) -> None:
    _put(path, lambda draft: draft.write_text(text, encoding="utf-8"))


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
    last = "time" if info.measures("time") else "memory"
    reached = any(visit.metric == last for visit in visits)
    return (Status.OK, "") if reached else (Status.SKIPPED, "the run ended before this trial was visited")


def _with_tuples(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: tuple(value) if key in keys else value for key, value in values.items()}
