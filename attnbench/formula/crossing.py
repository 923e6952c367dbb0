"""Two formulas beside each other: how many times as dear, and from which size on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from attnbench.formula import Formula, from_terms


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where one costs less than another: ``never``, ``always``, ``equal``, or n ``below`` or ``above`` ratio·d."""

    where: str
    ratio: Fraction = Fraction(0)


def quotient(dearer: str, cheaper: str) -> str:
    """One formula divided by another, as short as it gets: ``k/2``."""
    whole = Formula(f"({dearer})/({cheaper})")
    terms = whole.terms if whole.is_sum_of_terms else ()
    if len(terms) != 1 or any(power < 0 for _, power in terms[0].monomial.powers):
        return whole.text
    [term] = terms
    above = from_terms([(term.coefficient.numerator, term.monomial)]).text
    return above if term.coefficient.denominator == 1 else f"{above}/{term.coefficient.denominator}"


def crossing(first: str, second: str) -> Crossing | None:
    """Where `first` costs less than `second`, both over n and d; None where no single line n = ratio·d divides them."""
    difference = Formula(f"({first}) - ({second})")
    if not difference.is_sum_of_terms or difference.axes - {"n", "d"}:
        return None
    terms = [term for term in difference.terms if term.coefficient]
    if not terms:
        return Crossing("equal")
    degrees = {term.monomial.exponent("n") + term.monomial.exponent("d") for term in terms}
    if any(term.monomial.logs for term in terms) or len(degrees) > 1:
        return None
    powers = {term.monomial.exponent("n"): term.coefficient for term in terms}
    if all(coefficient > 0 for coefficient in powers.values()):
        return Crossing("never")
    if all(coefficient < 0 for coefficient in powers.values()):
        return Crossing("always")
    low, high = min(powers), max(powers)
    if len(powers) != 2 or high - low != 1:
        return None
    return Crossing("below" if powers[low] < 0 else "above", -powers[low] / powers[high])


def replaced(formula: str, sizes: Mapping[str, object]) -> str:
    """The text of a formula with sizes, or other formulas, put in for names of axes."""
    return re.sub(r"\b[A-Za-z_]\w*", lambda name: f"({sizes[name[0]]})" if name[0] in sizes else name[0], formula)
