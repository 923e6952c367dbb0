"""Tables of what was found, planned and checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from attnbench import units
from attnbench.check.outcome import Mark
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.record import MEASURED_METRICS
from attnbench.terminal.screen import Listing
from attnbench.trial import differences

if TYPE_CHECKING:
    from attnbench.check.outcome import Outcome
    from attnbench.measure.machine.doctor import Finding
    from attnbench.plan.plan import Plan
    from attnbench.trial import Choices

_STYLES = {
    Verdict.CONFIRMED: "green",
    Verdict.REFUTED: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.OUT_OF_REGIME: "yellow",
    Verdict.INFERRED: "cyan",
}

_SIGNS = {Mark.PASSED: ("✓", "green"), Mark.HINT: ("·", "yellow"), Mark.FAILED: ("✗", "bold red")}

_GRADES = {"good": "green", "fair": "yellow", "bad": "bold red", "unknown": "dim"}


def exponents_text(law: Law) -> str:
    """``n^1.99±0.03 d^1.00±0.02``, or the shares of the terms of a law that has several."""
    if law.exponents:
        return " ".join(
            f"{axis}^{e.estimate.value:.2f}±{e.estimate.half_width:.2f}" for axis, e in law.exponents.items()
        )
    if law.metric in MEASURED_METRICS:
        return " + ".join(f"{t.coefficient.value:.3g}·{t.term} (≤{units.percent(t.share)})" for t in law.terms)
    return Formula(law.formula).pretty if law.formula else ""


def laws_table(laws: Sequence[Law], *, reasons: bool = True) -> Listing:
    """Laws, one a row."""
    table = Listing("layer", "metric", "claim", "found", "verdict", *(["reason"] if reasons else []))
    apart = _apart(laws)
    for law in laws:
        verdict = Text(str(law.verdict), style=_STYLES[law.verdict])
        layer = " · ".join(filter(None, (law.layer, apart[law.layer, law.metric][law.choices])))
        claim = Formula(law.claim).pretty if law.claim else "–"
        found = exponents_text(law) + (" (lower bound)" if law.lower_bound else "")
        table.add(layer, law.metric, claim, found, verdict, *([law.reason] if reasons else []))
    return table


def _apart(laws: Iterable[Law]) -> dict[tuple[str, str], dict[Choices, str]]:
    """For each layer and metric: what tells each of its laws from the others."""
    several: dict[tuple[str, str], list[Choices]] = {}
    for law in laws:
        several.setdefault((law.layer, law.metric), []).append(law.choices)
    return {group: differences(choices) for group, choices in several.items()}


def plan_table(plan: Plan) -> Listing:
    """The plan of a run: every trial with the clock that a visit may take."""
    table = Listing("trial", "visit", "status", numbers=["visit"])
    for trial in (trial.id for trial in plan.trials):
        if trial in plan.unsupported:
            table.add(trial, "–", f"unsupported: {plan.unsupported[trial]}")
            continue
        reason = plan.skipped.get(trial)
        table.add(trial, units.seconds(plan.visit_seconds[trial]), f"skipped: {reason}" if reason else "planned")
    return table


def findings_table(findings: Sequence[Finding]) -> Listing:
    """Findings about a machine, one a row, with what to do about each below what was found."""
    table = Listing("finding", "grade", "what was found, and what to do")
    for finding in findings:
        lines = (finding.found, *([f"→ {finding.advice}"] if finding.advice else []))
        table.add(finding.name, Text(finding.grade, style=_GRADES[finding.grade]), lines)
    return table


def checks_table(outcomes: Sequence[Outcome]) -> Listing:
    """What checks found of a layer, one a row, with what to do about each below it."""
    table = Listing("", "")
    for outcome in outcomes:
        sign, style = _SIGNS[outcome.mark]
        lines = (outcome.found, *([f"→ {outcome.fix}"] if outcome.fix else []))
        table.add(Text(f"{sign} {outcome.check}", style=style), lines)
    return table


def facts_table(facts: Iterable[tuple[str, str]]) -> Listing:
    """Labels with what is to be said of each."""
    table = Listing("", "")
    for label, text in facts:
        table.add(Text(label, style="bold"), text)
    return table
