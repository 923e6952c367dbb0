"""What the commands that read runs cost beside ``python -c "import pandas"``, interleaved in one run.

    python benchmarks/commands.py [--rounds 5] [--beside FOLDER]

Prints the smallest wall time and the smallest processor time (user and system) of each command over the rounds, and
their ratios to importing pandas. With `--beside`, the same commands of another checkout take turns with ours, so that a
busy machine slows both: their ratio tells what a change was worth.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
YARDSTICK = "import pandas"
EXAMPLE = str(ROOT / "results" / "example")
#: What is fitted by `fit`; written before the first round.
TABLE = "samples.csv"
COMMANDS = {
    "list runs": ["list", "runs", "--results", str(ROOT / "results")],
    "laws": ["laws", EXAMPLE],
    "predict": ["predict", EXAMPLE, "rnn", "--at", "n=4096,d=512"],
    "export": ["export", EXAMPLE],
    "compare": ["compare", EXAMPLE, EXAMPLE],
    "fit": ["fit", TABLE, "--over", "n"],
    "report": ["report", EXAMPLE, "--reports", "reports"],
}

Cost = tuple[float, float]


def cost(arguments: list[str], checkout: Path, folder: Path) -> Cost:
    """Seconds on the wall and of processor time of one Python process, its output thrown away."""
    variables = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=folder, env=variables)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def least(costs: list[Cost]) -> Cost:
    """The smallest of each kind of seconds."""
    walls, processor = zip(*costs, strict=True)
    return min(walls), min(processor)


def measure(checkouts: list[Path], rounds: int, folder: Path) -> dict[tuple[str, Path], Cost]:
    """The least cost of each command of each checkout, and of the yardstick."""
    (folder / TABLE).write_text("n,seconds\n" + "".join(f"{2**k},{1e-6 * 4**k}\n" for k in range(4, 14)))
    costs: dict[tuple[str, Path], list[Cost]] = {}
    for _ in range(rounds):
        for name, arguments in {YARDSTICK: [], **COMMANDS}.items():
            program = ["-m", "attnbench", *arguments] if arguments else ["-c", YARDSTICK]
            for checkout in checkouts:
                costs.setdefault((name, checkout), []).append(cost(program, checkout, folder))
    return {which: least(found) for which, found in costs.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="another checkout, such as that before a change")
    asked = parser.parse_args()
    checkouts = [ROOT, *([asked.beside.resolve()] if asked.beside else [])]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(checkouts, asked.rounds, Path(folder))
    for checkout in checkouts:
        print(f"{checkout.name:<16} {'wall':>8} {'× pandas':>9} {'cpu':>8} {'× pandas':>9}")
        wall, processor = found[YARDSTICK, checkout]
        for name in (YARDSTICK, *COMMANDS):
            here = found[name, checkout]
            print(f"{name:<16} {here[0]:7.2f}s {here[0] / wall:9.2f} {here[1]:7.2f}s {here[1] / processor:9.2f}")


if __name__ == "__main__":
    main()
