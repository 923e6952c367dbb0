"""Rules against two outside witnesses: what has a gradient must be connected, what no NaN reaches must not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

from attnbench.counting.paths.hops import hop_matrix, hops_at
from attnbench.counting.paths.reach import bracket, jacobian_pairs
from tests.counting.calling import layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[torch.Tensor], torch.Tensor]

N = 6
SIZES = {"b": 1, "n": N, "d": 4}
ORDER = torch.tensor([3, 1, 0, 2, 5, 4])
CAUSAL = torch.ones(N, N).tril().bool()
ONES = torch.ones(4, 4, 3, dtype=torch.float64)


def turned(function: Function) -> Function:
    """`function` of ``(b, d, n)``, as a function of ``(b, n, d)``."""
    return lambda x: function(x.transpose(1, 2)).transpose(1, 2)


def in_place_recurrence(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for t in range(N):
        out[:, t] = torch.tanh(x[:, t] + out[:, t - 1]) if t else x[:, t]
    return out


def as_complex(x: torch.Tensor) -> torch.Tensor:
    pairs = x.reshape(1, N, 2, 2).contiguous()
    return torch.view_as_real(torch.view_as_complex(pairs) * 1j).reshape(1, N, 4)


def scores(x: torch.Tensor) -> torch.Tensor:
    return x @ x.transpose(1, 2)


#: Functions whose Jacobian, shadow and NaN taint must be the same pairs.
EXACT: dict[str, Function] = {
    "layer norm over features": lambda x: functional.layer_norm(x, (4,)),
    "layer norm over everything": lambda x: functional.layer_norm(x, (N, 4)),
    "group norm over half of the positions": lambda x: functional.group_norm(x, 2),
    "batch norm of each position": lambda x: functional.batch_norm(x, None, None, training=True),
    "root mean square norm": lambda x: functional.rms_norm(x, (4,)),
    "normalised features": lambda x: functional.normalize(x, dim=-1),
    "running sum": lambda x: x.cumsum(1),
    "running product": lambda x: x.cumprod(1),
    "running maximum": lambda x: x.cummax(1)[0],
    "running sum from the right": lambda x: x.flip(1).cumsum(1).flip(1),
    "Fourier transform": lambda x: torch.fft.fft(x, dim=1).real,
    "two-dimensional Fourier transform": lambda x: torch.fft.fft2(x).real,
    "mean broadcast as a gate": lambda x: x * x.mean(1, keepdim=True).sigmoid(),
    "log of summed exponentials": lambda x: x - x.logsumexp(1, keepdim=True),
    "standard deviation": lambda x: x / x.std(1, keepdim=True),
    "product over positions": lambda x: x.prod(1, keepdim=True).expand_as(x),
    "largest": lambda x: x - x.amax(1, keepdim=True),
    "maximum pooling": turned(lambda x: functional.max_pool1d(x, 3, 1, 1)),
    "average pooling": turned(lambda x: functional.avg_pool1d(x, 3, 1, 1)),
    "pooling to three": turned(lambda x: functional.adaptive_avg_pool1d(x, 3).repeat_interleave(2, -1)),
    "convolution": turned(lambda x: functional.conv1d(x, ONES, padding=1)),
    "transposed convolution": turned(lambda x: functional.conv_transpose1d(x, ONES, padding=1)),
    "grouped convolution": turned(lambda x: functional.conv1d(x, ONES[:, :1], padding=1, groups=4)),
    "convolution with a kernel made of the input": turned(
        lambda x: functional.pad(functional.conv1d(x, x[:, :, :3].reshape(4, 1, 3), groups=4), (1, 1))
    ),
    "windows of three": lambda x: functional.pad(x, (0, 0, 1, 1)).unfold(1, 3, 1).mean(-1),
    "windows as columns": lambda x: (
        functional.unfold(x.transpose(1, 2)[..., None], (3, 1), padding=(1, 0)).view(1, 4, 3, N).sum(2).transpose(1, 2)
    ),
    "shift": lambda x: x.roll(1, 1),
    "sum with a shift": lambda x: x + x.roll(1, 1),
    "reversal": lambda x: x.flip(1),
    "permutation by index": lambda x: x[:, ORDER],
    "permutation by selection": lambda x: x.index_select(1, ORDER),
    "sum at an index": lambda x: torch.zeros_like(x).index_add(1, ORDER // 2, x),
    "sum scattered": lambda x: torch.zeros_like(x).scatter_add(1, (ORDER // 2)[None, :, None].expand(1, N, 4), x),
    "put at an index": lambda x: torch.zeros_like(x).index_put((torch.tensor([0]), ORDER), x[0]),
    "added at an index": lambda x: torch.zeros_like(x).index_put(
        (torch.zeros(N, dtype=torch.long), ORDER // 2), x[0], accumulate=True
    ),
    "written into a slice": lambda x: torch.slice_scatter(x, x[:, :2], 1, 4, 6),
    "joined": lambda x: torch.cat([x[:, 1:], x[:, :1]], 1),
    "stacked": lambda x: torch.stack([x, x.flip(1)], -1).sum(-1),
    "padded": lambda x: functional.pad(x, (0, 0, 1, 0))[:, :N],
    "padded around": turned(lambda x: functional.pad(x, (1, 0), mode="circular")[..., :N]),
    "padded by reflection": turned(lambda x: functional.pad(x, (1, 1), mode="reflect")[..., :N]),
    "three factors": lambda x: torch.einsum("bnd,bmd,bme->bne", x, x, x),
    "product with a bias": lambda x: torch.baddbmm(x, scores(x), x),
    "matrix and vector": lambda x: x + (x[0] @ x[0, 0])[None, :, None],
    "two vectors": lambda x: x * torch.dot(x[0, 0], x[0, 1]),
    "merge of three": lambda x: torch.addcmul(x, x.flip(1), x.roll(1, 1)),
    "interpolation between two": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "distances": lambda x: (-torch.cdist(x, x)).softmax(-1) @ x,
    "complex numbers over real ones": as_complex,
    "other precisions": lambda x: (x.float().bfloat16() * 2).double(),
    "look-up in a table of the input": lambda x: functional.embedding(torch.arange(N)[None], x[0]),
    "noise": lambda x: x + torch.randn_like(x),
    "writes through a view": in_place_recurrence,
    "a product over nothing": lambda x: x + (x[:, :0].transpose(1, 2) @ x[:, :0]).sum(dim=1),
}

#: Functions that read all pairs and let a constant mask decide; without a mask, all pairs would be used.
MASKED: dict[str, Function] = {
    "fused attention, causal": lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    "fused attention, mask": lambda x: functional.scaled_dot_product_attention(x, x, x, attn_mask=CAUSAL),
    "minus infinity": lambda x: scores(x).masked_fill(~CAUSAL, -torch.inf).softmax(-1) @ x,
    "a large negative number": lambda x: scores(x).masked_fill(~CAUSAL, -1e9).softmax(-1) @ x,
    "minus infinity added": lambda x: (scores(x) + torch.where(CAUSAL, 0.0, -torch.inf)).softmax(-1) @ x,
    "a large negative number added": lambda x: (scores(x) + torch.where(CAUSAL, 0.0, -1e9)).softmax(-1) @ x,
    "logarithms of weights": lambda x: scores(x).masked_fill(~CAUSAL, -torch.inf).log_softmax(-1).exp() @ x,
    "multiplied weights": lambda x: (scores(x) * CAUSAL) @ x,
    "lower triangle": lambda x: scores(x).tril() @ x,
    "lower triangle in place": lambda x: scores(x).tril_() @ x,
    "choice": lambda x: torch.where(CAUSAL, scores(x), 0.0) @ x,
    "constant weights": lambda x: CAUSAL.double() @ x,
}


@pytest.mark.parametrize("function", EXACT.values(), ids=EXACT.keys())
def test_what_an_operation_reads_is_what_has_a_gradient_and_what_a_nan_reaches(function: Function) -> None:
    found = bracket(layer_calling(function), SIZES)

    assert (found.finding, found.violation) == ("", "")
    assert hops_at(layer_calling(function), SIZES).unknown == ()


@pytest.mark.parametrize("function", MASKED.values(), ids=MASKED.keys())
def test_the_masked_half_of_a_product_carries_nothing(function: Function) -> None:
    layer = layer_calling(function)

    found = hop_matrix(layer, SIZES)

    assert (np.isfinite(found) == CAUSAL.numpy()).all()
    assert (np.isfinite(found) == jacobian_pairs(layer, SIZES)).all()
    assert hops_at(layer, SIZES).direction == "left to right"


def test_a_kernel_tap_that_is_always_zero_reads_nothing() -> None:
    only_the_next = torch.tensor([0.0, 0.0, 1.0]).double().expand(4, 4, 3)
    layer = layer_calling(turned(lambda x: functional.conv1d(x, only_the_next, padding=1)))

    assert (np.isfinite(hop_matrix(layer, SIZES)) == np.eye(N, k=1, dtype=bool)).all()


def largest(x: torch.Tensor) -> torch.Tensor:
    """``(1, n)``: the largest feature of each position, a whole number that depends on it."""
    return x.argmax(-1)


TABLE = torch.randn(4, 4, dtype=torch.float64)
#: What an index chooses that depends on the input: which positions each position may be read from.
CHOSEN: dict[str, tuple[Function, object]] = {
    "a row of a table": (lambda x: TABLE[largest(x)], np.eye(N)),
    "a row looked up": (lambda x: functional.embedding(largest(x), TABLE), np.eye(N)),
    "a row selected": (lambda x: TABLE.index_select(0, largest(x)[0])[None], np.eye(N)),
    "a row gathered": (
        lambda x: TABLE.gather(0, largest(x)[0, :4, None].expand(4, 4))[None].repeat(1, 2, 1)[:, :N],
        np.tile(np.eye(4, N), (2, 1))[:N],
    ),
    "two indices": (lambda x: TABLE[largest(x), largest(x.flip(1))], np.eye(N) + np.eye(N)[::-1]),
    "indices apart": (lambda x: TABLE[:, None].expand(4, 3, 4)[largest(x), :, largest(x)], np.eye(N)),
    "a mark for each": (
        lambda x: torch.zeros(1, N, 4, dtype=x.dtype).scatter(2, largest(x)[..., None], 1.0) + 0,
        np.eye(N),
    ),
    "a position for each": (lambda x: x[:, (largest(x) % 2)[0]], np.ones((N, N))),
    "a feature for each": (lambda x: x.gather(2, largest(x)[..., None].expand(1, N, 4)), np.eye(N)),
    "a position for all": (lambda x: x.index_select(1, largest(x)[0, :1]).expand(1, N, 4), np.ones((N, N))),
}


@pytest.mark.parametrize(("function", "pairs"), CHOSEN.values(), ids=CHOSEN)
def test_a_choice_reads_what_it_chooses_by_and_all_that_it_may_choose(function: Function, pairs: object) -> None:
    found = hops_at(layer_calling(function), SIZES)

    assert (np.isfinite(hop_matrix(layer_calling(function), SIZES)) == (np.asarray(pairs) > 0)).all()
    assert found.unknown == ()


def test_a_sort_mixes_all_that_it_sorts() -> None:
    assert np.isfinite(hop_matrix(layer_calling(lambda x: x.sort(dim=1)[0]), SIZES)).all()
    assert np.isfinite(hop_matrix(layer_calling(lambda x: x.gather(1, x.argsort(dim=1))), SIZES)).all()
