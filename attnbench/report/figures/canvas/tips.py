"""What a point of a figure says of itself, in one line: its sizes, its value, and the interval of that."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from attnbench import units
from attnbench.report import words
from attnbench.report.data.columns import HIGH, LOW, RESIDUAL
from attnbench.report.data.labels import size_labels


def timed(points: pd.DataFrame, axes: Iterable[str]) -> list[str]:
    """``n=64, d=512: 1.23 ms [1.20 ms, 1.26 ms]``."""
    values = points[["seconds", "seconds_low", "seconds_high"]].to_numpy()
    return [
        f"{place}: {units.seconds(value)} [{units.seconds(low)}, {units.seconds(high)}]"
        for place, (value, low, high) in zip(size_labels(points, axes), values, strict=True)
    ]


def weighed(points: pd.DataFrame, axes: Iterable[str], column: str, what: str) -> list[str]:
    """``n=64, d=512: 1.50 MiB allocated``."""
    return [
        f"{place}: {units.nbytes(value)} {what}"
        for place, value in zip(size_labels(points, axes), points[column], strict=True)
    ]


def sloped(slopes: pd.DataFrame, axis: str, line: str) -> list[str]:
    """``n from 64 to 128, d=512: exponent 1.98``."""
    return [
        f"{', '.join(filter(None, (f'{axis} from {low:.0f} to {high:.0f}', held)))}: exponent {words.exponent(value)}"
        for low, high, held, value in zip(slopes["low"], slopes["high"], slopes[line], slopes["exponent"], strict=True)
    ]


def residual(points: pd.DataFrame, axes: Iterable[str]) -> list[str]:
    """``n=64, d=512: +4.5 % [+2.1 %, +6.0 %] from the law``, without the interval where it has no width."""
    values, lows, highs = (apart(points[column]) for column in (RESIDUAL, LOW, HIGH))
    return [
        f"{place}: {value} " + (f"[{low}, {high}] " if low != high else "") + "from the law"
        for place, value, low, high in zip(size_labels(points, axes), values, lows, highs, strict=True)
    ]


def apart(values: Iterable[float]) -> list[str]:
    """Each of some differences as `share` has it."""
    return [share(value) for value in values]


def share(value: float) -> str:
    """How far a value lies from another, of which it is a part: ``+4.5 %``, ``−0.3 %``."""
    return f"{'−' if value < 0 else '+'}{100 * abs(value):.1f} %"
