"""Gradients are handed back, whichever way the graph gives them, and added to none."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from attnbench.layers.backward import way_back


@pytest.mark.parametrize("anew", [None, False, True])
def test_gradients_are_the_same_with_and_without_a_checkpoint_of_either_kind(anew: bool | None) -> None:
    x, unused = torch.randn(3, 4).requires_grad_(), torch.randn(2).requires_grad_()
    inner = x.exp()
    result = inner.sin() if anew is None else checkpoint(torch.sin, inner, use_reentrant=anew)
    above = torch.randn(3, 4)

    of_x, of_unused = way_back([result.cos()])([result], [x, unused], [above])

    assert of_x is not None
    assert torch.allclose(of_x, above * inner.cos() * inner)
    assert of_unused is None
    assert (x.grad, unused.grad) == (None, None)


def test_a_graph_of_many_steps_is_walked_once() -> None:
    x = torch.ones(1).requires_grad_()
    y = x
    for _ in range(2000):  # deeper than Python may recurse, and 2²⁰⁰⁰ ways through it
        y = 0.5 * (y + y)

    (of_x,) = way_back([y])([y], [x], [torch.ones(1)])

    assert of_x == torch.ones(1)
