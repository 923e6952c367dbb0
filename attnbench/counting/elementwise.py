"""Element-wise operations and reductions of one executed operation: the second counter, beside the FLOPs.

Convention, whatever the kernel really executes:

* a point-wise operation is 1 per number it gives; an exponential or a tanh is one operation, and so is a comparison,
  a choice or the derivative of an activation; a complex number is one number;
* a reduction is 1 per number it takes; a variance 4 (mean, subtract, square, sum), a norm 2, a logsumexp 4;
* a softmax is 5 per number: maximum, subtract, exp, sum, divide; its derivative 4;
* a normalisation is 5 per number (mean, subtract, square, sum, divide), 3 without the mean, 2 with stored statistics,
  and 1 more for each of weight and bias; its derivative 9, 3 more for a weight and 1 for a bias;
* a scan is 1 per number, a sort n⌈log₂ n⌉ per row, and so is a choice of the k largest;
* fused attention is 6 per score, a scaling and a softmax, and 1 more with a mask; its derivative 6 per score
  (scale, subtract, exp, subtract, multiply, scale) and 2 per number of the output;
* a step of a recurrence is 2 per number of the state for a plain cell (add, tanh), 10 for a GRU (add and sigmoid for
  each of two gates; multiply, add, tanh; subtract, multiply, add) and 13 for an LSTM (an add and an activation for
  each of four gates; two multiplies and an add; tanh and multiply); its derivative 1, 9 and 13, and 1 to add the
  gradient that comes from the output;
* a product of matrices, a convolution, a Fourier transform costs nothing here (FLOPs count it), but the bias added to
  it is 1 per number, so that a fused bias and a bias added afterwards cost the same;
* views, copies, allocations and random draws cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from attnbench.counting.flops import Operation, is_free, recurrent_layers

_Formula = Callable[[Sequence[Any], dict[str, Any], Any], int]

#: Work for each number of a state, by the gates of the cell: one (plain), three (GRU) or four (LSTM).
_CELL = {1: 2, 3: 10, 4: 13}
_CELL_BACKWARD = {1: 1, 3: 9, 4: 13}
_SOFTMAX = 5
_ATTENTION = 1 + _SOFTMAX
_NORMALISE = 5


def elementwise_of(operation: Operation, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> int:
    """Element-wise work of one call, given its arguments and what it returned; 0 for an unknown operation."""
    formula = _FORMULAS.get(operation.overloadpacket.__name__.rstrip("_")) if operation.namespace == "aten" else None
    if formula is not None:
        return formula(args, kwargs, output)
    return _numbers(output) if is_free(operation) and not operation.is_view else 0


def is_looked_at(name: str) -> bool:
    """Whether the operation of this name has an entry of its own, be it a zero."""
    return name in _FORMULAS


def _numbers(values: Any) -> int:
    return sum(int(value.numel()) for value in tree_leaves(values) if isinstance(value, Tensor))


def _nothing(_: Sequence[Any], __: dict[str, Any], ___: Any) -> int:
    return 0


def _each_given(_: Sequence[Any], __: dict[str, Any], output: Any) -> int:
    return _numbers(output)


def _each_taken(times: int) -> _Formula:
    """`times` for each number of the first argument."""
    return lambda args, kwargs, output: times * int(args[0].numel())


def _extreme(args: Sequence[Any], _: dict[str, Any], output: Any) -> int:
    """``max`` and ``min``: of one tensor, or of two number by number."""
    of_two = len(args) > 1 and isinstance(args[1], Tensor)
    return _numbers(output) if of_two else int(args[0].numel())


def _each_of(place: int) -> _Formula:
    """One for each number of the argument at `place`."""
    return lambda args, kwargs, output: int(args[place].numel())


def _put(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> int:
    """``index_put(self, indices, values, accumulate=False)``: an addition where values accumulate, else a copy."""
    accumulate = args[3] if len(args) > 3 else kwargs.get("accumulate", False)
    return int(args[2].numel()) if accumulate else 0


def _sort(args: Sequence[Any], kwargs: dict[str, Any], _: Any, place: int = 1) -> int:
    """Comparisons of a merge sort, row by row."""
    values = args[0]
    dimension = args[place] if len(args) > place else kwargs.get("dim", -1)
    length = int(values.shape[dimension]) if values.ndim else 1
    return int(values.numel()) * math.ceil(math.log2(max(length, 1)))


def _top(args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> int:
    """``topk(self, k, dim=-1, …)``: as much as the sort that it stands for."""
    return _sort(args, kwargs, output, place=2)


def _windows(args: Sequence[Any], _: dict[str, Any], output: Any) -> int:
    """``avg_pool1d(self, kernel_size, …)`` and the like: one for each number of each window."""
    windows = output[0] if isinstance(output, tuple) else output
    return int(windows.numel() * math.prod(args[1]))


def _windows_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``avg_pool2d_backward(grad, self, kernel_size, …)``."""
    return int(args[0].numel() * math.prod(args[2]))


# ------------------------------------------------------------------------------------------------------ bias


