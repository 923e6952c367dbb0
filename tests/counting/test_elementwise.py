"""Element-wise work: stated numbers, kernels fused and opened that cost the same, and a table without gaps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnbench.counting.operators import TABLE, elementwise_of, is_free
from attnbench.counting.operators.contract.costs import nothing
from attnbench.counting.operators.contract.operator import Call
from tests.counting.observing import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., object]

aten = torch.ops.aten
B, N, D, H, M = 2, 7, 12, 3, 5
X = (B, N, D)
HEADS = (B, H, N, D // H)
NUMBERS, SCORES = B * N * D, B * H * N**2
#: What a merge sort compares, row by row.
SORT = NUMBERS * math.ceil(math.log2(D))

STATED: dict[str, tuple[Function, tuple[tuple[int, ...], ...], int]] = {
    "add": (torch.add, (X, X), NUMBERS),
    "broadcast": (torch.mul, ((B, N, 1), (B, 1, M)), B * N * M),
    "exp": (torch.exp, (X,), NUMBERS),
    "tanh-in-place": (torch.tanh_, (X,), NUMBERS),
    "gelu": (functional.gelu, (X,), NUMBERS),
    "comparison": (lambda x: x > 0, (X,), NUMBERS),
    "mask": (lambda x: x.masked_fill(x.new_ones(X, dtype=torch.bool), 0.0), (X,), NUMBERS),
    "choice": (lambda x, y: torch.where(x.new_ones(X, dtype=torch.bool), x, y), (X, X), NUMBERS),
    "sum": (torch.sum, (X,), NUMBERS),
    "mean-of-rows": (lambda x: x.mean(-1), (X,), NUMBERS),
    "maximum-of-rows": (lambda x: x.max(-1), (X,), NUMBERS),
    "maximum-of-two": (torch.maximum, (X, X), NUMBERS),
    "norm": (lambda x: torch.linalg.vector_norm(x, dim=-1), (X,), 2 * NUMBERS),
    "variance": (lambda x: x.var(-1), (X,), 4 * NUMBERS),
    "logsumexp": (lambda x: x.logsumexp(-1), (X,), 4 * NUMBERS),
    "softmax": (lambda x: x.softmax(-1), (X,), 5 * NUMBERS),
    "log-softmax": (lambda x: x.log_softmax(1), (X,), 5 * NUMBERS),
    "scan": (lambda x: x.cumsum(1), (X,), NUMBERS),
    "sort": (lambda x: x.sort(-1), (X,), SORT),
    "argsort-of-columns": (lambda x: x.argsort(1), (X,), NUMBERS * math.ceil(math.log2(N))),
    "stable-sort": (lambda x: x.sort(dim=1, stable=True), (X,), NUMBERS * math.ceil(math.log2(N))),
    "largest": (lambda x: x.topk(2), (X,), SORT),
    "sort-of-one": (lambda x: x.sort(-1), ((B, 1),), 0),
    "layer-norm": (lambda x: functional.layer_norm(x, (D,)), (X,), 5 * NUMBERS),
    "layer-norm-with-factors": (nn.LayerNorm(D), (X,), 7 * NUMBERS),
    "group-norm": (nn.GroupNorm(2, D), ((B, D, N),), 7 * NUMBERS),
    "batch-norm-in-training": (nn.BatchNorm1d(D, track_running_stats=False), ((B, D, N),), 7 * NUMBERS),
    "batch-norm": (nn.BatchNorm1d(D).eval(), ((B, D, N),), 4 * NUMBERS),
    "average-windows": (lambda x: functional.avg_pool1d(x, 3, stride=1), (X,), 3 * B * N * (D - 2)),
    "maximum-windows": (lambda x: functional.max_pool1d(x, 3, stride=1), (X,), 3 * B * N * (D - 2)),
    "scatter-add": (lambda x, y: x.index_add(1, torch.arange(M), y), (X, (B, M, D)), B * M * D),
    "accumulate": (
        lambda x, y: x.index_put((torch.tensor([0, 0]),), y, accumulate=True),
        ((M, D), (2, D)),
        2 * D,
    ),
    "product": (torch.matmul, (X, (D, M)), 0),
    "product-with-bias": (nn.Linear(D, M), (X,), B * N * M),
    "bias-times-nothing": (lambda c, a, b: torch.baddbmm(c, a, b, beta=0), ((B, N, N), X, (B, D, N)), 0),
    "bias-of-products": (torch.baddbmm, ((B, N, N), X, (B, D, N)), B * N**2),
    "convolution": (nn.Conv1d(D, M, 3, bias=False), ((B, D, N),), 0),
    "convolution-with-bias": (nn.Conv1d(D, M, 3), ((B, D, N),), B * M * (N - 2)),
    "transform": (torch.fft.rfft, (X,), 0),
    "views": (lambda x: x.transpose(1, 2).unsqueeze(0).expand(3, B, D, N)[0].unbind(0), (X,), 0),
    "copies": (lambda x: torch.cat([x, x.clone(), x.flip(1), x.roll(1, 1)]).to(torch.float64), (X,), 0),
    "overwriting": (lambda x: x.copy_(x.new_zeros(X)).fill_(1), (X,), 0),
    "allocations": (lambda: (torch.zeros(5), torch.arange(5), torch.randn(5), torch.empty(5)), (), 0),
    "choice-by-index": (lambda x: x[:, torch.tensor([2, 0])].gather(1, torch.zeros(B, 1, D).long()), (X,), 0),
}


@pytest.mark.filterwarnings("ignore:.*non-writable.*")
@pytest.mark.parametrize(("function", "shapes", "truth"), STATED.values(), ids=STATED)
def test_each_kind_of_work_costs_what_is_stated(
    function: Function, shapes: tuple[tuple[int, ...], ...], truth: int
) -> None:
    with torch.no_grad():
        assert observed(elementwise_of, function, *(torch.randn(shape) for shape in shapes)) == truth


def gradient(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> float:
    """Work of the backward pass alone."""
    leaves = [one.requires_grad_() for one in inputs]
    result = function(*leaves)
    return observed(elementwise_of, lambda: torch.autograd.grad(result, leaves, torch.ones_like(result)))


DERIVATIVES = {
    "tanh": (torch.tanh, NUMBERS),
    "relu": (torch.relu, NUMBERS),
    "softmax": (lambda x: x.softmax(-1), 4 * NUMBERS),
    "sum": (lambda x: x.sum(-1), 0),
    "slice": (lambda x: x[:, 1:], 0),
    "layer-norm": (lambda x: functional.layer_norm(x, (D,)), 9 * NUMBERS),
}


@pytest.mark.parametrize(("function", "truth"), DERIVATIVES.values(), ids=DERIVATIVES)
def test_derivatives_cost_what_is_stated(function: Callable[[torch.Tensor], torch.Tensor], truth: int) -> None:
    assert gradient(function, torch.randn(X)) == truth


def test_gradients_of_factors_and_bias_cost_extra() -> None:
    weight, bias = torch.randn(D), torch.randn(D)
    kernel = torch.randn(M, D, 3)

    assert gradient(lambda x, w, b: functional.layer_norm(x, (D,), w, b), torch.randn(X), weight, bias) == 13 * NUMBERS
    assert gradient(functional.conv1d, torch.randn(B, D, N), kernel, torch.randn(M)) == B * M * (N - 2)
    assert gradient(functional.conv1d, torch.randn(B, D, N), kernel) == 0


# ---------------------------------------------------------------------------------- fused kernels, opened


def test_fused_attention_is_a_scaling_and_a_softmax_of_every_score() -> None:
    heads = [torch.randn(HEADS) for _ in range(3)]

    assert observed(elementwise_of, functional.scaled_dot_product_attention, *heads) == 6 * SCORES
    masked = observed(elementwise_of, functional.scaled_dot_product_attention, *heads, torch.zeros(N, N))
    assert masked == 7 * SCORES
    assert gradient(functional.scaled_dot_product_attention, *heads) == 6 * SCORES + 2 * NUMBERS


def test_fused_attention_costs_what_its_definition_costs_but_for_where_it_scales() -> None:
    """By definition query and key are scaled, each by the root of the scale, and not the scores."""
    heads = [torch.randn(HEADS) for _ in range(3)]
    with sdpa_kernel(SDPBackend.MATH):
        by_definition = observed(elementwise_of, functional.scaled_dot_product_attention, *heads)

    assert by_definition - 2 * NUMBERS == 6 * SCORES - SCORES


RECURRENCES = (
    (nn.RNN, aten.rnn_tanh.input, 2, 1),
    (nn.GRU, aten.gru.input, 10, 3),
    (nn.LSTM, aten.lstm.input, 13, 4),
)


@pytest.mark.parametrize(("kind", "fused", "cell", "gates"), RECURRENCES, ids=["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("bias", "layers", "both_ways"), [(False, 1, False), (True, 1, False), (True, 2, True)])
def test_a_fused_recurrence_costs_what_its_steps_cost(
    kind: type[nn.RNNBase], fused: Any, cell: int, gates: int, bias: bool, layers: int, both_ways: bool
) -> None:
    module = kind(D, M, layers, bias=bias, bidirectional=both_ways, batch_first=True, dtype=torch.float64)
    x = torch.randn(X, dtype=torch.float64)  # a precision that oneDNN leaves alone
    with torch.no_grad():
        opened = observed(elementwise_of, module, x)

    state = torch.zeros(layers * (1 + both_ways), B, M)
    states = [state, state] if kind is nn.LSTM else state
    args = (x, states, [*module.parameters()], bias, layers, 0.0, False, both_ways, True)
    assert elementwise_of(Call(fused, args, {})) == opened
    assert opened == B * N * layers * (1 + both_ways) * M * (cell + 2 * gates * bias)


@pytest.mark.parametrize("bias", [False, True])
def test_a_recurrence_of_onednn_costs_the_same(bias: bool) -> None:
    module = nn.LSTM(D, M, bias=bias, batch_first=True)
    truth = B * N * M * (13 + 8 * bias)
    x = torch.randn(X, requires_grad=True)

    result = module(x)[0]
    assert observed(elementwise_of, lambda: module(x)) == truth
    backward = observed(elementwise_of, lambda: torch.autograd.grad(result, [x, *module.parameters()], result))
    assert backward == B * N * M * (14 + 4 * bias)


def weights_of(module: nn.MultiheadAttention) -> tuple[torch.Tensor, ...]:
    return module.in_proj_weight, module.in_proj_bias, module.out_proj.weight, module.out_proj.bias


def test_the_fused_multi_head_layer_costs_what_its_parts_cost() -> None:
    """A mode that looks on keeps torch from the fused layer, so it is called by its own name here."""
    module, x = nn.MultiheadAttention(D, H, batch_first=True).eval(), torch.randn(X)
    fused = torch._native_multi_head_attention
    with torch.no_grad():
        parts = observed(elementwise_of, lambda: module(x, x, x, need_weights=False))
        plain = observed(elementwise_of, lambda: fused(x, x, x, D, H, *weights_of(module), need_weights=False))
        averaged = observed(elementwise_of, lambda: fused(x, x, x, D, H, *weights_of(module)))

    assert plain == parts == 6 * SCORES + 4 * NUMBERS
    assert averaged == plain + SCORES


def test_the_fused_encoder_layer_costs_what_its_parts_cost() -> None:
    module, x = nn.TransformerEncoderLayer(D, H, 4 * D, batch_first=True).eval(), torch.randn(X)
    norms = (module.norm1.weight, module.norm1.bias, module.norm2.weight, module.norm2.bias)
    dense = (module.linear1.weight, module.linear1.bias, module.linear2.weight, module.linear2.bias)
    parameters = (*weights_of(module.self_attn), False, False, 1e-5, *norms, *dense)
    with torch.no_grad():
        parts = observed(elementwise_of, module, x)
        whole = observed(elementwise_of, torch._transformer_encoder_layer_fwd, x, D, H, *parameters)

    assert whole == parts
    assert parts == 6 * SCORES + (4 + 9 + 2 + 14) * NUMBERS  # biases, dense layers, sums, normalisations


# ------------------------------------------------------------------------------------------------- the table


def test_every_reviewed_operation_was_looked_at_once() -> None:
    """What is known to be no matrix work says what it is instead, be it nothing."""
    silent = (one for one in TABLE.values() if one.flops is nothing and one.elementwise is None)

    assert [one.names for one in silent if not one.is_view] == []


def test_an_operation_that_nobody_knows_costs_nothing_here() -> None:
    """The audit names it, as it has no FLOPs either."""
    assert not is_free(aten._cdist_forward.default)
    assert elementwise_of(Call(aten._cdist_forward.default, (), {}, torch.ones(3))) == 0
