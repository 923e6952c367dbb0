"""A small suite that a machine answers at once, and what its runs say."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from attnbench.execute.rounds import Progress
from attnbench.session.reading import Run
from attnbench.session.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnbench.law import Law
    from attnbench.trial import Trial


LAYER = "attention-core-fused"

GRID = """
title = "A grid"
question = "Does time grow as n²d?"
budget = "60s"
device = ["cpu"]

[[sweep]]
layers = ["attention-core-fused"]
n = [64, 128, 256]
d = [64, 128, 256]
"""

IDS = [f"{LAYER}-cpu-float32-forward-t1-b1-n{n}-d{d}-h1" for n, d in product((64, 128, 256), repeat=2)]

FALSE_CLAIM = '''
"""Attention that claims to be recurrent."""
import torch
from attnbench import Claims, Layer


class Mixes(torch.nn.Module):
    def forward(self, x):
        return x @ x.transpose(1, 2) @ x


LAYER = Layer("claims-too-little", lambda d: Mixes(), claims=Claims(flops="4*b*n*d**2", time="n*d**2"))
'''


def verdicts(run: Run, layer: str = LAYER) -> dict[str, str]:
    return {law.metric: str(law.verdict) for law in run.found_laws if law.layer == layer}


def suite_with(folder: Path, head: str, sweeps: str = 'layers = ["{layer}"]\nn = [64, 128]\nd = [64, 128]') -> str:
    path = folder / "odd.toml"
    path.write_text(f"device = 'cpu'\n{head}\n[[sweep]]\n{sweeps.replace('{layer}', LAYER)}\n", encoding="utf-8")
    return str(path)


def counted_in_its_mode(trial: Trial) -> float:
    """Known by hand: the core does 4n²d forward, 12n²d with its gradients, and 4(n + 1)d for one more position."""
    n, d = trial.sizes["n"], trial.sizes["d"]
    return {"forward": 4 * n**2 * d, "train": 12 * n**2 * d, "decode": 4 * (n + 1) * d}[trial.choices.mode] / 1e9


MODES = """layers = ["attention-core", "conv1d"]
n = [64, 128, 256]
d = [64, 128, 256]"""


class Watcher(Reporter):
    """Notes what it is shown."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.probes: list[Trial] = []
        self.visits: list[Progress] = []
        self.verdicts: list[list[str]] = []

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def probing(self, trial: Trial) -> None:
        self.probes.append(trial)

    def visiting(self, progress: Progress) -> None:
        self.visits.append(progress)

    def laws(self, laws: Sequence[Law]) -> None:
        self.verdicts.append([str(law.verdict) for law in laws])
