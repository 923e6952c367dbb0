"""A machine that did not run alike in all visits is a notice with figures; one that did is none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.record import Conditions
from attnbench.report.sections.notices import notices
from attnbench.store.run_folder import StoredRun
from tests.two_runs import write

if TYPE_CHECKING:
    from pathlib import Path

QUIET = Conditions(load=0.3, steal=0.01, frequency_mhz=3000.0, sm_clock_mhz=1900.0, temperature_c=60.0)
TITLES = ("A throttled GPU", "Stolen time", "A clock that moved")


@pytest.mark.parametrize(
    ("troubled", "title", "text", "lines"),
    [
        (QUIET, None, "", ()),
        (None, None, "", ()),
        (
            replace(QUIET, throttle=("power limit", "heat, by the driver"), temperature_c=91.0),
            "A throttled GPU",
            (
                "Something held the GPU’s clock down in 27 of 54 visits, whose times are longer for it. "
                "It was at most 91.0 °C hot."
            ),
            (("power limit", "27 visits"), ("heat, by the driver", "27 visits")),
        ),
        (
            replace(QUIET, steal=0.25),
            "Stolen time",
            (
                "In 27 of 54 visits, other virtual machines took more than 5.0 % of the processors’ time, at most "
                "25.0 %. Laws rest on the faster visits of a trial."
            ),
            (),
        ),
        (
            replace(QUIET, frequency_mhz=2000.0),
            "A clock that moved",
            "A frequency was not the same in all visits, and what is timed follows it.",
            (("the processor’s cores", "2000 to 3000 MHz in nine of ten visits"),),
        ),
        (
            replace(QUIET, sm_clock_mhz=1200.0),
            "A clock that moved",
            "A frequency was not the same in all visits, and what is timed follows it.",
            (("the GPU’s clock", "1200 to 1900 MHz in nine of ten visits"),),
        ),
    ],
    ids=["quiet", "not told", "throttled", "stolen", "processor", "gpu"],
)
def test_what_troubled_half_of_the_visits_is_said(
    troubled: Conditions | None, title: str | None, text: str, lines: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    run = write(tmp_path / "run")
    under = [troubled if number % 2 else QUIET for number in range(len(run.visits))]
    visits = tuple(replace(visit, conditions=one) for visit, one in zip(run.visits, under, strict=True))

    found = [one for one in notices(StoredRun(run.path, run.info, visits, ())) if one.title in TITLES]

    assert [(one.title, one.text, one.lines) for one in found] == ([(title, text, lines)] if title else [])
