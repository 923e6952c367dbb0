"""The figures of a report: small panels, each readable at the width of a telephone.

Every function takes one small table or tuple and returns a new matplotlib figure; nothing is kept between calls.
"""

from attnbench.report.figures.forest import ForestRow, forest
from attnbench.report.figures.growth import local_exponents, specification_curve, time_growth
from attnbench.report.figures.lines import LEAST_NORM, Curve, effective_reach, overtaking, path_lengths
from attnbench.report.figures.machine import rate_map, steadiness
from attnbench.report.figures.residuals import residuals
from attnbench.report.figures.samples import sample_strips
from attnbench.report.figures.shares import term_shares

__all__ = [
    "LEAST_NORM",
    "Curve",
    "ForestRow",
    "effective_reach",
    "forest",
    "local_exponents",
    "overtaking",
    "path_lengths",
    "rate_map",
    "residuals",
    "sample_strips",
    "specification_curve",
    "steadiness",
    "term_shares",
    "time_growth",
]
