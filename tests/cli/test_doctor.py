"""`attnbench doctor`, with readings of machines that are not here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from attnbench.cli import main
from attnbench.measure.machine import doctor, peaks
from attnbench.measure.machine.doctor import Readings
from attnbench.record import Host

if TYPE_CHECKING:
    from attnbench.measure.clock import Clock

BUSY = Host("CPU", 2, 2**33, "Linux", "3.11", "2.13", "MKL", load=(7.0, 1.0, 1.0), governor="powersave", turbo=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Seconds and threads that readings were asked for; the machine is busy and scatters wildly."""
    found: list[tuple[float, int]] = []

    def take(seconds: float, threads: int, clock: Clock) -> Readings:
        found.append((seconds, threads))
        visits = tuple(1e-3 * (1 + (number * 7919 % 13)) for number in range(90))
        return Readings(BUSY, threads, 2**28, 0.5, 1e-9, 5e-8, visits)

    best = {"flops_per_second": 6.4e10, "edge": 512, "bytes_per_second": None, "copied_bytes": None}
    known = {**best, "reason": "no memory for a copy", "clock_seconds": 0.5}
    monkeypatch.setattr(doctor, "take_readings", take)
    monkeypatch.setattr(peaks, "measure_peaks", lambda *_: known)
    return found


def test_a_machine_that_is_unfit_is_told_so_and_the_command_has_done_its_work(asked: list[tuple[float, int]]) -> None:
    done = CliRunner().invoke(main, ["doctor", "--threads", "4"])

    assert done.exit_code == 0
    assert asked == [(10.0, 4)]
    for text in ("stolen time", "50.0 % of processor time", "4 threads on 2 cores", "bad", "→", "cpupower"):
        assert text in done.stdout
    assert "good" in done.stdout  # the clock is
    assert done.stdout.splitlines()[-1] == (
        "at best: 64.0 GFLOP/s in a product of float32 matrices and an unknown rate in a copy beyond every cache "
        "(no memory for a copy)"
    )


def test_json_is_one_document_with_findings_noise_and_readings(asked: list[tuple[float, int]]) -> None:
    done = CliRunner().invoke(main, ["doctor", "--seconds", "2", "--json"])
    document = json.loads(done.stdout)

    assert done.exit_code == 0
    assert asked == [(2.0, 1)]
    assert {"name", "found", "grade", "advice"} == set(document["findings"][0])
    grades = {finding["name"]: finding["grade"] for finding in document["findings"]}
    assert grades["noise"] == grades["memory"] == grades["load"] == "bad"
    assert grades["clock"] == "good"
    assert document["peaks"]["flops_per_second"] == 6.4e10
    assert (document["peaks"]["bytes_per_second"], document["peaks"]["reason"]) == (None, "no memory for a copy")
    assert document["noise"]["exponent_half_width"] is None or document["noise"]["exponent_half_width"] > 0.1
    assert document["readings"]["host"]["governor"] == "powersave"
    assert len(document["readings"]["visits"]) == 90
    assert "timing a fixed operation for about 2 s" in done.stderr


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seconds", "soon"], ["--threads", "0"]])
def test_numbers_that_make_no_sense_are_refused(arguments: list[str], asked: list[tuple[float, int]]) -> None:
    done = CliRunner().invoke(main, ["doctor", *arguments])

    assert done.exit_code == 2
    assert asked == []
    assert "Traceback" not in done.stderr
