"""The command that looks at the machine before anything is measured on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from attnbench.cli.options import json_option, print_json, say

if TYPE_CHECKING:
    from attnbench.measure.doctor import Finding, Readings


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
    from attnbench.fit.resolution import implied_half_width
    from attnbench.measure.clock import clock_for
    from attnbench.measure.doctor import examine, take_readings

    say(f"timing a fixed operation for about {seconds:g} s", err=True)
    readings = take_readings(seconds, threads, clock_for("cpu"))
    half_width = implied_half_width(readings.visits)
    findings = examine(readings, half_width)
    if as_json:
        _print_document(readings, half_width, findings)
    else:
        from attnbench.terminal import console, findings_table

        console().print(findings_table(findings))


def _print_document(readings: Readings, half_width: float, findings: list[Finding]) -> None:
    from dataclasses import asdict

    width = half_width if math.isfinite(half_width) else None  # JSON has no infinity
    noise = {"visit_scatter": readings.scatter, "exponent_half_width": width}
    print_json({"findings": [asdict(finding) for finding in findings], "noise": noise, "readings": asdict(readings)})


COMMANDS = (doctor,)
