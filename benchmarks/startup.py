"""How long the light commands take beside ``python -c "import click"``, interleaved in one run.

    python benchmarks/startup.py

Prints the smallest time of each over 15 rounds, and its ratio to importing click.
"""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 15
COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "attnbench --help": [sys.executable, "-m", "attnbench", "--help"],
    "attnbench list": [sys.executable, "-m", "attnbench", "list"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one process, its output thrown away."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            best[name] = min(best[name], seconds(command))
    for name, value in best.items():
        print(f"{name:<20} {1000 * value:6.1f} ms   {value / best['import click']:.2f} ×")


if __name__ == "__main__":
    main()
