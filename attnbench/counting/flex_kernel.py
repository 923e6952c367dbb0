"""`flex_attention` as one kernel of known costs, on fake tensors.

What it costs depends on its functions and on the blocks of its mask: the kernel visits the blocks that hold any pair
and passes over the others. A mask whose tensors are fake, as everything that is made while counting, is made once more
from its function, on real indices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.attention import flex_attention as home
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from attnbench.counting.operators import elementwise_of, has_formula
from attnbench.counting.operators.contract.operator import Call
from attnbench.errors import LayerError

#: What a mask is told whose blocks cannot be known.
_WITHOUT_VALUES = (
    "uses flex_attention under a block mask whose function reads tensors that have no values while counting; "
    "let mask_mod compute from its four indices, or keep its tensors as buffers made from plain numbers"
)
#: Pairs of positions up to which a mask is made anew.
_MAX_PAIRS = 1 << 26

_LIBRARY = torch.library.Library("attnbench", "DEF")  # type: ignore[no-untyped-call]  # torch does not annotate it
_LIBRARY.define(  # type: ignore[no-untyped-call]
    "flex_attention(Tensor query, Tensor key, Tensor value, Tensor[] modified, int pairs, int work) -> (Tensor, Tensor)"
)
_LIBRARY.define(  # type: ignore[no-untyped-call]
    "flex_attention_backward(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor output, Tensor sums,"
    " int pairs, int work) -> (Tensor, Tensor, Tensor)"
)


def _outputs(
    query: Tensor, key: Tensor, value: Tensor, modified: list[Tensor], pairs: int, work: int
) -> tuple[Tensor, Tensor]:
    sums = query.new_empty(query.shape[:-1], dtype=torch.promote_types(query.dtype, torch.float32))
    return query.new_empty(*query.shape[:-1], value.shape[-1]), sums


def _gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, sums: Tensor, pairs: int, work: int
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, modified, ctx.pairs, ctx.work = inputs
    ctx.modified = [one.shape for one in modified]
    ctx.save_for_backward(query, key, value, *output)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    found = torch.ops.attnbench.flex_attention_backward(grad, *ctx.saved_tensors, ctx.pairs, ctx.work)
    return *found, [grad.new_zeros(shape) for shape in ctx.modified], None, None


torch.library.register_fake("attnbench::flex_attention", _outputs)
torch.library.register_fake("attnbench::flex_attention_backward", _gradients)
torch.library.register_autograd("attnbench::flex_attention", _backward, setup_context=_keep)


def one_kernel(
    query: Tensor, key: Tensor, value: Tensor, score_mod: Callable[..., Tensor], block_mask: tuple[Any, ...], *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, sums, and largest scores, from a single operation that carries the pairs it visits and its other work.

    Raises:
        LayerError: nobody can know which blocks the mask visits.
    """
    pairs, masked = _visited(query, key, block_mask)
    modified, of_score = _of_one(score_mod, query, with_score=True)
    of_mask = _of_one(block_mask[-1], query, with_score=False)[1] + 1 if masked else 0
    learned = [modified] if modified.requires_grad else []
    work = pairs * of_score + masked * of_mask
    output, sums = torch.ops.attnbench.flex_attention(query, key, value, learned, pairs, work)
    return output, sums, sums


# ------------------------------------------------------------------------------------------- what a mask visits


def _visited(query: Tensor, key: Tensor, block_mask: tuple[Any, ...]) -> tuple[int, int]:
    """Pairs in all blocks that are visited, and those of them in blocks in which the mask decides pair by pair."""
    *_, rows, columns, mask_mod = block_mask
    lengths = int(query.shape[-2]), int(key.shape[-2])
    together = math.prod(query.shape[:-1]) * lengths[1]
    if mask_mod is home.noop_mask:
        return together, 0
    partial, partial_at, full, full_at = _known_blocks(block_mask, lengths)
    share = together // (lengths[0] * lengths[1] * math.prod(partial.shape[:2]))  # heads and items of one mask
    decided = share * _pairs(partial, partial_at, lengths, (rows, columns))
    return decided + share * _pairs(full, full_at, lengths, (rows, columns)), decided


def _known_blocks(block_mask: tuple[Any, ...], lengths: tuple[int, int]) -> list[NDArray[np.int64]]:
    """How many blocks each row of blocks visits and which: those that are decided pair by pair, then whole ones."""
    found = block_mask[2:6]
    with _disable_current_modes():
        if any(isinstance(one, FakeTensor) for one in found):
            found = _made_again(block_mask, lengths).as_tuple()[2:6]
        partial, at, full, full_at = found
        if full is None:
            full, full_at = torch.zeros_like(partial), torch.zeros_like(at)
        return [one.cpu().numpy().astype(np.int64) for one in (partial, at, full, full_at)]


def _made_again(block_mask: tuple[Any, ...], lengths: tuple[int, int]) -> Any:
    *_, rows, columns, mask_mod = block_mask
    items, heads = block_mask[2].shape[:2]
    if items * heads * math.prod(lengths) > _MAX_PAIRS:
        raise LayerError(
            "uses flex_attention under a block mask too long to be looked at; count it at a shorter length"
        )
    try:
        made = home.create_block_mask(mask_mod, items, heads, *lengths, device="cpu", BLOCK_SIZE=(rows, columns))
    except Exception as error:
        raise LayerError(_WITHOUT_VALUES) from error
    if any(isinstance(one, FakeTensor) for one in made.as_tuple()[2:6]):
        raise LayerError(_WITHOUT_VALUES)
    return made


def _pairs(counts: NDArray[np.int64], at: NDArray[np.int64], lengths: tuple[int, int], block: tuple[int, int]) -> int:
    """Pairs in the visited blocks, those at the ends of the sequences cut off there."""
    heights = np.minimum(block[0], lengths[0] - block[0] * np.arange(counts.shape[-1]))
    widths = np.minimum(block[1], lengths[1] - block[1] * at)
    seen = np.arange(at.shape[-1]) < counts[..., None]
    return int((heights * (widths * seen).sum(axis=-1)).sum())


# --------------------------------------------------------------------------------------- what its functions cost


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Adds up element-wise work."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not has_formula(operation):
            with self:  # a composite operation, such as ``&`` in inference, is made of others
                output = operation.decompose(*args, **(kwargs or {}))
            if output is not NotImplemented:
                return output
        output = operation(*args, **(kwargs or {}))
        self.work += elementwise_of(Call(operation, args, kwargs or {}, output))
        return output


def _of_one(function: Callable[..., Tensor], query: Tensor, *, with_score: bool) -> tuple[Tensor, int]:
    """What a function makes of one pair, and its element-wise work."""
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex  # seconds, and flex has paid them

    def run() -> tuple[Tensor, int]:
        score = [torch.zeros(1, dtype=query.dtype)] if with_score else []
        indices = [torch.zeros(1, dtype=torch.int) for _ in range(4)]
        with TransformGetItemToIndex(), _Tally() as tally:
            result = torch.vmap(function)(*score, *indices)
        return result, tally.work

    try:
        with _disable_current_modes():
            return run()
    except Exception:  # it reads tensors that are fake
        with _disable_current_modes(), query.fake_mode:  # type: ignore[attr-defined]
            return run()
