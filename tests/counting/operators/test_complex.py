"""Complex numbers: a multiply-add is four products and four sums of real ones, whatever makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn import functional

from attnbench.counting.effective_flops import effective_flops
from attnbench.counting.operators.contract.costs import multiply_add
from attnbench.counting.trace import Way, trace
from attnbench.layers.base import Layer
from tests.counting.calling import Calling, layer_calling, trace_of, trace_of_module
from tests.counting.operators.stating import NUMBERS, B, D, M, N, Stated, X, stated

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., torch.Tensor]


def of(function: Function) -> Function:
    """The function of complex numbers; their halves do not matter to what it costs."""
    return lambda *values: function(*(value.to(torch.complex64) for value in values))


STATED = {
    "product": stated(of(torch.matmul), (N, D), (D, M), flops=8 * N * D * M, elementwise=0),
    "batched": stated(of(torch.bmm), X, (B, D, M), flops=8 * B * N * D * M),
    "with-vector": stated(of(torch.mv), (N, D), (D,), flops=8 * N * D),
    "of-vectors": stated(of(torch.dot), (D,), (D,), flops=8 * D),
    "of-a-conjugate-vector": stated(of(torch.vdot), (D,), (D,), flops=8 * D),
    "with-bias": stated(of(torch.addmm), (N, M), (N, D), (D, M), flops=8 * N * D * M, elementwise=2 * N * M),
    "batched-with-bias": stated(of(torch.baddbmm), (B, N, N), X, (B, D, N), flops=8 * B * N**2 * D),
    "einsum": stated(
        of(lambda x, y: torch.einsum("bnd,bmd->bnm", x, y)), X, (B, M, D), flops=8 * B * N * M * D, elementwise=0
    ),
    "tensordot": stated(of(lambda x, y: torch.tensordot(x, y, 1)), X, (D, M), flops=8 * B * N * D * M),
    # Torch makes three convolutions of real numbers; 2 sums of inputs and 3 of outputs, a product by i, a complex sum.
    "convolution": stated(
        of(functional.conv1d),
        (B, D, N),
        (M, D, 1),
        flops=6 * B * N * D * M,
        elementwise=B * D * N + M * D + (3 + 2 + 2) * B * M * N,
    ),
    "sum-of-two": stated(of(torch.add), X, X, elementwise=2 * NUMBERS),
    "product-of-two": stated(of(torch.mul), X, X, flops=0, elementwise=6 * NUMBERS),
    "product-in-place": stated(of(lambda x, y: x.mul_(y)), X, X, elementwise=6 * NUMBERS),
    "product-with-a-real": stated(lambda x, y: x.to(torch.complex64) * y, X, X, elementwise=2 * NUMBERS),
    "product-with-a-real-number": stated(of(lambda x: 2.0 * x), X, elementwise=2 * NUMBERS),
    "product-with-a-complex-number": stated(of(lambda x: 2j * x), X, elementwise=6 * NUMBERS),
    "broadcast": stated(of(torch.mul), (B, N, 1), (B, 1, M), elementwise=6 * B * N * M),
    "quotient": stated(of(torch.div), X, X, elementwise=11 * NUMBERS),
    "quotient-by-a-real": stated(of(lambda x: x / 3), X, elementwise=2 * NUMBERS),
    "quotient-of-a-real": stated(lambda x, y: x / y.to(torch.complex64), X, X, elementwise=7 * NUMBERS),
    "square": stated(of(torch.square), X, elementwise=6 * NUMBERS),
    "absolute-value": stated(of(torch.abs), X, elementwise=4 * NUMBERS),
    "exponential": stated(of(torch.exp), X, elementwise=5 * NUMBERS),
    "conjugate": stated(of(torch.conj_physical), X, elementwise=NUMBERS),
    "from-size-and-angle": stated(torch.polar, X, X, elementwise=4 * NUMBERS),
    "from-halves": stated(torch.complex, X, X, flops=0, elementwise=0),
    "sum": stated(of(lambda x: x.sum(1)), X, elementwise=2 * NUMBERS),
    "product-of-all": stated(of(lambda x: x.prod(1)), X, elementwise=6 * NUMBERS),
    "running-sum": stated(of(lambda x: x.cumsum(1)), X, elementwise=2 * NUMBERS),
    "running-product": stated(of(lambda x: x.cumprod(1)), X, elementwise=6 * NUMBERS),
    "norm": stated(of(torch.linalg.vector_norm), X, elementwise=4 * NUMBERS),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_a_multiply_add_is_its_products_and_sums_counted_one_by_one() -> None:
    """An oracle: (a + bi)(c + di) written out, and added to a number."""
    real, whole = torch.ones(1), torch.ones(1, dtype=torch.complex64)
    products, sums_within, sums = {0: 1, 1: 2, 2: 4}, {0: 0, 1: 0, 2: 2}, {0: 1, 1: 2, 2: 2}

    for factors in ([real, real], [real, whole], [whole, real], [whole, whole]):
        among = sum(factor.is_complex() for factor in factors)
        assert multiply_add(*factors) == products[among] + sums_within[among] + sums[among]


class Halved(nn.Module):
    """A projection of d/2 complex numbers, whose weights are two real matrices."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.real, self.imaginary = (nn.Parameter(torch.randn(d // 2, d // 2)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(values @ torch.complex(self.real, self.imaginary)).flatten(-2)


