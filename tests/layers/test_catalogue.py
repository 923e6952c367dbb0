"""The layers that avoid all pairs, and those that gate, group and scan: bytes by hand, paths and depth as claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from attnbench.counting.laws import count_at, count_laws
from attnbench.counting.trace import Way, trace
from attnbench.formula import Formula
from attnbench.law import Verdict
from attnbench.layers.building import build_module
from attnbench.layers.registry import BUILT_IN, Registry

if TYPE_CHECKING:
    from attnbench.trial import Sizes

REGISTRY = Registry()
FAMILIES = ("mixing", "pooling")
MORE = (
    "sru",
    "min-gru",
    "rg-lru",
    "mamba-2",
    "state-space-diagonal",
    "conv1d-depthwise",
    "conv1d-grouped",
    "conv1d-gated",
    "identity",
)
CATALOGUE = [name for name, module in BUILT_IN.items() if module.partition(".")[0] in FAMILIES or name in MORE]

#: Bytes of float32 alive at the fullest moment, from the names in each forward pass.
PEAK_BYTES = {
    "identity": "0",
    "conv1d-depthwise": "4*b*n*d",
    "conv1d-grouped": "4*b*n*d",
    "conv1d-gated": "4*b*(n + k - 1)*d + 16*b*n*d",  # padded, values and gates, open gates, output
    "sru": "4*b*(5*n + 3)*d",  # three products, the outputs side by side and stacked; a cell and two gates
    "min-gru": "20*b*n*d",  # factor, state, both halves of a merge, and their join
    "fourier-mixing": "16*b*n*d",  # complex numbers before and after
    "token-mlp": "max(8*b*m*d, 4*b*m*d + 4*b*n*d)",
    "gated-mlp": "36*b*n*d",  # values and gates side by side, mixed gates, their product, and the output
    "attention-synthesizer": "8*b*n**2 + 8*b*n*d",  # scores and weights, hidden numbers or values and the output
    "kernel-regression": "8*b*n**2 + 8*b*n*d + 4*b*n",  # scores and weights, scaled input and output, norms
    "squeeze-excitation": "4*b*n*d + 4*b*d",  # the output and the gates
    "state-space-diagonal": "max(20*m*n*d + 8*n*d + 8*n, 16*b*n*d + 16*b*d + 12*n*d + 8*d, 24*b*n*d + 8*b*d + 4*n*d)",
}
SIZES: tuple[Sizes, ...] = ({"b": 2, "n": 60, "d": 12}, {"b": 3, "n": 65, "d": 24})
#: Recurrences, whose steps wait for one another; all others take as many kernels whatever the length.
HOPS = {"sru": "n", "min-gru": "log2(n)", "rg-lru": "log2(n)", "mamba-2": "n/c"}


@pytest.mark.parametrize("name", PEAK_BYTES)
def test_the_bytes_alive_are_those_worked_out_by_hand(name: str) -> None:
    for given in SIZES:
        sizes = REGISTRY.get(name).complete(given)

        assert count_at(REGISTRY.get(name), sizes).peak_bytes == Formula(PEAK_BYTES[name]).evaluate(sizes)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_path_is_of_the_class_that_is_claimed_and_the_depth_grows_with_it(name: str) -> None:
    layer = REGISTRY.get(name)
    (law,) = count_laws(layer, ("hops",))
    depths = [trace(layer, layer.complete({"n": n, "d": 12}), way=Way.STEPPED).depth for n in (64, 128)]

    assert law.verdict is Verdict.CONFIRMED
    assert law.claim == HOPS.get(name, law.claim)
    assert (depths[0] < depths[1]) == (name in HOPS)


@pytest.mark.parametrize("h", [1, 2, 4])
def test_the_summary_of_linear_attention_shrinks_with_the_heads(h: int) -> None:
    (law,) = count_laws(REGISTRY.get("attention-linear"), ("flops_needed",))
    sizes = {"b": 2, "n": 100, "d": 16, "h": h}

    products = 4 * 100 * 16**2 + 2 * 100 * (16**2 // h) + 100 * 16  # projections, summary and its reading, norm
    assert Formula(law.formula).evaluate(sizes) == 2 * 2 * products


@pytest.mark.parametrize("name", ["rg-lru", "mamba-2", "gated-delta-rule"])
def test_decays_that_leave_nothing_keep_outputs_and_gradients_finite(name: str) -> None:
    layer = REGISTRY.get(name)
    module = build_module(layer, layer.complete({"n": 40, "d": 8}))
    x = (1e3 * torch.randn(2, 40, 8)).requires_grad_()

    output = module(x)
    (gradient,) = torch.autograd.grad(output.sum(), x)

    assert bool(output.isfinite().all())
    assert bool(gradient.isfinite().all())
