"""Numbers as people read them. Inside, everything is seconds, bytes and FLOPs; only this room formats.

Scales: time and rates by powers of 1000, bytes by powers of 1024.
"""

from __future__ import annotations

import math
import re

from attnbench.errors import InputError

_SECOND_STEPS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_DECIMAL_STEPS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_BINARY_STEPS = (
    (1024**5, "PiB"),
    (1024**4, "TiB"),
    (1024**3, "GiB"),
    (1024**2, "MiB"),
    (1024, "KiB"),
    (1, "B"),
)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)\s*")
_DURATION_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits and no exponent: ``significant(0.012345) == "0.0123"``."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "not a number"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def seconds(value: float) -> str:
    """A duration: ``seconds(0.00123) == "1.23 ms"``."""
    if value == 0 or not math.isfinite(value):
        return f"{significant(value)} s"
    scale, unit = next((step for step in _SECOND_STEPS if abs(value) >= step[0]), _SECOND_STEPS[-1])
    return f"{significant(value / scale)} {unit}"


def flops(value: float) -> str:
    """An amount of work: ``flops(4e9) == "4.00 GFLOP"``."""
    return f"{_scaled(value)}FLOP"


def flops_per_second(value: float) -> str:
    """A rate: ``flops_per_second(9.5e10) == "95.0 GFLOP/s"``."""
    return f"{_scaled(value)}FLOP/s"


def count(value: float) -> str:
    """A plain number of things: ``count(1_048_576) == "1.05 M"``; small whole numbers stay exact."""
    return str(int(value)) if abs(value) < 10_000 and value == int(value) else _scaled(value).rstrip()


def nbytes(value: float) -> str:
    """An amount of memory: ``nbytes(1536) == "1.50 KiB"``."""
    scale, unit = next((step for step in _BINARY_STEPS if abs(value) >= step[0]), _BINARY_STEPS[-1])
    return f"{int(value)} B" if unit == "B" else f"{significant(value / scale)} {unit}"


def percent(share: float) -> str:
    """A share between 0 and 1: ``percent(0.9713) == "97.1 %"``."""
    return f"{100 * share:.1f} %"


def parse_duration(text: str) -> float:
    """Seconds in ``"60s"``, ``"2m"``, ``"500ms"`` or ``"1h"``.

    Raises:
        InputError: the text is not a positive duration with a unit.
    """
    match = _DURATION.fullmatch(text)
    duration = float(match[1]) * _DURATION_SECONDS[match[2]] if match else 0.0
    if duration <= 0:
        raise InputError(f"a duration such as 60s, 2m or 1h is needed, not {text!r}")
    return duration


def _scaled(value: float) -> str:
    scale, prefix = next((step for step in _DECIMAL_STEPS if abs(value) >= step[0]), (1.0, ""))
    return f"{significant(value / scale)} {prefix}"
