"""What changed between two runs: which trials, by how much, and which laws."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from attnbench.errors import InputError
from attnbench.fitting.compare.laws import Judged, LawChange, SharedTrials, judge, law_changes, pairs, timed
from attnbench.fitting.compare.rates import shared_change_text
from attnbench.html_tables import card, titled
from attnbench.law import COUNTED_METRICS, Estimate
from attnbench.record import Status
from attnbench.store.run_folder import StoredRun
from attnbench.units import percent

#: Smallest relative change of a time that matters, unless told otherwise.
MIN_CHANGE = 0.03


@dataclass(frozen=True)
class TrialChange:
    """One trial that both runs measured.

    Attributes:
        base_seconds, new_seconds: geometric mean over processes of the median time of a visit.
        ratio: NEW/BASE with its interval; None where no run has a second process.
        beside: the same, divided by what all trials share.
        chance: how likely so large a change is by chance, corrected for the number of trials.
        change: ``slower``, ``faster``, ``same`` (the whole interval is within the smallest change that matters) or
            ``unclear``.
    """

    trial: str
    base_seconds: float
    new_seconds: float
    ratio: Estimate | None
    beside: Estimate | None
    chance: float | None
    change: str


@dataclass(frozen=True)
class RunComparison:
    """Everything that can be said about two runs.

    Attributes:
        base, new: names of the runs.
        least: smallest relative change that matters.
        identical: whether both are the same measurements.
        warnings: what differs between the runs beside what was measured.
        together: the ratio that all trials share; None where it has no interval.
        reference: device → the ratio of its reference kernel, which is the same code in both runs.
        trials, laws: what both runs have.
        only_base, only_new: trials that one run does not have.
        failed: trial → what became of it in each run, where it was not measured in both.
    """

    base: str
    new: str
    least: float
    identical: bool
    warnings: tuple[str, ...]
    together: Estimate | None
    reference: dict[str, Estimate]
    trials: tuple[TrialChange, ...]
    laws: tuple[LawChange, ...]
    only_base: tuple[str, ...]
    only_new: tuple[str, ...]
    failed: dict[str, dict[str, str]]

    def as_json(self) -> dict[str, Any]:
        """The documented JSON form."""
        return asdict(self) | {"laws": tuple(law.as_json() for law in self.laws), "summary": self.sentences}

    def __repr__(self) -> str:
        return f"<Comparison of {self.base} with {self.new}: {' '.join(self.sentences)}>"

    def _repr_html_(self) -> str:
        shown = [law for law in self.laws if law.change != "same" or law.metric not in COUNTED_METRICS]
        rows = [(law.layer, law.metric, law.change, law.reason) for law in shown]
        caption = titled([f"{self.base} → {self.new}", *self.warnings, *self.sentences])
        return str(card(caption, rows, ("layer", "metric", "change", "reason") if rows else ()))

    @property
    def sentences(self) -> list[str]:
        """The answer in a few sentences."""
        if self.identical:
            return ["The two runs are identical: the same measurements."]
        return [self._of_trials, *self._of_all, self._of_laws]

    def changed(self, *, only_slower: bool = False) -> list[str]:
        """Trials and laws that changed, and everything together, as text."""
        slower = self.together is not None and self.together.low > 1 + self.least
        faster = self.together is not None and self.together.high < 1 / (1 + self.least)
        words = {"slower"} if only_slower else {"slower", "faster"}
        changes = ["everything together"] if slower or (faster and not only_slower) else []
        changes += [trial.trial for trial in self.trials if trial.change in words]
        return changes + [f"{law.layer} {law.metric}" for law in self.laws if _counts(law, only_slower)]

    @property
    def _of_trials(self) -> str:
        tally = {word: sum(t.change == word for t in self.trials) for word in ("slower", "faster", "same", "unclear")}
        changed = tally["slower"] + tally["faster"]
        of = f"of {len(self.trials)} trials"
        rest = f"{tally['same']} are shown to be the same within {percent(self.least)}, {tally['unclear']} are unclear"
        if not changed:
            return f"No change found in any {of}: {rest}."
        return f"{changed} {of} changed ({tally['slower']} slower, {tally['faster']} faster); {rest}."

    @property
    def _of_all(self) -> list[str]:
        if self.together is None:
            return []
        return [shared_change_text(self.together, self.reference, self.least)]

    @property
    def _of_laws(self) -> str:
        changed = [f"{law.layer} {law.metric} ({law.change})" for law in self.laws if law.change.endswith("changed")]
        return f"Laws: {', '.join(changed) if changed else 'no change found'} among {len(self.laws)}."


def compare(base: StoredRun, new: StoredRun, *, least: float = MIN_CHANGE, across_hosts: bool = False) -> RunComparison:
    """Say what changed from `base` to `new`.

    Args:
        base: the run to compare with.
        new: the other run.
        least: smallest relative change of a time that matters.
        across_hosts: compare also where the machines differ.

    Raises:
        InputError: the machines differ, the runs have nothing in common, or `least` is not positive.
    """
    if not 0 < least < math.inf:
        raise InputError(f"the smallest change that matters must be a positive share such as 3%, not {percent(least)}")
    _refuse_other_hosts(base, new, across_hosts)
    states = pd.DataFrame({"base": _states(base), "new": _states(new)})
    common = states.dropna()
    measured = common[(common == "").all(axis=1)].index
    identical = (base.visits, base.info.plan.trials, base.found_laws) == (
        new.visits,
        new.info.plan.trials,
        new.found_laws,
    )
    laws = list(pairs(base.found_laws, new.found_laws))
    if common.empty and not laws:
        raise InputError(f"{base.info.name} and {new.info.name} have no trial and no law in common; compare others")
    shared = SharedTrials(base, new, list(measured), least)
    return RunComparison(
        base.info.name,
        new.info.name,
        least,
        identical,
        () if identical else tuple(_warnings(base, new, shared)),
        shared.trials.shared() if shared.trials.judged and not identical else None,
        {} if identical else shared.reference,
        tuple(_trial_changes(shared, identical)),
        tuple(law_changes(laws, shared, identical)),
        tuple(states.index[states["new"].isna()]),
        tuple(states.index[states["base"].isna()]),
        {str(t): {k: v or "ok" for k, v in row.items()} for t, row in common.drop(measured).T.to_dict().items()},
    )


def _trial_changes(shared: SharedTrials, identical: bool) -> Iterator[TrialChange]:
    one, table = Estimate(1.0, 1.0, 1.0), shared.trials.table
    judged = [Judged(one, one, 1.0, "same")] * len(table) if identical else judge(shared.trials, shared.least)
    for (trial, row), of in zip(table.iterrows(), judged, strict=True):
        seconds = float(row["base"]), float(row["new"])
        yield TrialChange(str(trial), *seconds, of.ratio, of.beside, of.chance, of.change)


def _counts(law: LawChange, only_slower: bool) -> bool:
    if not only_slower:
        return law.change.endswith("changed")
    return law.change == "rate changed" and law.beside is not None and law.beside.value > 1


def _states(run: StoredRun) -> pd.Series:
    """Why each trial was not measured; empty where it was."""
    records = run.records.set_index("trial")
    ok = (records["status"] == str(Status.OK)) & records.index.isin(timed(run)["trial"])
    words = records["status"].astype(str) + ": " + records["reason"].astype(str)
    return words.where(~ok, "").astype("object")


def _refuse_other_hosts(base: StoredRun, new: StoredRun, across_hosts: bool) -> None:
    one, other = base.info.host.key, new.info.host.key
    if one != other and not across_hosts:
        raise InputError(
            f"the runs were made on different machines: {base.info.name} on {one}, {new.info.name} on {other}; "
            "add --across-hosts (in Python across_hosts=True) to compare them all the same"
        )


def _warnings(base: StoredRun, new: StoredRun, shared: SharedTrials) -> Iterator[str]:
    one, other = base.info, new.info
    for what, old, now in (
        ("machines", one.host.key, other.host.key),
        ("versions of attnbench", one.version, other.version),
        ("versions of Python", one.host.python, other.host.python),
        ("BLAS libraries", one.host.blas, other.host.blas),
        ("systems", one.host.system, other.host.system),
        ("suites", one.plan.suite.name, other.plan.suite.name),
    ):
        if old != now:
            yield f"different {what}: {old} and {now}"
    if one.plan.suite.name == other.plan.suite.name and one.plan.suite != other.plan.suite:
        yield f"the suite {one.plan.suite.name} was not run with the same settings"
    if len(shared.trials.table) and not shared.trials.judged:
        yield (
            "each run was measured in one process, so what a process does to a trial cannot be told from a change: "
            "run again with more clock"
        )
