"""How long the report of a large run takes, and how large it is, beside the report of an ordinary one.

    python benchmarks/big_report.py [TRIALS]

The large run is made up: 20 layers over grids of n, d and b, three visits of five blocks to each trial, laws of one and
of two terms with their specification curves. It goes to disk and is read back as any run is; the ordinary one is the
example under results/. Seconds are of this process, from the run folder to the finished file.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np

from attnbench.law import Curves, Estimate, Exponent, FittedTerm, Law, Specification, Verdict
from attnbench.plan.plan import Plan
from attnbench.record import Counted, Host, Visit
from attnbench.report.page import write_report
from attnbench.spec import from_mapping
from attnbench.store.journal import Journal
from attnbench.store.run_folder import StoredRun, create, load_stored
from attnbench.store.run_info import RunInfo
from attnbench.trial import Choices, Subject, Trial

EXAMPLE = Path(__file__).parents[1] / "results" / "example"
LAYERS = 20
HOST = Host("a made up processor", 16, 64 * 2**30, "Linux", "3.11", "2.15", "none", ("cpu",))


def law(layer: str, terms: int, trials: int) -> Law:
    """A law of n²d, or of n²d + nd²."""
    texts = ("n**2*d", "n*d**2")[:terms]
    axes = ("n", "d", "b")
    exponents = {a: Exponent(Estimate(v, v - 0.03, v + 0.03), v) for a, v in zip(axes, (2.0, 1.0, 1.0), strict=True)}
    draws = tuple((2e-5, *(2e-11 * (1 + k / 500),) * terms, 0.0) for k in range(40))
    ways = (Specification(f"way {k}", dict.fromkeys(axes, 1.0 + k / 500)) for k in range(8))
    return Law(
        Subject(layer, Choices("cpu", "float32")),
        "time",
        Verdict.CONFIRMED,
        "every interval lies within 0.1 of the claim",
        claim=" + ".join(texts),
        exponents=exponents if terms == 1 else {},
        terms=tuple(FittedTerm(text, Estimate(2e-11, 1.9e-11, 2.1e-11), 0.9) for text in texts),
        window={"n": (64, 32768), "d": (64, 32768), "b": (1, 64)},
        trials=trials,
        specifications=tuple(ways),
        curves=Curves(texts, ("b",), draws, 0.05),
    )


def grid(trials: int) -> Iterator[tuple[Trial, int, float]]:
    """Trials with their counted work and their seconds."""
    sizes = list(product(*(np.unique(np.geomspace(*ends).round().astype(int)) for ends in _ENDS)))
    each = trials // LAYERS
    if each > len(sizes):
        raise SystemExit(f"at most {LAYERS * len(sizes)} trials")
    for layer in range(LAYERS):
        for n, d, b in sizes[:: len(sizes) // each][:each]:
            work = int(4 * b * n * d * (n + layer % 2 * d))
            yield Trial(Subject(f"layer-{layer:02}"), {"b": int(b), "n": int(n), "d": int(d)}), work, 2e-5 + work / 9e10


_ENDS = ((64, 32768, 10), (64, 32768, 10), (1, 64, 7))


def write(folder: Path, trials: int) -> StoredRun:
    """The made up run, on disk."""
    rng = np.random.default_rng(1)
    planned = list(grid(trials))
    names = [f"layer-{layer:02}" for layer in range(LAYERS)]
    texts = ("4*b*n**2*d", "4*b*n**2*d + 4*b*n*d**2")
    suite = {
        "title": "A large run",
        "question": "How large may a report be?",
        "metrics": ["flops", "time"],
        "sweep": [{"layers": names}],
    }
    plan = Plan(
        suite=from_mapping(suite, "large", "benchmarks/big_report.py"),
        trials=tuple(trial for trial, _, _ in planned),
        counted={trial.id: Counted(work, 4, 4, ()) for trial, work, _ in planned},
        counted_laws=tuple(
            Law(
                Subject(name, Choices("", "float32")),
                "flops",
                Verdict.CONFIRMED,
                "exact",
                claim=texts[k % 2],
                formula=texts[k % 2],
            )
            for k, name in enumerate(names)
        ),
    )
    info = RunInfo(
        name=folder.name,
        command="attnbench run --suite large",
        seed=1,
        started="2026-01-01T00:00:00+00:00",
        version="0.1.0",
        host=HOST,
        plan=plan,
    )
    create(folder, info)
    with patch.object(os, "fsync"), Journal(folder) as journal:  # how durable it is does not matter here
        for number in range(3):
            for place, (trial, _, seconds) in enumerate(planned):
                blocks = tuple(float(seconds * (1 + 0.03 * delay)) for delay in rng.exponential(size=5))
                facts = {"started": number * 1000 + place / 10, "reference_seconds": 1e-3}
                journal.append(Visit(trial.id, number, number, iterations=5, block_seconds=blocks, **facts))
    laws = (*plan.counted_laws, *(law(name, 1 + k % 2, trials // LAYERS) for k, name in enumerate(names)))
    stored = load_stored(folder)
    StoredRun(stored.path, stored.info, stored.visits, laws).write_derived()
    return stored


def report(folder: Path, reports: Path) -> tuple[float, int]:
    """Seconds of this process, and bytes."""
    start = time.process_time()
    path = write_report(load_stored(folder), reports)
    return time.process_time() - start, path.stat().st_size


def main() -> None:
    """Print the table."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as place:
        large = Path(place) / "large"
        write(large, trials)
        report(EXAMPLE, Path(place))  # modules and fonts are loaded
        for name, folder in (("results/example", EXAMPLE), (f"{trials} trials", large)):
            seconds, size = report(folder, Path(place))
            print(f"{name:<16} {seconds:6.2f} s   {size / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()
