"""Reductions: sums, means, extremes, norms, variances.

Element-wise: 1 per number taken; a norm 2, a variance 4 (mean, subtract, square, sum), and a logsumexp 4. A complex
number is two numbers, and 6 in a product. Depth over m numbers: log₂ m; a mean divides once more; a norm takes powers
and a root: 2 more; a variance is a mean, a subtraction, a square and a mean: 4 + 2·log₂ m; a deviation has a root as
well.
"""

from __future__ import annotations

from torch import Tensor
from torch.utils._pytree import tree_leaves

from attnbench.counting.operators.contract.costs import each_multiplied, each_taken, log, numbers, tree
from attnbench.counting.operators.contract.operator import Call, Cost, Effect, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import along


def reduction_depth(before_and_after: int = 0, trees: int = 1) -> Cost:
    """Reductions of the first argument to the first result, by `trees` and some point-wise steps around them."""

    def depth(call: Call) -> float:
        results = next(leaf.numel() for leaf in tree_leaves(call.output) if isinstance(leaf, Tensor))
        count = call.args[0].numel() / max(results, 1)
        return before_and_after + trees * log(count) if before_and_after else tree(count)

    return depth


def _reduction(names: str, times: int, depth: Cost | None = None, effective: Effect | None = None) -> Operator:
    return Operator(names, nothing, each_taken(times), depth, effective, dependencies=along)


def _is_of_two(call: Call) -> bool:
    """``max`` and ``min`` are of one tensor, or of two number by number."""
    return len(call.args) > 1 and isinstance(call.args[1], Tensor)


def _extreme(call: Call) -> int:
    return numbers(call.output) if _is_of_two(call) else int(call.args[0].numel())


def _extreme_depth(call: Call) -> float:
    return 1.0 if _is_of_two(call) else reduction_depth()(call)


_VARIANCE, _DEVIATION = reduction_depth(4, trees=2), reduction_depth(5, trees=2)

OPERATORS = (
    _reduction("sum", 1, reduction_depth(), Effect.SMOOTH),
    _reduction("amax amin argmax argmin any all", 1, reduction_depth()),
    Operator("prod", nothing, each_multiplied, reduction_depth(), dependencies=along),
    _reduction("mean", 1, reduction_depth(1), Effect.SMOOTH),
    _reduction("nansum aminmax median nanmedian kthvalue", 1),
    _reduction("linalg_vector_norm", 2, reduction_depth(2), Effect.SMOOTH),
    _reduction("norm", 2, reduction_depth(2)),
    _reduction("var var_mean logsumexp", 4, _VARIANCE, Effect.SMOOTH),
    _reduction("std", 4, _DEVIATION, Effect.SMOOTH),
    _reduction("std_mean", 4, _DEVIATION),
    Operator("max min", nothing, _extreme, _extreme_depth, dependencies=along),
    Operator("count_nonzero trace", nothing, each_taken()),
    costless("value_selecting_reduction_backward"),
    Operator("mode", dependencies=along),
)
