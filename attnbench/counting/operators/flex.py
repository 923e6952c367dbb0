"""`flex_attention` as the one kernel that it is compiled to; counting puts this in its place.

FLOPs: scores and weighted sum, as for any fused attention, of the pairs in the blocks that its block mask visits, whole
blocks but for the ends of the sequences; without a mask of all pairs. The backward is five products of the same pairs.
Element-wise: 6 per pair, a scaling and a softmax; whatever the score function computes for a pair; and, in blocks that
the mask cuts, what the mask function computes and a choice. Backwards 6 per pair, the functions once more, and 2 per
number of the output. Depth: that of fused attention over all keys, and one more for the functions together. Bytes: the
output and a sum for each row. Called without ``torch.compile`` it writes all scores out instead, and visits every pair.
"""

from __future__ import annotations

from attnbench.counting.operators.contract.operator import Call, Operator, costless
from attnbench.counting.operators.matmul import product_depth
from attnbench.counting.operators.normalisation import SOFTMAX, softmax_depth

_SCORE = 1 + SOFTMAX
_BACKWARD = 6


def _flops(call: Call) -> int:
    """``flex_attention(query, key, value, modified, pairs, work)``."""
    query, _, value, _, pairs, _ = call.args
    return int(2 * pairs * (query.shape[-1] + value.shape[-1]))


def _elementwise(call: Call) -> int:
    pairs, work = call.args[4:6]
    return int(_SCORE * pairs + work)


def _depth(call: Call) -> float:
    query, key = call.args[:2]
    keys = int(key.shape[-2])
    return 2 + product_depth(int(query.shape[-1])) + softmax_depth(keys) + product_depth(keys)


def _flops_backward(call: Call) -> int:
    """``flex_attention_backward(grad, query, key, value, output, sums, pairs, work)``."""
    query, value, pairs = call.args[1], call.args[3], call.args[6]
    return int(2 * pairs * (3 * query.shape[-1] + 2 * value.shape[-1]))


def _elementwise_backward(call: Call) -> int:
    grad, pairs, work = call.args[0], call.args[6], call.args[7]
    return int(_BACKWARD * pairs + work + 2 * grad.numel())


def _depth_backward(call: Call) -> float:
    """Scores once more, functions and exp; the gradient of the weights beside them; subtract, multiply, sum, scale."""
    query, key, value = call.args[1:4]
    weights, theirs = product_depth(int(query.shape[-1])) + 4, product_depth(int(value.shape[-1])) + 1
    return max(weights, theirs) + 2 + product_depth(max(int(query.shape[-2]), int(key.shape[-2])))


OPERATORS = (
    Operator("flex_attention", _flops, _elementwise, _depth),
    Operator("flex_attention_backward", _flops_backward, _elementwise_backward, _depth_backward),
    costless("zeros_and_scatter"),  # the gradient of a table that the score function reads, of a single pair
)
