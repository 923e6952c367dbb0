"""Running a module under watch: what is written and overwritten, what nobody has a rule for, and what is put back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from attnbench.counting.calls import plain_kernels
from attnbench.counting.paths.hops import hop_matrix, hops_at
from attnbench.errors import LayerError
from attnbench.layers.registry import Registry
from tests.counting.calling import layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

N = 6
SIZES = {"b": 1, "n": N, "d": 4}


def test_an_output_argument_is_written_and_not_read() -> None:
    def into(x: torch.Tensor) -> torch.Tensor:
        out = x.flip(1)
        torch.mul(x, 2, out=out)
        return torch.cat([out], out=torch.empty(0, dtype=x.dtype))

    assert (np.isfinite(hop_matrix(layer_calling(into), SIZES)) == np.eye(N, dtype=bool)).all()


def test_an_overwritten_number_forgets_what_it_knew() -> None:
    def overwritten(x: torch.Tensor) -> torch.Tensor:
        y = x.cumsum(1)
        y[:, 1:].zero_()
        y[:, 2:].copy_(x[:, 2:])
        return y

    expected = np.diag([True, False, True, True, True, True])
    assert (np.isfinite(hop_matrix(layer_calling(overwritten), SIZES)) == expected).all()


@torch.library.custom_op("attnbench_test::strange", mutates_args=())
def strange(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_an_operation_nobody_has_a_rule_for_is_named_and_mixes_everything() -> None:
    found = hops_at(layer_calling(strange), SIZES)

    assert (found.io, found.unknown) == (1, ("attnbench_test.strange.default",))


def test_a_number_taken_out_of_torch_is_named() -> None:
    found = hops_at(layer_calling(lambda x: x * x[0, 0, 0].item()), SIZES)

    assert found.unknown == ("aten._local_scalar_dense.default",)


@pytest.mark.parametrize(
    ("function", "way"),
    [
        (lambda x: torch.from_numpy(x.numpy()).cumsum(1), "Tensor.numpy"),
        (lambda x: x * torch.tensor(np.asarray(x)), "Tensor.__array__"),
        (lambda x: x * sum(x[0, :, 0].tolist()), "Tensor.tolist"),
    ],
)
def test_numbers_handed_out_of_torch_are_named(function: Callable[..., torch.Tensor], way: str) -> None:
    assert way in hops_at(layer_calling(function), SIZES).unknown
    assert hops_at(layer_calling(lambda x: x * float(np.ones(3).sum())), SIZES).unknown == ()


def test_a_deep_copy_knows_what_it_was_copied_from() -> None:
    copied = layer_calling(lambda x: copy.deepcopy({"states": x.cumsum(1)})["states"])

    assert (np.isfinite(hop_matrix(copied, SIZES)) == np.tri(N, dtype=bool)).all()


def test_an_operation_without_a_rule_that_is_made_of_known_ones_is_opened() -> None:
    norm = nn.GroupNorm(1, N).double()

    assert hops_at(layer_calling(norm), SIZES).unknown == ()


def test_switches_of_torch_are_put_back() -> None:
    def switches() -> tuple[bool, ...]:
        return (
            torch.backends.mha.get_fastpath_enabled(),
            torch._C._get_mkldnn_enabled(),
            torch.backends.cuda.flash_sdp_enabled(),
            torch.is_grad_enabled(),
        )

    before = switches()
    with plain_kernels():
        assert switches()[:3] == (False, False, False)
    assert switches() == before

    with pytest.raises(LayerError):
        hops_at(layer_calling(lambda x: x @ x), SIZES)
    assert switches() == before


def test_random_numbers_of_the_caller_are_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)

    torch.manual_seed(7)
    hops_at(Registry().get("rnn"), SIZES)

    assert torch.rand(1) == expected
