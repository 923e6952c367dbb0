"""Points of the layers of a run, and laws that are known exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.law import Curves, Law, Verdict
from attnbench.report.data.points import timed_points
from attnbench.trial import Subject
from tests.report.fake_run import FakeLayer, exponents, time_law

if TYPE_CHECKING:
    import pandas as pd

    from attnbench.store.run_folder import StoredRun


def law_of(run: StoredRun, layer: str) -> Law | None:
    """The law of time of a layer."""
    return run.laws_by_subject.get((Subject(layer), "time"))


def points_of(run: StoredRun, layer: str, law: Law | None = None) -> pd.DataFrame:
    """What was timed of a layer, with the window of its law or of another."""
    return timed_points(run, Subject(layer), law or law_of(run, layer))


def exact(name: str = "exact", **changes: object) -> FakeLayer:
    """Seconds are exactly 3e-10 n² d^1.5, without noise."""
    layer = FakeLayer(
        name,
        {"b": (2,), "n": (64, 128, 512), "d": (32, 64)},
        lambda b, n, d: 3e-10 * n**2 * d**1.5,
        lambda b, n, d: 2 * b * n * d,
        time_law(
            name,
            Verdict.CONFIRMED,
            "because",
            claim="n**2*d",
            exponents=exponents(n=(2.0, 0.0, 2.0), d=(1.5, 0.0, 1.0)),
            window={"n": (64, 512), "d": (32, 64)},
        ),
        noise=0.0,
    )
    return replace(layer, **changes)


#: Seconds 1e-4 + 2e-11 n² d, and a visit scatters by 5 %.
CURVED = time_law(
    "attention-core",
    Verdict.CONFIRMED,
    "",
    window={"n": (512, 2048), "d": (64, 512)},
    curves=Curves(("1",), ("d", "n"), ((1e-4, 2e-11, 1.0, 2.0),), scatter=0.05),
)
