"""Which layers became slower or faster beside the machine as a whole.

Between two runs a whole machine changes by some per cent, and all layers with it. What they share is the median over
the layers of a device and over its witness: the reference kernel, which is timed before each visit and is the same
code in both runs. A layer changed where it differs from what all share, by more than the smallest change that matters.

With one layer there is no telling which of the two changed. With two, the witness has the casting vote. And a layer
that leaves the others but stays with the witness may be the only one that did not change: that is unclear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from attnbench.fitting import distributions
from attnbench.fitting.compare.ratios import Ratios, ratios
from attnbench.law import Estimate
from attnbench.store.run_folder import StoredRun
from attnbench.units import significant

#: The run to compare with, and the other.
Runs = tuple[StoredRun, StoredRun]

#: Expected share of false findings among those reported.
FALSE = 0.05
#: Layers and witness of a device from which on what they share can be told from what one of them did.
_ENOUGH = 3
#: Layers that outvote the witness.
_MAJORITY = 3
#: What the witnesses are called among the layers.
_WITNESS = "reference kernel"


@dataclass(frozen=True)
class Rate:
    """How the time of one layer changed.

    Attributes:
        ratio: NEW/BASE; None where no run has a second process.
        beside: the same, divided by what the layers of its device and their witness share.
        chance: how likely so large a change beside the others is by chance, corrected for the number of layers.
        change: ``slower``, ``faster``, ``same`` or ``unclear``.
        doubt: why it is unclear although something changed, in words; empty otherwise.
    """

    ratio: Estimate | None = None
    beside: Estimate | None = None
    chance: float | None = None
    change: str = "unclear"
    doubt: str = ""


@dataclass(frozen=True)
class _Device:
    """The layers of one device beside each other."""

    layers: Ratios
    witness: Estimate | None

    @property
    def subjects(self) -> list[str]:
        """The layers, without their witness."""
        return [str(name) for name in self.layers.table.index if name != _WITNESS]


def rates(runs: Runs, trials: pd.DataFrame, subjects: pd.Series, least: float) -> dict[str, Rate]:
    """How each layer changed between two runs.

    Args:
        runs: the two.
        trials: their records of the trials that both measured, by id.
        subjects: trial → id of its subject.
        least: smallest relative change that matters.
    """
    devices = [_beside_each_other(runs, rows, subjects) for _, rows in trials.groupby("device")] if len(trials) else []
    judged = [device for device in devices if device.layers.judged]
    changes = {subject: Rate() for device in devices for subject in device.subjects}
    raw = {
        subject: chance
        for device in judged
        for subject, chance in zip(device.layers.table.index, device.layers.chances_beside(least), strict=True)
        if subject != _WITNESS
    }
    if raw:
        corrected = dict(zip(raw, distributions.false_discovery(list(raw.values())).tolist(), strict=True))
        for device in judged:
            changes |= dict(_judged(device, corrected, math.log1p(least)))
    return changes


def witnesses(runs: Runs, trials: pd.DataFrame) -> dict[str, Estimate]:
    """Device → NEW/BASE of its reference kernel, where it was timed in more than one process."""
    by_device = {}
    for device, rows in trials.groupby("device") if len(trials) else ():
        base, new = (_reference(run, set(rows.index)) for run in runs)
        if len(base) and len(new) and (alone := ratios(base, new)).judged:
            by_device[str(device)] = alone.shared()
    return by_device


def _beside_each_other(runs: Runs, trials: pd.DataFrame, subjects: pd.Series) -> _Device:
    names = set(trials.index)
    base, new = (pd.concat([_timed(run, names), _reference(run, names)]) for run in runs)
    groups = subjects[subjects.index.isin(names)]
    if all((table["trial"] == _WITNESS).any() for table in (base, new)):
        groups = pd.concat([groups, pd.Series({_WITNESS: _WITNESS})])
    return _Device(ratios(base, new, groups), witnesses(runs, trials).get(str(trials["device"].iloc[0])))


def _timed(run: StoredRun, trials: set[str]) -> pd.DataFrame:
    """Samples of some trials that have a time; a clock that did not move says nothing of a ratio."""
    rows = run.samples["trial"].isin(trials) & (run.samples["seconds"] > 0)
    return run.samples.loc[rows, ["trial", "process", "round", "seconds"]]


def _reference(run: StoredRun, trials: set[str]) -> pd.DataFrame:
    """Times of the reference kernel before the visits of some trials, as samples of one more trial."""
    rows = [
        (_WITNESS, visit.process, visit.round, visit.reference_seconds)
        for visit in run.visits
        if visit.trial in trials and visit.reference_seconds
    ]
    return pd.DataFrame(rows, columns=["trial", "process", "round", "seconds"])


def _judged(device: _Device, chances: Mapping[str, float], limit: float) -> Iterator[tuple[str, Rate]]:
    layers = device.layers
    rows = zip(layers.table.index, layers.table["change"], layers.each(), layers.beside(), strict=True)
    for subject, change, ratio, beside in rows:
        if subject != _WITNESS:
            word, doubt = _word(device, float(change), (ratio, beside), chances[subject], limit)
            yield str(subject), Rate(ratio, beside, chances[subject], word, doubt)


def _word(
    device: _Device, change: float, estimates: tuple[Estimate, Estimate], chance: float, limit: float
) -> tuple[str, str]:
    ratio, beside = estimates
    shared, witness = device.layers.together, math.log(device.witness.value) if device.witness else None
    few = len(device.subjects)
    still, along = (one.within(math.exp(-limit), math.exp(limit)) for one in (ratio, beside))
    if len(device.layers.table) < _ENOUGH:
        doubt = "with so few layers, a change of the machine looks like a change of the layer"
        return ("same", "") if still else ("unclear", doubt)
    if chance <= FALSE:
        if witness is not None and abs(change - witness) <= limit:
            return "unclear", "the reference kernel changed as it did: it may be the other layers that changed"
        return ("slower" if beside.value > 1 else "faster"), ""
    alone = witness is None or abs(shared - witness) > limit
    if along and not still and few < _MAJORITY and alone:
        return "unclear", "all layers changed alike and the reference kernel did not: the machine, or all of them"
    return ("same" if still or along else "unclear"), ""


def shared_change_text(ratio: Estimate, reference: Mapping[str, Estimate], least: float) -> str:
    """What all trials share, in a sentence or two, beside what the reference kernel says of the machine."""
    said = f"Everything together: {ratio_text(ratio)}."
    if ratio.low <= 1 + least and ratio.high >= 1 / (1 + least):
        return said
    said += " That is the machine as a whole, or all that was measured: laws are judged beside it."
    if not reference:
        return said
    kernel = ", ".join(f"{ratio_text(one)} on {device}" for device, one in reference.items())
    return f"{said} The reference kernel, the same code in both runs: {kernel}."


def ratio_text(ratio: Estimate) -> str:
    """``×1.02 [0.99, 1.05]``."""
    return f"×{significant(ratio.value)} [{significant(ratio.low)}, {significant(ratio.high)}]"
