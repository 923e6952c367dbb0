"""Steps hidden in a kernel: stated depths, exact sums of logarithms, and fused kernels as deep as their parts."""

from __future__ import annotations

import math
from math import log2
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnbench.counting.operators import log_depth_of
from attnbench.counting.operators.contract.operator import Call
from tests.counting.observing import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., object]
    Shapes = tuple[tuple[int, ...], ...]

aten = torch.ops.aten
B, N, D, H, K, M = 2, 11, 12, 3, 3, 5
X = (B, N, D)
WIDTH = D // H
HEADS = (B, H, N, WIDTH)
SAME_PLACE = torch.zeros(N, dtype=torch.long)

SOFTMAX = 3 + 2 * log2(N)
CORE = 1 + (1 + log2(WIDTH)) + SOFTMAX + (1 + log2(N))

STATED: dict[str, tuple[Function, Shapes, float]] = {
    "view": (lambda x: x.transpose(0, 1).unsqueeze(0), (X,), 0),
    "pointwise": (torch.tanh, (X,), 1),
    "copy": (torch.clone, (X,), 1),
    "sum": (torch.sum, (X,), log2(B * N * D)),
    "sum-of-columns": (lambda x: x.sum(1), (X,), log2(N)),
    "sum-of-one": (lambda x: x.sum(0), ((1, N),), 1),
    "mean": (lambda x: x.mean(1), (X,), 1 + log2(N)),
    "maximum": (lambda x: x.max(1), (X,), log2(N)),
    "maximum-of-two": (torch.maximum, (X, X), 1),
    "norm": (lambda x: torch.linalg.vector_norm(x, dim=1), (X,), 2 + log2(N)),
    "variance": (lambda x: x.var(1), (X,), 4 + 2 * log2(N)),
    "logsumexp": (lambda x: x.logsumexp(1), (X,), 4 + 2 * log2(N)),
    "product": (torch.matmul, ((N, D), (D, M)), 1 + log2(D)),
    "products": (torch.bmm, (X, (B, D, M)), 1 + log2(D)),
    "product-with-vector": (torch.mv, ((N, D), (D,)), 1 + log2(D)),
    "product-with-bias": (nn.Linear(D, M), ((N, D),), 2 + log2(D)),
    "products-without-their-bias": (
        lambda c, a, b: torch.baddbmm(c, a, b, beta=0),
        ((B, N, N), X, (B, D, N)),
        1 + log2(D),
    ),
    "outer-product": (torch.matmul, ((N, 1), (1, N)), 1),
    "softmax": (lambda x: x.softmax(1), (X,), SOFTMAX),
    "log-softmax": (lambda x: x.log_softmax(1), (X,), 1 + SOFTMAX),
    "scan": (lambda x: x.cumsum(1), (X,), log2(N)),
    "sort": (lambda x: x.sort(1), (X,), log2(N) ** 2),
    "largest": (lambda x: x.topk(2, dim=1), (X,), log2(N) ** 2),
    "transform": (lambda x: torch.fft.fft(x, dim=1), (X,), log2(N)),
    "transform-of-both": (lambda x: torch.ops.aten._fft_r2c(x, [1, 2], 0, True), (X,), log2(N * D)),
    "convolution": (nn.Conv1d(D, M, K, bias=False), ((B, D, N),), 1 + log2(K * D)),
    "convolution-with-bias": (nn.Conv1d(D, M, K), ((B, D, N),), 2 + log2(K * D)),
    "depthwise": (nn.Conv1d(D, D, K, groups=D, bias=False), ((B, D, N),), 1 + log2(K)),
    "transposed": (nn.ConvTranspose1d(D, M, K, bias=False), ((B, D, N),), 1 + log2(K * D)),
    "transposed-depthwise": (nn.ConvTranspose1d(D, D, K, groups=D, bias=False), ((B, D, N),), 1 + log2(K)),
    "layer-norm": (lambda x: functional.layer_norm(x, (D,)), (X,), 6 + 2 * log2(D)),
    "layer-norm-with-factors": (nn.LayerNorm(D), (X,), 8 + 2 * log2(D)),
    "group-norm": (nn.GroupNorm(2, D), ((B, D, N),), 8 + 2 * log2(D // 2 * N)),
    "batch-norm-in-training": (nn.BatchNorm1d(D, track_running_stats=False), ((B, D, N),), 1 + 8 + 2 * log2(B * N)),
    "batch-norm": (nn.BatchNorm1d(D).eval(), ((B, D, N),), 1 + 4),  # one for an allocation
    "fused-attention": (functional.scaled_dot_product_attention, (HEADS,) * 3, CORE),
    "fused-masked-attention": (functional.scaled_dot_product_attention, (*(HEADS,) * 3, (N, N)), CORE + 1),
    "accumulate": (
        lambda x, y: x.index_put((SAME_PLACE,), y, accumulate=True),
        ((M, D), (N, D)),
        log2(N),
    ),
    "a-chain": (lambda x, w: (x @ w).tanh().sum(0), ((N, D), (D, M)), (1 + log2(D)) + 1 + log2(N)),
    "unknown": (lambda x: aten._cdist_forward(x, x, 2.0, 2), ((N, D),), 1),
}


@pytest.mark.parametrize(("function", "shapes", "truth"), STATED.values(), ids=STATED)
def test_each_kind_of_kernel_is_as_deep_as_stated(function: Function, shapes: Shapes, truth: float) -> None:
    with torch.no_grad():
        found = observed(log_depth_of, function, *(torch.randn(shape) for shape in shapes))

    assert found == pytest.approx(truth, rel=1e-12)


def test_a_chain_of_products_is_an_exact_combination_of_logarithms() -> None:
    """Unrounded: twice the length adds one step to every tree over it, whatever the length."""

    def depth(n: int) -> float:
        x = torch.randn(n, n)
        return observed(log_depth_of, lambda: (x @ x).softmax(-1) @ x)

    for n in (3, 7, 12):
        assert depth(2 * n) - depth(n) == pytest.approx(1 + 2 + 1, rel=1e-12)


def test_fused_attention_is_as_deep_as_its_definition() -> None:
    """By definition the key is scaled beside the query and not after it: one more operation, no more depth."""
    heads = [torch.randn(HEADS, dtype=torch.float64) for _ in range(3)]
    with sdpa_kernel(SDPBackend.MATH):
        parts = observed(log_depth_of, functional.scaled_dot_product_attention, *heads)

    assert parts - 1 == pytest.approx(CORE)


@pytest.mark.parametrize(("n", "d"), [(4, 4), (11, 4), (4, 64)])
def test_a_core_is_logarithmically_deep_and_a_recurrence_linearly(n: int, d: int) -> None:
    x = torch.randn(1, n, d)
    heads = x[:, None]
    core = observed(log_depth_of, functional.scaled_dot_product_attention, heads, heads, heads)
    steps = log_depth_of(fused(nn.RNN(d, d, bias=False, batch_first=True), x))

    assert core == pytest.approx(6 + log2(d) + 3 * log2(n))
    assert steps == pytest.approx(n * (3 + log2(d)))


def fused(module: nn.RNNBase, x: torch.Tensor) -> Call:
    """The one operation that inference sees of a recurrence."""
    operation = {"RNN_TANH": aten.rnn_tanh.input, "GRU": aten.gru.input, "LSTM": aten.lstm.input}[module.mode]
    directions = 2 if module.bidirectional else 1
    state = torch.zeros(module.num_layers * directions, x.shape[0], module.hidden_size)
    states = [state, state] if module.mode == "LSTM" else state
    flags = (module.bias, module.num_layers, 0.0, False, module.bidirectional, module.batch_first)
    return Call(operation, (x, states, [*module.parameters()], *flags), {})


def longest_chain(module: nn.Module, x: torch.Tensor) -> float:
    """Through the steps that a recurrence is made of; every kernel waits for all it reads, views wait for nothing."""
    behind: dict[int, float] = {}
    kept: list[Any] = []

    def reading(call: Call) -> float:
        read = [
            leaf for leaf in torch.utils._pytree.tree_leaves((call.args, call.kwargs)) if isinstance(leaf, torch.Tensor)
        ]
        made = [leaf for leaf in torch.utils._pytree.tree_leaves(call.output) if isinstance(leaf, torch.Tensor)]
        depth = max((behind.get(id(one), 0.0) for one in read), default=0.0)
        depth += log_depth_of(call) if read else 0
        kept.extend((read, made))  # an id is good for as long as its tensor lives
        behind.update((id(one), depth) for one in made)
        return 0.0

    with torch.no_grad():
        observed(reading, module, x)
    return max(behind.values())


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("n", "d"), [(1, 4), (5, 4), (6, 7)])
def test_a_fused_recurrence_is_as_deep_as_its_steps(kind: type[nn.RNNBase], bias: bool, n: int, d: int) -> None:
    """Float64 keeps oneDNN away; the last kernel puts the outputs of all steps together."""
    module = kind(d, d, bias=bias, batch_first=True, dtype=torch.float64)
    x = torch.randn(1, n, d, dtype=torch.float64)

    assert log_depth_of(fused(module, x)) == pytest.approx(longest_chain(module, x) - 1)


def test_layers_of_a_recurrence_follow_each_other_and_directions_do_not() -> None:
    x = torch.randn(B, N, D)
    one = log_depth_of(fused(nn.GRU(D, D, batch_first=True), x))
    both = log_depth_of(fused(nn.GRU(D, D, batch_first=True, bidirectional=True), x))
    three = log_depth_of(fused(nn.GRU(D, D, 3, batch_first=True), x))
    by_onednn = nn.LSTM(D, D, batch_first=True)

    assert both == one
    assert three == pytest.approx(3 * one)
    first = log_depth_of(fused(by_onednn, x))
    with torch.no_grad():
        assert (
            observed(lambda call: log_depth_of(call) if "mkldnn" in str(call.operation) else 0, by_onednn, x) == first
        )


def test_fused_layers_of_a_transformer_are_their_parts_in_sequence() -> None:
    attention = (2 + log2(D)) + CORE + (2 + log2(D))
    encoder = nn.TransformerEncoderLayer(D, H, 4 * D, batch_first=True).eval()
    inner = encoder.self_attn
    weights = (inner.in_proj_weight, inner.in_proj_bias, inner.out_proj.weight, inner.out_proj.bias)
    norms = (encoder.norm1.weight, encoder.norm1.bias, encoder.norm2.weight, encoder.norm2.bias)
    dense = (encoder.linear1.weight, encoder.linear1.bias, encoder.linear2.weight, encoder.linear2.bias)
    x = torch.randn(X)
    with torch.no_grad():
        multi_head = observed(log_depth_of, torch._native_multi_head_attention, x, x, x, D, H, *weights)
        whole = observed(
            log_depth_of, torch._transformer_encoder_layer_fwd, x, D, H, *weights, False, False, 1e-5, *norms, *dense
        )

    assert multi_head == pytest.approx(attention)
    assert whole == pytest.approx(attention + (2 + log2(D)) + 1 + (2 + log2(4 * D)) + 2 * (1 + 8 + 2 * log2(D)))


def gradient(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> float:
    leaves = [one.requires_grad_() for one in inputs]
    result = function(*leaves)
    return observed(log_depth_of, lambda: torch.autograd.grad(result, leaves, result.detach()))


def test_derivatives_are_as_deep_as_stated() -> None:
    kernel, heads = torch.randn(M, D, K), [torch.randn(HEADS) for _ in range(3)]
    again = 1 + (1 + log2(WIDTH)) + 2

    assert gradient(lambda x: x.softmax(1), torch.randn(X)) == pytest.approx(3 + log2(N))
    assert gradient(lambda x: functional.layer_norm(x, (D,)), torch.randn(X)) == pytest.approx(8 + log2(D))
    assert gradient(functional.conv1d, torch.randn(B, D, N), kernel) == pytest.approx(
        1 + max(log2(K * M), log2(B * (N - K + 1)))
    )
    assert gradient(functional.scaled_dot_product_attention, *heads) == pytest.approx(again + 1 + (1 + log2(N)) + 1)
    assert math.isclose(gradient(torch.tanh, torch.randn(X)), 1)
