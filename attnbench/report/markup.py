"""The only places where text becomes markup: MathML from parsed formulas, and figures."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.figure import Figure

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.report import words
from attnbench.report.figures.canvas.palette import VERDICT_NAMES
from attnbench.report.figures.canvas.svg import printable, svg
from attnbench.report.values import Chip

NOTHING = Markup('<span class="none">—</span>')
_MATH = Markup('<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{}</mrow></math>')
_POWER = Markup("<msup><mi>{}</mi><mn>{}</mn></msup>")


def chip(verdict: Verdict | None) -> Chip:
    """A verdict as colour, sign and word."""
    return Chip(VERDICT_NAMES[verdict], words.VERDICT_SIGNS[verdict], words.VERDICT_WORDS[verdict])


def picture(figure: Figure, title: str, description: str) -> Markup:
    """A figure with its text alternative."""
    return Markup(svg(figure, printable(title), printable(description)))  # noqa: S704 - made by an XML writer


def math_text(formula: str | None) -> Markup:
    """A formula as MathML; what cannot be read as a formula stays text, escaped."""
    if not formula:
        return NOTHING
    try:
        return Markup(Formula(formula).mathml)  # noqa: S704 - the parser lets only numbers, names and operators through
    except FormulaError:
        return Markup("<code>{}</code>").format(printable(formula))


def law_found(law: Law | None) -> Markup:
    """The shape of the law found: fitted powers, or the sum of its terms without coefficients, or its formula."""
    if law is None:
        return NOTHING
    if law.exponents and len(law.terms) < 2:
        powers = [_POWER.format(axis, words.exponent(e.estimate.value)) for axis, e in law.exponents.items()]
        return _MATH.format(Markup("<mo>&#8290;</mo>").join(powers))
    return math_text(" + ".join(term.term for term in law.terms) or law.formula)
