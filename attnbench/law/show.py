"""How numbers and verdicts of laws look in a notebook: powers as MathML, verdicts as a sign, a word and a colour."""

from __future__ import annotations

from markupsafe import Markup

from attnbench.html_tables import badge
from attnbench.law.estimate import Estimate
from attnbench.law.verdict import Verdict
from attnbench.units import nbytes, percent, seconds

#: Dark enough for white letters (contrast 4.5 and more), and for words on light paper.
COLOURS: dict[Verdict | None, str] = {
    Verdict.CONFIRMED: "#19734a",
    Verdict.REFUTED: "#b02a20",
    Verdict.INCONCLUSIVE: "#8b5a06",
    Verdict.OUT_OF_REGIME: "#5c5597",
    Verdict.INFERRED: "#3f6478",
}
_POWER = Markup(
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow><msup><mi>{}</mi><mn>{}</mn></msup></mrow></math>'
)

_UNBROKEN = Markup('<span style="white-space:nowrap">{} [{}, {}]</span>')


def verdict_badge(verdict: Verdict) -> Markup:
    """A verdict as colour, sign and word."""
    return badge(verdict.sign, str(verdict), COLOURS[verdict])


def power(axis: str, exponent: Estimate) -> Markup:
    """An axis to the power of its exponent, and the interval of that."""
    written = _POWER.format(axis, number(exponent.value, ".2f"))
    return _UNBROKEN.format(written, number(exponent.low, ".2f"), number(exponent.high, ".2f"))


def exponent_of(axis: str) -> Markup:
    """The heading of an exponent."""
    return Markup("<b>exponent of <i>{}</i></b>").format(axis)


def coefficient(estimate: Estimate, metric: str, *, exact: bool) -> str:
    """A coefficient in the unit of its metric, with its interval where it is not exact."""
    if exact:
        return f"coefficient {estimate.value:.12g}"
    written = {"time": seconds, "memory": nbytes}.get(metric, "{:.3g}".format)
    low, high = written(estimate.low), written(estimate.high)
    return f"coefficient {written(estimate.value)} [{low}, {high}] at {percent(estimate.level)}"


def interval(estimate: Estimate, form: str) -> str:
    """``1.50 [1.45, 1.55] at 90.0 %``."""
    low, high = number(estimate.low, form), number(estimate.high, form)
    return f"{number(estimate.value, form)} [{low}, {high}] at {percent(estimate.level)}"


def number(value: float, form: str) -> str:
    """A number with a minus sign as people write it."""
    text = f"{value:{form}}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "−")  # zero has no sign
