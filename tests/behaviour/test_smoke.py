"""The whole way once, for real: the command as installed, its own processes, this machine's clock."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.session.reading import Run, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGIN = """import torch
from attnbench import Claims, Layer
LAYER = Layer("my-layer", lambda d: torch.nn.Linear(d, d), claims=Claims(flops="2*b*n*d**2", time="n*d**2"))
"""
#: The third visit of it tells; counting calls it on fake tensors, and the floor is timed at other lengths.
TELLING = """import os
import torch
from attnbench import Layer
VISITS = []
class Telling(torch.nn.Linear):
    called = False
    def forward(self, x):
        if not self.called and type(x) is torch.Tensor and x.shape[1] in (64, 128):
            self.called = True
            VISITS.append(x.shape)
            if len(VISITS) == 3:
                os.write(os.open("told", os.O_WRONLY), b"third")
        return super().forward(x)
LAYER = Layer("telling", lambda d: Telling(d, d))
"""
pytestmark = pytest.mark.alone
COMMAND = [sys.executable, "-m", "attnbench", "run"]
SMOKE = ["--suite", "smoke", "--device", "cpu"]
#: One axis is left to the planner; that finds a window on a machine under load, too.
ORDER = [*SMOKE, "--plugin", "my_layer.py", "--set", "b=1", "--set", "n=512,1024", "--budget", "12s", "--json"]
FEW_SIZES = [*SMOKE, "--plugin", "telling.py", "--set", "b=1", "--set", "n=64,128", "--set", "d=64,128"]
FEW_SIZES += ["--budget", "2s", "--results", "stopped", "--json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user works: an empty folder with a layer of three lines."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_layer.py").write_text(PLUGIN, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    """What the run of the smoke suite with that layer printed."""
    done = subprocess.run([*COMMAND, *ORDER], cwd=folder, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.fixture(scope="module")
def run(folder: Path, document: dict[str, Any]) -> Run:
    return load(folder / document["run"])


def test_both_layers_are_counted_and_their_times_have_intervals(document: dict[str, Any]) -> None:
    laws = {(law["layer"], law["metric"]): law for law in document["laws"]}

    assert set(laws) == {
        (layer, metric)
        for layer in ("attention-core-fused", "my-layer")
        for metric in ("flops", "parameters", "peak_bytes", "time")
    }
    assert laws["my-layer", "flops"]["verdict"] == laws["attention-core-fused", "flops"]["verdict"] == "CONFIRMED"
    for layer in ("attention-core-fused", "my-layer"):
        exponents = laws[layer, "time"]["exponents"]
        assert set(exponents) == {"n", "d"}
        assert all(e["low"] < e["value"] < e["high"] for e in exponents.values())


def test_every_trial_is_measured_often_enough_in_rounds_and_processes(run: Run) -> None:
    by_trial = run.samples.groupby("trial")

    assert set(run.records["layer"]) == {"attention-core-fused", "my-layer"}
    assert set(run.records["status"]) == {"ok"}
    assert set(by_trial.groups) == set(run.records["trial"])
    assert by_trial.size().min() >= 5
    assert by_trial["round"].nunique().min() >= 3
    assert by_trial["process"].nunique().min() >= 2


def test_the_report_is_a_page_about_this_run(folder: Path, document: dict[str, Any]) -> None:
    page = (folder / document["report"]).read_text(encoding="utf-8")

    assert "Smoke test" in page
    assert "my-layer" in page


@pytest.fixture
def told(folder: Path) -> Iterator[int]:
    """The end of a pipe at which a layer says that it is being measured."""
    (folder / "telling.py").write_text(TELLING, encoding="utf-8")
    os.mkfifo(folder / "told")
    end = os.open(folder / "told", os.O_RDONLY | os.O_NONBLOCK)
    yield end
    os.close(end)


def heed_interrupts() -> None:
    """Undo what a shell does to its background jobs, of which the tests may be one: they ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_run_that_is_interrupted_can_be_continued_to_its_end(folder: Path, told: int) -> None:
    with subprocess.Popen(
        [*COMMAND, *FEW_SIZES],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    ) as child:
        ready, _, _ = select.select([told], [], [], 120)
        child.send_signal(signal.SIGINT)
        printed, said = child.communicate(timeout=120)

    (stopped,) = (folder / "stopped").iterdir()
    before = load(stopped)
    assert ready
    assert (child.returncode, printed) == (130, "")
    assert said.splitlines()[-1] == (
        f"Error: interrupted; everything measured is kept. To continue: attnbench run --resume stopped/{stopped.name}"
    )
    assert 2 <= len(before.visits) < len(before.info.plan.trials)

    resume = [*COMMAND, "--resume", f"stopped/{stopped.name}", "--json"]
    done = subprocess.run(resume, cwd=folder, capture_output=True, text=True, timeout=300, check=False)

    after = load(stopped)
    assert (done.returncode, json.loads(done.stdout)["run"]) == (0, f"stopped/{stopped.name}"), done.stderr
    assert list(after.records["trial"]) == list(before.records["trial"])
    assert after.visits[: len(before.visits)] == before.visits
    assert set(Counter((visit.trial, visit.round) for visit in after.visits).values()) == {1}
    assert set(after.records["status"]) == {"ok"}
