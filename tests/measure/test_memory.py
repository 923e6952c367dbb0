"""Three probes of one call's memory: agreement where all see, the known disagreements, and probes that are wrong."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from attnbench.counting.trace import Way, trace
from attnbench.errors import LayerError, UnsupportedError, WorkerError
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from attnbench.measure import memory
from attnbench.measure.memory import Peaks, allocator_peak, peaks, process_peak
from attnbench.trial import Choices, Subject, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    start = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **how: start([sys.executable, "-c", after, command[-1]], **how)
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


# ------------------------------------------------------------------------------------------------------ accelerators


class FakeLevels:
    """What torch keeps of a GPU: its levels and their marks, as far as calls and resets move them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.allocated, self.reserved = 1000, 5000
        self.most = {"allocated": 90_000, "reserved": 90_000}  # of whatever ran before
        self.cached = 4000

    def synchronize(self, device: str) -> None:
        self.said.append(f"wait for {device}")

    def empty_cache(self) -> None:
        self.reserved -= self.cached
        self.cached = 0

    def reset_peak_memory_stats(self, device: str) -> None:
        self.said.append(f"forget {device}")
        self.most = {"allocated": self.allocated, "reserved": self.reserved}

    def call(self, allocated: int, reserved: int) -> None:
        """Work is queued, and uses so much beyond the levels."""
        self.said.append("call")
        self.most["allocated"] = max(self.most["allocated"], self.allocated + allocated)
        self.most["reserved"] = max(self.most["reserved"], self.reserved + reserved)

    def memory_allocated(self, device: str) -> int:
        return self.allocated

    def memory_reserved(self, device: str) -> int:
        return self.reserved

    def max_memory_allocated(self, device: str) -> int:
        self.said.append(f"read {device}")
        return self.most["allocated"]

    def max_memory_reserved(self, device: str) -> int:
        return self.most["reserved"]


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_on_a_gpu_the_marks_are_reset_before_the_call_and_read_when_its_work_is_done(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels, calls = FakeLevels(), iter([(50_000, 80_000), (700, 2048)])  # the first makes handles and workspaces

    @contextlib.contextmanager
    def called(*_: object) -> Iterator[Callable[[], None]]:
        yield lambda: levels.call(*next(calls))

    monkeypatch.setattr(torch, kind, levels)
    monkeypatch.setattr(memory, "_called", called)

    found = peaks(Layer("any", lambda d: nn.Identity()), Trial(Subject("any", Choices(device=f"{kind}:1")), {"b": 1}))

    assert found == Peaks(allocated=700, resident=2048)
    assert levels.said == [
        "call",
        f"wait for {kind}:1",
        f"forget {kind}:1",
        "call",
        f"wait for {kind}:1",
        f"read {kind}:1",
    ]


def test_a_device_that_keeps_no_marks_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match=r"^device mps does not tell how much memory it had in use at most$"):
        peaks(Layer("any", lambda d: nn.Identity()), Trial(Subject("any", Choices(device="mps")), {"b": 1}))


def test_where_a_process_cannot_watch_itself_the_allocator_still_speaks(
    core: Layer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_CLEAR_REFS", tmp_path / "no" / "clear_refs")

    assert peaks(core, Trial(Subject(core.name), SIZES)) == Peaks(CORE, None)
