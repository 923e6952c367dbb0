"""What `compare` says of real runs: of the same code, of a layer slowed by 10 %, and of a layer whose law changed.

    python benchmarks/changes.py [--budget 40s]

Four runs of one suite on this machine, one after the other. Three layers stay what they are; the fourth, of a plugin,
multiplies by a d×d matrix ten times, again ten times, eleven times, and then forms n×n products in place of that.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from attnbench.fitting.compare.runs import compare
from attnbench.session.run import run
from attnbench.spec import from_mapping
from attnbench.units import percent

if TYPE_CHECKING:
    from attnbench.fitting.compare.runs import RunComparison
    from attnbench.session.reading import Run

PRODUCTS = """
from torch import nn

from attnbench import Layer


class Products(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.inner = nn.Linear(d, d, bias=False)

    def forward(self, x):
        for _ in range({times}):
            y = self.inner(x)
        return y


LAYER = Layer("changing", lambda d: Products(d))
"""
PAIRS = """
from torch import nn

from attnbench import Layer


class Pairs(nn.Module):
    def forward(self, x):
        return (x @ x.transpose(1, 2)) @ x


LAYER = Layer("changing", lambda d: Pairs())
"""
VERSIONS = {
    "base": PRODUCTS.format(times=10),
    "the same code": PRODUCTS.format(times=10),
    "10 % slower": PRODUCTS.format(times=11),
    "another law": PAIRS,
}
SUITE = {
    "title": "Changes",
    "metrics": ["flops", "time"],
    "sweep": [
        {"layers": ["changing"], "b": [1], "n": [256, 512, 1024], "d": [256, 512, 1024]},
        {"layers": ["attention-core"], "b": [1], "n": [256, 512, 1024], "d": [256, 512, 1024]},
        {"layers": ["rnn"], "b": [32], "n": [8, 16, 32], "d": [256, 512]},
        {"layers": ["conv1d"], "b": [1], "n": [256, 512, 1024], "d": [128, 256], "k": [5, 9]},
    ],
}


def measured(name: str, code: str, budget: str, folder: Path) -> Run:
    """One run of the suite with this version of the plugin."""
    plugin = folder / name.replace(" ", "-").replace("%", "percent") / "changing.py"
    plugin.parent.mkdir()
    plugin.write_text(code, encoding="utf-8")
    suite = from_mapping({**SUITE, "budget": budget}, "changes", "benchmarks/changes.py")
    return run(suite, results=folder / "results", plugins=(str(plugin),))


def told(name: str, found: RunComparison) -> None:
    """Print what became of the trials and laws, those of the plugin and those of the others apart."""
    print(f"\n{name}")
    for title, mine in (("changing", True), ("the others", False)):
        trials = [trial for trial in found.trials if trial.trial.startswith("changing-") == mine]
        laws = [law for law in found.laws if (law.layer == "changing") == mine]
        changed = sum(trial.change in ("slower", "faster") for trial in trials)
        print(f"  {title}: {changed} of {len(trials)} trials changed ({percent(changed / max(1, len(trials)))})")
        for law in laws:
            print(f"    {law.layer} {law.metric}: {law.change}; {law.reason}")


def main() -> None:
    """Print three comparisons with the first run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="40s", help="clock of each run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = {version: measured(version, code, arguments.budget, folder) for version, code in VERSIONS.items()}
        base = runs.pop("base")
        for version, new in runs.items():
            told(version, compare(base, new))


if __name__ == "__main__":
    main()
