"""Pairs of run folders that differ in what a test says, and in nothing else but noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.law import Estimate, Exponent, Law, Verdict
from attnbench.trial import Choices, Subject
from tests.report.fake_run import FakeLayer, write_fake_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from attnbench.store.run_folder import StoredRun

GRID = {"b": (1,), "n": (256, 512, 1024), "d": (64, 128, 256)}


def layer(name: str, seconds: Callable[..., float], flops: str = "4*b*n*d**2", **changes: Any) -> FakeLayer:
    """A layer with a counted law, and a fitted one that says nothing: trials must say what changed."""
    time = Law(Subject(name, Choices("cpu", "float32")), "time", Verdict.INFERRED, "as it is", formula="n")
    counted = Law(Subject(name), "flops", Verdict.INFERRED, "exact", formula=flops)
    made = FakeLayer(name, GRID, seconds, lambda b, n, d: 4 * b * n * d**2, time, 0.005, counted_laws=(counted,))
    return replace(made, **changes)


def recurrent(factor: float = 1.0) -> FakeLayer:
    return layer("recurrent", lambda b, n, d: factor * 4e-11 * b * n * d**2)


def attending(factor: float = 1.0) -> FakeLayer:
    return layer("attending", lambda b, n, d: factor * 4e-11 * b * n**2 * d, "4*b*n**2*d")


def changed_law() -> FakeLayer:
    """What was recurrent, now as dear as attention."""
    return replace(attending(), name="recurrent", law=recurrent().law, counted_laws=_renamed(attending()))


def _renamed(made: FakeLayer) -> tuple[Law, ...]:
    return tuple(replace(law, subject=Subject("recurrent")) for law in made.counted_laws)


def fitted(name: str, n: float, half: float) -> Law:
    """A law of time with one exponent."""
    exponent = Exponent(Estimate(n, n - half, n + half))
    return Law(Subject(name, Choices("cpu", "float32")), "time", Verdict.INFERRED, "", exponents={"n": exponent})


def write(folder: Path, *layers: FakeLayer, seed: int = 1, **changes: Any) -> StoredRun:
    return write_fake_run(folder, layers or (recurrent(), attending()), seed=seed, **changes)
