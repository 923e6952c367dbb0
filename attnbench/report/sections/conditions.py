"""What a reader should know of the machine while it measured: a clock held down or moved, and stolen time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attnbench import units
from attnbench.report import words
from attnbench.report.context import Notice

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun

#: A visit from which others took more of the processor than this was not alone.
_STOLEN_LIMIT = 0.05
#: A clock that moved by more than this between visits moved their times likewise.
_CLOCK_LIMIT = 1.1


def _throttled(run: StoredRun) -> Notice | None:
    rows = run.conditions
    held = rows[rows["throttle"] != ""]
    reasons = Counter(reason for found in held["throttle"] for reason in found.split("; "))
    lines = tuple((reason, words.plural(number, "visit")) for reason, number in reasons.most_common())
    hottest = held["temperature_c"].max()
    heat = f" It was at most {units.significant(hottest)} °C hot." if hottest == hottest else ""
    text = f"Something held the GPU’s clock down in {_of(len(held), len(rows))}, whose times are longer for it.{heat}"
    return Notice("A throttled GPU", text, lines) if lines else None


def _stolen(run: StoredRun) -> Notice | None:
    steal = run.conditions["steal"].dropna()
    much = steal[steal > _STOLEN_LIMIT]
    text = (
        f"In {_of(len(much), len(steal))}, other virtual machines took more than {units.percent(_STOLEN_LIMIT)} of the "
        f"processors’ time, at most {units.percent(float(much.max()))}. Laws rest on the faster visits of a trial."
    )
    return Notice("Stolen time", text) if len(much) else None


def _moved(run: StoredRun) -> Notice | None:
    named = {"frequency_mhz": "the processor’s cores", "sm_clock_mhz": "the GPU’s clock"}
    lines = []
    for column, name in named.items():
        known = run.conditions[column].dropna()
        low, high = (float(known.quantile(share)) for share in (0.05, 0.95)) if len(known) else (1.0, 1.0)
        if high > _CLOCK_LIMIT * low:
            lines.append((name, f"{low:.0f} to {high:.0f} MHz in nine of ten visits"))
    text = "A frequency was not the same in all visits, and what is timed follows it."
    return Notice("A clock that moved", text, tuple(lines)) if lines else None


def _of(some: int, all_: int) -> str:
    return f"{some} of {words.plural(all_, 'visit')}"


KINDS = (_throttled, _stolen, _moved)
