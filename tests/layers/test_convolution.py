"""How far stacks of dilated convolutions reach, by the Jacobian of one sequence."""

from __future__ import annotations

import pytest
import torch

from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import Registry


def reached(name: str, n: int, k: int, levels: int) -> torch.Tensor:
    """Whether output i depends on input j, as a matrix (i, j)."""
    torch.manual_seed(5)
    layer, sizes = Registry().get(name), {"b": 1, "n": n, "d": 2, "k": k, "l": levels}
    module, (x,) = build_module(layer, sizes, dtype="float64"), make_inputs(layer, sizes, dtype="float64")
    jacobian = torch.autograd.functional.jacobian(lambda one: module(one[None])[0], x[0])
    return jacobian.abs().sum(dim=(1, 3)) > 0


def last(n: int, width: int) -> torch.Tensor:
    """Each position with the `width` last ones, itself among them."""
    return torch.ones(n, n).tril().triu(1 - width) > 0


@pytest.mark.parametrize(("k", "levels"), [(2, 1), (2, 4), (3, 3), (5, 2)])
def test_dilation_by_the_kernel_width_reaches_as_many_inputs_as_the_kernel_width_to_the_levels(
    k: int, levels: int
) -> None:
    n = k**levels + 2

    assert torch.equal(reached("conv1d-dilated-causal", n, k, levels), last(n, k**levels))


@pytest.mark.parametrize(("k", "levels"), [(2, 1), (2, 4), (3, 3), (5, 2)])
def test_dilation_by_doubling_reaches_twice_as_far_with_each_level(k: int, levels: int) -> None:
    width = (k - 1) * (2**levels - 1) + 1

    assert torch.equal(reached("conv1d-dilated-doubling", width + 2, k, levels), last(width + 2, width))


@pytest.mark.parametrize(("n", "k"), [(5, 3), (9, 3), (12, 3), (9, 5)])
def test_zeros_beyond_the_ends_cut_paths_of_the_centred_stack_at_every_number_of_levels(n: int, k: int) -> None:
    connected = [bool(reached("conv1d-dilated-centred", n, k, levels).all()) for levels in range(1, 7)]

    assert connected == [False] * 6


def test_the_inputs_at_the_ends_never_reach_the_middle_output_of_the_centred_stack() -> None:
    expected = torch.ones(5, 5) > 0
    expected[2, [0, 4]] = False  # two positions on are three on and one back, and the one back comes first

    assert torch.equal(reached("conv1d-dilated-centred", 5, 3, 4), expected)
