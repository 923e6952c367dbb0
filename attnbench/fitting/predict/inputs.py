"""What a stored run knows of a layer beside its law of time: its counted work, and what it holds in memory."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from attnbench.fitting.predict.crossover import Side
from attnbench.fitting.predict.forecast import Footprint
from attnbench.formula import Formula
from attnbench.formula.crossing import crossing, replaced
from attnbench.published import per_sequence
from attnbench.record import Status

if TYPE_CHECKING:
    from attnbench.law import Law
    from attnbench.store.run_folder import StoredRun


def side(run: StoredRun, law: Law) -> Side:
    """One of two layers whose crossover is asked for, by its law of time."""
    flops = _counted(run, law).get("flops")
    exact = flops is not None and flops.formula and not flops.lower_bound
    return Side(law, Formula(flops.formula) if flops and exact else None, footprint(run, law))


def footprint(run: StoredRun, law: Law, available: float | None = None) -> Footprint:
    """What the layer of a law of time holds in memory; `available` is what can be taken now, where that is known."""
    texts = {metric: counted.formula for metric, counted in _counted(run, law).items() if counted.formula}
    mine = (trial for trial in run.info.plan.trials if trial.subject == law.subject)
    bits = re.search(r"\d+$", law.choices.dtype)
    weights = f"{int(bits[0]) // 8}*({texts['parameters']})" if bits and "parameters" in texts else ""
    return Footprint(
        peak=Formula(texts["peak_bytes"]) if "peak_bytes" in texts else None,
        weights=Formula(weights) if weights else None,
        measured=tuple(t.sizes for t in mine if any(v.status is Status.OK for v in run.visits_by_trial.get(t.id, ()))),
        cache_bytes=max(run.info.host.caches.values(), default=math.inf) if law.choices.device == "cpu" else math.inf,
        available=available,
    )


def by_operations(one: Side, other: Side) -> str:
    """The exact answer of the counts where it is one line n = ratio·d; empty where it is not."""
    if one.flops is None or other.flops is None:
        return ""
    first, second = (replaced(per_sequence(side.flops.text), side.held) for side in (one, other) if side.flops)
    if (found := crossing(first, second)) is None:
        return ""
    if found.where == "equal":
        return f"{one.law.layer} needs as many counted operations as {other.law.layer}"
    where = {"never": "at no length", "always": "at every length"}.get(found.where, "")
    if not where:
        bound = "d" if found.ratio == 1 else f"{found.ratio.numerator}*d/{found.ratio.denominator}".removesuffix("/1")
        where = f"where n {'<' if found.where == 'below' else '>'} {Formula(bound).pretty}"
    return f"{one.law.layer} needs fewer counted operations than {other.law.layer} {where}"


def _counted(run: StoredRun, law: Law) -> dict[str, Law]:
    """Counted laws of what was timed, by metric."""
    return {f.metric: f for f in run.info.plan.counted_laws if f.subject.count_key == law.subject.count_key}
