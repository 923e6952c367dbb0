"""Facts about a run and the machine that made it, as the report lists them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from attnbench import units
from attnbench.record import Host
from attnbench.report import words
from attnbench.report.values import Fact
from attnbench.store.run_folder import StoredRun

_FILES = {
    "records.parquet": "one row a trial: its sizes, times, bytes and counts",
    "samples.parquet": "one row a timed block, none dropped",
    "laws.json": "one entry a law: formula, intervals, window, verdict",
    "journal.jsonl": "one line a visit, as it was measured",
    "run.json": "the suite, the plan, the exact counts, the machine",
}


@dataclass(frozen=True, slots=True)
class FileLink:
    """A file of the run folder: its name, where it is from the page, and what it holds."""

    name: str
    href: str
    what: str


def environment(run: StoredRun) -> tuple[Fact, ...]:
    """The facts that are known, each with its name."""
    info, host, plan = run.info, run.info.host, run.info.plan
    facts = [
        ("Processor", f"{host.cpu}, {words.plural(host.cores, 'core')}"),
        *_processor_facts(host),
        ("Caches", ", ".join(f"{name} {words.shorter(units.nbytes(size))}" for name, size in host.caches.items())),
        ("Memory", words.shorter(units.nbytes(host.memory_bytes))),
        ("Container’s limits", _container_limits(host)),
        ("Devices", ", ".join(host.devices)),
        ("Accelerators", "; ".join(host.accelerators)),
        ("System", host.system),
        ("Python", host.python),
        ("PyTorch", host.torch),
        ("Linear algebra", host.blas),
        ("Threads", words.threads(dict.fromkeys(trial.choices.threads for trial in plan.trials))),
        ("Thread settings", ", ".join(f"{name} {value}" for name, value in host.thread_settings.items())),
        ("Load at the start", ", ".join(words.shorter(units.significant(value)) for value in host.load)),
        ("Pilot before the plan", units.seconds(plan.calibration_seconds) if plan.calibration_seconds else ""),
        ("Reading the clock", units.seconds(plan.timer_overhead_seconds) if plan.timer_overhead_seconds else ""),
        ("attnbench", info.version),
        ("Plugins", ", ".join(info.plugins)),
        ("Seed", str(info.seed)),
        ("Run", info.name),
    ]
    return tuple(Fact(name, value) for name, value in facts if value)


def files(run: StoredRun, folder: Path | None) -> tuple[FileLink, ...]:
    """The files of the run that are there, linked from a page in `folder`; none where it lies in no folder."""
    if folder is None:
        return ()
    here = os.path.relpath(run.path.resolve(), folder.resolve())
    there = ((name, what) for name, what in _FILES.items() if (run.path / name).is_file())
    return tuple(FileLink(name, quote(Path(here, name).as_posix()), what) for name, what in there)


def _processor_facts(host: Host) -> list[tuple[str, str]]:
    """What the system told about its cores; nothing where it did not."""
    cores = [
        f"{count} {kind}"
        for kind, count in (("logical", host.logical_cores), ("physical", host.physical_cores))
        if count
    ]
    turbo = {True: "on", False: "off", None: ""}[host.turbo]
    return [
        ("Cores of the machine", ", ".join(cores)),
        ("Frequency at the start", f"{host.frequency_mhz:.0f} MHz" if host.frequency_mhz else ""),
        ("Frequency governor", host.governor or ""),
        ("Turbo", turbo),
        (
            "Stolen by other machines",
            "" if host.steal is None else f"{units.percent(host.steal)} of the time since boot",
        ),
    ]


def _container_limits(host: Host) -> str:
    cores = f"{units.significant(host.cpu_limit)} cores" if host.cpu_limit else ""
    memory = words.shorter(units.nbytes(host.memory_limit_bytes)) if host.memory_limit_bytes else ""
    return ", ".join(filter(None, (cores, memory)))
