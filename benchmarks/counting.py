"""Other counters of FLOPs beside ours, each in a process of its own, in turn, on the same ten layers.

    python benchmarks/counting.py [--layers NAME …] [--formulas]

Each process imports what it needs, builds the layer at the same odd sizes and counts one call: torch's FlopCounterMode,
fvcore and calflops (where they are installed and run), and `attnbench count --at`. Prints for each whether it gives the
number that the layer's author derived by hand, and its seconds on the wall as a ratio to FlopCounterMode's. With
`--formulas`, `attnbench count`, which finds the formulas of all metrics, takes part too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from attnbench.formula import Formula
from attnbench.layers.registry import Registry
from attnbench.trial import Sizes

LAYERS = (
    "multi-head-attention attention-restricted lstm gru conv1d fourier-mixing linear-attention mamba-2 "
    "transformers-llama-block transformers-bert-block"
).split()
SIZES: Sizes = {"b": 3, "n": 96, "d": 48}
_BUILD = """
import torch
from attnbench.layers.registry import Registry
from attnbench.layers.building import apply, build_module, make_inputs
layer = Registry().get({layer!r})
module, inputs = build_module(layer, {sizes!r}), make_inputs(layer, {sizes!r})
"""
#: Name → a program that prints its FLOPs; one multiply-add is 2.
COUNTERS = {
    "FlopCounterMode": """
from torch.utils.flop_counter import FlopCounterMode
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    apply(module, inputs)
print(counter.get_total_flops())
""",
    "fvcore": """
import logging, fvcore.nn
logging.disable(logging.CRITICAL)
print(2 * fvcore.nn.FlopCountAnalysis(module, tuple(inputs)).total())
""",
    "calflops": """
from calflops import calculate_flops
print(calculate_flops(module, args=list(inputs), print_results=False, output_as_string=False)[0])
""",
}


def sizes_of(layer: str) -> Sizes:
    """The sizes of the comparison, completed by what the layer has beside them."""
    found = Registry().get(layer)
    return found.complete(SIZES | {axis: size for axis, size in {"c": 16, "w": 8}.items() if axis in found.axes})


def ran(arguments: list[str]) -> tuple[float, str]:
    """Seconds on the wall, and the last line printed; what went wrong where something did."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-W", "ignore", *arguments], capture_output=True, text=True, check=False)
    seconds, lines = time.perf_counter() - start, (done.stdout if done.returncode == 0 else done.stderr).strip()
    return seconds, lines if done.returncode == 0 else f"! {lines.splitlines()[-1][:60] if lines else done.returncode}"


def number(text: str) -> float | None:
    """The FLOPs that a program printed; None where it did not get there."""
    try:
        return float(json.loads(text)["values"]["flops"] if text.startswith("{") else text.splitlines()[-1])
    except (ValueError, KeyError, IndexError):
        return None


def compare(layer: str, *, formulas: bool) -> None:
    """Print one layer's rows."""
    sizes = sizes_of(layer)
    true = float(Formula(Registry().get(layer).claims.given["flops"]).evaluate(sizes))
    programs = {name: ["-c", _BUILD.format(layer=layer, sizes=sizes) + text] for name, text in COUNTERS.items()}
    at = ",".join(f"{axis}={size}" for axis, size in sizes.items())
    programs["count --at"] = ["-m", "attnbench", "count", layer, "--at", at, "--json"]
    if formulas:
        programs["count"] = ["-m", "attnbench", "count", layer]
    yardstick = 0.0
    for name, arguments in programs.items():
        seconds, text = ran(arguments)
        yardstick = yardstick or seconds
        found = number(text)
        said = (
            "formulas" if name == "count" else "right" if found == true else text if found is None else f"{found:.0f}"
        )
        print(f"{layer:26} {name:16} {seconds / yardstick:6.2f} ×  {said}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--formulas", action="store_true", help="also find the formulas of all metrics")
    asked = parser.parse_args()
    for layer in asked.layers:
        compare(layer, formulas=asked.formulas)


if __name__ == "__main__":
    main()
