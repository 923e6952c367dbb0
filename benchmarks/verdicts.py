"""How often verdicts, intervals, forecasts and inferred laws are right, on simulated machines of known truth.

    python benchmarks/verdicts.py                     # 500 worlds a row, two processes, several minutes
    python benchmarks/verdicts.py --worlds 50 --only confirm,wrong

Every row draws its worlds from ``worlds.py`` by seed, so that it can be repeated. Beside each answer of ours stand
those of other tools on the same worlds: a plain log-log regression, Google Benchmark's rule, and, where their packages
are installed (``rivals/``), big_O and Extra-P.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attnbench.fitting.model.observations import Observations
from attnbench.fitting.time_law import law_of
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from benchmarks.rivals import RIVALS, missing
from benchmarks.worlds import LAWS, ROUNDS, ROUNDS_PER_PROCESS, SINGLE, Seen, Truth, World, draw

OURS = "attnbench"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: for the table.
        group: for ``--only``.
        laws: names of the truths, taken in turn.
        world: how the machine behaves.
        score: one world → tool → right (1), wrong (0), or None where the tool gives no such answer.
        goal: what share of right answers is wanted: from, to; None where the row only informs.
    """

    name: str
    group: str
    laws: tuple[str, ...]
    world: World
    score: Callable[[Seen, Sequence[str]], dict[str, list[bool]]]
    goal: tuple[float, float] | None