@pytest.mark.parametrize(("b", "n", "d"), [(1, 5, 6), (2, 7, 10), (3, 64, 4)])
def test_a_projection_by_complex_weights_is_half_of_the_same_by_real_ones(b: int, n: int, d: int) -> None:
    """A real matrix that does the same has d² numbers, of which each of d²/2 stands there twice: 2bnd² all the same."""
    layer, sizes = Layer("x", Halved), {"b": b, "n": n, "d": d}

    assert trace(layer, sizes).flops == 2 * b * n * d**2
    assert trace(layer, sizes, way=Way.TRAIN).flops == 3 * 2 * b * n * d**2


def test_what_is_needed_of_complex_products_is_counted_alike() -> None:
    b, n, d = 2, 7, 6
    masked = of(lambda x: (x @ x.mT).tril() @ x)

    assert effective_flops(Layer("x", Halved), {"b": b, "n": n, "d": d}) == 2 * b * n * d**2
    needed = effective_flops(layer_calling(lambda x: as_double(masked_by_triangle, x)), {"b": b, "n": n, "d": d})
    assert needed == 8 * b * n * (n + 1) * d
    assert trace_of(masked, (b, n, d)).flops == 2 * 8 * b * n * n * d


def as_double(function: Function, x: torch.Tensor) -> torch.Tensor:
    return function(x.to(torch.complex128))


def masked_by_triangle(x: torch.Tensor) -> torch.Tensor:
    return ((x @ x.mT).tril() @ x).real


def test_an_input_of_complex_numbers_has_a_gradient_too() -> None:
    b, n, d = 2, 7, 6
    layer = Layer(
        "x", lambda: Calling(lambda x: x @ x.mT), inputs=lambda b, n, d: torch.randn(b, n, d, dtype=torch.complex64)
    )

    found = trace(layer, {"b": b, "n": n, "d": d}, way=Way.TRAIN)

    assert found.flops == 3 * 8 * b * n * n * d
    assert found.saved_bytes == 8 * b * n * d


def test_convolutions_of_complex_numbers_have_gradients_of_real_ones() -> None:
    def build() -> nn.Module:
        return nn.Sequential(Calling(lambda x: x.to(torch.complex64)), nn.Conv1d(D, M, 3, dtype=torch.complex64))

    forward, train = (trace_of_module(build, (B, D, N), way=way).flops for way in (Way.OPENED, Way.TRAIN))

    assert forward == 6 * B * (N - 2) * 3 * D * M
    assert train == 3 * forward
