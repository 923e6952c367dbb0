"""Every timed block of a trial, on the page."""

from __future__ import annotations

import pandas as pd

from attnbench.report import figures, words
from attnbench.report.data.samples import Strips
from attnbench.report.figures.canvas import tips
from attnbench.report.markup import picture
from attnbench.report.values import Gallery
from attnbench.store.summary import TUKEY_LABELS


def sample_gallery(strips: Strips, name: str) -> Gallery:
    """The figure of the blocks; empty where nothing was timed."""
    if not strips.rows:
        return Gallery()
    drawn = picture(figures.sample_strips(strips), f"{name}: every timed block", _described(strips))
    return Gallery((drawn,), _caption(strips))


def _caption(strips: Strips) -> str:
    shown, trials = sum(len(row.blocks) for row in strips.rows), words.plural(len(strips.rows), "trial")
    some = (
        f" Shown are {shown} of {strips.blocks} blocks: {trials} of {strips.trials}, chosen evenly from the shortest "
        "to the longest; samples.parquet has all."
    )
    return (
        f"A row is a trial, from the shortest time to the longest, and reaches {100 * strips.reach:.0f} % to either "
        "side of its median block; marks on its edge lie beyond. Blocks stand in the order in which they were taken, "
        "upright lines part visits, and every other process is shaded. Diamonds and crosses are outliers, 1.5 and 3 "
        "interquartile ranges beyond the quartiles; nothing is dropped. The level line is what the law reads."
        f"{some if shown < strips.blocks else ''}"
    )


def _described(strips: Strips) -> str:
    labels = pd.concat([row.blocks["outlier"] for row in strips.rows])
    outliers = [f"{int((labels == kind).sum())} {kind}" for kind in TUKEY_LABELS if kind]
    locations = [row.location for row in strips.rows]
    return (
        f"{words.plural(len(labels), 'block')} of {words.plural(len(strips.rows), 'trial')}; {words.listing(outliers)} "
        f"outliers. The law reads from {tips.share(min(locations))} to {tips.share(max(locations))} of the median."
    )
