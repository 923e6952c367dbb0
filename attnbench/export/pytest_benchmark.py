"""A run as pytest-benchmark saves one: JSON that ``pytest-benchmark compare`` reads, one benchmark a timed trial.

A sample here is a timed block, as a round is there: seconds for one call, the mean over the calls of the block.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from attnbench.record import Host, Visit
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Trial, describe

#: Version of pytest-benchmark that first wrote all of these keys.
_VERSION = "5.0.0"


def pytest_benchmark(run: StoredRun) -> str:
    """The JSON document; trials without a time are not in it, as a benchmark there always has one."""
    document = {
        "machine_info": _machine(run.info.host),
        "commit_info": {"id": run.info.code.get("attnbench", "unknown"), "dirty": False, "project": "attnbench"},
        "benchmarks": list(_benchmarks(run)),
        "datetime": run.info.started,
        "version": _VERSION,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"  # in ASCII, so that a terminal has nothing to obey


def _machine(host: Host) -> dict[str, Any]:
    """The host under the names that are used there, and what else is known of it under ours."""
    system, _, release = host.system.partition(" ")
    return {
        "node": "",
        "machine": release.rpartition(" ")[2],
        "processor": host.cpu,
        "system": system,
        "release": release.rpartition(" ")[0],
        "python_version": host.python,
        "cpu": {"brand_raw": host.cpu, "count": host.cores},
        "memory_bytes": host.memory_bytes,
        "torch": host.torch,
        "blas": host.blas,
        "accelerators": list(host.accelerators),
    }


def _benchmarks(run: StoredRun) -> Iterator[dict[str, Any]]:
    timed: dict[str, list[Visit]] = {}
    for visit in run.visits:
        if visit.block_seconds:
            timed.setdefault(visit.trial, []).append(visit)
    for trial in run.info.plan.trials:
        if visits := timed.get(trial.id):
            yield _benchmark(trial, visits, run.info.name)


def _benchmark(trial: Trial, visits: Sequence[Visit], run: str) -> dict[str, Any]:
    seconds = [sample for visit in visits for sample in visit.block_seconds]
    return {
        "group": trial.layer,
        "name": trial.id,
        "fullname": trial.id,
        "params": dict(trial.sizes),
        "param": f"{trial.choices.slug} {describe(trial.sizes)}",
        "extra_info": {"run": run, "visits": len(visits), **{k: getattr(trial.choices, k) for k in _choices(trial)}},
        "options": {"disable_gc": True, "timer": "perf_counter", "warmup": True},
        "stats": {**summary(seconds), "data": seconds, "iterations": round(_mean_iterations(visits))},
    }


def _choices(trial: Trial) -> tuple[str, ...]:
    return tuple(trial.choices.__slots__)


def _mean_iterations(visits: Sequence[Visit]) -> float:
    return statistics.mean(visit.iterations for visit in visits)


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """The numbers that pytest-benchmark keeps of its rounds, by its definitions; `seconds` has at least one."""
    ordered, mean = sorted(seconds), statistics.mean(seconds)
    spread = statistics.stdev(seconds) if len(seconds) > 1 else 0.0
    first, third = _quartile(ordered), -_quartile([-value for value in reversed(ordered)])
    fences = first - 1.5 * (third - first), third + 1.5 * (third - first)
    inside = [value for value in ordered if fences[0] <= value <= fences[1]]
    apart = len([value for value in ordered if abs(value - mean) > spread])
    beyond = len(ordered) - len(inside)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": spread,
        "rounds": len(ordered),
        "median": statistics.median(ordered),
        "iqr": third - first,
        "q1": first,
        "q3": third,
        "iqr_outliers": beyond,
        "stddev_outliers": apart,
        "outliers": f"{apart};{beyond}",
        "ld15iqr": inside[0],
        "hd15iqr": inside[-1],
        "ops": 1 / mean,
        "total": sum(seconds),
    }


def _quartile(ordered: Sequence[float]) -> float:
    """The first quartile: midway between the medians of the lower half with and without the middle value."""
    half = (len(ordered) + 1) // 2
    return (statistics.median(ordered[:half]) + statistics.median(ordered[: max(len(ordered) // 2, 1)])) / 2
