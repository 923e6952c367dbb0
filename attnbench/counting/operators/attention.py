"""Fused attention, and whole layers of transformers in one kernel.

FLOPs: scores and weighted sum of ``(b, h, n, d_h)`` queries against all keys; masking saves nothing here. The
backward is five products: scores once more, then a gradient for each factor of both. Element-wise: 6 per score, a
scaling and a softmax, and 1 more with a mask; backwards 6 per score (scale, subtract, exp, subtract, multiply, scale)
and 2 per number of the output. Depth: the parts in sequence. Its kernel works through tiles, and holds little beside
its output.

A whole layer is counted as the operations that its kernel makes, in their order: it holds queries, keys, values and all
scores while it runs.

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

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, relu

from attnbench.counting.operators.contract.operator import Call, Operator, costless
from attnbench.counting.operators.matmul import product_depth
from attnbench.counting.operators.normalisation import SOFTMAX, softmax_depth

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
    """Scale, scores, softmax, weighted sum."""
    query, key = call.args[:2]
    keys = int(key.shape[-2])
    return 1 + product_depth(int(query.shape[-1]), _is_masked(call)) + softmax_depth(keys) + product_depth(keys)


def _is_masked(call: Call) -> bool:
    """``_scaled_dot_product_…_attention(query, key, value, mask?, …)``; the mask is a tensor wherever it stands."""
    return any(isinstance(value, Tensor) for value in (*call.args[3:], *call.kwargs.values()))


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


def _layer(call: Call) -> tuple[Tensor, Tensor]:
    """``_native_multi_head_attention(query, …)``: the output, and the weights where they are wanted."""
    query, _, _, _, heads, weight, bias, out_weight, out_bias = call.args[:9]
    wanted, averaged = call.argument(10, "need_weights", True), call.argument(11, "average_attn_weights", True)
    queries, keys, values = _projected(query, weight, bias, heads)
    weights = _attention_weights(queries, keys, call.argument(9, "mask"), call.argument(12, "mask_type"))
    torch.bmm(weights.flatten(0, 1), values.flatten(0, 1), out=queries.flatten(0, 1))  # no query is needed any more
    if not wanted:
        weights = query.new_empty(0)
    output = linear(queries.transpose(1, 2).flatten(2), out_weight, out_bias)
    return output, weights.mean(1) if wanted and averaged else weights


def _projected(query: Tensor, weight: Tensor, bias: Tensor, heads: int) -> tuple[Tensor, ...]:
    """Queries, scaled, keys and values, ``(b, h, n, d_h)`` each, side by side in one storage."""
    b, n, width = query.shape
    joined = linear(query, weight).view(b, n, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    packed = torch.add(joined, bias.view(3, 1, heads, 1, -1), out=query.new_empty(joined.shape))
    queries, keys, values = packed.unbind(0)
    return queries.mul_((width // heads) ** -0.5), keys, values


def _attention_weights(queries: Tensor, keys: Tensor, mask: Tensor | None, kind: int | None) -> Tensor:
    """``(b, h, n, n)``; without a mask they take the place of the scores."""
    scores = queries @ keys.mT
    if mask is None:
        return torch.softmax(scores, -1, out=scores)
    forbidden = mask.to(torch.bool)
    if kind == 1:  # one for each key of each sequence
        forbidden = forbidden.view(keys.shape[0], 1, 1, -1)
    masked = scores.masked_fill(forbidden, -math.inf)
    return torch.softmax(masked, -1, out=masked)


def _encoder(call: Call) -> Tensor:
    """``_transformer_encoder_layer_fwd(src, embed_dim, num_heads, …, mask, mask_type)``."""
    source, width, heads = call.args[:3]
    with_gelu, norm_first, epsilon = call.args[7:10]
    norms, dense = (call.args[10:12], call.args[12:14]), call.args[14:18]
    mask, kind = call.argument(18, "mask"), call.argument(19, "mask_type")

    def normalised(values: Tensor, place: int) -> Tensor:
        weight, bias = norms[place]
        return layer_norm(values, (width,), weight, bias, epsilon)

    values = normalised(source, 0) if norm_first else source
    layer = (values, values, values, width, heads, *call.args[3:7], mask, False, True, kind)
    attended = _layer(Call(call.operation, layer, {}))[0].add_(source)
    del values, layer
    attended = attended if norm_first else normalised(attended, 0)
    output = _dense(normalised(attended, 1) if norm_first else attended, dense, with_gelu).add_(attended)
    return output if norm_first else normalised(output, 1)


def _dense(values: Tensor, parameters: Iterable[Tensor], with_gelu: bool) -> Tensor:
    """Two dense layers, and an activation in place of what it is taken of."""
    weight, bias, weight_back, bias_back = parameters
    hidden = linear(values, weight, bias)
    activated = torch.ops.aten.gelu_(hidden) if with_gelu else relu(hidden, inplace=True)
    return linear(activated, weight_back, bias_back)


# ------------------------------------------------------------------------------------------------ flex_attention


def _flex_flops(call: Call) -> int:
    """``flex_attention(query, key, value, modified, pairs, work)``."""
    query, _, value, _, pairs, _ = call.args
    return int(2 * pairs * (query.shape[-1] + value.shape[-1]))


def _flex_elementwise(call: Call) -> int:
    pairs, work = call.args[4:6]
    return int(_SCORE * pairs + work)


def _flex_depth(call: Call) -> float:
    query, key = call.args[:2]
    return (
        2 + product_depth(int(query.shape[-1])) + softmax_depth(int(key.shape[-2])) + product_depth(int(key.shape[-2]))
    )


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
    Operator("_native_multi_head_attention", opened=_layer),
    Operator("_transformer_encoder_layer_fwd", opened=_encoder),
    # Whether padded positions can be left out, which depends on the values of a mask: they are computed.
    Operator("_nested_tensor_from_mask_left_aligned", opened=lambda _: False),
    Operator("flex_attention", _flex_flops, _flex_elementwise, _flex_depth),
    Operator(
        "flex_attention_backward",
        _flex_flops_backward,
        _flex_elementwise_backward,
        lambda call: 1 + _depth_backward(call),
    ),
    costless("zeros_and_scatter"),  # the gradient of a table that the score function of flex_attention reads
)
