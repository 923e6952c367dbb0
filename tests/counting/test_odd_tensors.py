"""Tensors of which nothing can be counted: one clear sentence for each, and no address of an object in any."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from attnbench.counting.effective_flops import effective_flops
from attnbench.counting.trace import Way, trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from tests.counting.calling import SIZES, Calling

if TYPE_CHECKING:
    from collections.abc import Callable

WHERE = "layer 'x' at b=2, n=6, d=4 "
LAZY = "has a weight without a size: give it its sizes, or call a lazy module once where it is built"
SPARSE = "works with a sparse tensor{}, whose work depends on its values: make it dense with to_dense()"
NESTED = "works with a nested tensor{}, whose work depends on lengths that no size tells: pad it to one length"
META = "has a weight on the device meta{}, where there are no numbers: build it on the CPU"


class Holding(nn.Module):
    """A product with a matrix that is a weight, a buffer or a plain attribute."""

    def __init__(self, matrix: torch.Tensor, *, as_: str = "weight") -> None:
        super().__init__()
        if as_ == "weight":
            self.matrix = nn.Parameter(matrix)
        elif as_ == "buffer":
            self.register_buffer("matrix", matrix)
        else:
            self.matrix = matrix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.matrix @ x.flatten(0, 1).mT).mT.view_as(x)


def eye(d: int) -> torch.Tensor:
    return torch.eye(d)


ODD: dict[str, tuple[Callable[[int], nn.Module], str]] = {
    "lazy": (lambda d: nn.LazyLinear(d), LAZY),
    "lazy-within": (lambda d: nn.Sequential(nn.Identity(), nn.LazyConv1d(d, 1)), LAZY),
    "lazy-buffers": (lambda d: nn.LazyBatchNorm1d(), LAZY),
    "sparse": (lambda d: Holding(eye(d).to_sparse()), SPARSE.format(" (matrix)")),
    "sparse-rows": (lambda d: Holding(eye(d).to_sparse_csr()), SPARSE.format(" (matrix)")),
    "sparse-blocks": (lambda d: Holding(eye(d).to_sparse_bsr((2, 2)), as_="buffer"), SPARSE.format(" (matrix)")),
    "sparse-attribute": (
        lambda d: nn.Sequential(Holding(eye(d).to_sparse(), as_="attribute")),
        SPARSE.format(" (0.matrix)"),
    ),
    "sparse-on-the-way": (lambda d: Calling(lambda x: torch.sparse.mm(x[0].mT.to_sparse(), x[0])), SPARSE.format("")),
    "nested": (
        lambda d: Holding(torch.nested.nested_tensor([eye(d)] * 2, layout=torch.jagged), as_="attribute"),
        NESTED.format(" (matrix)"),
    ),
    "nested-on-the-way": (
        lambda d: Calling(
            lambda x: torch.nested.nested_tensor([x[0], x[1]], layout=torch.jagged).to_padded_tensor(0.0)
        ),
        NESTED.format(""),
    ),
    "meta": (lambda d: nn.Linear(d, d, device="meta"), META.format(" (weight)")),
    "meta-buffer": (lambda d: Holding(torch.eye(d, device="meta"), as_="buffer"), META.format(" (matrix)")),
    "meta-on-the-way": (lambda d: Calling(lambda x: linear(x, torch.eye(d, device="meta"))), META.format("")),
    "numpy": (
        lambda d: Calling(lambda x: torch.from_numpy(x.numpy())),
        "hands a tensor to numpy, where no count can follow: write it with operations of torch",
    ),
}


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state")
@pytest.mark.parametrize(("build", "words"), ODD.values(), ids=ODD)
def test_what_cannot_be_counted_is_refused_in_one_clear_sentence(build: Callable[[int], nn.Module], words: str) -> None:
    with pytest.raises(LayerError, match=f"^{re.escape(WHERE + words)}$"):
        trace(Layer("x", lambda d: build(d)), SIZES)


@pytest.mark.parametrize("build", [lambda d: nn.LazyLinear(d), lambda d: nn.Linear(d, d, device="meta")])
def test_a_weight_without_numbers_has_its_name_where_work_is_observed(build: Callable[[int], nn.Module]) -> None:
    with pytest.raises(LayerError, match=rf"^{WHERE}has a weight (without a size|on the device meta).* \(weight\)[:,]"):
        effective_flops(Layer("x", lambda d: build(d)), SIZES)


class Thing:
    """Something without a name of its own."""


def raises_about_things(x: torch.Tensor) -> torch.Tensor:
    raise RuntimeError(f"{Thing()} and {raises_about_things}")


@pytest.mark.parametrize("way", [Way.WHOLE, Way.TRAIN])
def test_no_address_of_an_object_is_said(way: Way) -> None:
    with pytest.raises(LayerError) as caught:
        trace(Layer("x", lambda: Calling(raises_about_things)), SIZES, way=way)

    thing, function = "<tests.counting.test_odd_tensors.Thing object>", "<function raises_about_things>"
    assert str(caught.value) == f"{WHERE}raised RuntimeError: {thing} and {function}"


def test_no_address_is_said_where_a_layer_cannot_be_built() -> None:
    def build(d: int) -> nn.Module:
        raise ValueError(f"no {Thing()}")

    with pytest.raises(LayerError, match=r"ValueError: no <tests\.counting\.test_odd_tensors\.Thing object>$"):
        trace(Layer("x", build), SIZES)


def quantized(d: int) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to give this up
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(d, d)), dtype=torch.qint8)


def test_a_quantized_layer_is_a_lower_bound_that_names_its_operation() -> None:
    assert trace(Layer("x", quantized), SIZES).uncounted == ("quantized.linear_dynamic.default",)


class Padded(nn.Module):
    """An encoder whose mask says which positions are padding."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(d, 2, 4 * d, batch_first=True), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        result: torch.Tensor = self.encoder(x, src_key_padding_mask=padding)
        return result


def test_an_encoder_computes_its_padding() -> None:
    """Torch may leave it out, by a nested tensor, if the values of the mask allow it."""
    b, n, d = SIZES.values()

    for way in (Way.WHOLE, Way.OPENED, Way.STEPPED):
        assert trace(Layer("x", Padded), SIZES, way=way).flops == 24 * b * n * d**2 + 4 * b * n**2 * d
