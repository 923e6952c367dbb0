"""`flex_attention` while a layer is counted: what stands in for its kernel, wherever in a module it is called.

It is an operator of higher order, whose kernel is compiled for the functions it is given and reaches no dispatch mode.
Whoever counts says what to run in its place: one kernel of known costs, or the plain operations that define it. Its own
checks of arguments, its defaults and what it returns stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import flex_attention as home
from torch.utils._python_dispatch import _disable_current_modes

#: What torch reads when it is called without being compiled: the operator, and whether to leave the compiler out.
_OPERATOR, _UNCOMPILED = "flex_attention_hop", "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"
#: Refuses inputs with gradients on a CPU, for which there is no compiled backward; and makes up a mask of one block.
_DEVICES, _NO_MASK = "_validate_device", "_create_empty_block_mask"

_EMPTY = home._create_empty_block_mask

#: ``(query, key, value, score_mod, block_mask, scale, options, …)`` → output, log₂ of sums, and largest scores.
Kernel = Callable[..., tuple[Tensor, Tensor, Tensor]]


@contextmanager
def flex_attention_as(kernel: Kernel) -> Iterator[None]:
    """Every `flex_attention` runs `kernel`, also one that was handed to ``torch.compile`` before."""
    standing_in = {_OPERATOR: kernel, _UNCOMPILED: True, _DEVICES: lambda *_: None, _NO_MASK: _unseen}
    before = {name: vars(home)[name] for name in standing_in if name in vars(home)}  # each torch has most of them
    eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    try:
        vars(home).update({name: standing_in[name] for name in before})
        with eager:
            yield
    finally:
        vars(home).update(before)


def _unseen(query: Tensor, key: Tensor) -> home.BlockMask:
    """No mask is no work: its tensors are made behind the back of whoever counts."""
    with _disable_current_modes():
        return _EMPTY(query, key)


def written_out(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The definition: all scores, each modified and masked, softmax and weighted sum, as torch itself writes it out."""
    from torch._higher_order_ops.flex_attention import math_attention

    found: tuple[Tensor, Tensor, Tensor] = math_attention(*args, **kwargs)
    return found
