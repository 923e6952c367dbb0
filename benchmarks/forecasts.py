"""Forecasts four times beyond the window, beside what is measured there afterwards.

    python benchmarks/forecasts.py [--run RUN] [--suite scaling] [--budget 120s] [--trials 20]

Runs a suite (or takes a run of this machine that there is), forecasts its layers at sizes four times beyond what was
measured, measures those sizes in a second run, and prints how often the truth lies in the interval. Sizes for which
`predict` gives no forecast are not asked for; the cheapest of the others are, as many of each layer as of any other.
Calls that would take longer than two seconds are left out.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from typing import TYPE_CHECKING, Any

from attnbench.fitting.predict.forecast import forecast
from attnbench.fitting.predict.inputs import RunInputs
from attnbench.session.reading import load
from attnbench.session.run import run
from attnbench.spec import from_mapping
from attnbench.trial import describe
from attnbench.units import percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnbench.fitting.predict.forecast import Forecast
    from attnbench.law import Law
    from attnbench.session.reading import Run

TIMES = 4
LONGEST_SECONDS = 2.0


def beyond(law: Law) -> Iterator[dict[str, int]]:
    """Sizes at which one axis, or two, are four times beyond the window, and the others low, high or between."""
    swept = [axis for axis in law.window if axis not in law.fixed]
    ends = {axis: law.window[axis] for axis in swept}
    inside = {axis: sorted({low, _odd(math.isqrt(low * high), axis), high}) for axis, (low, high) in ends.items()}
    for count in (1, 2):
        for far in itertools.combinations(swept, count):
            choices = [[_odd(TIMES * ends[a][1], a)] if a in far else inside[a] for a in swept]
            yield from (dict(zip(swept, sizes, strict=True)) for sizes in itertools.product(*choices))


def _odd(size: int, axis: str) -> int:
    """Kernel widths are odd."""
    return size - (axis == "k" and size % 2 == 0)


def asked(base: Run, count: int) -> list[Forecast]:
    """The cheapest forecasts there are, as many of each layer as of any other."""
    found: list[list[tuple[float, Forecast]]] = []
    for law in base.found_laws:
        if law.metric == "time" and law.curves is not None:
            told = (forecast(law, sizes, RunInputs(base).footprint(law)) for sizes in beyond(law))
            long = [
                (one.seconds.value, one) for one in told if one.seconds is not None and one.extrapolation > TIMES - 1
            ]
            found.append(sorted((pair for pair in long if pair[0] < LONGEST_SECONDS), key=lambda pair: pair[0]))
    turns = itertools.chain.from_iterable(itertools.zip_longest(*found))
    return list(itertools.islice((pair[1] for pair in turns if pair is not None), count))


def measured(forecasts: list[Forecast], base: Run, budget: str, results: str) -> Run:
    """The sizes of the forecasts, measured as those of any suite."""
    sweeps = [{"layers": [one.layer], **{axis: [size] for axis, size in one.at.items()}} for one in forecasts]
    suite = base.info.plan.suite.as_json()
    kept = {key: suite[key] for key in ("device", "dtype", "mode", "threads")}
    content: dict[str, Any] = {
        "title": "Beyond",
        "metrics": ["flops", "time"],
        "budget": budget,
        "sweep": sweeps,
        **kept,
    }
    return run(from_mapping(content, "beyond", "benchmarks/forecasts.py"), results=results)


def main() -> None:
    """Print each forecast beside the truth, and how many hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a run of this machine, made a moment ago")
    parser.add_argument("--suite", default="scaling", help="what to run where no run is given")
    parser.add_argument("--budget", default="120s", help="clock for measuring what was forecast")
    parser.add_argument("--trials", type=int, default=20, help="how many forecasts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = load(arguments.run) if arguments.run else run(arguments.suite, results=folder)
        forecasts = asked(base, arguments.trials)
        truth = measured(forecasts, base, arguments.budget, folder).records.dropna(subset=["seconds"])
    held = told = 0
    for one in forecasts:
        rows = truth[truth["layer"] == one.layer]
        for axis, size in one.at.items():
            rows = rows[rows[axis] == size]
        if one.seconds is None or rows.empty:
            print(f"not measured  {one.layer} {describe(one.at)}")
            continue
        found, interval = float(rows["seconds"].iloc[0]), one.seconds
        inside = interval.low <= found <= interval.high
        told, held = told + 1, held + inside
        value, low, high = map(seconds, (interval.value, interval.low, interval.high))
        print(
            f"{'inside ' if inside else 'OUTSIDE'}  {one.layer:<22} {describe(one.at):<22} was {seconds(found):>9} "
            f"forecast {value:>9} [{low}, {high}]  ratio {found / interval.value:.3f}"
        )
    if told:
        print(f"\n{held} of {told} measured values lie in their intervals ({percent(held / told)}; 90 % should)")


if __name__ == "__main__":
    main()
