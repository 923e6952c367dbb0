"""Monomials and terms: the parts of a law, exact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from attnbench.errors import FormulaError

Number = int | Fraction | float

#: Python words these differently from version to version.
REASONS: dict[type[Exception], str] = {ZeroDivisionError: "division by zero", OverflowError: "a number too large"}

#: The order in which the field writes factors: ``2·b·k·n·d²``, ``h·n²``.
_WRITING_ORDER = "bhklwrmcnd"
_SUPERSCRIPTS = str.maketrans("0123456789/-.", "⁰¹²³⁴⁵⁶⁷⁸⁹ᐟ⁻·")


@dataclass(frozen=True, slots=True)
class Monomial:
    """A product of powers and logarithms of sizes, without its coefficient.

    Attributes:
        powers: (axis, exponent) pairs, exponents not zero, sorted by axis.
        logs: (axis, exponent of log₂ axis) pairs, likewise.
    """

    powers: tuple[tuple[str, Fraction], ...] = ()
    logs: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, powers: Mapping[str, Fraction | int], logs: Mapping[str, int] | None = None) -> Monomial:
        """Build from mappings; zero exponents are dropped."""
        return cls(
            tuple(sorted((axis, Fraction(power)) for axis, power in powers.items() if power)),
            tuple(sorted((axis, power) for axis, power in (logs or {}).items() if power)),
        )

    @property
    def axes(self) -> set[str]:
        """Sizes that occur."""
        return {axis for axis, _ in (*self.powers, *self.logs)}

    def exponent(self, axis: str) -> Fraction:
        """Power of `axis`, zero when absent; logarithms do not count."""
        return dict(self.powers).get(axis, Fraction(0))

    def evaluate(self, sizes: Mapping[str, int | float]) -> float:
        """Value at `sizes`, in floating point.

        Raises:
            FormulaError: there is none (1/log2(1)), or it is too large.
        """
        try:
            value = math.prod(float(sizes[axis]) ** float(power) for axis, power in self.powers)
            value *= math.prod(math.log2(sizes[axis]) ** power for axis, power in self.logs)
            if not math.isfinite(value):
                raise OverflowError
        except (ArithmeticError, ValueError) as error:
            reason = REASONS.get(type(error), str(error))
            at = {axis: sizes[axis] for axis in sorted(self.axes)}
            raise FormulaError(f"{self.text!r} has no value at {at}: {reason}") from None
        return float(value)

    def __mul__(self, other: Monomial) -> Monomial:
        powers, logs = dict(self.powers), dict(self.logs)
        for axis, power in other.powers:
            powers[axis] = powers.get(axis, Fraction(0)) + power
        for axis, log_power in other.logs:
            logs[axis] = logs.get(axis, 0) + log_power
        return Monomial.of(powers, logs)

    def dominates(self, other: Monomial) -> bool:
        """Whether this grows at least as fast as `other` along every axis, and they differ."""
        axes = self.axes | other.axes
        mine, theirs = dict(self.logs), dict(other.logs)
        return self != other and all(
            (self.exponent(axis), mine.get(axis, 0)) >= (other.exponent(axis), theirs.get(axis, 0)) for axis in axes
        )

    def grows_like(self, other: Monomial, axes: Iterable[str]) -> bool:
        """Whether both have the same powers and logarithms of `axes`; other sizes are constants to the comparison."""
        logs, others = dict(self.logs), dict(other.logs)
        return all(
            self.exponent(axis) == other.exponent(axis) and logs.get(axis, 0) == others.get(axis, 0) for axis in axes
        )

    @property
    def text(self) -> str:
        """Python-like text that `Formula` reads back: ``n**2*d``; ``1`` for the empty product."""
        factors = [axis if power == 1 else f"{axis}**{_exponent_text(power)}" for axis, power in self._written()]
        factors += [f"log2({axis})" if power == 1 else f"log2({axis})**{power}" for axis, power in self.logs]
        return "*".join(factors) or "1"

    @property
    def pretty(self) -> str:
        """Text for people: ``n²d``."""
        factors = [f"{axis}{superscript(power)}" for axis, power in self._written()]
        factors += [f"log₂({axis}){superscript(power)}" for axis, power in self.logs]
        return "·".join(factors) if self.logs or any(len(axis) > 1 for axis in self.axes) else "".join(factors) or "1"

    def _written(self) -> list[tuple[str, Fraction]]:
        return sorted(self.powers, key=lambda item: (_WRITING_ORDER.find(item[0]) % 99, item[0]))


@dataclass(frozen=True, slots=True)
class Term:
    """A monomial with its coefficient."""

    coefficient: Fraction
    monomial: Monomial

    def evaluate(self, sizes: Mapping[str, int | float]) -> float:
        """Value at `sizes`, in floating point."""
        return float(self.coefficient) * self.monomial.evaluate(sizes)


def by_degree(term: Term) -> tuple[float, Fraction, str]:
    """Largest degree first, then the largest coefficient: ``8bnd² + 4bn²d``, as the field writes it."""
    monomial = term.monomial
    degree = sum(float(p) for _, p in monomial.powers) + 0.01 * sum(p for _, p in monomial.logs)
    return -degree, -term.coefficient, monomial.text


def term_text(term: Term) -> str:
    """``8*b*n*d**2``."""
    coefficient, monomial = term.coefficient, term.monomial
    if not monomial.axes:
        return str(coefficient)
    return monomial.text if coefficient == 1 else f"{coefficient}*{monomial.text}"


def _exponent_text(power: Fraction) -> str:
    return str(power) if power.denominator == 1 else f"({power})"


def superscript(power: Fraction | int) -> str:
    """The exponent as people write it; nothing for 1."""
    return "" if power == 1 else str(power).translate(_SUPERSCRIPTS)
