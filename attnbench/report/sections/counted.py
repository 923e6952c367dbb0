"""What was counted, as formulas, and what each counted number does not see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from attnbench.law import Law
from attnbench.record import MEASURED_METRICS
from attnbench.report import words
from attnbench.report.markup import chip, math_text
from attnbench.report.values import Chip, Fact
from attnbench.store.run_folder import StoredRun
from attnbench.trial import differences


@dataclass(frozen=True, slots=True)
class CountedRow:
    """One counted formula."""

    metric: str
    formula: Markup
    claim: Markup
    chip: Chip
    reason: str
    lower_bound: bool


@dataclass(frozen=True, slots=True)
class CountedLayer:
    """The counted formulas of one layer."""

    layer: str
    scope: str
    rows: tuple[CountedRow, ...]


def counted(run: StoredRun) -> tuple[CountedLayer, ...]:
    """The counted formulas of each layer."""
    laws: dict[str, list[Law]] = {}
    for law in run.found_laws:
        if law.metric not in MEASURED_METRICS:
            laws.setdefault(law.layer, []).append(law)
    return tuple(
        CountedLayer(layer, run.info.plan.scopes.get(layer, of_layer[0].scope), tuple(_rows(of_layer)))
        for layer, of_layer in laws.items()
    )


def counted_limits(run: StoredRun) -> tuple[Fact, ...]:
    """What each counted number is, and what it does not see."""
    metrics = dict.fromkeys(law.metric for law in run.found_laws)
    return tuple(Fact(words.METRIC_WORDS[m], words.METRIC_LIMITS[m]) for m in metrics if m in words.METRIC_LIMITS)


def _rows(laws: Sequence[Law]) -> Iterator[CountedRow]:
    """A row for each law of one layer, one metric after the other; several of one metric say what each is about."""
    by_metric: dict[str, list[Law]] = {}
    for law in laws:
        by_metric.setdefault(law.metric, []).append(law)
    for several in by_metric.values():
        about = differences(law.choices for law in several)
        yield from (_row(law, about[law.choices]) for law in several)


def _row(law: Law, about: str) -> CountedRow:
    return CountedRow(
        metric=" · ".join(filter(None, (words.METRIC_WORDS.get(law.metric, law.metric), about))),
        formula=math_text(law.formula),
        claim=math_text(law.claim),
        chip=chip(law.verdict),
        reason=words.sentence(law.reason),
        lower_bound=law.lower_bound,
    )
