"""Fused attention and whole layers of transformers, held against their parts."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from attnbench.counting.operators import flops_of
from attnbench.counting.operators.contract.operator import Call
from tests.counting.calling import Calling, trace_of, trace_of_module
from tests.counting.operators.stating import (
    NUMBERS,
    B,
    Costs,
    D,
    H,
    N,
    Stated,
    X,
    assert_costs,
    costs_of,
    gradient_costs,
    stated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = D // H
HEADS = (B, H, N, WIDTH)
SCORES = B * H * N**2
FLOPS = 4 * B * N**2 * D
DEPTH = 1 + (1 + log2(WIDTH)) + (3 + 2 * log2(N)) + (1 + log2(N))


def by_definition(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return scaled_dot_product_attention(query, key, value)


STATED = {
    "fused": stated(
        scaled_dot_product_attention, HEADS, HEADS, HEADS, flops=FLOPS, elementwise=6 * SCORES, log_depth=DEPTH
    ),
    "masked": stated(
        scaled_dot_product_attention, HEADS, HEADS, HEADS, (N, N), elementwise=7 * SCORES, log_depth=DEPTH + 1
    ),
    # Query and key are scaled, each by the root of the scale, and not the scores: one operation more, as deep.
    "by-definition": stated(
        by_definition, HEADS, HEADS, HEADS, flops=FLOPS, elementwise=5 * SCORES + 2 * NUMBERS, log_depth=DEPTH + 1
    ),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_its_derivative_makes_the_scores_once_more() -> None:
    counted = gradient_costs(scaled_dot_product_attention, *(torch.randn(HEADS) for _ in range(3)))

    again = 1 + (1 + log2(WIDTH)) + 2
    assert_costs(counted, Costs(5 * FLOPS // 2, 6 * SCORES + 2 * NUMBERS, again + 1 + (1 + log2(N)) + 1))


def parameters_of(module: nn.MultiheadAttention) -> tuple[torch.Tensor, ...]:
    return module.in_proj_weight, module.in_proj_bias, module.out_proj.weight, module.out_proj.bias


def test_the_fused_multi_head_layer_costs_what_its_parts_cost() -> None:
    """A mode that looks on keeps torch from the fused layer, so it is called by its own name here."""
    module, x = nn.MultiheadAttention(D, H, batch_first=True).eval(), torch.randn(X)
    fused = torch._native_multi_head_attention
    with torch.no_grad():
        parts = costs_of(lambda: module(x, x, x, need_weights=False))
        plain = costs_of(lambda: fused(x, x, x, D, H, *parameters_of(module), need_weights=False))
        averaged = costs_of(lambda: fused(x, x, x, D, H, *parameters_of(module)))

    assert plain.elementwise == parts.elementwise == 6 * SCORES + 4 * NUMBERS
    assert averaged.elementwise == plain.elementwise + SCORES
    assert_costs(averaged, Costs(log_depth=(2 + log2(D)) + DEPTH + (2 + log2(D))))


def test_the_fused_encoder_layer_costs_what_its_parts_cost() -> None:
    module, x = nn.TransformerEncoderLayer(D, H, 4 * D, batch_first=True).eval(), torch.randn(X)
    norms = (module.norm1.weight, module.norm1.bias, module.norm2.weight, module.norm2.bias)
    dense = (module.linear1.weight, module.linear1.bias, module.linear2.weight, module.linear2.bias)
    parameters = (*parameters_of(module.self_attn), False, False, 1e-5, *norms, *dense)
    with torch.no_grad():
        parts = costs_of(module, x)
        whole = costs_of(torch._transformer_encoder_layer_fwd, x, D, H, *parameters)

    attention = (2 + log2(D)) + DEPTH + (2 + log2(D))
    depth = attention + (2 + log2(D)) + 1 + (2 + log2(4 * D)) + 2 * (1 + 8 + 2 * log2(D))
    assert whole.elementwise == parts.elementwise
    # biases, dense layers, sums, normalisations
    assert_costs(whole, Costs(elementwise=6 * SCORES + (4 + 9 + 2 + 14) * NUMBERS, log_depth=depth))


@pytest.mark.parametrize("kernel", [scaled_dot_product_attention, by_definition], ids=["fused", "by-definition"])
def test_queries_keys_and_values_may_have_lengths_and_widths_of_their_own(kernel: Callable[..., torch.Tensor]) -> None:
    queries, keys, width, value_width = 5, 9, 4, 6

    found = trace_of(kernel, (B, H, queries, width), (B, H, keys, width), (B, H, keys, value_width))

    assert found.flops == 2 * B * H * queries * keys * (width + value_width)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_fewer_heads_of_keys_and_values_cost_the_same_work(groups: int) -> None:
    found = trace_of(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (B, 4, N, 6),
        (B, groups, N, 6),
        (B, groups, N, 6),
    )

    assert found.flops == 4 * B * 4 * N * N * 6
    assert found.uncounted == ()


@pytest.mark.parametrize("kernel", ["flash", "efficient", "cudnn", "fused_overrideable"])
def test_kernels_that_only_other_devices_have_are_counted_by_their_shapes(kernel: str) -> None:
    name = f"_scaled_dot_product_{kernel.replace('_overrideable', '')}_attention"
    operation = getattr(torch.ops.aten, name + ("_overrideable" if "overrideable" in kernel else "")).default
    query, key, value = (torch.empty(shape, device="meta") for shape in [(B, H, 5, 4), (B, H, 9, 4), (B, H, 9, 6)])

    assert flops_of(Call(operation, (query, key, value), {})) == 2 * B * H * 5 * 9 * (4 + 6)


@pytest.mark.parametrize("mask", ["causal", "band"])
def test_a_mask_saves_no_work_in_a_dense_kernel(mask: str) -> None:
    def masked(q: torch.Tensor) -> torch.Tensor:
        band = torch.ones(N, N, dtype=torch.bool).tril()
        options = {"is_causal": True} if mask == "causal" else {"attn_mask": band}
        return scaled_dot_product_attention(q, q, q, **options)

    assert trace_of(masked, HEADS).flops == FLOPS


@pytest.mark.parametrize("mask", ["src_mask", "src_key_padding_mask"])
def test_an_encoder_does_not_mistake_its_mask_for_weights(mask: str) -> None:
    shape = (N, N) if mask == "src_mask" else (B, N)

    def build() -> nn.Module:
        module = nn.TransformerEncoderLayer(D, H, 4 * D, batch_first=True).eval()
        return Calling(lambda x: module(x, **{mask: torch.zeros(shape, dtype=torch.bool)}))

    found = trace_of_module(build, X)

    assert found.flops == 24 * B * N * D**2 + FLOPS
    assert found.uncounted == ()
