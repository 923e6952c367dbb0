"""Which numbers each number computed was computed from, for every operation that anybody has looked at.

A number that meets a constant which decides the result alone is not read: see ``cuts``, and softmax weights of 0. So
the masked half of a causal attention, although computed, carries nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnbench.counting.paths.shadow.call import Call, Operand, Operation
from attnbench.counting.paths.shadow.cuts import sides_read, unless
from attnbench.counting.paths.shadow.hop import Reads


@dataclass(frozen=True, slots=True)
class Reading:
    """What an operation reads.

    Attributes:
        outputs: one array ``[number, k]`` for each output; of a single row where all numbers read the same.
        a_sum: whether each output is one sum over what it reads, or a merge of operands side by side.
        added: ``[number, 1]``, what is merged in afterwards: the bias of a matrix product.
    """

    outputs: list[Reads]
    a_sum: bool
    added: Reads | None = None


Rule = Callable[[Call], Reading | None]


def rule_for(operation: Operation, name: str) -> Rule | None:
    """The rule of an operation; None when nobody has one. Strangers are known only if they say they are pointwise."""
    if operation.namespace == "aten":
        if rule := _RULES.get(name):
            return rule
        if name.endswith("_copy"):
            return moved
    return merged if torch.Tag.pointwise in operation.tags else None


def everything(call: Call) -> Reading:
    """Every output reads every number there is."""
    whole = np.arange(len(call.read.label), dtype=np.int64)[None, :]
    return Reading([whole for _ in call.outputs], a_sum=True)


def nothing(call: Call) -> Reading:
    """New constants."""
    return Reading([np.empty((output.numel(), 0), np.int64) for output in call.outputs], a_sum=False)


# Element by element


def merged(call: Call) -> Reading:
    """Operands side by side, broadcast to the shape of the output."""
    sides = sides_read(call.name, call.operands)
    return Reading([_side_by_side(sides, output) for output in call.outputs], a_sum=False)


def copied(call: Call) -> Reading:
    """``copy_(self, src)`` and ``fill_(self, value)``: only the second operand is left."""
    sides = [call.operands[1].places]
    return Reading([_side_by_side(sides, output) for output in call.outputs], a_sum=False)


def halved(call: Call) -> Reading:
    """``glu(self, dim)``: one half of the numbers gates the other half."""
    sides = np.split(call.operands[0].places, 2, axis=call.named["dim"] or 0)
    return Reading([_side_by_side(sides, output) for output in call.outputs], a_sum=False)


def _side_by_side(sides: list[Reads], output: Tensor) -> Reads:
    read = [np.broadcast_to(side, output.shape).reshape(-1) for side in sides if (side >= 0).any()]
    return np.stack(read, axis=1) if read else np.empty((output.numel(), 0), np.int64)


# Along dimensions


def along(call: Call) -> Reading:
    """A reduction, transform or sort: every output reads all that lies along the dimensions it works on."""
    places, rows = call.operands[0].places, _rows(call)
    read = places.reshape(-1)[rows]
    return Reading([read[_row_of(call, output)] for output in call.outputs], a_sum=True)


def weighed(call: Call) -> Reading:
    """A softmax: a weight of exactly 0 was masked out, and neither knows anything nor counts."""
    weights = call.outputs[0].detach()
    masked = ((weights == (-np.inf if "log" in call.name else 0)).numpy()).reshape(-1)
    places, rows = call.operands[0].places, _rows(call)
    read = unless(masked[rows], places.reshape(-1)[rows])[_row_of(call, call.outputs[0])]
    return Reading([unless(masked[:, None], read)], a_sum=True)


def scanned(call: Call) -> Reading:
    """A running sum or maximum: every output reads all up to itself."""
    places, rows = call.operands[0].places, _rows(call)
    dimension, length = _dimensions(call)[0], rows.shape[1]
    read = unless(np.triu(np.ones((length, length), np.bool_), 1), places.reshape(-1)[rows][:, None, :])
    others = [size for axis, size in enumerate(places.shape) if axis != dimension]
    running = np.moveaxis(read.reshape(*others, length, length), len(others), dimension).reshape(-1, length)
    return Reading([running for _ in call.outputs], a_sum=True)


def _dimensions(call: Call) -> list[int]:
    size = max(call.operands[0].places.ndim, 1)
    given = call.named.get("dim")
    listed = [given] if isinstance(given, int) else list(given or range(size))
    return [dimension % size for dimension in listed]


def _rows(call: Call) -> Reads:
    """``[row, k]``: positions in the flat operand of what lies together along the dimensions."""
    places = np.atleast_1d(call.operands[0].places)
    dimensions = _dimensions(call)
    flat = np.arange(places.size, dtype=np.int64).reshape(places.shape)
    moved_last = np.moveaxis(flat, dimensions, range(-len(dimensions), 0))
    return moved_last.reshape(-1, int(np.prod([places.shape[axis] for axis in dimensions])))


def _row_of(call: Call, output: Tensor) -> Reads:
    """The row that each number of the output comes from."""
    shape, dimensions = call.operands[0].places.shape, _dimensions(call)
    kept = [1 if axis in dimensions else size for axis, size in enumerate(shape)]
    row = np.arange(int(np.prod(kept)), dtype=np.int64)
    return np.broadcast_to(row.reshape(kept), output.shape).reshape(-1) if output.ndim == len(shape) else row


# Sums of products


def multiplied(call: Call) -> Reading:
    """A matrix product, and the bias merged in afterwards."""
    first, second, bias = _FACTORS[call.name]
    a, b = call.operand(first), call.operand(second)
    rows = a if a.places.ndim > 1 else _view(a, lambda values: values[None, :])
    columns = _view(b, lambda values: np.swapaxes(values if values.ndim > 1 else values[:, None], -1, -2))
    return Reading([_pairs(rows, columns)], a_sum=True, added=_bias(call, bias))


def compared(call: Call) -> Reading:
    """Distances between all rows of one operand and all rows of another."""
    return Reading([_pairs(*call.operands[:2], cut=False)], a_sum=True)


def _pairs(rows: Operand, columns: Operand, *, cut: bool = True) -> Reads:
    """``[…, m, k]`` and ``[…, p, k]`` → ``[… m p, 2k]``."""
    left = _view(rows, lambda values: values[..., :, None, :])
    right = _view(columns, lambda values: values[..., None, :, :])
    dead = left.equals(0) | right.equals(0) if cut else np.zeros((), np.bool_)
    shape = np.broadcast_shapes(left.places.shape, right.places.shape)
    sides = [np.broadcast_to(unless(dead, side.places), shape) for side in (left, right) if not side.constant.all()]
    if not sides:  # nothing but constants, or no numbers at all
        return np.empty((math.prod(shape[:-1]), 0), np.int64)
    return np.concatenate(sides, axis=-1).reshape(-1, len(sides) * shape[-1])


def _view(operand: Operand, reshape: Callable[[Any], Any]) -> Operand:
    return Operand(reshape(operand.places), reshape(operand.value))


def _bias(call: Call, name: str) -> Reads | None:
    if not name or call.named.get("beta") == 0 or call.operand(name).constant.all():
        return None
    return np.broadcast_to(call.operand(name).places, call.outputs[0].shape).reshape(-1, 1)


# By trial: the operation itself says what it reads

#: Far from any number that an operation puts in by itself, such as padding.
_OFFSET = float(1 << 40)


def moved(call: Call) -> Reading:
    """A copy, gather or rearrangement: run on the places instead of the numbers."""
    chosen_by = [call.operand(index) for index in call.read_tensors[1:] if _is_index(call, index)]
    if not all(index.constant.all() for index in chosen_by):
        return everything(call)

    def carrier(tensor: Tensor) -> Tensor:
        if tensor is not call.read_tensors[0] and _is_index(call, tensor):
            return tensor
        if not any(tensor is read for read in call.read_tensors):
            return torch.empty(0, dtype=torch.float64)
        return torch.from_numpy(call.operand(tensor).places + _OFFSET)

    found = [output.numpy().reshape(-1, 1) - _OFFSET for output in call.again(carrier)()]
    highest = len(call.read.label)
    return Reading([np.where((at >= 0) & (at < highest), at, -1).astype(np.int64) for at in found], a_sum=False)


def looked_up(call: Call) -> Reading:
    """``embedding(weight, indices)``: a row of the table, chosen by an index."""
    chosen = call.operand("indices").places
    if not call.operand("weight").constant.all():
        return moved(call) if (chosen < 0).all() else everything(call)
    return Reading([_side_by_side([chosen[..., None]], call.outputs[0])], a_sum=False)


def placed(call: Call) -> Reading:
    """``index_put`` and ``scatter``, which write, or add where they are told to."""
    return tried(call) if call.named.get("accumulate") or call.named.get("reduce") else moved(call)


def tried(call: Call) -> Reading:
    """A convolution, pooling or scattered sum: one run for each number that may be read, with a 1 in its place.

    The other factor of a product keeps its constants, so that a weight of 0 reads nothing.
    """
    found = []
    for tensor in call.read_tensors:
        if _is_index(call, tensor):
            continue
        found += [(place, outputs) for place, outputs in _impulses(call, tensor)]
    reads = []
    for number, output in enumerate(call.outputs):
        seen = np.stack([np.where(outputs[number], place, -1) for place, outputs in found], axis=1)
        width = int((seen >= 0).sum(axis=1).max(initial=0))
        reads.append(-np.sort(-seen, axis=1)[:, :width].reshape(output.numel(), width))
    return Reading(reads, a_sum=True)


def _impulses(call: Call, probed: Tensor) -> list[tuple[int, list[NDArray[np.bool_]]]]:
    """For each number of `probed` that may be read: its place, and which outputs change with it."""
    places = call.operand(probed).places.reshape(-1)
    impulse = torch.zeros(probed.shape, dtype=torch.float64)

    def stand_in(tensor: Tensor) -> Tensor:
        if tensor is probed:
            return impulse
        if _is_index(call, tensor):
            return tensor
        known = call.operand(tensor)
        return torch.from_numpy(np.where(known.constant, np.abs(known.value), 1.0).astype(np.float64))

    run = call.again(stand_in)
    still = [output.clone() for output in run()]
    found = []
    for number in np.flatnonzero(places >= 0).tolist():
        impulse.reshape(-1)[number] = 1.0
        changed = [(new != old).numpy().reshape(-1) for new, old in zip(run(), still, strict=True)]
        found.append((int(places[number]), changed))
        impulse.reshape(-1)[number] = 0.0
    return found


def _is_index(call: Call, tensor: Tensor) -> bool:
    """Whether an argument says where, and not what: whole numbers and masks beside the first argument."""
    return call.name in _INDEXED and not tensor.is_floating_point() and not tensor.is_complex()


def _named(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


#: Matrix products: the names of both factors and of the bias.
_FACTORS = {
    "mm": ("self", "mat2", ""),
    "bmm": ("self", "mat2", ""),
    "mv": ("self", "vec", ""),
    "dot": ("self", "tensor", ""),
    "vdot": ("self", "other", ""),
    "addmm": ("mat1", "mat2", "self"),
    "baddbmm": ("batch1", "batch2", "self"),
    "addmv": ("mat", "vec", "self"),
}

_INDEXED = frozenset(
    """
    index index_select gather take index_put _index_put_impl scatter masked_select masked_scatter embedding
    repeat_interleave index_add index_copy scatter_add scatter_reduce index_reduce
    """.split()
)

_RULES: dict[str, Rule] = {
    **_named(merged, "_to_copy masked_fill native_dropout bernoulli complex polar hardswish log_sigmoid_forward"),
    **_named(copied, "copy fill"),
    **_named(halved, "glu"),
    **_named(
        nothing,
        """
        zero zeros_like ones_like full_like empty_like rand_like randn_like randint_like new_empty new_empty_strided
        new_zeros new_ones new_full normal uniform exponential
        """,
    ),
    **_named(
        along,
        """
        sum nansum mean prod amax amin aminmax max min argmax argmin any all norm linalg_vector_norm var var_mean std
        std_mean logsumexp median nanmedian mode kthvalue topk sort argsort _fft_r2c _fft_c2r _fft_c2c
        """,
    ),
    **_named(weighed, "_softmax _log_softmax _safe_softmax softmax log_softmax"),
    **_named(scanned, "cumsum cumprod logcumsumexp cummax cummin _cummax_helper _cummin_helper"),
    **_named(multiplied, " ".join(_FACTORS)),
    **_named(compared, "_cdist_forward"),
    **_named(
        moved,
        """
        clone contiguous cat stack constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d
        replication_pad2d roll flip repeat repeat_interleave index index_select gather take index_copy masked_select
        masked_scatter select_scatter slice_scatter diagonal_scatter as_strided_scatter tril triu diag_embed im2col
        pixel_shuffle pixel_unshuffle channel_shuffle upsample_nearest1d upsample_nearest2d
        """,
    ),
    **_named(looked_up, "embedding"),
    **_named(placed, "index_put _index_put_impl scatter"),
    **_named(
        tried,
        """
        convolution _convolution avg_pool1d avg_pool2d max_pool2d_with_indices _adaptive_avg_pool2d
        adaptive_max_pool2d col2im index_add scatter_add upsample_linear1d upsample_bilinear2d _trilinear
        """,
    ),
}
