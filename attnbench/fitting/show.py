"""How forecasts, crossovers and comparisons look in a notebook and in a REPL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench import units
from attnbench.fitting.predict.crossover import band
from attnbench.html_tables import card, titled
from attnbench.law import COUNTED_METRICS
from attnbench.trial import describe

if TYPE_CHECKING:
    from markupsafe import Markup

    from attnbench.fitting.compare.runs import Comparison
    from attnbench.fitting.predict.crossover import Crossover, Meeting
    from attnbench.fitting.predict.forecast import Forecast
    from attnbench.law import Estimate

_FITS = {True: "fits the memory of this machine", False: "does not fit the memory of this machine", None: ""}


def forecast_line(found: Forecast) -> str:
    """``rnn at b=32, n=64, d=1024: 115 ms (98.1 ms to 134 ms); …``."""
    return f"{found.layer} at {describe(found.at)}: {_time(found.seconds)}; {found.reason}"


def forecast_card(found: Forecast) -> Markup:
    """What a visit would measure and need."""
    memory = "" if found.peak_bytes is None else f"{units.nbytes(found.peak_bytes)} of live tensors"
    rows = (
        ("time", _time(found.seconds)),
        ("memory", "; ".join(filter(None, (memory, _FITS[found.fits])))),
        ("reason", found.reason),
    )
    return card(f"{found.layer} at {describe(found.at)}", [row for row in rows if row[1]])


def crossover_card(found: Crossover) -> Markup:
    """A row for each width; what both say in words above it."""
    one, other = found.layers
    caption = titled(filter(None, (f"{one} and {other}", found.operations, found.reason)))
    heads = ("d", "n* by operations", "n* by the clock", "faster beyond")
    return card(caption, map(_meeting, found.rows), heads if found.rows else ())


def comparison_card(found: Comparison) -> Markup:
    """The answer in sentences, and below it every law that was measured or has changed."""
    told = [law for law in found.laws if law.change != "same" or law.metric not in COUNTED_METRICS]
    rows = [(law.layer, law.metric, law.change, law.reason) for law in told]
    caption = titled([f"{found.base} → {found.new}", *found.warnings, *found.sentences])
    return card(caption, rows, ("layer", "metric", "change", "reason") if rows else ())


def _meeting(row: Meeting) -> tuple[str, ...]:
    counted = units.significant(row.operations) if row.operations else "does not cross" if row.fewer else "–"
    return str(row.d), counted, band(row) if row.within else "–", row.faster or "–"


def _time(seconds: Estimate | None) -> str:
    if seconds is None:
        return "no forecast"
    return f"{units.seconds(seconds.value)} ({units.seconds(seconds.low)} to {units.seconds(seconds.high)})"
