"""Pooling over windows, and finer or coarser grids.

Element-wise: 1 for each number of each window, or for each number taken where windows adapt. Depth: log₂ of the window.
"""

from __future__ import annotations

import math

from attnbench.counting.operators.contract.costs import each_given, each_taken, tree
from attnbench.counting.operators.contract.operator import Call, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import moved, tried
from attnbench.counting.operators.reduction import reduction_depth


def _windows(call: Call) -> int:
    """``avg_pool1d(self, kernel_size, …)`` and the like: one for each number of each window."""
    pooled = call.output[0] if isinstance(call.output, tuple) else call.output
    return int(pooled.numel() * math.prod(call.args[1]))


def _windows_depth(call: Call) -> float:
    return tree(math.prod(call.args[1]))


def _windows_backward(call: Call) -> int:
    """``avg_pool2d_backward(grad, self, kernel_size, …)``."""
    return int(call.args[0].numel() * math.prod(call.args[2]))


OPERATORS = (
    Operator("avg_pool1d avg_pool2d max_pool2d_with_indices", nothing, _windows, _windows_depth, dependencies=tried),
    Operator("max_pool1d", nothing, _windows, _windows_depth),
    Operator("avg_pool2d_backward", nothing, _windows_backward),
    Operator("max_pool2d_with_indices_backward", nothing, each_taken()),
    Operator("_adaptive_avg_pool2d", nothing, each_taken(), reduction_depth(), dependencies=tried),
    Operator("adaptive_avg_pool1d", nothing, each_taken(), reduction_depth()),
    Operator("_adaptive_avg_pool2d_backward", nothing, each_given),
    Operator("adaptive_max_pool2d upsample_linear1d upsample_bilinear2d", dependencies=tried),
    costless("pixel_shuffle pixel_unshuffle channel_shuffle upsample_nearest1d upsample_nearest2d", dependencies=moved),
)
