"""The rate that the pilot achieved over length and width, on the page."""

from __future__ import annotations

import numpy as np

from attnbench import units
from attnbench.law import Law
from attnbench.report import figures, words
from attnbench.report.data.machine import rate_map
from attnbench.report.markup import picture
from attnbench.report.values import Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject


def rate_gallery(run: StoredRun, subject: Subject, law: Law | None) -> Gallery:
    """The rates that the pilot saw over n and d; empty where it did not vary them."""
    data = rate_map(run, subject, law)
    if data is None:
        return Gallery()
    rates = data.rates.to_numpy(dtype="float64")
    rates = rates[np.isfinite(rates)]
    text = (
        f"{words.plural(len(rates), 'pilot measurement')} over n and d. The rate goes from "
        f"{units.flops_per_second(float(rates.min()))} to {units.flops_per_second(float(rates.max()))}."
    )
    drawn = picture(figures.rate_map(data), f"{words.subject(subject)}: achieved rate over n and d", text)
    held = ", ".join(f"{axis} = {size}" for axis, size in data.others.items())
    return Gallery(
        (drawn,),
        "Achieved FLOP/s in the pilot"
        + (f" at {held}" if held else "")
        + (", with the window of the law outlined" if law and law.window else "")
        + ". Where the rate still climbs, time grows more slowly than the work.",
    )
