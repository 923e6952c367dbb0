"""Three probes of one call's memory: agreement where all see, the known disagreements, and probes that are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from attnbench.count.trace import Way, trace
from attnbench.errors import LayerError, WorkerError
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from attnbench.measure import memory
from attnbench.measure.memory import allocator_peak, process_peak

if TYPE_CHECKING:
    from pathlib import Path

N, D = 2048, 64
SIZES = {"b": 1, "n": N, "d": D, "h": 1}
#: Scores, weights and output of the materialised core: 2hn² + nd floats, in bytes.
CORE = 8 * N**2 + 4 * N * D
#: What one thread's libraries and code may add to the resident size, and counters kept a few pages apart.
PROCESS_NOISE = 2**20 + 0.02 * CORE

PLUGIN = '''
"""A layer that talks, and one that fails."""
import torch
from attnbench import Layer


class Talks(torch.nn.Module):
    def forward(self, x):
        print('{"peak_bytes": 1}')
        return x + 1


class Fails(torch.nn.Module):
    def forward(self, x):
        raise ValueError("a reason\\nof two lines")


LAYERS = [Layer("talks", lambda d: Talks()), Layer("fails", lambda d: Fails())]
'''


@pytest.fixture
def core() -> Layer:
    return Registry().get("attention-core")


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries keep buffers for each of their threads."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")


@pytest.mark.usefixtures("one_thread")
def test_the_three_probes_agree_on_the_materialised_core(core: Layer) -> None:
    assert trace(core, SIZES, way=Way.OPENED).peak_bytes == CORE
    assert allocator_peak(core, SIZES) == CORE
    assert process_peak(core, SIZES, "float32") == pytest.approx(CORE, abs=PROCESS_NOISE)


@pytest.mark.parametrize("n", [255, 1009])
def test_the_allocator_agrees_with_the_count_to_the_byte_at_other_sizes_and_precisions(core: Layer, n: int) -> None:
    assert allocator_peak(core, SIZES | {"n": n}, "float64") == 2 * (8 * n**2 + 4 * n * D)


def test_an_allocator_probe_that_looks_after_the_call_sees_the_output_only(
    core: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_peak", sum)

    assert allocator_peak(core, SIZES) <= 4 * N * D


@pytest.mark.usefixtures("one_thread")
def test_a_process_probe_that_looks_after_the_call_misses_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    after = "from attnbench.measure import memory as m; s = m._status; m._status = lambda _: s('VmRSS'); m.main()"
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **how: run([sys.executable, "-c", after, command[-1]], **how)
    )

    assert process_peak("attention-core", SIZES) < CORE / 2


def test_scratch_of_the_fused_core_is_seen_by_the_allocator_and_not_by_the_count() -> None:
    fused = Registry().get("attention-core-fused")
    scratch = [
        allocator_peak(fused, SIZES | {"n": n}) - trace(fused, SIZES | {"n": n}, way=Way.OPENED).peak_bytes
        for n in (1024, 2048)
    ]

    assert scratch[0] > 0
    assert scratch[1] == scratch[0]  # tiles: of one size, whatever the length


class Keeps(nn.Module):
    """Attention that keeps its weights for somebody to look at, as many tutorials do."""

    def __init__(self, *, keep: bool) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = (x @ x.transpose(1, 2)).softmax(dim=-1)
        if self.keep:
            self.weights = weights
        return weights @ x


@pytest.mark.parametrize(("keep", "squares"), [(False, 2), (True, 4)])
def test_attention_weights_that_are_kept_alive_are_seen(keep: bool, squares: int) -> None:
    """Of three layers the last holds scores, weights and its input; before it, two more weights or none."""
    stack = Layer("stack", lambda d: nn.Sequential(*(Keeps(keep=keep) for _ in range(3))))
    sizes, n = {"b": 1, "n": 128, "d": 32}, 128

    assert trace(stack, sizes, way=Way.OPENED).peak_bytes == squares * 4 * n**2 + 4 * n * 32
    assert allocator_peak(stack, sizes) == squares * 4 * n**2 + 4 * n * 32


def test_what_a_layer_prints_does_not_disturb_the_answer(tmp_path: Path) -> None:
    plugin = tmp_path / "talking.py"
    plugin.write_text(PLUGIN, encoding="utf-8")

    found = process_peak("talks", {"b": 1, "n": 1024, "d": 1024}, plugins=[str(plugin)])

    assert found == pytest.approx(4 * 1024**2, abs=2**20)


def test_a_layer_that_fails_there_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "failing.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    monkeypatch.setattr(memory, "_ask", lambda request: json.loads(json.dumps(memory._answer(request))))
    where = r"layer 'fails' at b=1, n=2, d=3 raised ValueError: a reason of two lines"

    with pytest.raises(LayerError, match=f"^{where}$"):
        process_peak("fails", {"b": 1, "n": 2, "d": 3}, plugins=[str(plugin)])
    with pytest.raises(LayerError, match=f"^{where}$"):
        allocator_peak(Registry([str(plugin)]).get("fails"), {"b": 1, "n": 2, "d": 3})


def test_a_system_without_the_reset_says_so_in_one_line(
    core: Layer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_CLEAR_REFS", tmp_path / "no" / "clear_refs")
    monkeypatch.setattr(memory, "_ask", memory._answer)

    with pytest.raises(WorkerError, match=r"^this system does not let a process watch its own peak: .*clear_refs'$"):
        process_peak(core, SIZES | {"n": 2})


def test_elsewhere_than_on_linux_one_line_says_so(core: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(WorkerError, match=r"^the peak of a process is read from Linux's /proc, which darwin does not"):
        process_peak(core, SIZES)
