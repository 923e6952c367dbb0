"""How laws look in a notebook and in a REPL: formulas as MathML, verdicts as a sign, a word and a colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from attnbench.html_tables import badge, card, lines, math, titled
from attnbench.law import Verdict
from attnbench.units import nbytes, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnbench.law import Estimate, FittedTerm, Law

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
_SHARE = Markup('<span style="white-space:nowrap">{} up to {}</span>')


def told(law: Law) -> str:
    """A law in one line: ``rnn time: n^1.00±0.02 d^1.98±0.04, claim n*d**2 CONFIRMED``."""
    what = " ".join(filter(None, (law.layer, law.metric)))
    claim = f"claim {law.claim} " if law.claim else ""
    return f"{what}: {_plain(law)}, {claim}{law.verdict}"


def _plain(law: Law) -> str:
    if law.exponents:
        parts = (f"{a}^{e.estimate.value:.2f}±{e.estimate.half_width:.2f}" for a, e in law.exponents.items())
        return " ".join(parts)
    return law.formula or "no formula"


def law_card(law: Law) -> Markup:
    """Everything a person wants to know of a law, one fact a row."""
    many = law.exponents.items()
    claimed = {axis: "" if e.claimed is None else f"; claimed {_number(e.claimed, '.3g')}" for axis, e in many}
    rows: list[tuple[str | Markup, str | Markup | None]] = [
        ("verdict", verdict_badge(law.verdict)),
        ("reason", law.reason),
        ("claim", law.claim and math(law.claim)),
        ("found", law.formula and math(law.formula)),
        *((_power_of(axis), f"{_interval(e.estimate, '.2f')}{claimed[axis]}") for axis, e in many),
        *((math(t.term), f"{_coefficient(law, t)}; up to {percent(t.share)} of the whole") for t in law.terms),
        ("window", ", ".join(f"{axis} from {low} to {high}" for axis, (low, high) in law.window.items())),
        ("fixed", ", ".join(f"{axis} = {size}" for axis, size in law.fixed.items())),
        ("trials" if law.choices.device else "sizes", str(law.trials or "")),
        *(("regime", sentence) for sentence in law.regimes),
        ("lower bound", f"not counted: {', '.join(law.uncounted)}" if law.lower_bound else ""),
    ]
    return card(
        " · ".join(filter(None, (law.layer, law.metric, conditions(law)))),
        [(label, text) for label, text in rows if text],
    )


def laws_card(caption: Sequence[str], laws: Sequence[Law]) -> Markup:
    """Laws, one a row; what tells those of one layer and metric apart stands below the name."""
    shared = {conditions(law) for law in laws if conditions(law)}
    told = shared.pop() if len(shared) == 1 else ""
    rows = [
        (
            law.layer if told else titled(filter(None, (law.layer, conditions(law)))),
            law.metric,
            math(law.claim),
            _found(law),
            verdict_badge(law.verdict),
            law.reason,
        )
        for law in laws
    ]
    return card(
        titled(filter(None, (*caption, told))), rows, ("layer", "metric", "claim", "found", "verdict", "reason")
    )


def verdict_badge(verdict: Verdict) -> Markup:
    """A verdict as colour, sign and word."""
    return badge(verdict.sign, str(verdict), COLOURS[verdict])


def conditions(law: Law) -> str:
    """What a measured law was measured under; nothing for one that is counted, or of somebody's table."""
    return "" if law.is_counted or not law.choices.device else str(law.choices)


def _found(law: Law) -> Markup:
    """The powers with their intervals, or the terms with their shares, or the formula."""
    if law.exponents and len(law.terms) < 2:
        return lines(_power_with_interval(axis, e.estimate) for axis, e in law.exponents.items())
    if law.is_counted or not law.terms:
        return Markup("≥ {}").format(math(law.formula)) if law.lower_bound else math(law.formula)
    return lines(_SHARE.format(math(term.term), percent(term.share)) for term in law.terms)


def _power_with_interval(axis: str, found: Estimate) -> Markup:
    power = _POWER.format(axis, _number(found.value, ".2f"))
    return _UNBROKEN.format(power, _number(found.low, ".2f"), _number(found.high, ".2f"))


def _power_of(axis: str) -> Markup:
    return Markup("<b>exponent of <i>{}</i></b>").format(axis)


def _coefficient(law: Law, term: FittedTerm) -> str:
    found = term.coefficient
    if law.is_counted:
        return f"coefficient {found.value:.12g}"
    written = {"time": seconds, "memory": nbytes}.get(law.metric, "{:.3g}".format)
    low, high = written(found.low), written(found.high)
    return f"coefficient {written(found.value)} [{low}, {high}] at {percent(found.level)}"


def _interval(found: Estimate, form: str) -> str:
    low, high = _number(found.low, form), _number(found.high, form)
    return f"{_number(found.value, form)} [{low}, {high}] at {percent(found.level)}"


def _number(value: float, form: str) -> str:
    text = f"{value:{form}}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "−")  # zero has no sign
