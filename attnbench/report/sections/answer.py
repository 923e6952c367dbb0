"""The head of the page: its title, its answer in a sentence or two, and a few facts."""

from __future__ import annotations

from collections.abc import Sequence

from attnbench.law import Law, Verdict
from attnbench.record import MEASURED_METRICS
from attnbench.report import words
from attnbench.report.data.points import measured_laws
from attnbench.report.sections.trials import outcomes
from attnbench.report.values import Fact
from attnbench.store.run_folder import StoredRun


def title(run: StoredRun) -> str:
    """The suite's title, or its name."""
    return str(run.info.plan.suite.title or run.info.plan.suite.name or run.info.name)


def answer(run: StoredRun) -> str:
    """The verdicts of what was measured, in a sentence."""
    laws = measured_laws(run)
    counts = words.tally(laws)
    if not counts:
        what = words.listing(metric for metric in MEASURED_METRICS if run.info.plan.measures(metric))
        return (
            f"Laws of {what} were inferred; none was claimed."
            if laws
            else f"No claim about {what} has been judged yet."
        )
    return f"{words.tally_text(counts)} on {_where(run, laws)}."


def _where(run: StoredRun, laws: Sequence[Law]) -> str:
    devices = dict.fromkeys(law.choices.device for law in laws)
    places = [run.info.host.cpu if device in ("", "cpu") else device for device in devices]
    threads = dict.fromkeys(law.choices.threads for law in laws)
    dtypes = dict.fromkeys(law.choices.dtype for law in laws if law.choices.dtype)
    modes = dict.fromkeys(law.choices.mode for law in laws)
    parts = (words.listing(places), words.threads(threads), words.listing(dtypes))
    return ", ".join(filter(None, (*parts, "" if list(modes) == ["forward"] else words.listing(modes))))


def counted_answer(run: StoredRun) -> str:
    """The verdicts of what was counted, in a sentence; empty where no count was claimed."""
    counts = words.tally(law for law in run.found_laws if law.metric not in MEASURED_METRICS)
    total, confirmed = sum(counts.values()), counts.get(Verdict.CONFIRMED, 0)
    if not total:
        return ""
    if confirmed == total:
        return "The counted claim holds." if total == 1 else f"All {total} counted claims hold."
    return f"{confirmed} of {words.plural(total, 'counted claim')} {'holds' if confirmed == 1 else 'hold'}."


def facts(run: StoredRun, timed: bool) -> tuple[Fact, ...]:
    """When, on what and of what the run was made; its trials where it is `timed`."""
    host = run.info.host
    machine = f"{host.cpu}, {words.plural(host.cores, 'core')}"
    return (
        Fact("Measured", words.moment(run.info.started)),
        Fact("Machine", machine),
        Fact("Suite", run.info.plan.suite.name),
        *([Fact("Trials", outcomes(run))] if timed else []),
    )
