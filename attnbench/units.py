"""Numbers as people read them. Inside, everything is seconds, bytes and FLOPs; only this room formats.

Scales: time and rates by powers of 1000, bytes by powers of 1024.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from attnbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECOND_STEPS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"), (1e-12, "ps"))
_DECIMAL_STEPS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_BINARY_STEPS = (
    (1024**5, "PiB"),
    (1024**4, "TiB"),
    (1024**3, "GiB"),
    (1024**2, "MiB"),
    (1024, "KiB"),
)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)\s*")
_DURATION_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits or more and no exponent: ``significant(0.012345) == "0.0123"``."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "not a number"
    if value == 0:
        return "0"
    magnitude = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.999 has the digits of 10.0
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def seconds(value: float) -> str:
    """A duration: ``seconds(0.00123) == "1.23 ms"``."""
    return _scaled(value, _SECOND_STEPS, otherwise="s")


def flops(value: float) -> str:
    """An amount of work: ``flops(4e9) == "4.00 GFLOP"``."""
    return _scaled(value, _DECIMAL_STEPS) + "FLOP"


def flops_per_second(value: float) -> str:
    """A rate: ``flops_per_second(9.5e10) == "95.0 GFLOP/s"``."""
    return _scaled(value, _DECIMAL_STEPS) + "FLOP/s"


def count(value: float) -> str:
    """A plain number of things: ``count(1_048_576) == "1.05 M"``; small whole numbers stay exact."""
    exact = abs(value) < 10_000 and value == int(value)
    return str(int(value)) if exact else _scaled(value, _DECIMAL_STEPS).rstrip()


def nbytes(value: float) -> str:
    """An amount of memory: ``nbytes(1536) == "1.50 KiB"``."""
    return f"{value:.0f} B" if abs(value) < 1023.5 else _scaled(value, _BINARY_STEPS, otherwise="B")


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
    if not 0 < duration < math.inf:
        raise InputError(f"a duration such as 60s, 2m or 1h is needed, not {text!r}")
    return duration


def _scaled(value: float, steps: Sequence[tuple[float, str]], otherwise: str = "") -> str:
    """`value` in the largest unit of which it is at least one, as it will be written; zero and infinity `otherwise`."""
    if value == 0 or not math.isfinite(value):
        return f"{significant(value)} {otherwise}"
    scale, unit = next((step for step in steps if float(f"{abs(value) / step[0]:.2e}") >= 1), steps[-1])
    return f"{significant(value / scale)} {unit}"
