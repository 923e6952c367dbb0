"""The figures of a report: small panels, each readable at the width of a telephone.

Every function takes one small table or tuple and returns a new matplotlib figure; nothing is kept between calls. Those
that take `ax` draw on these axes instead, in whatever figure they are, and return that one.
"""

from attnbench.report.figures.canvas.lines import MIN_NORM, NamedLine, effective_reach, growing
from attnbench.report.figures.forest import ForestRow, forest
from attnbench.report.figures.growth import local_exponents, specification_curve, time_growth
from attnbench.report.figures.machine import rate_map, steadiness
from attnbench.report.figures.residuals import residuals
from attnbench.report.figures.roofline import Marks, Roof, roofline
from attnbench.report.figures.samples import sample_strips
from attnbench.report.figures.shares import term_shares
from attnbench.report.figures.winners import WinnerArea, WinnerMap, winner_map

__all__ = [
    "MIN_NORM",
    "ForestRow",
    "Marks",
    "NamedLine",
    "Roof",
    "WinnerArea",
    "WinnerMap",
    "effective_reach",
    "forest",
    "growing",
    "local_exponents",
    "rate_map",
    "residuals",
    "roofline",
    "sample_strips",
    "specification_curve",
    "steadiness",
    "term_shares",
    "time_growth",
    "winner_map",
]
