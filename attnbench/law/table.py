"""Several laws as one table of a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from attnbench.html_tables import card, lines, math, titled
from attnbench.law import Law
from attnbench.law.show import power, verdict_badge
from attnbench.units import percent

_SHARE = Markup('<span style="white-space:nowrap">{} up to {}</span>')


def laws_card(caption: Sequence[str], laws: Sequence[Law]) -> Markup:
    """Laws, one a row; what tells those of one layer and metric apart stands below the name."""
    shared = {law.conditions for law in laws if law.conditions}
    alike = shared.pop() if len(shared) == 1 else ""
    rows = [
        (
            law.layer if alike else titled(filter(None, (law.layer, law.conditions))),
            law.metric,
            math(law.claim),
            _found(law),
            verdict_badge(law.verdict),
            law.reason,
        )
        for law in laws
    ]
    return card(
        titled(filter(None, (*caption, alike))), rows, ("layer", "metric", "claim", "found", "verdict", "reason")
    )


def _found(law: Law) -> Markup:
    """The powers with their intervals, or the terms with their shares, or the formula."""
    if law.exponents and len(law.terms) < 2:
        return lines(power(axis, e.estimate) for axis, e in law.exponents.items())
    if law.is_counted or not law.terms:
        return Markup("≥ {}").format(math(law.formula)) if law.lower_bound else math(law.formula)
    return lines(_SHARE.format(math(term.term), percent(term.share)) for term in law.terms)
