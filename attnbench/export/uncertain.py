"""A value with its uncertainty in the digits that the uncertainty reaches: ``1.99(3)``, as siunitx reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

#: Significant digits of an uncertainty, and of a value whose interval has no length.
_DIGITS, _EXACT_DIGITS = 2, 4
#: A value is written with a power of ten below and above these.
_SMALLEST, _LARGEST = 1e-4, 1e7
#: What floating point adds to 0.03 is no reason to write 0.031.
_NOISE = Decimal("1e-6")


@dataclass(frozen=True)
class Uncertain:
    """A value and its interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """The larger side of the interval: the value plus or minus this holds all of it."""
        return max(self.high - self.value, self.value - self.low)

    @property
    def text(self) -> str:
        """``1.990(31)``, or with a power of ten ``8.89(27)e-11``; the uncertainty is rounded up."""
        if not (math.isfinite(self.value) and math.isfinite(self.half_width)):
            return f"{self.value:.{_EXACT_DIGITS - 1}e}" if math.isfinite(self.value) else ""
        size = max(abs(self.value), self.half_width)
        power = 0 if not size or _SMALLEST <= size < _LARGEST else math.floor(math.log10(size))
        mantissa, doubt = self.value / 10.0**power, self.half_width / 10.0**power
        decimals = decimals_of(doubt, _DIGITS) if doubt > 0 else decimals_of(mantissa, _EXACT_DIGITS)
        exponent = f"e{power}" if power else ""
        if doubt <= 0:
            return f"{mantissa:.{decimals}f}{exponent}"
        written = Decimal(f"{mantissa:.{decimals}f}")
        # What rounding took from the value is part of what is not known of it.
        unsure = max(abs(Decimal(end / 10.0**power) - written) for end in (self.low, self.high))
        units = int((unsure * 10**decimals - _NOISE).to_integral_value(rounding=ROUND_CEILING))
        return f"{written:f}({units}){exponent}"


def decimals_of(value: float, digits: int) -> int:
    """Decimals with which `value` has `digits` significant digits, or all that stand before the point."""
    return max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
