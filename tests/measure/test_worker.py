"""The measuring process, in process: one answer a request, whatever a layer does."""

from __future__ import annotations

import gc
import io
import json
import math
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from attnbench.measure import worker
from attnbench.measure.loop import Pace
from attnbench.measure.worker import reference, serve
from attnbench.record import Conditions
from attnbench.trial import Choices
from tests.measure.fake_clock import FakeClock

PLUGIN = '''
"""Layers that go wrong, each in its own way."""
import os
import random
import sys

import numpy as np
import torch
from attnbench import Layer


class Does(torch.nn.Module):
    def __init__(self, what):
        super().__init__()
        self.forward = what


def fail(error):
    raise error


def print_and_return(x):
    print('{"status": "ok"}')
    return x


def not_a_module(d):
    return "no module"


def too_large(d):
    return torch.nn.Linear(10**8, 10**8)


def three_axes(b, n, d):
    return torch.randn(b, n, d)


def draws(x):
    raise RuntimeError(f"drew {float(x.sum())} {random.random()} {np.random.rand()} {float(torch.rand(()))}")


def seeds(x):
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    return x * random.random()


def for_ever(x):
    return for_ever(x)


def layer(name, what, **more):
    return Layer(name, lambda d: Does(what), **more)


LAYERS = [
    layer("fine", lambda x: 2 * x),
    layer("several", lambda x: {"y": x, "rest": [x, 3, None]}, inputs=three_axes),
    layer("raises", lambda x: fail(ValueError("a reason\\nof two lines"))),
    layer("not-finite", lambda x: x / 0),
    layer("one-nan-inside", lambda x: (x, [x * float("nan")]), inputs=three_axes),
    layer("wrong-shape", lambda x: x[:, :2] / 0),
    layer("no-tensor", lambda x: [1]),
    layer("leaves", lambda x: sys.exit(3)),
    layer("interrupts", lambda x: fail(KeyboardInterrupt())),
    layer("recurses", for_ever),
    layer("draws", draws),
    layer("seeds", seeds),
    layer("other-dtype", lambda x: torch.set_default_dtype(torch.float64) or x),
    layer("other-folder", lambda x: os.chdir("/") or x),
    layer("other-folder-and-fails", lambda x: os.chdir("/") or fail(ValueError("a reason"))),
    layer("kernel-variable", lambda x: os.environ.update(OMP_WAIT_POLICY="active") or x),
    layer("cpu-memory", lambda x: torch.empty(10**15)),
    layer("gpu-memory", lambda x: fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"))),
    layer("python-memory", lambda x: fail(MemoryError())),
    layer("prints", print_and_return),
    layer("no-half-kernel", lambda x: torch.linalg.cholesky(torch.eye(8, dtype=x.dtype)).sum() + 0 * x),
    layer("no-half-transform", lambda x: torch.fft.fft(x).real),
    layer("writes-out", lambda x: torch.mul(x, 2, out=torch.empty(0))),
    layer("no-gradient", lambda x: x.detach()),
    Layer("not-a-module", not_a_module),
    Layer("too-large", too_large),
]
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugins") / "goes_wrong.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What `serve` does to its process, undone."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    gc.unfreeze()


def request(layer: str, choices: Choices = Choices(), **sizes: int) -> dict[str, Any]:  # noqa: B008  it is frozen
    pace = Pace(seconds=0.0, least_blocks=3)
    sizes = {"b": 1, "n": 4, "d": 8} | sizes
    return {"layer": layer, "sizes": sizes, "choices": asdict(choices), "pace": asdict(pace)}


def answers(plugin: str, *requests: dict[str, Any], seed: int = 5) -> list[dict[str, Any]]:
    """What `serve` says to `requests`, after its hello."""
    setup = {"threads": 1, "plugins": [plugin], "seed": seed, "installed": []}
    lines, said = io.StringIO("".join(json.dumps(one) + "\n" for one in (setup, *requests))), io.StringIO()
    serve(lines, said)
    hello, *rest = (json.loads(line) for line in said.getvalue().splitlines())

    assert list(hello) == ["overhead"]
    assert 0 < hello["overhead"] < math.inf
    return rest


@pytest.mark.parametrize("layer", ["fine", "several", "rnn"])
def test_a_layer_that_works_is_timed(layer: str, plugin: str) -> None:
    (answer,) = answers(plugin, request(layer))

    assert (answer["status"], answer["reason"]) == ("ok", "")
    assert answer["iterations"] >= 1
    assert len(answer["block_seconds"]) == 3
    assert min(answer["first_call_seconds"], answer["reference_seconds"], *answer["block_seconds"]) > 0
    assert msgspec.convert(answer["conditions"], Conditions).load is not None


@pytest.mark.parametrize("mode", ["forward", "train", "decode"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_every_mode_and_dtype_is_timed(mode: str, dtype: str, plugin: str) -> None:
    (answer,) = answers(plugin, request("multi-head-attention", Choices(dtype=dtype, mode=mode), h=2))

    assert (answer["status"], answer["reason"]) == ("ok", "")
    assert min(answer["first_call_seconds"], *answer["block_seconds"]) > 0


@pytest.mark.parametrize(
    ("layer", "choices", "reason"),
    [
        ("no-half-kernel", Choices(dtype="float16"), "not implemented for 'Half'"),
        ("no-half-transform", Choices(dtype="float16"), "Unsupported dtype Half"),
        ("no-gradient", Choices(mode="train"), "cannot be trained"),
        ("writes-out", Choices(mode="train"), "support automatic differentiation"),
        ("fine", Choices(mode="decode"), "cannot decode"),
    ],
)
def test_what_a_layer_does_not_support_is_unsupported_and_no_error(
    layer: str, choices: Choices, reason: str, plugin: str
) -> None:
    usual, refused = answers(plugin, request(layer), request(layer, choices))

    assert usual["status"] == "ok"
    assert refused["status"] == "unsupported"
    assert reason in refused["reason"]


@pytest.mark.parametrize(
    ("layer", "status", "reason"),
    [
        ("raises", "error", "ValueError: a reason of two lines"),
        ("not-finite", "error", "the output is not finite on normal random input"),
        ("one-nan-inside", "error", "the output is not finite on normal random input"),
        (
            "wrong-shape",
            "error",
            "layer 'wrong-shape' must return shape (b, n, d) = (1, 4, 8), not (1, 2, 8), at b=1, n=4, d=8",
        ),
        ("no-tensor", "error", "layer 'no-tensor' must return one tensor, not list"),
        ("leaves", "error", "SystemExit: 3"),
        ("interrupts", "error", "KeyboardInterrupt: "),
        ("recurses", "error", "RecursionError: maximum recursion depth exceeded"),
        ("gpu-memory", "oom", "OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB"),
        ("python-memory", "oom", "MemoryError: "),
        ("not-a-module", "error", "layer 'not-a-module': build() must return a torch module, not str"),
        ("rn", "error", "unknown layer 'rn'. Did you mean 'rnn'?"),
    ],
)
def test_a_layer_that_fails_is_an_answer_with_a_status_and_a_reason(
    layer: str, status: str, reason: str, plugin: str
) -> None:
    (answer,) = answers(plugin, request(layer))

    assert {"status": status, "reason": reason}.items() <= answer.items()
    assert "block_seconds" not in answer


@pytest.mark.parametrize(
    ("layer", "opening"),
    [
        ("cpu-memory", "RuntimeError: "),
        ("too-large", "layer 'too-large' cannot be built at b=1, n=4, d=8: RuntimeError: "),
    ],
)
def test_memory_that_the_cpu_does_not_have_is_out_of_memory_and_no_error(layer: str, opening: str, plugin: str) -> None:
    (answer,) = answers(plugin, request(layer))

    assert answer["status"] == "oom"
    assert answer["reason"].startswith(opening)
    assert "memory" in answer["reason"]


def test_one_failure_does_not_touch_the_next_request(plugin: str) -> None:
    found = answers(plugin, request("raises"), request("fine"), request("cpu-memory"), request("fine"))

    assert [answer["status"] for answer in found] == ["error", "ok", "oom", "ok"]


def test_a_layer_that_prints_does_not_speak_into_the_answers(plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    (answer,) = answers(plugin, request("prints"))

    assert answer["status"] == "ok"
    assert '{"status": "ok"}' in capsys.readouterr().out


def test_a_constraint_is_the_layers_business_and_its_reason_is_kept(plugin: str) -> None:
    (answer,) = answers(plugin, request("multi-head-attention", h=3))

    assert answer["status"] == "error"
    assert answer["reason"].startswith("RuntimeError: ")


def test_weights_and_inputs_follow_the_seed_and_the_trial(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(worker, "_timed", lambda *_: drawn.append(torch.rand(1).item()) or {})

    for seed, n in [(5, 4), (5, 4), (6, 4), (5, 8)]:
        answers(plugin, request("fine", n=n), seed=seed)

    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("at_import", ["", "torch.set_num_threads(3)\n"])
def test_threads_are_set_as_the_first_line_says_whatever_a_plugin_does(at_import: str, tmp_path: Path) -> None:
    meddling = tmp_path / "meddling.py"
    meddling.write_text(f"{PLUGIN}\n{at_import}", encoding="utf-8")
    torch.set_num_threads(2)

    answers(str(meddling))

    assert torch.get_num_threads() == 1


# ----------------------------------------------------------------------------------------------------- the reference


def test_the_reference_is_the_smallest_of_three_blocks_of_one_product() -> None:
    assert reference(FakeClock(reading=0.125), "cpu") == 0.125


def test_the_rate_of_a_plain_product_is_its_work_over_its_time(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "clock_for", lambda _: FakeClock(reading=0.5))

    assert answers(plugin, {"reference": "cpu"}) == [{"flops_per_second": 2 * 384**3 / 0.5}]


def test_a_device_that_cannot_multiply_is_an_answer_too(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(worker, "reference", fail)

    assert answers(plugin, {"reference": "cuda"}) == [{"status": "error", "reason": "RuntimeError: no kernel image"}]


# ------------------------------------------------------------------------------------------- what must stay as it is


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("other-dtype", "changed the default dtype from float32 to float64"),
        ("other-folder", "changed the working directory from {here} to /"),
        ("other-folder-and-fails", "ValueError: a reason"),
        ("kernel-variable", "changed the environment variable OMP_WAIT_POLICY from nothing to active"),
    ],
)
def test_a_layer_that_changes_what_others_run_under_is_an_error_and_ends_the_process(
    layer: str, reason: str, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path.cwd())  # put back afterwards, as is the environment
    monkeypatch.setenv("OMP_WAIT_POLICY", "")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    here = Path.cwd()

    try:
        (answer,) = answers(plugin, request(layer))
    finally:
        torch.set_default_dtype(torch.float32)

    assert answer["status"] == "error"
    assert answer["reason"] == reason.format(here=here)
    assert answer["spent"] is True


def test_no_trial_changes_the_numbers_that_another_draws(plugin: str) -> None:
    after_itself, after_others = (
        answers(plugin, *before, request("draws"))[-1]["reason"]
        for before in ([], [request("seeds"), request("fine", n=64), request("seeds", n=8)])
    )

    assert after_itself == after_others
    assert after_itself.startswith("RuntimeError: drew ")


def test_a_fork_is_under_the_alarm_of_its_parent_and_its_death_is_an_answer() -> None:
    signal.setitimer(signal.ITIMER_REAL, 500.0)
    try:
        left = worker._in_fork(lambda: {"seconds": signal.getitimer(signal.ITIMER_REAL)[0]})["seconds"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    assert 400.0 < left <= 500.0
    assert worker._in_fork(lambda: os._exit(3)) == {
        "status": "error",
        "reason": "the measuring process ended with exit status 3",
    }
