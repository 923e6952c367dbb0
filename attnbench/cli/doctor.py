"""The command that looks at the machine before anything is measured on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from attnbench.cli.options import json_option, print_json, say

if TYPE_CHECKING:
    from attnbench.measure.machine.doctor import Finding, Readings


#: More time finds no better rate.
_PEAKS_SECONDS = 1.0


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 3600),
    default=10.0,
    show_default=True,
    help="Time a fixed operation for about this long.",
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads that a run would use."
)
@json_option
def doctor(seconds: float, threads: int, as_json: bool) -> None:
    """Say whether this machine is fit to measure on, and what would make it fitter."""
    from attnbench.fitting.resolution import implied_half_width
    from attnbench.measure.clock import clock_for
    from attnbench.measure.machine.doctor import examine, take_readings
    from attnbench.measure.machine.peaks import measure_peaks

    say(f"timing a fixed operation for about {seconds:g} s", err=True)
    readings = take_readings(seconds, threads, clock_for("cpu"))
    peaks = measure_peaks("cpu", "float32", min(_PEAKS_SECONDS, seconds), clock_for("cpu"))
    half_width = implied_half_width(readings.visits)
    findings = examine(readings, half_width)
    if as_json:
        _print_document(readings, half_width, findings, peaks)
    else:
        from attnbench.terminal import console, findings_table

        console().print(findings_table(findings))
        click.echo(_best(peaks))


def _best(peaks: dict[str, Any]) -> str:
    """What the processor does at best, in a sentence."""
    from attnbench.units import flops_per_second, nbytes

    found = (
        (peaks["flops_per_second"], flops_per_second, "in a product of float32 matrices"),
        (peaks["bytes_per_second"], lambda rate: f"{nbytes(rate)}/s", "in a copy beyond every cache"),
    )
    told = (f"{written(rate) if rate else 'an unknown rate'} {where}" for rate, written, where in found)
    return f"at best: {' and '.join(told)}{f' ({reason})' if (reason := peaks['reason']) else ''}"


def _print_document(readings: Readings, half_width: float, findings: list[Finding], peaks: dict[str, Any]) -> None:
    from dataclasses import asdict

    width = half_width if math.isfinite(half_width) else None  # JSON has no infinity
    noise = {"visit_scatter": readings.scatter, "exponent_half_width": width}
    rows = [asdict(finding) for finding in findings]
    best = {"device": "cpu", "dtype": "float32", "threads": readings.threads, **peaks}
    print_json({"findings": rows, "noise": noise, "readings": asdict(readings), "peaks": best})


COMMANDS = (doctor,)
