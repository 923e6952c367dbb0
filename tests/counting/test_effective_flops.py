"""Work as needed: closed formulas for layers whose structure is known, loops for convolutions, and what is refused."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

from attnbench.counting.effective_flops import effective_flops
from attnbench.counting.laws import count_laws
from attnbench.counting.trace import trace
from attnbench.errors import LayerError
from attnbench.formula import Formula
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from tests.counting.calling import layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[torch.Tensor], torch.Tensor]

B, N, D, H, W, C = 2, 9, 4, 2, 2, 3
SIZES = {"b": B, "n": N, "d": D}
CORE = 4 * B * N**2 * D
DENSE = 2 * B * N * D**2


def needed(function: Function) -> float:
    return effective_flops(layer_calling(function), SIZES)


def attention(x: torch.Tensor, allowed: torch.Tensor | None = None, *, causal: bool = False) -> torch.Tensor:
    return scaled_dot_product_attention(x, x, x, attn_mask=allowed, is_causal=causal)


def by_hand(x: torch.Tensor, forbidden: torch.Tensor) -> torch.Tensor:
    scores = x @ x.transpose(1, 2)
    return scores.masked_fill(forbidden, -math.inf).softmax(dim=-1) @ x


def block_diagonal(x: torch.Tensor) -> torch.Tensor:
    block = torch.arange(x.shape[1]) // C
    return by_hand(x, block[:, None] != block[None, :])


def windowed(x: torch.Tensor) -> torch.Tensor:
    """The work of 2w+1 keys at each position, those beyond the ends padded and masked."""
    n = x.shape[1]
    windows = pad(x, (0, 0, W, W)).unfold(1, 2 * W + 1, 1)  # (b, n, d, 2w+1)
    position = torch.arange(n)[:, None] + torch.arange(-W, W + 1)
    outside = (position < 0) | (position >= n)
    weights = (x[:, :, None] @ windows).masked_fill(outside[:, None], -math.inf).softmax(dim=-1)
    return (weights @ windows.transpose(2, 3)).squeeze(2)


# ------------------------------------------------------------------------------------------------- by formula

FUNCTIONS: dict[str, tuple[Function, int]] = {
    "core": (attention, CORE),
    "causal": (lambda x: attention(x, causal=True), 2 * B * N * (N + 1) * D),
    "causal-by-mask": (lambda x: attention(x, torch.ones(N, N).tril().bool()), 2 * B * N * (N + 1) * D),
    "causal-by-hand": (lambda x: by_hand(x, torch.ones(N, N).triu(1).bool()), 2 * B * N * (N + 1) * D),
    "windowed": (windowed, 4 * B * D * (N * (2 * W + 1) - W * (W + 1))),
    "block-diagonal": (block_diagonal, 4 * B * N * C * D),
    "weights-multiplied-away": (lambda x: (x @ x.transpose(1, 2)).tril() @ x, 2 * B * N * (N + 1) * D),
    "half-thrown-away": (lambda x: (x @ x.transpose(1, 2))[:, :, :D], 2 * B * N * D * D),
    "average-by-matrix": (lambda x: torch.ones(N, N).tril() @ x, B * N * (N + 1) * D),
    "only-to-choose": (lambda x: x * (x @ x.transpose(1, 2)).argmax(dim=-1, keepdim=True), 2 * B * N**2 * D),
    "choice-as-output": (lambda x: (x @ x.transpose(1, 2)).argmax(dim=-1), 2 * B * N**2 * D),
    "without-gradients": (lambda x: x + (x.detach() @ x.detach().transpose(1, 2)) @ x.detach(), CORE),
    "transform": (lambda x: torch.fft.fft(x, dim=1).real, round(5 * B * N * D * math.log2(N))),
}


@pytest.mark.parametrize(("function", "truth"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_what_is_needed_of_a_function_is_its_formula(function: Function, truth: int) -> None:
    assert needed(function) == pytest.approx(truth, abs=0.5 if function is FUNCTIONS["transform"][0] else 0)


class FirstOutput(nn.Module):
    """A recurrent module's outputs without its state."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.module(x)[0]
        return result


