"""Floating-point operations of one executed operation, by formula.

Convention: one multiply-add is two operations; matrix products, convolutions, recurrences, fused attention and
Fourier transforms are counted. Element-wise work, reductions and moves of data are known and cost nothing here.
Anything else is unknown, and says so.

The stock counter of torch 2.13 has no entry for several kernels that run on a CPU (fused attention, oneDNN
recurrences, the multi-head fast path, matrix-vector products) and counts them as zero; the table below has them.
Where this table is silent, the stock counter's formulas are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

Operation = torch._ops.OpOverload
FlopFormula = Callable[[Sequence[Any], dict[str, Any], Any], float]

aten = torch.ops.aten


def flops_of(operation: Operation, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> float | None:
    """Work of one call, given its arguments and what it returned; None when nobody has a formula.

    A whole number but for Fourier transforms, whose 5 N log₂ N is not rounded, so that its law can be recovered.
    """
    formula, packet = _own_formula(operation), _out_of_place(operation).overloadpacket
    if formula is not None:
        return formula(args, kwargs, output)
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=output))
    return 0 if is_free(operation) else None


@cache
def has_formula(operation: Operation) -> bool:
    """Whether `flops_of` knows this operation."""
    in_stock = _out_of_place(operation).overloadpacket in flop_registry
    return _own_formula(operation) is not None or in_stock or is_free(operation)


def _own_formula(operation: Operation) -> FlopFormula | None:
    """By overload where the arguments of a name's overloads differ, else by name."""
    return _FORMULAS.get(operation) or _FORMULAS.get(_out_of_place(operation).overloadpacket)


@cache
def is_free(operation: Operation) -> bool:
    """Whether an operation is known to be element-wise, a reduction, a view, a copy or an allocation.

    Only torch's own operations are known by their names: a stranger's ``their_library::norm`` may be anything.
    """
    if torch.Tag.pointwise in _out_of_place(operation).tags or operation.namespace == "prim":
        return True
    reviewed = operation.overloadpacket.__name__.rstrip("_") in _REVIEWED
    return operation.namespace == "aten" and (reviewed or _is_view(operation))


@cache
def _out_of_place(operation: Operation) -> Operation:
    """The operation that an in-place one stands for, such as ``addmm`` for ``addmm_``; others stand for themselves."""
    name = operation.overloadpacket.__name__
    if operation.namespace != "aten" or not name.endswith("_") or name.endswith("__"):
        return operation
    twin = getattr(aten, name[:-1], None)
    found: Operation = getattr(twin, operation._overloadname, operation)
    return found


