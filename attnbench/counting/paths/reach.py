"""Evidence beside the hop count: which pairs of positions depend on each other, measured without any rule.

Two measurements hold the shadow execution between them. The Jacobian in float64 finds too few pairs: a gradient may
vanish (or, through a transform that cancels only to rounding, be noise). A NaN at one position finds too many: it
travels wherever a number is read, even to be multiplied by 0. Where both agree, so must the shadow; where they do
not, the layer computes pairs that it does not use, which is a finding of its own.

How much of what can be reached is felt is a third question: the size of the gradient against distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from attnbench.counting.calls import one_clear_line, plain_kernels
from attnbench.counting.paths.hops import hop_matrix, positions_among, single
from attnbench.counting.paths.shadow.run import positions_of
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, apply, build_module, make_inputs
from attnbench.trial import Sizes

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


def bracket(layer: Layer, sizes: Sizes) -> Bracket:
    """Hold the shadow execution of one layer against the Jacobian and the NaN taint.

    Raises:
        LayerError: the layer cannot be built or called at `sizes`, or has no real input to follow.
    """
    shadow = np.isfinite(hop_matrix(layer, sizes))
    return compare(jacobian_pairs(layer, sizes), shadow, tainted_pairs(layer, sizes))


def compare(jacobian: Pairs, shadow: Pairs, taint: Pairs) -> Bracket:
    """The sentence that three sets of pairs deserve."""
    return Bracket(
        jacobian=float(jacobian.mean()),
        shadow=float(shadow.mean()),
        taint=float(taint.mean()),
        finding=_finding(jacobian, shadow, taint),
        violation=_violation(jacobian, shadow, taint),
    )


def jacobian_pairs(layer: Layer, sizes: Sizes) -> Pairs:
    """``[output, input]``: where a gradient is not zero, in any of several draws; finds too few."""
    found = np.stack(list(_gradients(layer, sizes, positive=True)))
    return np.asarray((found > 0).any(axis=0))


def tainted_pairs(layer: Layer, sizes: Sizes) -> Pairs:
    """``[output, input]``: where a NaN at the input position comes out; finds too many."""
    with _drawn(layer, sizes, seed=0) as case, torch.no_grad():
        columns = [torch.isnan(case.output(case.with_nan_at(i))).any(dim=1).numpy() for i in range(case.length)]
    return np.stack(columns, axis=1)


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


@dataclass(frozen=True, slots=True)
class _Case:
    """A module and inputs at one draw.

    Attributes:
        along: leaves of the inputs that have positions, and the dimension of each.
    """

    module: nn.Module
    inputs: Inputs
    along: dict[int, int]
    length: int

    @property
    def leaves(self) -> list[tuple[Tensor, int]]:
        """Real inputs with positions, each with its dimension of positions."""
        leaves = tree_leaves(self.inputs)
        return [(leaves[place], dimension) for place, dimension in self.along.items() if _is_real(leaves[place])]

    def output(self, inputs: Inputs) -> Tensor:
        """``(n, rest)``: what comes out at every position."""
        output, dimension = positions_of(apply(self.module, inputs), self.length)
        return output.movedim(dimension, 0).reshape(self.length, -1)

    def with_nan_at(self, position: int) -> Inputs:
        """The inputs, with a NaN at one position."""
        dimensions = {id(leaf): dimension for leaf, dimension in self.leaves}

        def spoil(leaf: Any) -> Any:
            if id(leaf) not in dimensions:
                return leaf
            return leaf.index_fill(dimensions[id(leaf)], torch.tensor([position]), torch.nan)

        spoiled: Inputs = tree_map(spoil, self.inputs)
        return spoiled


@contextmanager
def _drawn(layer: Layer, sizes: Sizes, *, seed: int) -> Iterator[_Case]:
    """One draw of weights and inputs, in float64, with plain kernels and one clear line for what goes wrong."""
    sizes = single(layer, sizes)
    with torch.random.fork_rng(devices=[]), one_clear_line(layer, sizes, "float64"), plain_kernels():
        torch.default_generator.manual_seed(seed)  # torch.manual_seed also looks for accelerators
        module = build_module(layer, sizes, dtype="float64")
        inputs = make_inputs(layer, sizes, dtype="float64")
        case = _Case(module, inputs, positions_among(layer, sizes, inputs), sizes["n"])
        if not case.leaves:
            raise LayerError(f"layer {layer.name!r} has no real input with positions; no gradient and no NaN to follow")
        yield case


def _gradients(layer: Layer, sizes: Sizes, *, positive: bool) -> Iterator[NDArray[np.float64]]:
    """``[output, input]``: size of the gradient, for each draw; with weights and inputs above 0 in every other one.

    Positive numbers keep rectifiers open and let nothing cancel; numbers as they come find what saturates on those.
    """
    for seed in range(_DRAWS):
        with _drawn(layer, sizes, seed=seed) as case:
            if positive and seed % 2 == 0:
                _make_positive(case)
            yield _gradient(case)


def _gradient(case: _Case) -> NDArray[np.float64]:
    leaves = [leaf.requires_grad_() for leaf, _ in case.leaves]
    output = case.output(case.inputs)
    direction = torch.randn_like(output)
    rows = []
    for position in range(case.length):
        felt = [torch.zeros_like(leaf) for leaf in leaves]
        if output.requires_grad:
            found = torch.autograd.grad(
                output[position] @ direction[position], leaves, retain_graph=True, allow_unused=True
            )
            felt = [zero if some is None else some for zero, some in zip(felt, found, strict=True)]
        sizes = [
            some.abs().movedim(dimension, 0).reshape(case.length, -1).square().sum(dim=1)
            for some, (_, dimension) in zip(felt, case.leaves, strict=True)
        ]
        rows.append(torch.stack(sizes).sum(dim=0).sqrt().numpy())
    return np.stack(rows)


def _make_positive(case: _Case) -> None:
    """Weights that add up to about 1 for every output, and inputs, all above 0 and none near it."""
    with torch.no_grad():
        for weight in case.module.parameters():
            read = weight.numel() // weight.shape[0] if weight.ndim > 1 else 1
            if weight.requires_grad:
                weight.uniform_(0.5, 1.5).div_(read)
        for leaf, _ in case.leaves:
            leaf.uniform_(0.5, 1.5)


def _is_real(leaf: Tensor) -> bool:
    return leaf.is_floating_point() or leaf.is_complex()
