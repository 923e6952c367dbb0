"""Asking a finished run: predict and crossover, what they print where, and one line for what they cannot read."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from attnbench.cli import main
from attnbench.law import Curves, Law, Verdict
from attnbench.trial import Choices, Subject
from tests.report.fake_run import HOST, FakeLayer, three, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024**2
#: Two layers that are known: 4e-11 n²d, and 32 sequences of 5e-11 nd² each.
SQUARE, LINE = 4e-11, 32 * 5e-11
GRID = {"n": (256, 512, 1024), "d": (128, 256, 512)}


def layer(
    name: str, term: str, coefficient: float, batch: int, flops: str, choices: Choices | None = None
) -> FakeLayer:
    levels = (1.0, *(math.exp(0.02 * z) for z in (-2, -1.5, -1, -0.7, -0.4, 0, 0.4, 0.7, 1, 1.5, 2) * 9))
    curves = Curves((term,), (), tuple((0.0, coefficient * level) for level in levels), 0.01)
    law = Law(
        Subject(name, Choices("cpu", "float32")),
        "time",
        Verdict.CONFIRMED,
        "time grows as claimed",
        window={axis: (sizes[0], sizes[-1]) for axis, sizes in GRID.items()},
        fixed={"b": batch},
        curves=curves,
    )
    return FakeLayer(
        name,
        {"b": (batch,), **GRID},
        lambda b, n, d: coefficient * n * d,
        lambda b, n, d: b * n * d,
        replace(law, subject=Subject(name, choices)) if choices else law,
        counted_laws=three(name, (flops, flops), "0", "8*b*n**2"),
        choices=choices or Choices(),
    )


ATTENTION = layer("attention-core", "n**2*d", SQUARE, 1, "4*b*n**2*d")
RNN = layer("rnn", "n*d**2", LINE, 32, "4*b*n*d**2")
FUSED = replace(
    layer("fused", "n**2*d", SQUARE / 2, 1, "4*b*n**2*d"),
    counted_laws=three("fused", ("4*b*n**2*d", None), "0", "4*b*n*d"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The live tensors of attention stay within 8 MiB, and those of 32 sequences do not: the cache holds 16 MiB."""
    folder = tmp_path_factory.mktemp("results") / "asked"
    host = replace(HOST, caches={"L1": 32768, "L2": MIB, "L3": 16 * MIB})
    return shlex.quote(str(write_fake_run(folder, (ATTENTION, RNN, FUSED), host=host).path))


def invoke(line: str) -> Result:
    return CliRunner().invoke(main, shlex.split(line))


def document(line: str) -> Any:
    """What a command with ``--json`` prints, which is one document and nothing else."""
    result = invoke(line)

    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return json.loads(result.stdout)


def test_predict_prints_a_forecast_with_its_interval_and_the_memory(run: str) -> None:
    found = document(f"predict {run} attention-core --at n=1024,d=2048 --json")

    assert list(found) == ["layer", "at", "seconds", "extrapolation", "peak_bytes", "fits", "reason"]
    assert (found["layer"], found["at"]) == ("attention-core", {"b": 1, "n": 1024, "d": 2048})
    assert found["seconds"]["value"] == pytest.approx(SQUARE * 1024**2 * 2048)
    assert found["seconds"]["low"] < found["seconds"]["value"] < found["seconds"]["high"]
    assert found["seconds"]["level"] == 0.9
    assert (found["extrapolation"], found["peak_bytes"], found["fits"]) == (4, 8 * MIB, True)
    assert found["reason"].endswith("d = 2048 is 4 times the largest measured, 512: an extrapolation")


def test_predict_says_the_same_to_a_person(run: str) -> None:
    lines = invoke(f"predict {run} attention-core --at n=512,d=256").stdout.splitlines()

    assert lines[0] == "attention-core at b=1, n=512, d=256"
    assert lines[1].startswith("  time    2.68 ms (2.5")
    assert lines[2].startswith("  memory  2097152 bytes of live tensors (2.00 MiB); fits the ")
    assert lines[3].endswith("the sizes lie within those measured")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (
            "attention-core --at n=2048,d=256",
            "its live tensors need 32.0 MiB there, beyond the last cache of 16.0 MiB, and every trial stayed within it",
        ),
        (
            "attention-core --at n=65536,d=256",
            "n = 65536 is 64 times the largest measured, 1024, and a forecast goes 16 times beyond the window at most",
        ),
        ("rnn --at b=1,n=512,d=256", "every trial had b = 32, so nothing is known of b = 1"),
    ],
)
def test_a_refusal_is_an_answer(run: str, asked: str, reason: str) -> None:
    found, told = document(f"predict {run} {asked} --json"), invoke(f"predict {run} {asked}")

    assert (found["seconds"], found["reason"]) == (None, reason)
    assert (told.exit_code, told.stdout.splitlines()[1]) == (0, "  time    no forecast")
    assert reason in told.stdout


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("predict {} rnm --at n=64,d=64", "the run has no layer 'rnm'. Did you mean 'rnn'?"),
        ("predict {} rnn --at n=64", "rnn needs a size for d, such as d=1024"),
        ("predict {} rnn --at n=64,d=64,k=3", "rnn was measured over b, n, d, and not over 'k'."),
        ("predict {} rnn --at n:64", "sizes are written n=128,d=64; 'n:64' in 'n:64' is not"),
        (
            "predict {} rnn --at n=64,d=64 --device cuda",
            (
                "rnn was not measured so; leave out "
                "--device, --dtype, --mode, --threads, --compile or --sdpa to see what there is"
            ),
        ),
        ("crossover {} rnn rnn", "crossover compares two layers, and rnn was named twice"),
        ("crossover {} rnn atention-core", "the run has no layer 'atention-core'. Did you mean 'attention-core'?"),
    ],
)
def test_what_cannot_be_read_is_one_line(run: str, asked: str, message: str) -> None:
    result = invoke(asked.format(run))

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {message}\n")


