"""Evidence beside the hop count: which pairs of positions depend on each other, measured without any rule.

Two measurements hold the shadow execution between them. The Jacobian in float64 finds too few pairs: a gradient may
vanish (or, through a transform that cancels only to rounding, be noise). A NaN at one position finds too many: it
travels wherever a number is read, even to be multiplied by 0. Where both agree, so must the shadow; where they do
not, the layer computes pairs that it does not use, which is a finding of its own.

How much of what can be reached is felt is a third question: the size of the gradient against distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map

from attnbench.counting.paths.case import Case, Followed, NothingToFollowError, drawn, single
from attnbench.counting.paths.hops import hop_matrix
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs
from attnbench.trial import Sizes, describe

Pairs = NDArray[np.bool_]

#: Random weights and inputs tried; a rectifier that is closed in one is open in another.
_DRAWS = 4


@dataclass(frozen=True, slots=True)
class Bracket:
    """Shares of all n² pairs of an input and an output position of one layer, found in three ways.

    Attributes:
        jacobian: with a gradient that is not zero: at least these depend.
        shadow: connected by the shadow execution.
        taint: reached by a NaN: at most these depend.
        finding: one sentence where they differ; empty where all three agree.
        violation: one sentence where the shadow is not between the two others; empty where it is.
    """

    jacobian: float
    shadow: float
    taint: float
    finding: str = ""
    violation: str = ""


def evidence(layer: Layer, sizes: Sizes) -> str:
    """What is to be said beside a path length at `sizes`, on one line: what differs, or why nobody can tell."""
    try:
        seen = bracket(layer, sizes)
    except LayerError as error:
        return f"gradients and NaNs could not be followed: {_reason(error, layer, sizes)}"
    said = [f"one layer {seen.finding} at {describe(sizes)}"] if seen.finding else []
    return "; ".join([*said, seen.violation] if seen.violation else said)


def _reason(error: LayerError, layer: Layer, sizes: Sizes) -> str:
    """Without the layer and the sizes, which stand where the sentence does."""
    places = [f"at {describe(at)} " for at in (sizes, single(layer, sizes))]
    reason = str(error).removeprefix(f"layer {layer.name!r} ")
    return next((reason.removeprefix(place) for place in places if reason.startswith(place)), reason)


def bracket(layer: Layer, sizes: Sizes) -> Bracket:
    """Hold the shadow execution of one layer against the Jacobian and the NaN taint.

    Where tokens are made into nothing real that could be followed, another token takes the place of each instead.

    Raises:
        LayerError: the layer cannot be built or called at `sizes`, or returns numbers that are not finite.
    """
    shadow = np.isfinite(hop_matrix(layer, sizes))
    try:
        return compare(jacobian_pairs(layer, sizes), shadow, tainted_pairs(layer, sizes))
    except LayerError as error:
        if not isinstance(error.__cause__, NothingToFollowError):
            raise
        return compare_changes(changed_pairs(layer, sizes), shadow)


def compare(jacobian: Pairs, shadow: Pairs, taint: Pairs) -> Bracket:
    """The sentence that three sets of pairs deserve."""
    return Bracket(
        jacobian=float(jacobian.mean()),
        shadow=float(shadow.mean()),
        taint=float(taint.mean()),
        finding=_finding(jacobian, shadow, taint),
        violation=_violation(jacobian, shadow, taint),
    )


def compare_changes(changed: Pairs, shadow: Pairs) -> Bracket:
    """The sentence that two sets of pairs deserve where tokens were changed; at most all pairs depend."""
    finding = violation = ""
    if missed := int((changed & ~shadow).sum()):
        violation = f"{missed} pairs change together that the shadow execution missed"
    elif (shadow & ~changed).any():
        finding = f"connects {shadow.mean():.0%} of the pairs, but only {changed.mean():.0%} change with their token"
    return Bracket(float(changed.mean()), float(shadow.mean()), 1.0, finding, violation)


def jacobian_pairs(layer: Layer, sizes: Sizes) -> Pairs:
    """``[output, input]``: where a gradient is not zero, in any of several draws; finds too few."""
    found = np.stack(list(_gradients(layer, sizes, positive=True)))
    return np.asarray((found > 0).any(axis=0))


def tainted_pairs(layer: Layer, sizes: Sizes) -> Pairs:
    """``[output, input]``: where a NaN at the input position comes out; finds too many."""
    with drawn(layer, sizes, seed=0) as case, torch.no_grad():
        case.plain_output()
        columns = [torch.isnan(case.output(_nan_at(i))).any(dim=1).numpy() for i in range(case.length)]
    return np.stack(columns, axis=1)


def _nan_at(position: int) -> Callable[[Followed], Tensor]:
    at = torch.tensor([position])
    return lambda real: real[0].index_fill(real[1], at, torch.nan)


def changed_pairs(layer: Layer, sizes: Sizes) -> Pairs:
    """``[output, input]``: where another token at the input position changes what comes out; finds too few."""
    found = []
    for seed in range(_DRAWS):
        with drawn(layer, sizes, seed=seed, weights_differ=True) as case, torch.no_grad():
            before = case.plain_output()
            others = [case.plain_output(_with_another_token(case, i)) for i in range(case.length)]
            found.append(np.stack([(after != before).any(dim=1).numpy() for after in others], axis=1))
    return np.asarray(np.any(found, axis=0))


def _with_another_token(case: Case, position: int) -> Inputs:
    """The inputs, with a token from elsewhere in the sequence at one position; as they are if all are the same."""
    dimensions = {id(leaf): dimension for leaf, dimension in case.tokens}

    def change(leaf: Any) -> Any:
        if id(leaf) not in dimensions:
            return leaf
        here = leaf.movedim(dimensions[id(leaf)], 0)[position]
        others = leaf[leaf != here.flatten()[0]]
        return leaf.index_fill(dimensions[id(leaf)], torch.tensor([position]), others[0]) if len(others) else leaf

    changed: Inputs = tree_map(change, case.inputs)
    return changed


def effective_reach(layer: Layer, sizes: Sizes) -> tuple[tuple[int, float], ...]:
    """Mean size of the gradient between positions at each distance, over the largest of them.

    With the weights that the layer starts from and normal inputs, averaged over several draws.

    Raises:
        LayerError: the layer cannot be built or called at `sizes`, or has no real input to follow.
    """
    size = np.mean(list(_gradients(layer, sizes, positive=False)), axis=0)
    positions = np.arange(len(size))
    distance = np.abs(positions[:, None] - positions)
    felt = [float(size[distance == steps].mean()) for steps in positions]
    largest = max(felt) or 1.0
    return tuple((steps, value / largest) for steps, value in enumerate(felt))


def _finding(jacobian: Pairs, shadow: Pairs, taint: Pairs) -> str:
    if (taint & ~shadow).any():
        return f"computes {taint.mean():.0%} of the pairs, uses {shadow.mean():.0%}"
    if (shadow & ~jacobian).any():
        return f"connects {shadow.mean():.0%} of the pairs, but only {jacobian.mean():.0%} have a gradient"
    return ""


def _violation(jacobian: Pairs, shadow: Pairs, taint: Pairs) -> str:
    if missed := int((jacobian & ~shadow).sum()):
        return f"{missed} pairs have a gradient that the shadow execution missed"
    if extra := int((shadow & ~taint).sum()):
        return f"{extra} pairs of the shadow execution let no NaN through, as a sort or a comparison may"
    return ""


def _gradients(layer: Layer, sizes: Sizes, *, positive: bool) -> Iterator[NDArray[np.float64]]:
    """``[output, input]``: size of the gradient, for each draw; with weights and inputs above 0 in every other one.

    Positive numbers keep rectifiers open and let nothing cancel; numbers as they come find what saturates on those.
    """
    for seed in range(_DRAWS):
        with drawn(layer, sizes, seed=seed) as case:
            if positive and seed % 2 == 0:
                _make_positive(case)
            yield _gradient(case)


def _gradient(case: Case) -> NDArray[np.float64]:
    followed: list[Followed] = []

    def follow(real: Followed) -> Tensor:
        leaf = real[0].detach().requires_grad_()
        followed.append((leaf, real[1]))
        return leaf.clone()  # which may be written to

    case.module.requires_grad_(False)
    case.plain_output()
    output = case.output(follow)
    direction = torch.randn_like(output)
    rows = []
    for position in range(case.length):
        if output.requires_grad:  # not by grad(), which reentrant checkpoints refuse
            torch.autograd.backward(output[position] @ direction[position], retain_graph=True)
        rows.append(torch.stack([_felt(leaf, dimension) for leaf, dimension in followed]).sum(dim=0).sqrt().numpy())
    return np.stack(rows)


def _felt(leaf: Tensor, dimension: int) -> Tensor:
    """``(n,)``: the squared gradient at every position, which is taken away."""
    felt = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    leaf.grad = None
    return felt.abs().movedim(dimension, 0).reshape(leaf.shape[dimension], -1).square().sum(dim=1)


def _make_positive(case: Case) -> None:
    """Weights that add up to about 1 for every output, and inputs, all above 0 and none near it."""
    with torch.no_grad():
        for weight in case.module.parameters():
            read = weight.numel() // weight.shape[0] if weight.ndim > 1 else 1
            if weight.requires_grad:
                weight.uniform_(0.5, 1.5).div_(read)
        for leaf, _ in case.real:
            leaf.uniform_(0.5, 1.5)
