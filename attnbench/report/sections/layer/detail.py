"""How much of a run is drawn: everything of an ordinary one, and of a large one what a page can hold."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import pandas as pd

from attnbench.report import words
from attnbench.report.data.points import MAX_LINES, line_count
from attnbench.store.run_folder import StoredRun

#: A run of more trials than these is large, and every figure of it would make a page that nobody can open.
LARGE = 2000
#: Of a large run, so many sections have all figures, and so many have those of time and memory.
_ALL, _SOME = 2, 6


class Detail(IntEnum):
    """What is drawn in the section of one layer."""

    NOTHING = 0
    GROWTH = 1
    ALL = 2


def detail(run: StoredRun, place: int) -> Detail:
    """What is drawn in section `place` of a run, counted from 0."""
    if len(run.info.plan.trials) <= LARGE or place < _ALL:
        return Detail.ALL
    return Detail.GROWTH if place < _SOME else Detail.NOTHING


def left_out(points: pd.DataFrame, axes: Sequence[str], drawn: Detail) -> str:
    """What the figures of a section leave out, in a sentence or two; empty where they show everything."""
    counts = {axis: line_count(points, axis) for axis in axes}
    many = [f"{count} along {axis}" for axis, count in counts.items() if count > MAX_LINES]
    sentences = [
        f"Figures show {MAX_LINES} lines of {words.listing(many)}, evenly from small sizes to large." if many else "",
        _OF_A_LARGE_RUN[drawn],
    ]
    return " ".join(filter(None, sentences))


_OF_A_LARGE_RUN = {
    Detail.ALL: "",
    Detail.GROWTH: f"The run is large: residuals, local exponents, shares, samples, rates and specification curves are "
    f"drawn for its first {_ALL} sections.",
    Detail.NOTHING: f"The run is large: figures are drawn for its first {_SOME} sections.",
}
