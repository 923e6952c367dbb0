"""Gradients of one call, handed back and added to none, in the way that its graph allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: From results, leaves and the gradients of the results to the gradients of the leaves; None for an unused one.
WayBack = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], tuple[Tensor | None, ...]]

#: What torch calls the node of a checkpoint that calls autograd anew, and refuses to be asked for single gradients.
_ENTERED_ANEW = "CheckpointFunctionBackward"


def way_back(results: Sequence[Tensor]) -> WayBack:
    """How gradients of what led to `results` are had: asked for one by one, or accumulated and taken away."""
    seen, ahead = set(), [result.grad_fn for result in results]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if node.name() == _ENTERED_ANEW:
            return _accumulated
        seen.add(node)
        ahead += [following for following, _ in node.next_functions]
    return _asked_for


def _asked_for(
    results: Sequence[Tensor], leaves: Sequence[Tensor], above: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(results, leaves, above, allow_unused=True)


def _accumulated(
    results: Sequence[Tensor], leaves: Sequence[Tensor], above: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    torch.autograd.backward(results, above)
    gradients = tuple(leaf.grad for leaf in leaves)
    for leaf in leaves:
        leaf.grad = None
    return gradients