class SelfAttention(nn.Module):
    def __init__(self, *, need_weights: bool) -> None:
        super().__init__()
        self.module = nn.MultiheadAttention(D, H, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.module(x, x, x, need_weights=self.need_weights)[0]
        return result


def feed_forward(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(D, 4 * D), activation, nn.Linear(4 * D, D))


def starting_at_zero() -> nn.Module:
    module = nn.Linear(D, D)
    nn.init.zeros_(module.weight)
    return module


class Masked(nn.Module):
    """A trainable matrix behind a fixed mask: half of it is structure."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(N, N))
        self.register_buffer("mask", torch.ones(N, N).tril())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.weight * self.get_buffer("mask")) @ x


#: Of a first state of zeros nothing is needed, and neither is the gate that it passes (GRU: reset, LSTM: forget).
MODULES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "multi-head": (lambda: SelfAttention(need_weights=False), 4 * DENSE + CORE),
    "multi-head-with-weights": (lambda: SelfAttention(need_weights=True), 4 * DENSE + CORE),
    "rnn": (lambda: FirstOutput(nn.RNN(D, D, batch_first=True)), 2 * DENSE - 2 * B * D**2),
    "gru": (lambda: FirstOutput(nn.GRU(D, D, batch_first=True, bias=False)), 6 * DENSE - (3 + 1) * 2 * B * D**2),
    "gru-resetting-a-bias": (lambda: FirstOutput(nn.GRU(D, D, batch_first=True)), 6 * DENSE - 3 * 2 * B * D**2),
    "lstm": (lambda: FirstOutput(nn.LSTM(D, D, batch_first=True)), 8 * DENSE - (4 + 1) * 2 * B * D**2),
    "relu": (lambda: feed_forward(nn.ReLU()), 8 * DENSE),
    "hard-tanh": (lambda: feed_forward(nn.Hardtanh()), 8 * DENSE),
    "smooth": (lambda: feed_forward(nn.GELU()), 8 * DENSE),
    "dead": (lambda: feed_forward(nn.Threshold(math.inf, 0.0)), 0),
    "starting-at-zero": (starting_at_zero, DENSE),
    "masked-weights": (Masked, B * N * (N + 1) * D),
}


@pytest.mark.parametrize(("build", "truth"), MODULES.values(), ids=MODULES)
def test_what_is_needed_of_a_module_is_its_formula(build: Callable[[], nn.Module], truth: int) -> None:
    assert effective_flops(Layer("x", build), SIZES) == truth


class Convolution(nn.Module):
    """A kernel of width k over the sequence, centred or looking back."""

    def __init__(self, k: int, *, causal: bool) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(D, D, k) if causal else nn.Conv1d(D, D, k, padding="same")
        self.causal, self.reach = causal, k - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = x.transpose(1, 2)
        result: torch.Tensor = self.kernel(pad(values, (self.reach, 0)) if self.causal else values)
        return result.transpose(1, 2)


@pytest.mark.parametrize("n", [5, 6, 7, 11])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_padding_is_not_needed(n: int, k: int) -> None:
    sizes = SIZES | {"n": n}

    centred = effective_flops(Layer("x", lambda: Convolution(k, causal=False)), sizes)
    assert centred == 2 * B * D**2 * (k * n - (k**2 - 1) // 4)
    causal = effective_flops(Layer("x", lambda: Convolution(k, causal=True)), sizes)
    assert causal == 2 * B * D**2 * (k * n - k * (k - 1) // 2)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_convolutions_are_counted_tap_by_tap(stride: int, padding: int, dilation: int, transposed: bool) -> None:
    """Position s on the fine side and t on the coarse one meet in tap j where s = t·stride + j·dilation − padding."""
    kind = nn.ConvTranspose1d if transposed else nn.Conv1d

    def build() -> nn.Module:
        return kind(D, 2 * D, 3, stride=stride, padding=padding, dilation=dilation, groups=2)

    out = build()(torch.randn(1, D, N)).shape[-1]
    coarse, fine = (N, out) if transposed else (out, N)
    meetings = sum(0 <= t * stride + j * dilation - padding < fine for t in range(coarse) for j in range(3))

    found = effective_flops(Layer("x", build, inputs=lambda: torch.randn(B, D, N)), SIZES)
    assert found == 2 * B * meetings * D * (2 * D) // 2


def test_padding_of_images_is_not_needed() -> None:
    layer = Layer("x", lambda: nn.Conv2d(D, D, 3, padding=1), inputs=lambda: torch.randn(B, D, N, N))

    assert effective_flops(layer, SIZES) == 2 * B * D**2 * (3 * N - 2) ** 2


@pytest.mark.parametrize("name", ["attention-core", "multi-head-attention", "rnn", "gru", "conv1d"])
def test_the_needed_is_at_most_the_computed_and_the_same_every_time(name: str) -> None:
    layer = Registry().get(name)
    sizes = layer.complete(SIZES | ({"h": H} if "h" in layer.axes else {}))
    torch.manual_seed(1)
    state = torch.get_rng_state()

    first = effective_flops(layer, sizes)
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers are touched
    torch.manual_seed(2)
    assert effective_flops(layer, sizes) == first
    assert first <= trace(layer, sizes).flops


# --------------------------------------------------------------------------------------- what has no answer

calls = itertools.count()

REFUSED: dict[str, tuple[Function, str]] = {
    "unknown-operation": (
        lambda x: torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") @ x,
        r"contains aten\._cdist_forward\.default, which cannot be looked into; what is needed of it is not known",
    ),
    "not-finite": (
        lambda x: (x / 0) @ x.transpose(1, 2) @ x,
        r"gives numbers that are not finite; what is needed of it cannot be told",
    ),
    "other-work": (
        lambda x: x[:, : next(calls) + 1].tril() @ x[0, :D],
        r"does other work on other inputs; what is needed of it has no single answer",
    ),
    "single-precision": (
        lambda x: x @ torch.ones(D, D, dtype=torch.float32),
        r"raised RuntimeError in float64: expected .* same dtype.*",
    ),
}


@pytest.mark.parametrize(("function", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_answer_is_refused_in_one_line(function: Function, reason: str) -> None:
    with pytest.raises(LayerError, match=rf"^layer 'x' at b={B}, n={N}, d={D} {reason}$"):
        needed(function)


def test_an_inner_layer_cannot_hide_a_fused_kernel() -> None:
    def insisting(x: torch.Tensor) -> torch.Tensor:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return attention(x[:, None])[:, 0]

    with pytest.raises(LayerError, match=r"contains aten\._scaled_dot_product_flash_attention_for_cpu"):
        needed(insisting)


def test_a_tensor_made_on_the_way_is_as_precise_as_the_input() -> None:
    assert needed(lambda x: x @ torch.ones(D, D)) == DENSE
    assert torch.get_default_dtype() is torch.float32


def test_work_that_falls_with_the_heads_is_not_taken_for_a_line_through_two_points() -> None:
    layer = Registry().get("attention-multi-query")
    [law] = count_laws(layer, ["flops_needed"])

    for b, n, d, h in ((1, 5, 12, 3), (2, 4, 8, 8), (1, 9, 12, 6)):
        projected, attended = 4 * b * n * d**2 + 4 * b * n * d**2 // h, 2 * b * n * (n + 1) * d
        assert Formula(law.formula).evaluate({"b": b, "n": n, "d": d, "h": h}) == projected + attended
