"""What a person sees in a terminal: tables, and a run as it happens. Prose goes to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from attnbench import units
from attnbench.check.outcome import Mark
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.record import MEASURED_METRICS
from attnbench.trial import telling_apart

if TYPE_CHECKING:
    from attnbench.check.outcome import Outcome
    from attnbench.execute.here import Progress
    from attnbench.measure.doctor import Finding
    from attnbench.plan.decide import SubjectPlan
    from attnbench.trial import Trial

#: Tables in files and pipes are this wide, so that their lines do not depend on who reads them.
_WIDTH_WITHOUT_TERMINAL = 140

_STYLES = {
    Verdict.CONFIRMED: "green",
    Verdict.REFUTED: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.OUT_OF_REGIME: "yellow",
    Verdict.INFERRED: "cyan",
}

_SIGNS = {Mark.PASSED: ("✓", "green"), Mark.HINT: ("·", "yellow"), Mark.FAILED: ("✗", "bold red")}

_GRADES = {"good": "green", "fair": "yellow", "bad": "bold red", "unknown": "dim"}


def console(*, stderr: bool = False) -> Console:
    """A console; colour only on a terminal, and never with ``NO_COLOR``."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False)


def exponents_text(law: Law) -> str:
    """``n^1.99±0.03 d^1.00±0.02``, or the shares of the terms of a law that has several."""
    if law.exponents:
        return " ".join(
            f"{axis}^{e.estimate.value:.2f}±{e.estimate.half_width:.2f}" for axis, e in law.exponents.items()
        )
    if law.metric in MEASURED_METRICS:
        return " + ".join(f"{t.coefficient.value:.3g}·{t.term} (≤{units.percent(t.share)})" for t in law.terms)
    return Formula(law.formula).pretty if law.formula else ""


def laws_table(laws: Sequence[Law], *, reasons: bool = True) -> Table:
    """Laws, one a row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("layer", "metric", "claim", "found", "verdict", *(["reason"] if reasons else [])):
        table.add_column(heading, overflow="fold")
    for law in laws:
        verdict = Text(str(law.verdict), style=_STYLES[law.verdict])
        layer = " · ".join(filter(None, (law.layer, _told_apart(law, laws))))
        claim = Formula(law.claim).pretty if law.claim else "–"
        found = exponents_text(law) + (" (lower bound)" if law.lower_bound else "")
        cells = [Text(layer), Text(law.metric), Text(claim), Text(found), verdict]
        table.add_row(*cells, *([Text(law.reason)] if reasons else []))
    return table


def _told_apart(law: Law, laws: Sequence[Law]) -> str:
    """What tells a law from others of the same layer and metric."""
    rivals = (other for other in laws if (other.layer, other.metric) == (law.layer, law.metric))
    return telling_apart(rival.choices for rival in rivals)[law.choices]


def plan_table(subjects: Sequence[SubjectPlan], unsupported: Mapping[Trial, str]) -> Table:
    """The plan of a run: every trial with the clock that a visit may take."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("trial", "visit", "status"):
        table.add_column(heading, overflow="fold")
    for subject in subjects:
        for planned in subject.trials:
            reason = subject.skipped.get(planned.trial.id)
            status = f"skipped: {reason}" if reason else "planned"
            table.add_row(Text(planned.trial.id), units.seconds(planned.visit_seconds), Text(status))
    for trial, reason in unsupported.items():
        table.add_row(Text(trial.id), "–", Text(f"unsupported: {reason}"))
    return table


def findings_table(findings: Sequence[Finding]) -> Table:
    """Findings about a machine, one a row, with what to do about each below what was found."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("finding", "grade", "what was found, and what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        grade = Text(finding.grade, style=_GRADES[finding.grade])
        told = f"{finding.found}\n→ {finding.advice}" if finding.advice else finding.found
        table.add_row(Text(finding.name), grade, Text(told))
    return table


def checks_table(outcomes: Sequence[Outcome]) -> Table:
    """What checks found of a layer, one a row, with what to do about each below it."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for outcome in outcomes:
        sign, style = _SIGNS[outcome.mark]
        found = f"{outcome.found}\n→ {outcome.fix}" if outcome.fix else outcome.found
        table.add_row(Text(sign, style=style), Text(outcome.check), Text(found))
    return table


class RunView:
    """Shows a run: one moving line and the laws as they settle on a terminal, one line a stage anywhere else.

    It draws only when told that something is about to start, never by itself: a thread that redraws would be a load on
    the machine under test.
    """

    def __init__(self, budget_seconds: float) -> None:
        self._console = console(stderr=True)
        self._budget = budget_seconds
        self._began = time.monotonic()
        self._line = ""
        self._laws: Sequence[Law] = ()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def stage(self, text: str) -> None:
        """A new stage begins: it gets a line of its own that stays."""
        self._console.print(f"[dim]{time.monotonic() - self._began:5.0f} s[/dim]  {text}")
        self._draw(text)

    def counting(self, layer: str) -> None:
        """A layer is about to be counted."""
        self._draw(f"counting {layer}")

    def probing(self, trial: Trial) -> None:
        """A probe is about to start."""
        self._draw(f"probing {trial.id}")

    def visiting(self, progress: Progress) -> None:
        """A visit is about to start."""
        left = max(0.0, self._budget - progress.spent_seconds)
        where = f"round {progress.round + 1}, {progress.done + 1} of {progress.total}"
        self._draw(f"{where} · at most {left:.0f} s of clock left · {progress.trial.id}")

    def laws(self, laws: Sequence[Law]) -> None:
        """The laws of time as they stand after a round."""
        self._laws = [law for law in laws if law.exponents or law.terms]
        self._draw(self._line)

    def _draw(self, line: str) -> None:
        self._line = line
        if self._console.is_terminal:
            text = Text(line, overflow="ellipsis", no_wrap=True)
            self._live.update(Group(laws_table(self._laws, reasons=False), text) if self._laws else text, refresh=True)
