"""Switches of kernels: sizes of one layer at which a library runs other code than at the rest.

A law is about one code. Where the records say that other kernels ran at some sizes, no curve is fitted across: the
sizes of one set of kernels are judged, and the law says which, where the switch is, and what changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

#: A library chooses kernels of a device by the size, nearly anew for each: they are shown, and no law is split at them.
_OF_A_DEVICE = "device::"
#: How a sentence about a switch begins, by which others find it.
SWITCH = "the kernels change "
#: More names than this of what changed are not told.
_MAX_NAMES = 3


def one_code(measured: pd.DataFrame, axes: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """The trials to judge together, and a sentence where those that ran other kernels were left out.

    Those are kept in which most of the swept `axes` still vary, then the most, then the largest. A trial of which
    nobody knows what it ran stays.
    """
    if "kernels" not in measured.columns:
        return measured, ""
    sets = measured["kernels"].fillna("").map(kernel_set)
    groups = {names: measured[(sets == names).to_numpy()] for names in dict.fromkeys(sets) if names}
    if len(groups) < 2:
        return measured, ""
    names = max(groups, key=lambda names: _rank(groups[names], axes))
    kept = measured[((sets == names) | ~sets.map(bool)).to_numpy()]
    return kept, _sentence(names, groups, axes)


def kernel_set(text: str) -> frozenset[str]:
    """What a switch is told by: the names in a cell of the table of records, however often and in whatever order."""
    return frozenset(name for name in text.split(";") if name and not name.startswith(_OF_A_DEVICE))


def _rank(group: pd.DataFrame, axes: Sequence[str]) -> tuple[float, ...]:
    largest = float(group["seconds"].max()) if "seconds" in group else 0.0
    return sum(group[axis].nunique() > 1 for axis in axes), len(group), largest


def _sentence(names: frozenset[str], groups: dict[frozenset[str], pd.DataFrame], axes: Sequence[str]) -> str:
    others = [other for other in groups if other != names]
    rest = pd.concat([groups[other] for other in others])
    where, side = _where(groups[names], rest, axes)
    other = max(others, key=lambda other: len(groups[other]))
    here, there = _listed(names - other) or "fewer of them", _listed(other - names) or "fewer of them"
    change = f"{here} → {there}" if side == "below" else f"{there} → {here}"
    judged = f"sizes {side} are judged" if side else f"the {len(groups[names])} trials with {here} are judged"
    return f"{SWITCH}{where} ({change}): {judged}, and {len(rest)} trials are left out"


def _where(kept: pd.DataFrame, rest: pd.DataFrame, axes: Sequence[str]) -> tuple[str, str]:
    """Where the switch is, and on which side of it the kept sizes lie; none where no product tells."""
    for count in range(1, len(axes) + 1):
        for chosen in map(list, itertools.combinations(axes, count)):
            ours, others = (part[chosen].astype("float64").prod(axis=1) for part in (kept, rest))
            if ours.min() > others.max():
                return f"at {'·'.join(chosen)} = {ours.min():.0f}", "from there on"
            if ours.max() < others.min():
                return f"at {'·'.join(chosen)} = {others.min():.0f}", "below"
    return "between sizes", ""


def _listed(names: frozenset[str]) -> str:
    """Some names, without where they come from; what oneDNN ran tells more than that it ran."""
    chosen = sorted(names, key=lambda name: (not name.startswith("onednn::"), name))
    short = [name.partition("::")[2] for name in chosen]
    return ", ".join(short[:_MAX_NAMES]) + (f" and {len(short) - _MAX_NAMES} more" if len(short) > _MAX_NAMES else "")