def ours(seen: Seen, claim: str | None, floor: float | None = None) -> Law:
    """Our law of a world."""
    processes = tuple(round_ // ROUNDS_PER_PROCESS for round_ in range(ROUNDS))
    return law_of(Observations(seen.sizes, seen.visits, processes, floor), Formula(claim) if claim else None)


def covered(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether each 90 % interval of an exponent holds the exponent of the time."""
    law = ours(seen, seen.truth.claim)
    intervals = {OURS: {axis: (e.estimate.low, e.estimate.high) for axis, e in law.exponents.items()}}
    for tool in tools:
        intervals[tool] = RIVALS[tool](seen.sizes, seen.replicates).intervals
    truths = dict(zip(seen.truth.axes, seen.exponents, strict=True))
    return {
        tool: [low <= truths[axis] <= high for axis, (low, high) in found.items()]
        for tool, found in intervals.items()
        if found
    }


def covered_with_floor(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether intervals hold the exponent where a call at sizes of 8 was timed too; no other tool can be told."""
    floor = float(seen.seconds_at({axis: np.array([8.0]) for axis in seen.truth.axes})[0])
    law = ours(seen, seen.truth.claim, floor)
    found = {axis: (e.estimate.low, e.estimate.high) for axis, e in law.exponents.items()}
    truths = dict(zip(seen.truth.axes, seen.exponents, strict=True))
    return {OURS: [low <= truths[axis] <= high for axis, (low, high) in found.items()]}


def covered_operations(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether each interval holds the exponent of the operations, which a drifting rate hides from a clock."""
    return covered(replace(seen, exponents=seen.truth.exponents), tools)


def _confirms(seen: Seen, claim: str, tools: Sequence[str]) -> dict[str, bool]:
    said = {OURS: ours(seen, claim).verdict is Verdict.CONFIRMED}
    return said | {tool: RIVALS[tool](seen.sizes, seen.replicates).confirms(claim) for tool in tools}


def confirmed(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether the right law is confirmed."""
    return {tool: [said] for tool, said in _confirms(seen, seen.truth.claim, tools).items()}


def not_confirmed(claim: str, seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether a law that is wrong, or cannot be read, is not confirmed."""
    return {tool: [not said] for tool, said in _confirms(seen, claim, tools).items()}


def kept_out(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether a law that cannot be read is neither confirmed nor refuted."""
    ok = ours(seen, seen.truth.claim).verdict in {Verdict.OUT_OF_REGIME, Verdict.INCONCLUSIVE}
    return {OURS: [ok]} | {t: s for t, s in not_confirmed(seen.truth.claim, seen, tools).items() if t != OURS}


def supported(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether both terms are found without a claim, each coefficient within 10 %."""
    law = ours(seen, None)
    found = {OURS: {term.term: term.coefficient.value for term in law.terms}}
    for tool in tools:
        answer = RIVALS[tool](seen.sizes, seen.replicates)
        found[tool] = {term: answer.coefficients.get(term, np.inf) for term in answer.leading}
    wanted = dict(zip(("n*d**2", "n**2*d"), seen.coefficients, strict=True))
    return {
        tool: [set(terms) == set(wanted) and all(abs(terms[t] / wanted[t] - 1) < 0.1 for t in wanted)]
        for tool, terms in found.items()
    }


#: One class to a clock.
_ALIKE = ("n", "n*log2(n)")


def classed(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether the class is found without a claim; n and n·log n are one class."""
    law = ours(seen, None)
    (wanted,) = [term.monomial.powers for term in Formula(seen.truth.claim).terms]
    leading = Formula(" + ".join(term.term for term in law.terms) or "0").leading
    found = {OURS: [law.verdict is Verdict.INFERRED and {term.monomial.powers for term in leading} == {wanted}]}
    for tool in tools:
        answer = RIVALS[tool](seen.sizes, seen.replicates)
        right = _ALIKE if seen.truth.claim in _ALIKE else (seen.truth.claim,)
        found[tool] = [any(answer.confirms(claim) for claim in right)]
    return found


def unnamed(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether no class is named where none of the candidates is right."""
    return {OURS: [ours(seen, None).verdict is not Verdict.INFERRED]}


def foretold(seen: Seen, tools: Sequence[str]) -> dict[str, list[bool]]:
    """Whether the 90 % interval at four times the largest n holds what a visit there reads."""
    at = {axis: float(seen.sizes[axis].max()) for axis in seen.truth.axes}
    at["n"] *= 4
    true = float(seen.seconds_at({axis: np.array([size]) for axis, size in at.items()})[0])
    reads = seen.draw_visit(true)
    estimate = ours(seen, seen.truth.claim).predict(**{axis: int(size) for axis, size in at.items()})
    held = {OURS: [estimate.low <= reads <= estimate.high]}
    for tool in tools:
        predicted = RIVALS[tool](seen.sizes, seen.replicates).predict(at)
        if predicted is not None and np.isfinite(predicted[1]):
            held[tool] = [predicted[1] <= reads <= predicted[2]]
    return held


#: Columns are narrow.
SHORT = {"log-log regression": "log-log", "Google Benchmark's rule": "Google", "big_O, rescaled": "big_O resc."}


def rows() -> Iterator[Row]:
    """The table."""
    yield Row("intervals, within the model", "cover", SINGLE, World(), covered, (0.88, 0.97))
    small = World(overhead=(0, 0.002))
    yield Row("intervals, a small constant bounded", "cover", SINGLE, small, covered_with_floor, (0.88, 0.97))
    yield Row("intervals, processes tilt by 0.02", "cover", SINGLE, World(tilt=0.02), covered, None)
    yield Row("intervals, rate drifts up to size^0.1", "cover", SINGLE, World(drift=(0, 0.1)), covered, (0.85, 1))
    yield Row("… of the operations' exponent", "cover", SINGLE, World(drift=(0, 0.1)), covered_operations, None)
    yield Row("intervals, one cache break × 1.1–2", "cover", SINGLE, World(jump=(1.1, 2)), covered, (0.85, 1))
    yield Row("right law confirmed", "confirm", SINGLE, World(), confirmed, (0.9, 1))
    yield Row("right law confirmed, noise to 5 %", "confirm", SINGLE, World(noise=(0.01, 0.05)), confirmed, (0.9, 1))
    yield Row("right law of two terms confirmed", "confirm", ("nd² + n²d",), World(), confirmed, (0.9, 1))
    for truth, claim in (
        ("n^1.25", "n"),
        ("n·log n", "n"),
        ("n^1.5 d", "n**2*d"),
        ("nd² + n²d", "n**2*d"),
        ("nd² + n²d", "n*d**2"),
        ("n²d", "n*d"),
        ("n²d", "n*d**2 + n**2*d"),
    ):
        not_this = partial(not_confirmed, claim)
        yield Row(f"{truth} not confirmed as {Formula(claim).pretty}", "wrong", (truth,), World(), not_this, (0.99, 1))
    yield Row("overhead 60–95 % kept out", "out", SINGLE, World(overhead=(0.6, 0.95)), kept_out, (0.99, 1))
    narrow = World(narrow=True)
    yield Row("less than a decade kept out", "out", ("n", "n²", "n²d", "nd²", "n^1.5 d"), narrow, kept_out, (0.99, 1))
    for noise, goal in ((0.02, 0.95), (0.05, 0.90)):
        world = World(noise=(noise, noise))
        yield Row(f"terms of nd² + n²d found, noise {noise:.0%}", "terms", ("nd² + n²d",), world, supported, (goal, 1))
    yield Row("class found without a claim", "class", (*SINGLE, "n·log n"), World(), classed, (0.95, 1))
    beside = ("n^1.25", "n^1.75", "n^1.8 d")
    yield Row("no class named for a power beside them", "class", beside, World(), unnamed, (0.9, 1))
    yield Row("forecast at 4 × the largest n", "forecast", SINGLE, World(), foretold, (0.85, 0.95))


def one_world(number: int, seed: int, tools: tuple[str, ...]) -> dict[str, list[bool]]:
    """Score of one world of a row."""
    row = list(rows())[number]
    truth: Truth = LAWS[row.laws[seed % len(row.laws)]]
    return row.score(draw(truth, row.world, seed), tools)


def score(pool: ProcessPoolExecutor, number: int, worlds: int, tools: tuple[str, ...]) -> dict[str, float]:
    """Share of right answers of each tool."""
    answers = list(pool.map(one_world, itertools.repeat(number), range(worlds), itertools.repeat(tools), chunksize=5))
    names = dict.fromkeys(name for answer in answers for name in answer)
    return {name: float(np.mean([right for answer in answers for right in answer.get(name, [])])) for name in names}


def durations() -> None:
    """How long a fit takes."""
    seen = draw(LAWS["n²d"], World(), seed=1)
    rng = np.random.default_rng(1)
    columns = {"n": rng.integers(64, 65536, 10_000), "d": rng.integers(32, 4096, 10_000)}
    many = pd.DataFrame(columns).assign(
        seconds=1e-9 * columns["n"] ** 2.0 * columns["d"] * rng.lognormal(0, 0.02, 10_000)
    )
    repeated = seen.sizes.loc[np.repeat(np.arange(len(seen.sizes)), -(-1_000_000 // len(seen.sizes)))][:1_000_000]
    true = np.asarray(seen.seconds_at({axis: column.to_numpy(float) for axis, column in repeated.items()}))
    million = repeated.assign(seconds=true * rng.lognormal(0, 0.02, len(true)))
    for name, frame, claim in (
        ("10,000 configurations, with a claim", many, "n**2*d"),
        ("10,000 configurations, without", many, None),
        ("1,000,000 samples, with a claim", million, "n**2*d"),
        ("1,000,000 samples, without", million, None),
    ):
        from attnbench.fitting.frame import fit

        start = time.perf_counter()
        fit(frame, "seconds", ["n", "d"], claim)
        print(f"{name:<42} {time.perf_counter() - start:6.2f} s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument(
        "--only", default="", help="groups: cover, confirm, wrong, out, terms, class, forecast, seconds"
    )
    parser.add_argument("--alone", action="store_true", help="without the other tools")
    parser.add_argument("--json", dest="path", help="also write the table to this file")
    asked = parser.parse_args()
    tools = () if asked.alone else tuple(tool for tool in RIVALS if not missing(tool))
    groups = set(filter(None, asked.only.split(",")))
    table = []
    print(f"{asked.worlds} worlds a row")
    print(f"{'':<44}{'goal':>10}" + "".join(f"{SHORT.get(name, name):>12}" for name in (OURS, *tools)))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, row in enumerate(rows()):
            if groups and row.group not in groups:
                continue
            found = score(pool, number, asked.worlds, tools)
            low, high = row.goal or (0.0, 1.0)
            goal = "" if row.goal is None else f"{low:.0%}–{high:.0%}" if high < 1 else f"≥ {low:.0%}"
            cells = "".join(f"{found[name]:>12.1%}" if name in found else f"{'—':>12}" for name in (OURS, *tools))
            missed = "" if low <= round(found[OURS], 3) <= high else "  missed"
            print(f"{row.name:<44}{goal:>10}{cells}{missed}", flush=True)
            table.append({"row": row.name, "goal": row.goal, "worlds": asked.worlds, "right": found})
    if not groups or "seconds" in groups:
        durations()
    if asked.path:
        Path(asked.path).write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
