"""Columns of the tables that figures show: sizes, under the names of their axes, and what stands beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from attnbench.trial import ordered

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Columns beside the sizes. None of these is an identifier, so no layer can have an axis of that name.
TRIAL, INSIDE, LINE, RANK, PART = "its trial", "inside the window", "line label", "line rank", "part of the law"
#: How far a value lies from what was fitted, and the interval of that.
RESIDUAL, LOW, HIGH = "measured over fitted", "its least", "its most"
#: A term, and the part of the whole that it carries.
TERM, SHARE = "its term", "its share"
#: Columns of bytes: measured ones, and the counted one.
BYTES = ("allocated_bytes", "resident_bytes", "peak_bytes")


def axes_of(points: pd.DataFrame) -> list[str]:
    """Columns of `points` that are sizes, where every row has one."""
    names = [c for c in points.columns if c.isidentifier() and not c.startswith("seconds") and c not in BYTES]
    return [axis for axis in ordered(dict.fromkeys(names, 0)) if points[axis].notna().all()]
