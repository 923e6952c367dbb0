"""Convolutions, product by product, and what their gradients cost."""

from __future__ import annotations

import itertools
from math import log2

import pytest
import torch
from torch import nn
from torch.nn.functional import conv1d, conv_transpose1d
from torch.utils.flop_counter import FlopCounterMode

from attnbench.counting.trace import Way
from tests.counting.calling import trace_of
from tests.counting.operators.stating import B, Costs, D, K, M, N, Stated, assert_costs, gradient_costs, stated

COLUMNS = (B, D, N)
STATED = {
    "plain": stated(nn.Conv1d(D, M, K, bias=False), COLUMNS, elementwise=0, log_depth=1 + log2(K * D)),
    "with-bias": stated(nn.Conv1d(D, M, K), COLUMNS, elementwise=B * M * (N - K + 1), log_depth=2 + log2(K * D)),
    "depthwise": stated(nn.Conv1d(D, D, K, groups=D, bias=False), COLUMNS, log_depth=1 + log2(K)),
    "transposed": stated(nn.ConvTranspose1d(D, M, K, bias=False), COLUMNS, log_depth=1 + log2(K * D)),
    "transposed-depthwise": stated(nn.ConvTranspose1d(D, D, K, groups=D, bias=False), COLUMNS, log_depth=1 + log2(K)),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_the_gradient_of_a_bias_is_a_sum_and_those_of_both_factors_stand_side_by_side() -> None:
    x, kernel = torch.randn(COLUMNS), torch.randn(M, D, K)
    both = gradient_costs(conv1d, x, kernel)
    with_bias = gradient_costs(conv1d, x, kernel, torch.randn(M))

    assert_costs(both, Costs(elementwise=0, log_depth=1 + max(log2(K * M), log2(B * (N - K + 1)))))
    assert_costs(with_bias, Costs(elementwise=B * M * (N - K + 1)))


def test_a_depthwise_convolution_backward_is_counted_once_for_each_gradient() -> None:
    def forward_and_backward(x: torch.Tensor, weight: torch.Tensor) -> object:
        with torch.enable_grad():
            values, kernel = x.requires_grad_(), weight.requires_grad_()
            loss = conv1d(values, kernel, padding=1, groups=D).sum()
            return torch.autograd.grad(loss, [values, kernel])

    shapes, forward = (COLUMNS, (D, 1, 3)), 2 * B * 3 * N * D

    assert trace_of(forward_and_backward, *shapes, way=Way.OPENED).flops == 3 * forward
    with FlopCounterMode(display=False) as stock:
        forward_and_backward(*(torch.randn(shape) for shape in shapes))
    assert stock.get_total_flops() == (2 + D) * forward


@pytest.mark.parametrize("bias", [False, True])
def test_the_gradient_of_a_bias_is_a_sum_and_free(bias: bool) -> None:
    def forward_and_backward(x: torch.Tensor, weight: torch.Tensor, offset: torch.Tensor) -> object:
        with torch.enable_grad():
            wanted = [tensor.requires_grad_() for tensor in (weight, offset)[: 1 + bias]]
            return torch.autograd.grad(conv1d(x, weight, offset).sum(), wanted)

    found = trace_of(forward_and_backward, (B, D, N), (5, D, 3), (5,), way=Way.OPENED)

    assert found.flops == 2 * (2 * B * (N - 2) * 3 * D * 5)


CONVOLUTIONS = {
    "plain": {},
    "padded": {"padding": 2},
    "strided": {"stride": 3},
    "dilated": {"dilation": 2},
    "grouped": {"groups": 2},
    "depthwise": {"groups": 4},
    "all": {"groups": 2, "stride": 2, "padding": 3, "dilation": 2},
}


def multiply_adds(options: dict[str, int], length: int, k: int, into: int, out: int) -> int:
    """Every product of one sequence, one by one; taps on the padding are executed too."""
    groups, stride, dilation = (options.get(key, 1) for key in ("groups", "stride", "dilation"))
    first = -options.get("padding", 0)
    last = length - first - dilation * (k - 1)
    positions = range(first, last, stride)
    return sum(1 for _ in itertools.product(positions, range(out), range(into // groups), range(k)))


@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_are_counted_product_by_product(options: dict[str, int]) -> None:
    into, out, k, length = 4, 8, 3, 11
    weight = (out, into // options.get("groups", 1), k)

    found = trace_of(lambda x, w: conv1d(x, w, **options), (B, into, length), weight)

    assert found.flops == 2 * B * multiply_adds(options, length, k, into, out)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_transposed_convolution_spreads_every_input_number(groups: int) -> None:
    into, out, k, length = 4, 8, 3, 11
    products = itertools.product(range(length), range(into), range(out // groups), range(k))

    found = trace_of(
        lambda x, w: conv_transpose1d(x, w, stride=2, groups=groups), (B, into, length), (into, out // groups, k)
    )

    assert found.flops == 2 * B * sum(1 for _ in products)
