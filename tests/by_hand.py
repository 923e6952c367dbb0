"""What the layers of the suite `table1` cost, worked out on paper: from the definitions, and by adding up tensors.

Bytes are those of float32. What is named in a forward pass lives until it ends; what is not, until the next kernel has
read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Hops = Callable[..., float]


@dataclass(frozen=True)
class Truth:
    """Formulas of one layer over its axes; None where there is none.

    Attributes:
        flops, parameters: from the definition.
        peak_bytes: tensors alive at the fullest moment.
        saved_bytes: what the gradients of the kernels read, each storage once.
        depth: kernels that wait for each other.
        elementwise: operations on single numbers; a softmax takes five for each (maximum, minus, exp, sum, divide).
        hops, hops_rf: path lengths from the sizes, without a formula.
        flops_needed: `flops` without products with what is known to be zero or is multiplied by zero.
        held: sizes at which bytes and depth are a formula, where they are none over all: with several heads PyTorch
            copies what it otherwise views, and the pads of a stack add up to no polynomial in its height. A recurrence
            is counted with at least two sequences: a single one need not be copied into the order of its steps.
    """

    flops: str
    parameters: str
    peak_bytes: str
    saved_bytes: str | None
    depth: str
    elementwise: str
    hops: Hops
    hops_rf: Hops
    flops_needed: str | None
    held: tuple[tuple[str, int], ...] = ()

    @property
    def of_one_call(self) -> tuple[str, str, str]:
        """What one trace shows."""
        return self.flops, self.parameters, self.peak_bytes


def steps_of(stride: Callable[..., float]) -> Hops:
    """From one end to the other in steps of ``stride(k, w)`` positions."""

    def hops(n: int, k: int = 0, w: int = 0, **_: int) -> float:
        steps, reached = 0, 0.0
        while reached < n - 1:
            steps, reached = steps + 1, reached + stride(k=k, w=w)
        return steps

    return hops


def levels_of(seen: Callable[[int, int], int]) -> Hops:
    """Levels until ``seen(level, k)`` positions, on top of one, are all of them."""

    def hops(n: int, k: int, **_: int) -> float:
        levels, field = 0, 1
        while field < n:
            field += seen(levels, k)
            levels += 1
        return levels

    return hops


def meeting_in_a_centred_stack(n: int, k: int, **_: int) -> float:
    """Levels with dilations 1, k, k² … until any two inputs reach one output, by following every tap."""
    reached, position, levels = np.eye(n, dtype=bool), np.arange(n), 0
    while not (reached.astype(np.float32).T @ reached).all():
        steps = (np.arange(k) - k // 2) * k**levels
        taps = (position[:, None] - position == steps[:, None, None]).any(axis=0)
        reached = (taps.astype(np.float32) @ reached) > 0  # [output, input]
        levels += 1
    return levels


def one(**_: int) -> float:
    """One hop."""
    return 1


def never(**_: int) -> float:
    """Not in any number of hops."""
    return math.inf


def every_step(n: int, **_: int) -> float:
    """The state of the first position is handed on n − 1 times."""
    return n - 1


BY_HAND = {
    "attention-core": Truth(
        flops="4*b*n**2*d",
        parameters="0",
        peak_bytes="4*(2*b*n**2 + b*n*d)",  # scores, weights; output
        saved_bytes="4*(b*n**2 + 2*b*n*d)",  # weights; scaled queries, and the input, which is keys and values
        depth="4",  # scaling, product, softmax, product
        elementwise="5*b*h*n**2 + b*n*d",
        hops=one,
        hops_rf=one,
        flops_needed="4*b*n**2*d",
        held=(("h", 1),),
    ),
    "attention-core-fused": Truth(
        flops="4*b*n**2*d",
        parameters="0",
        peak_bytes="4*(b*n*d + b*h*n)",  # output; softmax statistics of each query
        saved_bytes="4*(2*b*n*d + b*h*n)",  # input, output; statistics
        depth="1",
        elementwise="(5 + 1)*b*h*n**2",  # the kernel scales the scores and not the queries
        hops=one,
        hops_rf=one,
        flops_needed="4*b*n**2*d",
    ),
    "multi-head-attention": Truth(
        flops="8*b*n*d**2 + 4*b*n**2*d",
        parameters="4*d**2",
        peak_bytes="4*max((3 + 1)*b*n*d + b*h*n, (3 + 1 + 1)*b*n*d)",  # projected, attended; statistics, then output
        saved_bytes="4*((1 + 3 + 1)*b*n*d + b*h*n)",  # input, projected, attended; statistics
        depth="3",
        elementwise="6*b*h*n**2",
        hops=one,
        hops_rf=one,
        flops_needed="8*b*n*d**2 + 4*b*n**2*d",
    ),
    "multi-head-attention-materialised": Truth(
        flops="8*b*n*d**2 + 4*b*n**2*d",
        parameters="4*d**2",
        # projected and its copy; or the copy, scores, weights, mixed and output
        peak_bytes="4*max((3 + 3)*b*n*d, (3 + 1 + 1)*b*n*d + 2*b*n**2)",
        saved_bytes="4*(b*h*n**2 + (1 + 3 + 1 + 1)*b*n*d)",  # weights; input, copy, scaled queries, merged heads
        depth="1 + 1 + 4 + 1",  # projection, copy, the core, projection
        elementwise="5*b*h*n**2 + b*n*d",
        hops=one,
        hops_rf=one,
        flops_needed="8*b*n*d**2 + 4*b*n**2*d",
        held=(("h", 1),),
    ),
    "attention-restricted": Truth(
        flops="4*b*n*(2*w + 1)*d",
        parameters="0",
        # padded input, and either the mask before and after padding, or the mask, queries, scores, weights and output
        peak_bytes="4*b*(n + 2*w)*d + 4*(n + 2*w) + max(4*n, 4*(2*b*n*d + 2*b*n*(2*w + 1)))",
        saved_bytes="4*(b*(n + 2*w)*d + b*n*d + b*n*(2*w + 1))",  # padded input, queries, weights
        depth="6",  # padding, scaling, product, mask, softmax, product
        elementwise="(5 + 1)*b*n*(2*w + 1) + b*n*d",
        hops=steps_of(lambda w, **_: w),
        hops_rf=steps_of(lambda w, **_: 2 * w),
        flops_needed="4*b*(n*(2*w + 1) - w*(w + 1))*d",  # 1 + 2 + … + w keys are missing at either end
    ),
    "attention-additive": Truth(
        flops="4*b*n*d**2 + 4*b*n**2*d",
        parameters="2*d**2 + d",
        # queries, keys and pairs; or pairs, their tanh and scores; or pairs, scores, weights and output
        peak_bytes="4*b*n*max(2*d + n*d, 2*n*d + n, n*d + 2*n + d)",
        saved_bytes="4*b*n*(d + n*d + n)",  # input, tanh, weights
        depth="6",  # product, sum, tanh, product, softmax, product
        elementwise="2*b*n**2*d + 5*b*n**2",
        hops=one,
        hops_rf=one,
        flops_needed="4*b*n*d**2 + 4*b*n**2*d",
    ),
    "rnn": Truth(
        flops="4*b*n*d**2",
        parameters="2*d**2",
        peak_bytes="4*(3*b*n*d + b*d)",  # input products, states one by one, states together; the first state
        saved_bytes="4*(2*b*n*d + b*d)",  # input, states; the first state
        depth="3*n + 3 - 1",  # product, sum, tanh; input copied and multiplied before, but the first product with them
        elementwise="2*b*n*d",
        hops=every_step,
        hops_rf=every_step,
        flops_needed="4*b*n*d**2 - 2*b*d**2",  # the first state is zero
    ),
    "rnn-bidirectional": Truth(
        flops="8*b*n*d**2",
        parameters="4*d**2",
        # onward: states one by one and together; back: these and input products; both together; first states
        peak_bytes="4*((2 + 3 + 2)*b*n*d + 2*b*d)",
        saved_bytes="8*(2*b*n*d + b*d)",
        depth="3*n + 2 + 2",  # both directions at once; joined, and added
        elementwise="(2 + 2 + 1)*b*n*d",
        hops=every_step,
        hops_rf=steps_of(lambda **_: 2),  # states from both ends meet in the middle; adding them moves nothing
        flops_needed="8*b*n*d**2 - 4*b*d**2",
    ),
    "gru": Truth(
        flops="12*b*n*d**2",
        parameters="6*d**2",
        peak_bytes="4*((3 + 1 + 1)*b*n*d + b*d)",
        # input; both gates and what the reset gate scales, in one storage; that once more; new, and what is kept of the
        # old less the new; states without the last one, but with the first
        saved_bytes="4*(1 + 3 + 1 + 1 + 1 + 1)*b*n*d",
        depth="9*n + 2",
        elementwise="10*b*n*d",
        hops=every_step,
        hops_rf=every_step,
        flops_needed="12*b*n*d**2 - (6 + 2)*b*d**2",  # nor is there a state to reset
    ),
    "lstm": Truth(
        flops="16*b*n*d**2",
        parameters="8*d**2",
        # first and last states and cells, input and output in oneDNN's order, and the weights as oneDNN packs them
        peak_bytes="max(8*b*n*d + 32*d**2 + 16*b*d, 8*b*n*d + 24*b*d)",
        saved_bytes=None,
        depth="7*n + 2",
        elementwise="13*b*n*d",
        hops=every_step,
        hops_rf=every_step,
        flops_needed="16*b*n*d**2 - (8 + 2)*b*d**2",  # nor is there a memory to forget
    ),
    "conv1d": Truth(
        flops="2*b*k*n*d**2",
        parameters="k*d**2",
        peak_bytes="4*b*n*d",
        saved_bytes="4*b*n*d",
        depth="1",
        elementwise="0",
        hops=steps_of(lambda k, **_: (k - 1) / 2),
        hops_rf=steps_of(lambda k, **_: k - 1),
        flops_needed="2*b*(k*n - (k**2 - 1)/4)*d**2",  # 1 + 2 + … + (k − 1)/2 taps miss at either end
    ),
    "conv1d-causal": Truth(
        flops="2*b*k*n*d**2",
        parameters="k*d**2",
        peak_bytes="4*b*(n + k - 1)*d + 4*b*n*d",  # padded input, output
        saved_bytes="4*b*(n + k - 1)*d",
        depth="2",
        elementwise="0",
        hops=steps_of(lambda k, **_: k - 1),
        hops_rf=steps_of(lambda k, **_: k - 1),
        flops_needed="2*b*(k*n - k*(k - 1)/2)*d**2",
    ),
    "conv1d-separable": Truth(
        flops="2*b*k*n*d + 2*b*n*d**2",
        parameters="k*d + d**2",
        peak_bytes="8*b*n*d",
        saved_bytes="8*b*n*d",
        depth="2",
        elementwise="0",
        hops=steps_of(lambda k, **_: (k - 1) / 2),
        hops_rf=steps_of(lambda k, **_: k - 1),
        flops_needed="2*b*(k*n - (k**2 - 1)/4)*d + 2*b*n*d**2",
    ),
    "conv1d-dilated-causal": Truth(
        flops="2*b*k*l*n*d**2",
        parameters="k*l*d**2",
        peak_bytes="4*b*d*(n + n + k**2*(k - 1) + n)",  # the last level's input, this padded, its output
        saved_bytes="4*b*d*(3*n + (1 + k + k**2)*(k - 1))",
        depth="2*l",
        elementwise="0",
        hops=levels_of(lambda level, k: k**level * (k - 1)),
        hops_rf=levels_of(lambda level, k: k**level * (k - 1)),
        flops_needed=None,
        held=(("l", 3),),
    ),
    "conv1d-dilated-centred": Truth(
        flops="2*b*k*l*n*d**2",
        parameters="k*l*d**2",
        peak_bytes="8*b*n*d",
        saved_bytes="4*b*l*n*d",
        depth="l",
        elementwise="0",
        hops=never,
        hops_rf=meeting_in_a_centred_stack,
        flops_needed=None,
        held=(("l", 3),),
    ),
    "conv1d-dilated-doubling": Truth(
        flops="2*b*k*l*n*d**2",
        parameters="k*l*d**2",
        peak_bytes="4*b*d*(n + n + 4*(k - 1) + n)",
        saved_bytes="4*b*d*(3*n + (1 + 2 + 4)*(k - 1))",
        depth="2*l",
        elementwise="0",
        hops=levels_of(lambda level, k: 2**level * (k - 1)),
        hops_rf=levels_of(lambda level, k: 2**level * (k - 1)),
        flops_needed=None,
        held=(("l", 3),),
    ),
    "feed-forward": Truth(
        flops="16*b*n*d**2",
        parameters="8*d**2",
        peak_bytes="4*(4 + 4)*b*n*d",  # hidden, rectified
        saved_bytes="4*(1 + 4)*b*n*d",  # input, rectified
        depth="3",
        elementwise="4*b*n*d",
        hops=never,
        hops_rf=never,
        flops_needed="16*b*n*d**2",
    ),
    "attention-block-diagonal": Truth(
        flops="4*b*n*c*d",
        parameters="0",
        peak_bytes="4*(2*b*n*c + b*n*d)",  # as the core, n/c times with c positions
        saved_bytes="4*(b*n*c + 2*b*n*d)",
        depth="4",
        elementwise="5*b*n*c + b*n*d",
        hops=never,
        hops_rf=never,
        flops_needed="4*b*n*c*d",
    ),
    "fully-connected": Truth(
        flops="2*b*n**2*d**2",
        parameters="n**2*d**2",
        peak_bytes="4*b*n*d",
        saved_bytes="4*b*n*d",
        depth="1",
        elementwise="0",
        hops=one,
        hops_rf=one,
        flops_needed="2*b*n**2*d**2",
    ),
}