def _is_view(operation: Operation) -> bool:
    aliases = [result.alias_info for result in operation._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


#: Reductions, copies, gathers and allocations, each looked at once: no product of matrices hides in them.
_REVIEWED = frozenset(
    """
    floor_divide sum mean prod amax amin max min argmax argmin any all norm linalg_vector_norm var var_mean std
    std_mean logsumexp
    cumsum cumprod cummax cummin logcumsumexp _softmax _log_softmax softmax log_softmax _safe_softmax
    native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit_no_training
    _native_batch_norm_legit rms_norm _fused_rms_norm
    clone copy _to_copy contiguous cat stack constant_pad_nd pad reflection_pad1d replication_pad1d roll flip repeat
    repeat_interleave index index_select index_put index_add gather scatter scatter_add select_scatter slice_scatter
    masked_select masked_scatter masked_fill embedding where tril triu one_hot
    split_with_sizes_copy split_copy unbind_copy unsafe_split unsafe_split_with_sizes unsafe_chunk _unsafe_view
    empty empty_like empty_strided empty_permuted new_empty new_empty_strided new_zeros new_ones new_full zeros
    zeros_like ones ones_like full full_like fill zero scalar_tensor arange linspace eye rand rand_like randn randn_like
    randint randperm bernoulli native_dropout normal uniform lift_fresh lift_fresh_copy resize set is_same_size
    _local_scalar_dense nonzero unfold avg_pool1d max_pool1d avg_pool2d max_pool2d_with_indices
    adaptive_avg_pool1d _adaptive_avg_pool2d sort argsort topk
    _softmax_backward_data _log_softmax_backward_data native_layer_norm_backward native_group_norm_backward
    native_batch_norm_backward _fused_rms_norm_backward embedding_dense_backward select_backward slice_backward
    unfold_backward value_selecting_reduction_backward avg_pool2d_backward max_pool2d_with_indices_backward
    _adaptive_avg_pool2d_backward native_dropout_backward
    _thnn_fused_lstm_cell _thnn_fused_lstm_cell_backward_impl _thnn_fused_gru_cell _thnn_fused_gru_cell_backward
    transpose t unsqueeze squeeze as_strided detach swapaxes swapdims
    glu glu_backward hardswish hardswish_backward log_sigmoid_forward log_sigmoid_backward _prelu_kernel
    _prelu_kernel_backward elu_backward leaky_relu_backward hardsigmoid_backward hardtanh_backward softplus_backward
    nansum median nanmedian kthvalue count_nonzero aminmax trace bucketize searchsorted scatter_reduce
    diag_embed diagonal_scatter as_strided_scatter index_fill take masked_scatter _unsafe_index _index_put_impl
    complex polar exponential multinomial randint_like tril_indices triu_indices rot90 block_diag im2col col2im
    pixel_shuffle pixel_unshuffle channel_shuffle upsample_nearest1d upsample_nearest2d
    """.split()
)


def _matrix_product(args: Sequence[Any], _: dict[str, Any], output: Tensor) -> int:
    """``(…, m, k) @ (…, k, p)``: two operations for each of the k products behind every output number."""
    return 2 * int(output.numel()) * int(args[0].shape[-1])


def _added_matrix_product(args: Sequence[Any], _: dict[str, Any], output: Tensor) -> int:
    """``bias + a @ b``: the bias comes first and is not counted."""
    return 2 * int(output.numel()) * int(args[1].shape[-1])


def _dot(args: Sequence[Any], _: dict[str, Any], __: Tensor) -> int:
    return 2 * int(args[0].numel())


def _convolution(args: Sequence[Any], kwargs: dict[str, Any], output: Tensor) -> int:
    """Each output number sees in/groups × kernel weights, padding taps included, as executed."""
    values, weight = args[0], args[1]
    transposed = args[6] if len(args) > 6 else kwargs.get("transposed", False)
    numbers = int((values if transposed else output).numel())
    return 2 * numbers * int(weight.numel() // weight.shape[0])


def _convolution_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """The forward's work for each gradient asked for, of the input and of the weight; the bias costs a sum."""
    output_gradient, values, weight = args[:3]
    transposed, wanted = args[7], args[10]
    gradients = sum(1 for gradient in wanted[:2] if gradient)
    return gradients * _convolution((values, weight), {"transposed": transposed}, output_gradient)


def _attention(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """Scores and weighted sum of ``(b, h, n, d_h)`` queries against all keys; masking saves nothing here."""
    query, key, value = args[:3]
    pairs = int(math.prod(query.shape[:-1]) * key.shape[-2])
    return 2 * pairs * (int(query.shape[-1]) + int(value.shape[-1]))


def _attention_backward(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """Five products, ``(grad, query, key, value, …)``: scores once more, then a gradient for each factor of both."""
    query, key, value = args[1:4]
    pairs = int(math.prod(query.shape[:-1]) * key.shape[-2])
    return 2 * pairs * (3 * int(query.shape[-1]) + 2 * int(value.shape[-1]))


def _multi_head_fast_path(args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> int:
    """``_native_multi_head_attention(query, key, value, embed_dim, num_heads, …)``: projections and core."""
    query, key, width = args[0], args[1], int(args[3])
    rows, pairs = query.shape[0] * query.shape[1], query.shape[0] * query.shape[1] * key.shape[1]
    keys = key.shape[0] * key.shape[1]
    return int(2 * width * width * (2 * rows + 2 * keys) + 4 * pairs * width)


def _encoder_fast_path(args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> int:
    """``_transformer_encoder_layer_fwd(src, embed_dim, …)``: multi-head attention and two dense layers."""
    source, width = args[0], int(args[1])
    rows = source.shape[0] * source.shape[1]
    projections_and_dense = (args[3], args[5], args[14], args[16])  # a mask further on is a matrix too
    return int(2 * rows * _weights(projections_and_dense) + 4 * rows * source.shape[1] * width)


def _weights(parameters: Iterable[Tensor]) -> int:
    return sum(weight.numel() for weight in parameters if weight.ndim == 2)


@dataclass(frozen=True, slots=True)
class RecurrentLayer:
    """Matrices of one direction of one layer: input to gates, state to gates, and cell to state in a projected LSTM."""

    inputs: Tensor
    states: Tensor
    projection: Tensor | None

    @property
    def hidden(self) -> int:
        """Width of the cell."""
        return int((self.states if self.projection is None else self.projection).shape[1])

    @property
    def gates(self) -> int:
        """Gates of the cell: 1, 3 or 4."""
        return int(self.states.shape[0]) // self.hidden


def recurrent_layers(parameters: Iterable[Any]) -> list[RecurrentLayer]:
    """The matrices among `parameters`, layer by layer and direction by direction."""
    matrices = [one for one in parameters if isinstance(one, Tensor) and one.ndim == 2]
    layers = []
    while matrices:
        inputs, states, *matrices = matrices
        projected = bool(matrices) and states.shape[1] == matrices[0].shape[0] < states.shape[0]
        layers.append(RecurrentLayer(inputs, states, matrices.pop(0) if projected else None))
    return layers


def _recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``rnn_tanh/gru/lstm.input(input, state, parameters, …)``: every matrix meets every position once."""
    positions = args[0].shape[0] * args[0].shape[1]
    return int(2 * positions * _weights(args[2]))


def _onednn_recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``mkldnn_rnn_layer(input (n, b, d), w_ih, w_hh, …)``."""
    positions = args[0].shape[0] * args[0].shape[1]
    return int(2 * positions * _weights(args[1:3]))


def _twice(forward: FlopFormula) -> FlopFormula:
    """The backward of bilinear work: as much again for the gradient of each of its two factors."""
    return lambda args, kwargs, output: 2 * forward(args, kwargs, output)


def _cudnn_recurrence(args: Sequence[Any], _: dict[str, Any], __: Any) -> int:
    """``_cudnn_rnn(input, weights, …)``: batch and length come first in either order, and biases are vectors."""
    positions = args[0].shape[0] * args[0].shape[1]
    return int(2 * positions * _weights(args[1]))


def _fourier(args: Sequence[Any], _: dict[str, Any], output: Tensor) -> float:
    """The usual 5 N log₂ N for each transform of length N, taken over all transformed dimensions together."""
    values, dimensions = args[0], args[1]
    larger = values if values.numel() >= output.numel() else output
    length = math.prod(int(larger.shape[dimension]) for dimension in dimensions)
    return 5 * larger.numel() * math.log2(max(length, 2))


_FORMULAS: dict[Any, FlopFormula] = {
    aten.mm: _matrix_product,
    aten.bmm: _matrix_product,
    aten.mv: lambda args, kwargs, output: 2 * int(args[0].numel()),
    aten.dot: _dot,
    aten.vdot: _dot,
    aten.addmm: _added_matrix_product,
    aten.baddbmm: _added_matrix_product,
    aten.addmv: lambda args, kwargs, output: 2 * int(args[1].numel()),
    aten.convolution: _convolution,
    aten._convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten.mkldnn_rnn_layer: _onednn_recurrence,
    aten.mkldnn_rnn_layer_backward: _twice(_onednn_recurrence),
    aten._cudnn_rnn: _cudnn_recurrence,
    aten._cudnn_rnn_backward: _twice(_cudnn_recurrence),
    aten.rnn_tanh.input: _recurrence,
    aten.rnn_relu.input: _recurrence,
    aten.gru.input: _recurrence,
    aten.lstm.input: _recurrence,
    aten._native_multi_head_attention: _multi_head_fast_path,
    aten._transformer_encoder_layer_fwd: _encoder_fast_path,
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten._scaled_dot_product_cudnn_attention: _attention,
    aten._scaled_dot_product_fused_attention_overrideable: _attention,
    aten._scaled_dot_product_flash_attention_backward: _attention_backward,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten._scaled_dot_product_efficient_attention_backward: _attention_backward,
    aten._scaled_dot_product_cudnn_attention_backward: _attention_backward,
    aten._scaled_dot_product_fused_attention_overrideable_backward: _attention_backward,
    aten._fft_r2c: _fourier,
    aten._fft_c2r: _fourier,
    aten._fft_c2c: _fourier,
}


def fused_recurrence_output(operation: Operation, args: Sequence[Any]) -> tuple[Tensor, ...] | None:
    """Empty outputs of a whole recurrence seen as one operation, so that a trace need not walk its n steps.

    Understands ``rnn_tanh``, ``rnn_relu``, ``gru`` and ``lstm`` in their ``.input`` overloads; None for others.
    """
    if operation not in _FUSED:
        return None
    values, state, *_, bidirectional, _ = args
    states = tuple(state) if isinstance(state, list | tuple) else (state,)
    hidden = int(states[0].shape[-1]) * (2 if bidirectional else 1)
    output = values.new_empty((*values.shape[:2], hidden))
    return (output, *(one.new_empty(one.shape) for one in states))


_FUSED = {aten.rnn_tanh.input, aten.rnn_relu.input, aten.gru.input, aten.lstm.input}