def test_crossover_answers_by_count_and_by_the_clock(run: str) -> None:
    """For one sequence 4n²d against 4nd² by count, and 4e-11 n²d against 5e-11 nd² by the clock: n* = 1.25 d."""
    found = document(f"crossover {run} attention-core rnn --json")

    assert found["layers"] == ["attention-core", "rnn"]
    assert found["per_sequence"] is True
    assert found["held"] == {"attention-core": {"b": 1}, "rnn": {"b": 32}}
    assert found["operations"] == "attention-core needs fewer counted operations than rnn where n < d"
    [row] = [row for row in found["rows"] if row["d"] == 512]
    assert row["operations"] == pytest.approx(512)
    assert row["clock"]["value"] == pytest.approx(640)
    assert row["clock"]["low"] < 640 < row["clock"]["high"]
    assert (row["faster"], row["share"], row["extrapolation"]) == ("rnn", 1.0, 1.0)
    assert found["reason"].startswith("rnn is faster than attention-core beyond n = 320 (")


def test_crossover_prints_one_table_and_a_sentence(run: str) -> None:
    lines = invoke(f"crossover {run} attention-core rnn").stdout.splitlines()

    assert lines[0].split()[0] == "d"
    assert re.match(r" *256 +256 +320 \(30\d to 3[34]\d\) +rnn +100.0 % +16 to 14\d\d", lines[4])
    assert "attention-core with b=1, divided by its batch" in lines
    assert lines[-2] == "By count: attention-core needs fewer counted operations than rnn where n < d."
    assert lines[-1].startswith("By the clock: rnn is faster than attention-core beyond n = 320 (30")


def test_layers_that_never_cross_are_an_answer(run: str) -> None:
    found = document(f"crossover {run} fused attention-core --json")

    assert {row["clock"] for row in found["rows"]} == {None}
    assert found["operations"] == "fused needs as many counted operations as attention-core"
    assert found["reason"] == (
        "the two do not cross at any length within reach: fused is faster at d = 32, 64, 128, 256, 512, 1024, 2048"
    )


def test_a_layer_measured_in_several_ways_has_to_be_chosen(tmp_path: Path) -> None:
    cuda = layer("rnn", "n*d**2", LINE / 100, 32, "4*b*n*d**2", Choices("cuda"))
    run = shlex.quote(str(write_fake_run(tmp_path / "run", (ATTENTION, RNN, replace(cuda, counted_laws=()))).path))

    refused = invoke(f"predict {run} rnn --at n=512,d=256")
    chosen = document(f"predict {run} rnn --at n=512,d=256 --device cuda --json")

    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: rnn was measured in several ways "
        "(cpu · float32 · forward · 1 thread, cuda · float32 · forward · 1 thread); "
        "choose with --device, --dtype, --mode, --threads, --compile or --sdpa\n"
    )
    assert chosen["seconds"]["value"] == pytest.approx(LINE / 100 * 512 * 256**2)


@pytest.mark.parametrize(
    ("other", "option"),
    [
        (Choices(mode="train"), "--mode train"),
        (Choices(threads=2), "--threads 2"),
        (Choices(compile=True), "--compile"),
        (Choices(sdpa="math"), "--sdpa math"),
    ],
)
def test_a_law_is_chosen_by_what_it_was_measured_with(other: Choices, option: str, tmp_path: Path) -> None:
    trained = replace(layer("rnn", "n*d**2", 3 * LINE, 32, "4*b*n*d**2", other), counted_laws=())
    run = shlex.quote(str(write_fake_run(tmp_path / "run", (RNN, trained)).path))

    chosen = document(f"predict {run} rnn --at n=512,d=256 {option} --json")

    assert chosen["seconds"]["value"] == pytest.approx(3 * LINE * 512 * 256**2)


def test_times_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    cuda = layer("rnn", "n*d**2", LINE / 100, 32, "4*b*n*d**2", Choices("cuda"))
    run = shlex.quote(str(write_fake_run(tmp_path / "run", (ATTENTION, cuda)).path))

    assert invoke(f"crossover {run} attention-core rnn").stderr == (
        "Error: measured were attention-core in cpu · float32 · forward · 1 thread and rnn in cuda · float32 · "
        "forward · 1 thread; choose what both have with --device, --dtype, --mode, --threads, --compile or --sdpa\n"
    )


def test_a_run_without_times_says_so(tmp_path: Path) -> None:
    counted_only = write_fake_run(tmp_path / "run", (replace(ATTENTION, law=None),), trials=())
    run = shlex.quote(str(counted_only.path))

    assert invoke(f"predict {run} attention-core --at n=512,d=256").stderr == (
        "Error: the run has no times of attention-core; run a suite whose metrics include time\n"
    )