def _bias(args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> int:
    """``addmm(bias, a, b, *, beta=1)``: nothing is added where beta is 0."""
    return 0 if kwargs.get("beta", 1) == 0 else _numbers(output)


def _convolution_bias(args: Sequence[Any], _: dict[str, Any], output: Any) -> int:
    """``convolution(input, weight, bias, …)``."""
    return 0 if args[2] is None else _numbers(output)


def _convolution_bias_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``convolution_backward(grad, …, output_mask)``: the gradient of the bias is a sum."""
    return int(args[0].numel()) if args[10][2] else 0


# ---------------------------------------------------------------------------------------------- normalisation


def _given(values: Iterable[Any]) -> int:
    return sum(value is not None for value in values)


def _layer_norm(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``native_layer_norm(input, shape, weight, bias, eps)``."""
    return int(args[0].numel()) * (_NORMALISE + _given(args[2:4]))


def _group_norm(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``native_group_norm(input, weight, bias, …)``."""
    return int(args[0].numel()) * (_NORMALISE + _given(args[1:3]))


def _batch_norm(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``native_batch_norm(input, weight, bias, …, training, …)``; the first truth value among them is `training`."""
    training = next((value for value in args[3:] if isinstance(value, bool)), False)
    return int(args[0].numel()) * ((_NORMALISE if training else 2) + _given(args[1:3]))


def _root_mean_square_norm(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> int:
    """``rms_norm(input, shape, weight, eps)``: square, sum, divide."""
    weight = args[2] if len(args) > 2 else kwargs.get("weight")
    return int(args[0].numel()) * (3 + _given([weight]))


def _norm_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``…_norm_backward(grad, …, output_mask)``: of the input always; a mask says whether of weight and bias."""
    weight, bias = (*args[-1][1:], False)[:2]
    return int(args[0].numel()) * (9 + 3 * bool(weight) + bool(bias))


# --------------------------------------------------------------------------------------------- fused attention


def _scores(query: Tensor, key: Tensor) -> int:
    return int(math.prod(query.shape[:-1]) * key.shape[-2])


def _attention(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> int:
    """``_scaled_dot_product_…_attention(query, key, value, mask?, …)``; the mask is a tensor wherever it stands."""
    masked = any(isinstance(value, Tensor) for value in (*args[3:], *kwargs.values()))
    return _scores(args[0], args[1]) * (_ATTENTION + masked)


def _attention_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``…_attention_backward(grad, query, key, …)``: six for each score, and the rows of grad × output summed."""
    return 6 * _scores(args[1], args[2]) + 2 * int(args[0].numel())


def _multi_head_fast_path(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> int:
    """``_native_multi_head_attention(query, key, value, embed_dim, num_head, weights…, mask, need_weights, …)``."""
    query, key, heads, rest = args[0], args[1], int(args[4]), args[9:]
    mask = rest[0] if rest else kwargs.get("mask")
    need_weights = rest[1] if len(rest) > 1 else kwargs.get("need_weights", True)
    average = rest[2] if len(rest) > 2 else kwargs.get("average_attn_weights", True)
    scores = heads * _scores(query, key)
    positions, keys, width = _numbers(query) // int(args[3]), _numbers(key) // int(args[3]), int(args[3])
    biases = width * (2 * positions + 2 * keys)
    return scores * (_ATTENTION + _given([mask]) + bool(need_weights and average)) + biases


def _encoder_fast_path(args: Sequence[Any], kwargs: dict[str, Any], _: Any) -> int:
    """``_transformer_encoder_layer_fwd(src, …)``: attention, two dense layers, two sums, two normalisations."""
    source, heads, hidden = args[0], int(args[2]), int(args[15].numel())
    mask = args[18] if len(args) > 18 else kwargs.get("mask")
    positions = source.shape[0] * source.shape[1]
    biases_and_activation = positions * (_numbers([args[4], args[6], args[15], args[17]]) + hidden)
    scores = heads * _scores(source, source)
    around = 2 * _numbers(source) * (1 + _NORMALISE + 2)
    return int(scores * (_ATTENTION + _given([mask])) + biases_and_activation + around)


# ------------------------------------------------------------------------------------------------- recurrences


def _steps(values: Tensor, parameters: Iterable[Any], cell: dict[int, int], extra: int = 0) -> int:
    """Work of all steps, given the matrices, layer by layer, and the biases."""
    given = list(parameters)
    biases = sum(int(one.numel()) for one in given if isinstance(one, Tensor) and one.ndim == 1)
    work = sum(layer.hidden * (cell[layer.gates] + extra) for layer in recurrent_layers(given))
    return int(values.shape[0] * values.shape[1]) * (work + biases)


def _recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``rnn_tanh/gru/lstm.input(input, state, parameters, …)``."""
    return _steps(args[0], args[2], _CELL)


def _onednn_recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``mkldnn_rnn_layer(input, w_ih, w_hh, b_ih, b_hh, …, has_biases at 12, …)``."""
    return _steps(args[0], args[1 : 5 if args[12] else 3], _CELL)


def _onednn_recurrence_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``mkldnn_rnn_layer_backward(input, w_ih, w_hh, b_ih, b_hh, …, has_biases at 17, …)``; one sum for both biases."""
    return _steps(args[0], args[1 : 4 if args[17] else 3], _CELL_BACKWARD, extra=1)


def _cudnn_recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``_cudnn_rnn(input, weights, …)``."""
    return _steps(args[0], args[1], _CELL)


def _cudnn_recurrence_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``_cudnn_rnn_backward(input, weights, …)``."""
    return _steps(args[0], args[1], _CELL_BACKWARD, extra=1)


def _cell(gates: int) -> _Formula:
    """``_thnn_fused_…_cell(input_gates, hidden_gates, state, input_bias, hidden_bias)``: products come before."""

    def work(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
        return int(args[2].numel()) * (_CELL[gates] + gates * _given(args[3:5]))

    return work


def _lstm_cell_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``_thnn_fused_lstm_cell_backward_impl(grad_hy, grad_cy, cx, …, has_bias)``."""
    return int(args[2].numel()) * (_CELL_BACKWARD[4] + 4 * bool(args[5]))


def _gru_cell_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``_thnn_fused_gru_cell_backward(grad_hy, workspace, has_bias)``."""
    return int(args[0].numel()) * (_CELL_BACKWARD[3] + 3 * bool(args[2]))


# --------------------------------------------------------------------------------------------------- the table

#: Every operation that is not point-wise, by its name without the underscore of work in place, each looked at once.
_BY_WORK: dict[_Formula, str] = {
    _nothing: """
        clone copy _to_copy contiguous cat stack constant_pad_nd pad reflection_pad1d replication_pad1d roll flip repeat
        repeat_interleave index index_select gather scatter select_scatter slice_scatter masked_select masked_scatter
        embedding tril triu one_hot split_with_sizes_copy split_copy unbind_copy unsafe_split unsafe_split_with_sizes
        unsafe_chunk _unsafe_view empty empty_like empty_strided empty_permuted new_empty new_empty_strided new_zeros
        new_ones new_full zeros zeros_like ones ones_like full full_like fill zero scalar_tensor arange linspace eye
        rand rand_like randn randn_like randint randperm bernoulli normal uniform lift_fresh lift_fresh_copy resize set
        is_same_size _local_scalar_dense nonzero unfold transpose t unsqueeze squeeze as_strided detach swapaxes
        swapdims select_backward slice_backward value_selecting_reduction_backward diag_embed diagonal_scatter
        as_strided_scatter index_fill take masked_scatter _unsafe_index complex exponential multinomial randint_like
        tril_indices triu_indices rot90 block_diag im2col pixel_shuffle pixel_unshuffle channel_shuffle
        upsample_nearest1d upsample_nearest2d
    """,
    _each_given: """
        floor_divide masked_fill where native_dropout_backward _adaptive_avg_pool2d_backward hardswish polar
        hardswish_backward log_sigmoid_backward _prelu_kernel _prelu_kernel_backward elu_backward leaky_relu_backward
        hardsigmoid_backward hardtanh_backward softplus_backward glu_backward bucketize searchsorted
    """,
    _each_of(0): "log_sigmoid_forward glu",
    _each_taken(1): """
        sum mean prod amax amin argmax argmin any all cumsum cumprod cummax cummin logcumsumexp adaptive_avg_pool1d
        _adaptive_avg_pool2d embedding_dense_backward unfold_backward max_pool2d_with_indices_backward
        nansum median nanmedian kthvalue count_nonzero aminmax trace col2im
    """,
    _each_taken(2): "norm linalg_vector_norm native_dropout",
    _each_taken(4): "var var_mean std std_mean logsumexp _softmax_backward_data _log_softmax_backward_data",
    _each_taken(_SOFTMAX): "_softmax _log_softmax softmax log_softmax _safe_softmax",
    _extreme: "max min",
    _each_of(3): "index_add scatter_add scatter_reduce",
    _put: "index_put _index_put_impl",
    _sort: "sort argsort",
    _top: "topk",
    _windows: "avg_pool1d max_pool1d avg_pool2d max_pool2d_with_indices",
    _windows_backward: "avg_pool2d_backward",
    _bias: "addmm baddbmm addmv",
    _convolution_bias: "convolution _convolution",
    _convolution_bias_backward: "convolution_backward",
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
    _onednn_recurrence_backward: "mkldnn_rnn_layer_backward",
    _cudnn_recurrence: "_cudnn_rnn",
    _cudnn_recurrence_backward: "_cudnn_rnn_backward",
    _cell(3): "_thnn_fused_gru_cell",
    _cell(4): "_thnn_fused_lstm_cell",
    _lstm_cell_backward: "_thnn_fused_lstm_cell_backward_impl",
    _gru_cell_backward: "_thnn_fused_gru_cell_backward",
}
_FORMULAS: dict[str, _Formula] = {name: formula for formula, names in _BY_WORK.items() for name in names.split()}
