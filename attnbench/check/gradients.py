"""Whether gradients come back to every input position, and where they can be looked for if the input is tokens.

No gradient reaches a whole number. What is looked at instead is the first floating tensor that is made of the tokens:
the rows that an embedding picks. The pass backward accumulates, since a checkpoint that is entered anew
(``use_reentrant=True``) cannot be asked for single gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from attnbench.check.case import Case, points
from attnbench.check.outcome import Answer, failed, hint, passed, unseen
from attnbench.counting.flex import flex_attention_as, written_out
from attnbench.counting.paths.case import leave_no_zero_weight, position_dimension
from attnbench.layers.base import Layer

#: Positions that are named in a sentence; of more, the first.
_NAMED = 4
_NOT_TRAINED = 'leave detach(), .data and no_grad() out of forward(), or say modes=("forward",)'


def gradients(layer: Layer) -> Answer:
    """Whether a gradient reaches every input position."""
    sizes = points(layer)[-1]
    reached, some = torch.zeros(sizes["n"], dtype=torch.bool), False
    for seed in (1, 2):  # a rectifier that is closed in one draw is open in another
        case = Case.of(layer, sizes, seed=seed)
        leave_no_zero_weight(case.module)
        sources = _sources(case)
        if sources is None:
            return failed("no gradient flows back through it", _NOT_TRAINED)
        others = [leaf.grad for leaf in (*case.module.parameters(), *case.draws.floating) if leaf.grad is not None]
        if not all(bool(gradient.isfinite().all()) for gradient in (*others, *(one for one, _ in sources))):
            return failed("gradients are not finite", "look for a square root, a norm or a logarithm of 0")
        some |= any(bool(gradient.any()) for gradient in others)
        for gradient, at in sources:
            reached |= (gradient != 0).movedim(at, 0).reshape(sizes["n"], -1).any(dim=1)
    if not sources:
        return _without_positions(some)
    return _told(reached, "" if case.draws.real else "what is first made of the tokens")


def _told(reached: Tensor, within: str) -> Answer:
    if not bool(reached.any()):
        return failed(
            f"every gradient of {within or 'the input'} is 0",
            "let the output depend on the input, and not by rounding only",
        )
    if left_out := (~reached).nonzero().flatten().tolist():
        named = ", ".join(map(str, left_out[:_NAMED])) + (", …" if len(left_out) > _NAMED else "")
        return hint(
            f"no gradient reaches {len(left_out)} of {len(reached)} input positions ({named})",
            "nothing to mend if the layer means to leave them out; otherwise look at strides, windows and masks",
        )
    return passed("they reach every input position" + (f", in {within}" if within else ""))


def _without_positions(some: bool) -> Answer:
    """What can be said where nothing that has positions takes a gradient."""
    if not some:
        return failed("every gradient of weights and inputs is 0", "let the output depend on one of them")
    return unseen(
        "which positions gradients reach, for nothing with a dimension of n takes one; all that there are are finite",
        "nothing to mend; with an nn.Embedding of the tokens it could be seen",
    )


def _sources(case: Case) -> list[tuple[Tensor, int]] | None:
    """Gradients of what has positions, each with its dimension of these; None where no gradient flows at all."""
    real = case.draws.real
    made = _Made(case.draws.tokens, case.sizes["n"])
    with torch.enable_grad(), flex_attention_as(written_out):  # which has no compiled backward on a CPU
        for leaf in case.draws.floating:
            leaf.requires_grad_()
        with made:
            output = case.output()
        if not output.requires_grad:
            return None
        (output.abs() if output.is_complex() else output).square().sum().backward()  # type: ignore[no-untyped-call]
    given = [(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, at) for leaf, at in real]
    return given + [(one.grad, at) for one, at in made.found if one.grad is not None]


class _Made(TorchFunctionMode):
    """Keeps the first floating tensors with positions that are made of tokens, so that they are given their gradients.

    Masks are left out: a comparison of tokens is no way by which a gradient could come back.
    """

    def __init__(self, tokens: Sequence[Tensor], length: int) -> None:
        super().__init__()
        self.found: list[tuple[Tensor, int]] = []
        self._followed, self._length = list(tokens), length

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        given = tree_leaves((args, kwargs))
        if any(one is leaf for one in self._followed for leaf in given):
            return tree_map(self._seen, result) if type(result) in (tuple, list) else self._seen(result)
        return result

    def _seen(self, made: Any) -> Any:
        """What was made of tokens: to be followed on until it is floating and has positions."""
        if not isinstance(made, Tensor) or made.dtype == torch.bool:
            return made
        at = position_dimension(made, self._length) if made.is_floating_point() else None
        if at is None:
            self._followed.append(made)
            return made
        if torch.is_grad_enabled() and not made.requires_grad:
            made = made.requires_grad_().clone()  # what follows may write into it, and not into a leaf
        if made.requires_grad:
            made.retain_grad()
            self.found.append((made, at))
        return made
