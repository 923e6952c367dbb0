"""Depth of one executed operation for processors without number (PRAM), where a kernel hides a tree of steps.

Counting kernels takes a softmax over n numbers for one step, as the paper does. Here it is what it is made of, and a
sum of m numbers is a tree of log₂ m additions:

* a point-wise operation, a copy, an allocation, and whatever is unknown: 1; a view: 0;
* a sum, a product or an extreme of m numbers: log₂ m; a mean divides once more; a norm takes powers and a root: 2 more;
  a variance is a mean, a subtraction, a square and a mean: 4 + 2·log₂ m; a deviation has a root as well;
* a product of matrices with inner length m: 1 + log₂ m, and so is a convolution, whose m is k·channels/groups;
  the bias added to it is one more;
* a softmax over m: 3 + 2·log₂ m (maximum, subtract, exp, sum, divide); its derivative 3 + log₂ m;
* a normalisation over m: 6 + 2·log₂ m, 1 more for each of weight and bias; without the mean 4 + log₂ m;
* a scan over m: log₂ m; a sort or a choice of the largest of m: (log₂ m)²; a Fourier transform of length m: log₂ m;
* fused attention and the fused layers of transformers: their parts in sequence;
* a fused recurrence over n steps: the first product of the input, n − 1 products of the state, and n times the cell
  (2 for a plain cell, 8 for a GRU, 6 for an LSTM), layer after layer.

Logarithms are not rounded: the depth of a chain is then an exact combination of logarithms of the sizes, and its law
can be recovered. No bare tree is shorter than one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from attnbench.counting.flops import Operation, RecurrentLayer, recurrent_layers

_Formula = Callable[[Sequence[Any], dict[str, Any], Any], float]

#: Steps between two products of a state, by the gates of the cell: one (plain), three (GRU) or four (LSTM).
_CELL = {1: 2, 3: 8, 4: 6}


def log_depth_of(operation: Operation, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> float:
    """Steps of one call on a machine with as many processors as can be used."""
    formula = _FORMULAS.get(operation.overloadpacket.__name__.rstrip("_")) if operation.namespace == "aten" else None
    if formula is not None:
        return formula(args, kwargs, output)
    return 0.0 if operation.is_view else 1.0


def _log(count: float) -> float:
    return math.log2(max(count, 1))


def _tree(count: float) -> float:
    """Steps to bring `count` numbers together, where nothing else is done."""
    return max(_log(count), 1.0)


def _product(inner: float, bias: bool = False) -> float:
    return 1 + _log(inner) + bias


def _softmax(length: float) -> float:
    return 3 + 2 * _log(length)


def _normalise(length: float, factors: int) -> float:
    return 6 + 2 * _log(length) + factors


def _given(values: Iterable[Any]) -> int:
    return sum(value is not None for value in values)


def _length(values: Tensor, dimension: int) -> int:
    return int(values.shape[dimension]) if values.ndim else 1


def _nothing(_: Sequence[Any], __: dict[str, Any], ___: Any) -> float:
    return 0.0


# -------------------------------------------------------------------------------------------- trees and scans


def _reduction(before_and_after: int = 0, trees: int = 1) -> _Formula:
    """Reductions of the first argument to the first result, by `trees` and some point-wise steps around them."""

    def depth(args: Sequence[Any], _: dict[str, Any], output: Any) -> float:
        results = next(leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
        count = args[0].numel() / max(results, 1)
        return before_and_after + trees * _log(count) if before_and_after else _tree(count)

    return depth


def _extreme(args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> float:
    """``max`` and ``min``: of one tensor, or of two number by number."""
    of_two = len(args) > 1 and isinstance(args[1], Tensor)
    return 1.0 if of_two else _reduction()(args, kwargs, output)


def _along(depth_of: Callable[[float], float], place: int = 1) -> _Formula:
    """What is done along the dimension that the argument at `place` names, the last one unless it does."""

    def depth(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> float:
        dimension = args[place] if len(args) > place else kwargs.get("dim", -1)
        return depth_of(_length(args[0], dimension))

    return depth


def _windows(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``avg_pool1d(self, kernel_size, …)`` and the like."""
    return _tree(math.prod(args[1]))


