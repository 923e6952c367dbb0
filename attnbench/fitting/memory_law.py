"""Laws of measured memory: what torch's allocator handed out during one call, judged like time.

Such a figure has no noise, as a call allocates the same each time. What is left about a law is systematic: lower
orders, rounding, scratch that kernels take. So the interval of an exponent says how far window and model matter, and
nothing else. What the process grew by stands beside it; it is coarse, and no law is read from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from attnbench.fitting.model.observations import Observations
from attnbench.fitting.time_law import by_subject, judged_together, swept_axes, unjudged_laws, with_fixed
from attnbench.fitting.verdict.question import Question
from attnbench.fitting.verdict.unjudged import UnjudgedLaw, unjudged_law
from attnbench.law import Law, Verdict
from attnbench.trial import ANYTHING, Subject, describe
from attnbench.units import nbytes, percent, significant

Row = dict[str, Any]

#: What a claim need not explain: differences of this part of a value come from rounding and small scratch.
_TOLERANCE = 0.01
#: Figures this much larger or smaller than the count are worth a sentence of their own.
_AS_COUNTED = 0.1
#: A process grows by code and buffers too: up to so many bytes, and so large a part of what was allocated.
_OF_A_PROCESS, _PART_OF_A_PROCESS = 16 * 2**20, 0.25


def memory_laws(records: pd.DataFrame, questions: Mapping[Subject, Question]) -> list[Law]:
    """One law for each group of trials, in the order of the records; their claims are judged together."""
    laws = judged_together(unjudged_laws(records, questions, _unjudged_law))
    groups = (group for _, group in by_subject(records))
    return [
        replace(law, reason="; ".join([law.reason, *_findings(_measured(group))]))
        for law, group in zip(laws, groups, strict=True)
    ]


def _measured(records: pd.DataFrame) -> pd.DataFrame:
    return records[records["allocated_bytes"].notna()]


def _unjudged_law(records: pd.DataFrame, question: Question) -> UnjudgedLaw:
    measured = _measured(records)
    axes = swept_axes(measured)
    values = measured["allocated_bytes"].to_numpy(dtype=float)
    if len(values) and not values.all():
        return with_fixed(UnjudgedLaw(_without_growth(measured, question)), measured, axes)
    sizes = measured[list(axes)].astype("int64").reset_index(drop=True)
    observed = Observations(sizes, values[:, None], tolerance=_TOLERANCE)
    return with_fixed(unjudged_law(observed, question, "memory", measured), measured, axes)


def _without_growth(measured: pd.DataFrame, question: Question) -> Law:
    """A call may take nothing at all: then there are no powers to read."""
    empty = [row for row in _rows(measured) if not row["allocated_bytes"]]
    claim = question.claim.text if question.claim else None
    law = Law(ANYTHING, "memory", Verdict.OUT_OF_REGIME, "", claim=claim, scope=question.scope, trials=len(measured))
    if len(empty) < len(measured):
        at = _at(empty[0], swept_axes(measured))
        return replace(law, reason=f"the call takes no memory beyond its input at {at}")
    verdict = Verdict.OUT_OF_REGIME if claim else Verdict.INFERRED
    return replace(law, verdict=verdict, formula="0", reason="no call takes any memory beyond its input")


def _findings(measured: pd.DataFrame) -> Iterator[str]:
    """What the count did not see, and what the allocator did not."""
    rows, axes = _rows(measured), swept_axes(measured)
    counted = [row for row in rows if isinstance(row["peak_bytes"], int) and row["peak_bytes"]]
    if counted:
        yield _beside_the_count(counted, axes)
    unexplained = [row for row in rows if isinstance(row["resident_bytes"], int) and _unexplained(row) > 0]
    for worst in sorted(unexplained, key=_unexplained)[-1:]:
        took, gave = (nbytes(float(worst[peak])) for peak in ("resident_bytes", "allocated_bytes"))
        yield f"the process grew by {took} at {_at(worst, axes)}, where torch had allocated {gave}"


def _beside_the_count(rows: Sequence[Row], axes: tuple[str, ...]) -> str:
    if all(row["allocated_bytes"] == row["peak_bytes"] for row in rows):
        return "every figure is the counted one, to the byte"
    worst = max(rows, key=lambda row: abs(_beyond(row)))
    if abs(_beyond(worst)) <= _AS_COUNTED:
        return f"every figure is within {percent(abs(_beyond(worst)))} of the counted one"
    unseen = "kernels take scratch that the count does not see" if _beyond(worst) > 0 else "the count sees more"
    return f"{significant(1 + _beyond(worst))} times the counted bytes at {_at(worst, axes)}: {unseen}"


def _beyond(row: Row) -> float:
    """By which part of the counted bytes the allocated ones differ from them."""
    return float(row["allocated_bytes"] / row["peak_bytes"] - 1)


def _unexplained(row: Row) -> float:
    """Bytes by which a process grew otherwise than its allocations and its own code and buffers explain."""
    apart = abs(row["resident_bytes"] - row["allocated_bytes"])
    return float(apart - _OF_A_PROCESS - _PART_OF_A_PROCESS * row["allocated_bytes"])


def _rows(measured: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in measured.to_dict("records")]


def _at(row: Row, axes: tuple[str, ...]) -> str:
    return describe({axis: int(row[axis]) for axis in axes})
