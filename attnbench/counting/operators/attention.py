"""Fused attention, and whole layers of transformers in one kernel.

FLOPs: scores and weighted sum of ``(b, h, n, d_h)`` queries against all keys; masking saves nothing here. The
backward is five products: scores once more, then a gradient for each factor of both. Element-wise: 6 per score, a
scaling and a softmax, and 1 more with a mask; backwards 6 per score (scale, subtract, exp, subtract, multiply, scale)
and 2 per number of the output. Depth: the parts in sequence.

`flex_attention` as the one kernel that it is compiled to, which counting puts in its place. Its FLOPs are those of the
pairs in the blocks that its block mask visits, whole blocks but for the ends of the sequences; without a mask of all
pairs. Element-wise: 6 per pair; whatever the score function computes for a pair; and, in blocks that the mask cuts,
what the mask function computes and a choice. Backwards the functions count once more. Depth: one more for the functions
together. Bytes: the output, and a sum for each row. Called without ``torch.compile`` it writes all scores out instead,
and visits every pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from attnbench.counting.operators.contract.costs import number_given, numbers
from attnbench.counting.operators.contract.operator import Call, Operator, costless
from attnbench.counting.operators.matmul import product_depth
from attnbench.counting.operators.normalisation import NORMALISE, SOFTMAX, normalise_depth, softmax_depth

_SCORE = 1 + SOFTMAX


def _scores(query: Tensor, key: Tensor) -> int:
    return int(math.prod(query.shape[:-1]) * key.shape[-2])


# ----------------------------------------------------------------------------------------------------- the core


def _flops(call: Call) -> int:
    query, key, value = call.args[:3]
    return 2 * _scores(query, key) * (int(query.shape[-1]) + int(value.shape[-1]))


def _elementwise(call: Call) -> int:
    return _scores(*call.args[:2]) * (_SCORE + _is_masked(call))


def _depth(call: Call) -> float:
    query, key = call.args[:2]
    return _core_depth(int(query.shape[-1]), int(key.shape[-2]), _is_masked(call))


def _is_masked(call: Call) -> bool:
    """``_scaled_dot_product_…_attention(query, key, value, mask?, …)``; the mask is a tensor wherever it stands."""
    return any(isinstance(value, Tensor) for value in (*call.args[3:], *call.kwargs.values()))


def _core_depth(width: int, keys: int, masked: bool) -> float:
    """Scale, scores, softmax, weighted sum."""
    return 1 + product_depth(width, bias=masked) + softmax_depth(keys) + product_depth(keys)


def _flops_backward(call: Call) -> int:
    """``…_attention_backward(grad, query, key, value, …)``."""
    query, key, value = call.args[1:4]
    return 2 * _scores(query, key) * (3 * int(query.shape[-1]) + 2 * int(value.shape[-1]))


def _elementwise_backward(call: Call) -> int:
    """Six for each score, and the rows of grad × output summed."""
    return 6 * _scores(*call.args[1:3]) + 2 * int(call.args[0].numel())


def _depth_backward(call: Call) -> float:
    """Scores once more, subtract, exp; subtract, multiply; the products for query and key side by side, scale."""
    query, key, value = call.args[1:4]
    weights = 1 + product_depth(int(query.shape[-1])) + 2
    gradient_of_weights = product_depth(int(value.shape[-1])) + 1
    longest_sum = max(int(query.shape[-2]), int(key.shape[-2]))
    return max(weights, gradient_of_weights) + 1 + product_depth(longest_sum) + 1


# ------------------------------------------------------------------------------------------------- whole layers


def _layer_flops(call: Call) -> int:
    """``_native_multi_head_attention(query, key, value, embed_dim, num_heads, …)``: projections and core."""
    query, key, width = call.args[0], call.args[1], int(call.args[3])
    rows, pairs = query.shape[0] * query.shape[1], query.shape[0] * query.shape[1] * key.shape[1]
    keys = key.shape[0] * key.shape[1]
    return int(2 * width * width * (2 * rows + 2 * keys) + 4 * pairs * width)


def _layer_elementwise(call: Call) -> int:
    """``…(query, key, value, embed_dim, num_head, weights…, mask, need_weights, average_attn_weights, …)``."""
    query, key, width, heads = call.args[0], call.args[1], int(call.args[3]), int(call.args[4])
    averaged = call.argument(10, "need_weights", True) and call.argument(11, "average_attn_weights", True)
    biases = width * 2 * (numbers(query) // width + numbers(key) // width)
    masked = call.argument(9, "mask") is not None
    return heads * _scores(query, key) * (_SCORE + masked + bool(averaged)) + biases


def _layer_depth(call: Call) -> float:
    masked = call.argument(9, "mask") is not None
    return _self_attention_depth(int(call.args[3]), int(call.args[4]), int(call.args[1].shape[1]), masked)


def _self_attention_depth(width: int, heads: int, keys: int, masked: bool) -> float:
    projection = product_depth(width, bias=True)
    return projection + _core_depth(width // heads, keys, masked) + projection


def _encoder_flops(call: Call) -> int:
    """``_transformer_encoder_layer_fwd(src, embed_dim, …)``: multi-head attention and two dense layers."""
    source, width = call.args[0], int(call.args[1])
    rows = source.shape[0] * source.shape[1]
    projections_and_dense = [call.args[place] for place in (3, 5, 14, 16)]  # a mask further on is a matrix too
    return int(2 * rows * _weights(projections_and_dense) + 4 * rows * source.shape[1] * width)


def _weights(parameters: Iterable[Any]) -> int:
    return sum(weight.numel() for weight in parameters if weight.ndim == 2)


def _encoder_elementwise(call: Call) -> int:
    """Attention, two dense layers, two sums, two normalisations."""
    source, heads, hidden = call.args[0], int(call.args[2]), int(call.args[15].numel())
    positions = source.shape[0] * source.shape[1]
    biases_and_activation = positions * (numbers([call.args[place] for place in (4, 6, 15, 17)]) + hidden)
    around = 2 * numbers(source) * (1 + NORMALISE + 2)
    masked = number_given([call.argument(18, "mask")])
    return int(heads * _scores(source, source) * (_SCORE + masked) + biases_and_activation + around)


def _encoder_depth(call: Call) -> float:
    width, hidden = int(call.args[1]), int(call.args[15].numel())
    masked = call.argument(18, "mask") is not None
    attention = _self_attention_depth(width, int(call.args[2]), int(call.args[0].shape[1]), masked)
    dense = product_depth(width, bias=True) + 1 + product_depth(hidden, bias=True)
    return attention + dense + 2 * (1 + normalise_depth(width, factors=2))


# ------------------------------------------------------------------------------------------------ flex_attention


def _flex_flops(call: Call) -> int:
    """``flex_attention(query, key, value, modified, pairs, work)``."""
    query, _, value, _, pairs, _ = call.args
    return int(2 * pairs * (query.shape[-1] + value.shape[-1]))


def _flex_elementwise(call: Call) -> int:
    pairs, work = call.args[4:6]
    return int(_SCORE * pairs + work)


def _flex_depth(call: Call) -> float:
    return 1 + _core_depth(int(call.args[0].shape[-1]), int(call.args[1].shape[-2]), masked=False)


def _flex_flops_backward(call: Call) -> int:
    """``flex_attention_backward(grad, query, key, value, output, sums, pairs, work)``."""
    query, value, pairs = call.args[1], call.args[3], call.args[6]
    return int(2 * pairs * (3 * query.shape[-1] + 2 * value.shape[-1]))


def _flex_elementwise_backward(call: Call) -> int:
    grad, pairs, work = call.args[0], call.args[6], call.args[7]
    return int(6 * pairs + work + 2 * grad.numel())


OPERATORS = (
    Operator(
        """
        _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
        _scaled_dot_product_fused_attention_overrideable
        """,
        _flops,
        _elementwise,
        _depth,
    ),
    Operator(
        """
        _scaled_dot_product_flash_attention_backward _scaled_dot_product_flash_attention_for_cpu_backward
        _scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward
        _scaled_dot_product_fused_attention_overrideable_backward
        """,
        _flops_backward,
        _elementwise_backward,
        _depth_backward,
    ),
    Operator("flex_attention", _flex_flops, _flex_elementwise, _flex_depth),
    Operator(
        "flex_attention_backward",
        _flex_flops_backward,
        _flex_elementwise_backward,
        lambda call: 1 + _depth_backward(call),
    ),
    costless("zeros_and_scatter"),  # the gradient of a table that the score function of flex_attention reads
    Operator("_native_multi_head_attention", _layer_flops, _layer_elementwise, _layer_depth),
    Operator("_transformer_encoder_layer_fwd", _encoder_flops, _encoder_elementwise, _encoder_depth),
)