def _added_rows(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``index_add(self, dim, index, source)``, ``scatter_add``: all may meet in one place."""
    return _tree(_length(args[3], args[1]))


def _put(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> float:
    """``index_put(self, indices, values, accumulate=False)``: where values accumulate, all may meet in one place."""
    accumulate = args[3] if len(args) > 3 else kwargs.get("accumulate", False)
    places = max(int(index.numel()) for index in args[1] if index is not None)
    return _tree(places) if accumulate else 1.0


def _embedding_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``embedding_dense_backward(grad, indices, …)``: all rows may meet in one place."""
    return _tree(args[1].numel())


def _fourier(args: Sequence[Any], _: dict[str, Any], output: Tensor) -> float:
    """All transformed dimensions together, at the longer of their two lengths."""
    larger = args[0] if args[0].numel() >= output.numel() else output
    return _tree(math.prod(int(larger.shape[dimension]) for dimension in args[1]))


# ---------------------------------------------------------------------------------------------------- products


def _matrix_product(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    return _product(int(args[0].shape[-1]))


def _added_matrix_product(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> float:
    """``addmm(bias, a, b, *, beta=1)``."""
    return _product(int(args[1].shape[-1]), bias=kwargs.get("beta", 1) != 0)


def _taps(weight: Tensor, transposed: bool, groups: int) -> float:
    """Numbers that meet in one output of a convolution, whose transpose holds its weights the other way round."""
    return float(weight.numel() / (weight.shape[1] * groups if transposed else weight.shape[0]))


def _convolution(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)``."""
    return _product(_taps(args[1], args[6], args[8]), bias=args[2] is not None)


def _convolution_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``convolution_backward(grad, input, weight, …, transposed, …, groups, output_mask)``: gradients side by side."""
    gradient, weight = args[0], args[2]
    seen = gradient.numel() / gradient.shape[1]
    of_input = _product(_taps(weight, not args[7], args[9]))
    depths = (of_input, _product(seen), _tree(seen))
    return max((depth for depth, wanted in zip(depths, args[10], strict=True) if wanted), default=0.0)


# ----------------------------------------------------------------------------------------------- normalisation


def _layer_norm(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``native_layer_norm(input, shape, weight, bias, eps)``."""
    return _normalise(math.prod(args[1]), _given(args[2:4]))


def _group_norm(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``native_group_norm(input, weight, bias, N, C, HxW, group, eps)``."""
    return _normalise(args[4] * args[5] / args[6], _given(args[1:3]))


def _batch_norm(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``native_batch_norm(input, weight, bias, …, training, …)``; stored statistics need no tree."""
    training = next((value for value in args[3:] if isinstance(value, bool)), False)
    factors = _given(args[1:3])
    return _normalise(args[0].numel() / args[0].shape[1], factors) if training else 2.0 + factors


def _root_mean_square_norm(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> float:
    """``rms_norm(input, shape, weight, eps)``: square, mean, root, divide."""
    weight = args[2] if len(args) > 2 else kwargs.get("weight")
    return 4 + _log(math.prod(args[1])) + _given([weight])


def _norm_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``…_norm_backward(grad, input, …)``: the gradients of the input (within a row) and of the weight (over rows)."""
    shape = args[2] if isinstance(args[2], list | tuple) else args[1].shape[1:]
    row = math.prod(shape)
    return max(8 + _log(row), 3 + _log(args[0].numel() / row))


# ---------------------------------------------------------------------------------------- attention, fused layers


def _core(width: int, keys: int, masked: bool) -> float:
    """Scale, scores, softmax, weighted sum."""
    return 1 + _product(width, bias=masked) + _softmax(keys) + _product(keys)


def _attention(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> float:
    """``_scaled_dot_product_…_attention(query, key, value, mask?, …)``; the mask is a tensor wherever it stands."""
    masked = any(isinstance(value, Tensor) for value in (*args[3:], *kwargs.values()))
    return _core(int(args[0].shape[-1]), int(args[1].shape[-2]), masked)


def _attention_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """Scores once more, subtract, exp; subtract, multiply; the products for query and key side by side, scale."""
    query, key, value = args[1:4]
    weights = 1 + _product(int(query.shape[-1])) + 2
    gradient_of_weights = _product(int(value.shape[-1])) + 1
    longest_sum = max(int(query.shape[-2]), int(key.shape[-2]))
    return max(weights, gradient_of_weights) + 1 + _product(longest_sum) + 1


def _self_attention(width: int, heads: int, keys: int, masked: bool) -> float:
    return _product(width, bias=True) + _core(width // heads, keys, masked) + _product(width, bias=True)


def _multi_head_fast_path(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> float:
    """``_native_multi_head_attention(query, key, value, embed_dim, num_head, weights…, mask, …)``."""
    mask = args[9] if len(args) > 9 else kwargs.get("mask")
    return _self_attention(int(args[3]), int(args[4]), int(args[1].shape[1]), mask is not None)


def _encoder_fast_path(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> float:
    """``_transformer_encoder_layer_fwd(src, …)``: attention, two dense layers, two sums, two normalisations."""
    width, hidden = int(args[1]), int(args[15].numel())
    mask = args[18] if len(args) > 18 else kwargs.get("mask")
    attention = _self_attention(width, int(args[2]), int(args[0].shape[1]), mask is not None)
    dense = _product(width, bias=True) + 1 + _product(hidden, bias=True)
    return attention + dense + 2 * (1 + _normalise(width, factors=2))


# ------------------------------------------------------------------------------------------------- recurrences


def _steps(length: int, parameters: Iterable[Any], directions: int = 1) -> float:
    """All layers in sequence, directions side by side."""
    given = list(parameters)
    bias = any(isinstance(one, Tensor) and one.ndim == 1 for one in given)
    return sum(_layer(length, layer, bias) for layer in recurrent_layers(given)[::directions])


def _layer(length: int, layer: RecurrentLayer, bias: bool) -> float:
    width, state = int(layer.inputs.shape[1]), int(layer.states.shape[1])
    cell = _CELL[layer.gates] + (0.0 if layer.projection is None else _product(layer.hidden))
    return _product(max(width, state), bias) + (length - 1) * _product(state, bias) + length * cell


def _recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``rnn_tanh/gru/lstm.input(input, state, parameters, …, bidirectional, batch_first)``."""
    return _steps(int(args[0].shape[1 if args[8] else 0]), args[2], 2 if args[7] else 1)


def _onednn_recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> float:
    """``mkldnn_rnn_layer(input (n, b, d), w_ih, w_hh, b_ih, b_hh, …, has_biases at 12, …)``."""
    return _steps(int(args[0].shape[0]), args[1 : 5 if args[12] else 3])


# --------------------------------------------------------------------------------------------------- the table

#: Every operation that is not one step, by its name without the underscore of work in place; first come views that do
#: not say so, or that are made in place.
_BY_DEPTH: dict[_Formula, str] = {
    _nothing: """
        _unsafe_view unsafe_split unsafe_split_with_sizes unsafe_chunk transpose t squeeze unsqueeze swapaxes swapdims
        as_strided detach
    """,
    _reduction(): "sum prod amax amin argmax argmin any all adaptive_avg_pool1d _adaptive_avg_pool2d",
    _reduction(1): "mean",
    _reduction(2): "norm linalg_vector_norm",
    _reduction(4, trees=2): "var var_mean logsumexp",
    _reduction(5, trees=2): "std std_mean",
    _extreme: "max min",
    _along(_tree): "cumsum cumprod cummax cummin logcumsumexp",
    _along(lambda length: max(_log(length) ** 2, 1.0)): "sort argsort",
    _along(lambda length: max(_log(length) ** 2, 1.0), place=2): "topk",
    _along(_softmax): "_softmax softmax _safe_softmax",
    _along(lambda length: 1 + _softmax(length)): "_log_softmax log_softmax",
    _along(lambda length: 3 + _log(length), place=2): "_softmax_backward_data",
    _along(lambda length: 2 + _log(length), place=2): "_log_softmax_backward_data",
    _windows: "avg_pool1d max_pool1d avg_pool2d max_pool2d_with_indices",
    _added_rows: "index_add scatter_add",
    _put: "index_put",
    _embedding_backward: "embedding_dense_backward",
    _fourier: "_fft_r2c _fft_c2r _fft_c2c",
    _matrix_product: "mm bmm mv dot vdot",
    _added_matrix_product: "addmm baddbmm addmv",
    _convolution: "convolution _convolution",
    _convolution_backward: "convolution_backward",
    _layer_norm: "native_layer_norm",
    _group_norm: "native_group_norm",
    _batch_norm: "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training",
    _root_mean_square_norm: "rms_norm _fused_rms_norm",
    _norm_backward: """
        native_layer_norm_backward native_group_norm_backward native_batch_norm_backward _fused_rms_norm_backward
    """,
    _attention: """
        _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
        _scaled_dot_product_fused_attention_overrideable
    """,
    _attention_backward: """
        _scaled_dot_product_flash_attention_backward _scaled_dot_product_flash_attention_for_cpu_backward
        _scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward
        _scaled_dot_product_fused_attention_overrideable_backward
    """,
    _multi_head_fast_path: "_native_multi_head_attention",
    _encoder_fast_path: "_transformer_encoder_layer_fwd",
    _recurrence: "rnn_tanh rnn_relu gru lstm",
    _onednn_recurrence: "mkldnn_rnn_layer",
}
_FORMULAS: dict[str, _Formula] = {name: formula for formula, names in _BY_DEPTH.items() for name in names.split()}
