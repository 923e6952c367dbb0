"""Fused attention and whole layers of transformers, held against their parts."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from attnbench.counting.counter import Counter
from attnbench.counting.operators import flops_of
from attnbench.counting.operators.contract.operator import Call
from attnbench.counting.trace import Way, trace
from attnbench.layers.base import Layer
from attnbench.measure.memory import allocator_peak
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


class Fused(nn.Module):
    """Attention with projections as one operation of torch, called by its own name."""

    def __init__(self, *, averaged: bool) -> None:
        super().__init__()
        self.module, self.averaged = nn.MultiheadAttention(D, H, batch_first=True), averaged

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parameters = parameters_of(self.module)
        return torch._native_multi_head_attention(x, x, x, D, H, *parameters, need_weights=self.averaged)[0]


@pytest.mark.parametrize("way", [Way.WHOLE, Way.OPENED])
def test_the_fused_multi_head_layer_costs_what_its_parts_cost(way: Way) -> None:
    plain = trace_of_module(lambda: Fused(averaged=False), X, way=way)
    averaged = trace_of_module(lambda: Fused(averaged=True), X, way=way)

    assert plain.flops == averaged.flops == 8 * B * N * D**2 + FLOPS
    # Queries are scaled, and not the scores; biases of three projections and of one.
    assert plain.elementwise == 5 * SCORES + (1 + 3 + 1) * NUMBERS
    assert averaged.elementwise == plain.elementwise + SCORES
    assert plain.log_depth == pytest.approx((2 + log2(D)) + DEPTH + (2 + log2(D)))
    assert plain.opened == ("aten._native_multi_head_attention.default",)


def encoder_of(d: int, h: int, **options: Any) -> nn.Module:
    return nn.TransformerEncoderLayer(d, h, 4 * d, batch_first=True, **options)


class Attending(nn.Module):
    """Self-attention with a mask of nothing, if any."""

    def __init__(self, d: int, h: int, **options: Any) -> None:
        super().__init__()
        self.module, self.options = nn.MultiheadAttention(d, h, batch_first=True), {"need_weights": False} | options

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sizes = {"square": (x.shape[1], x.shape[1]), "rows": x.shape[:2]}
        options = {
            name: torch.zeros(sizes[given], dtype=torch.bool) if isinstance(given, str) else given
            for name, given in self.options.items()
        }
        result: torch.Tensor = self.module(x, x, x, **options)[0]
        return result


def encoder(heads: int, **options: Any) -> Callable[[], nn.Module]:
    return lambda: encoder_of(D, heads, **options)


@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"activation": "gelu"}], ids=str)
def test_the_fused_encoder_layer_costs_what_its_parts_cost(options: dict[str, Any]) -> None:
    fused = trace_of_module(encoder(2, **options), X)
    parts = trace_of_module(encoder(2, **options), X, way=Way.STEPPED)

    assert fused.opened
    assert not parts.opened
    assert fused.flops == parts.flops == 24 * B * N * D**2 + FLOPS
    # biases, dense layers, sums, normalisations; of the fused one, queries are scaled instead of scores
    assert parts.elementwise == 6 * B * 2 * N**2 + (4 + 9 + 2 + 14) * NUMBERS
    assert fused.elementwise == 5 * B * 2 * N**2 + (5 + 9 + 2 + 14) * NUMBERS


@pytest.mark.parametrize("heads", [1, 2, 3, 4])
def test_an_encoder_layer_is_as_deep_on_its_fast_path_as_on_its_slow_one(heads: int) -> None:
    """Odd numbers of heads keep torch from the fast path; fused attention is one kernel on both."""
    found = trace_of_module(encoder(heads), X, way=Way.STEPPED)

    joined_projection = (
        4  # a copy with positions first, a product, a bias, a copy that has queries, keys and values apart
    )
    assert found.depth == joined_projection + 1 + (1 + 2) + (3 + 2)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_layer_on_its_fast_path_is_traced_once_more_for_its_depth() -> None:
    counter = Counter(Layer("x", lambda d: encoder_of(d, 2)))

    assert [counter.trace({"b": 2, "n": 5, "d": 8}, way).depth for way in (Way.STEPPED, Way.OPENED)] == [13, 14]


#: Layers that run on fast paths: multi-head attention with masks, with its weights; encoders of every kind.
FAST: dict[str, Callable[[int, int], nn.Module]] = {
    "encoder": encoder_of,
    "wide-encoder": lambda d, h: nn.TransformerEncoderLayer(d, h, 16 * d, batch_first=True),
    "narrow-encoder": lambda d, h: nn.TransformerEncoderLayer(d, h, d // 4, batch_first=True, activation="gelu"),
    "encoder-that-normalises-first": lambda d, h: nn.TransformerEncoderLayer(
        d, h, 16 * d, batch_first=True, norm_first=True
    ),
    "stack": lambda d, h: nn.TransformerEncoder(encoder_of(d, h), 2, enable_nested_tensor=False),
    "multi-head": lambda d, h: Attending(d, h),
    "with-weights": lambda d, h: Attending(d, h, need_weights=True),
    "with-weights-of-each-head": lambda d, h: Attending(d, h, need_weights=True, average_attn_weights=False),
    "masked": lambda d, h: Attending(d, h, attn_mask="square"),
    "padded": lambda d, h: Attending(d, h, key_padding_mask="rows"),
}


@pytest.mark.parametrize("build", FAST.values(), ids=FAST)
@pytest.mark.parametrize(("b", "n", "d", "h"), [(1, 96, 16, 4), (3, 17, 64, 2)], ids=["long", "wide"])
def test_a_fast_path_is_counted_with_all_that_the_allocator_sees(
    build: Callable[[int, int], nn.Module], b: int, n: int, d: int, h: int
) -> None:
    """A trap: its kernel hides four times its output, the hidden units, and all scores."""
    layer = Layer("x", lambda d: build(d, h))

    found = trace(layer, {"b": b, "n": n, "d": d}, way=Way.OPENED)

    assert found.opened
    assert found.peak_bytes == allocator_peak(layer, {"b": b, "n": n, "d": d})


def test_the_peak_of_an_encoder_layer_is_scores_queries_keys_and_values() -> None:
    found = trace(Layer("x", lambda d: encoder_of(d, 4)), {"b": 1, "n": 2048, "d": 64}, way=Way.OPENED)

    assert found.peak_bytes == 4 * 4 * 2048**2 + 3 * 4 * 2048 * 64


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
