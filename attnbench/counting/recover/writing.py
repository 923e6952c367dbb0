"""Formula text for sums of monomials in which one size may be a rounded one."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from attnbench.counting.recover.polynomial import Polynomial, exceeds
from attnbench.counting.recover.rounding import ROUNDED, Rounding
from attnbench.formula import Formula, Monomial, Term
from attnbench.formula.monomial import by_degree


def largest(found: Iterable[Polynomial]) -> Formula:
    """The maximum, without polynomials that another one exceeds at all sizes.

    Raises:
        FormulaError: it is too long to be read.
    """
    distinct = list({tuple(sorted(p.items(), key=str)): p for p in found}.values())
    kept = [p for p in distinct if not any(q is not p and exceeds(q, p) for q in distinct)]
    return maximum(written(polynomial, None) for polynomial in kept)


def maximum(texts: Iterable[str]) -> Formula:
    """The formula itself, or the largest of several, longest text first."""
    distinct = sorted(set(texts), key=lambda text: (-len(text), text))
    return Formula(distinct[0] if len(distinct) == 1 else f"max({', '.join(distinct)})")


def written(polynomial: Polynomial, rounding: Rounding | None) -> str:
    """The sum, largest degree first; whole blocks are written as the padded size wherever that leaves no fraction."""
    text = rounding.text if rounding else ""
    if rounding and is_padded(polynomial, rounding):
        step = _step(rounding)
        text = f"{step}*ceil({rounding.axis}/{step if step.isalnum() else f'({step})'})"
        polynomial = _in_padded_sizes(polynomial, rounding)
    terms = sorted((Term(c, m) for m, c in polynomial.items()), key=by_degree)
    parts = [_term(term, text, rounding.log_text if rounding else "") for term in terms]
    return " + ".join(parts).replace("+ -", "- ") or "0"


def remark(polynomial: Polynomial, rounding: Rounding | None) -> str:
    """What is done to a size, in words; empty where nothing is."""
    if rounding is None:
        return ""
    if rounding.text.startswith("2**ceil") and any(monomial.exponent(ROUNDED) for monomial in polynomial):
        return f"{rounding.axis} is padded to a power of two"
    if not rounding.pads:
        return ""
    verb = "padded to a multiple" if is_padded(polynomial, rounding) else "divided into blocks"
    return f"{rounding.axis} is {verb} of {_step(rounding)}"


def is_padded(polynomial: Polynomial, rounding: Rounding) -> bool:
    """Whether blocks count by their length, so that the formula is one in the padded size."""
    if not rounding.pads:
        return False
    lengths = _in_padded_sizes(polynomial, rounding)
    return all(
        coefficient.denominator == 1 and (not rounding.other or monomial.exponent(rounding.other) >= 0)
        for monomial, coefficient in lengths.items()
    )


def _in_padded_sizes(polynomial: Polynomial, rounding: Rounding) -> Polynomial:
    """The same value where the rounded size is the padded one, blocks times their length."""
    padded = {}
    for monomial, coefficient in polynomial.items():
        blocks = monomial.exponent(ROUNDED)
        shorter = Monomial.of({rounding.other: -blocks}) if rounding.other else Monomial()
        padded[monomial * shorter] = coefficient / rounding.block ** int(blocks)
    return padded


def _step(rounding: Rounding) -> str:
    factors = [str(rounding.block)] * (rounding.block > 1 or not rounding.other) + [rounding.other] * bool(
        rounding.other
    )
    return "*".join(factors)


def _term(term: Term, rounded: str, log_text: str) -> str:
    """``4*n*d*(16*ceil(n/16))/h``."""
    powers, logs = dict(term.monomial.powers), dict(term.monomial.logs)
    rounded_power, rounded_log = powers.pop(ROUNDED, Fraction(0)), logs.pop(ROUNDED, 0)
    above = Monomial.of({axis: power for axis, power in powers.items() if power > 0}, logs)
    below = Monomial.of({axis: -power for axis, power in powers.items() if power < 0})
    factors = [] if above == Monomial() else [above.text]
    factors += [_power(rounded, int(rounded_power))] if rounded_power else []
    factors += [_power(log_text, rounded_log)] if rounded_log else []
    if len(factors) == 1 and term.coefficient == 1 and rounded_power == 1 and below == Monomial():
        return rounded
    sign = "-" if term.coefficient < 0 else ""
    coefficient = [str(abs(term.coefficient))] if abs(term.coefficient) != 1 or not factors else []
    divisors = [Monomial.of({axis: power}).text for axis, power in below.powers]
    return sign + "/".join(["*".join([*coefficient, *factors]), *divisors])


def _power(text: str, power: int) -> str:
    """`text` to a power, in brackets where they are needed."""
    binds = text.partition("(")[0].isidentifier() or (text.startswith("2**") and power == 1)
    base = text if binds else f"({text})"
    return base if power == 1 else f"{base}**{power}"
