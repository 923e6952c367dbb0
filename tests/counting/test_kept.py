"""What stays alive for the backward pass, whoever keeps it: autograd, a step written by hand, a hook, a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from attnbench.counting.trace import Way, trace
from attnbench.layers.base import Layer
from tests.counting.calling import SIZES, layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[torch.Tensor], torch.Tensor]

#: Bytes of one sequence.
SEQUENCE = 4 * 2 * 6 * 4


class ByHand(torch.autograd.Function):
    """x ↦ 2x; what it keeps of x and of the result is up to `keep`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, keep: Callable[..., None]) -> torch.Tensor:
        y = x * 2
        keep(ctx, x, y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient * 2, None


class Box:
    """Something that holds a tensor, of which nobody knows."""

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held


def result_and_more(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> None:
    ctx.save_for_backward(y)
    ctx.kept = y
    ctx.half = y[:1]


#: How a step keeps what: bytes, in sequences. `x` is no input but made by a step before.
KEEPING: dict[str, tuple[Callable[[Any, torch.Tensor, torch.Tensor], None], int]] = {
    "nothing": (lambda ctx, x, y: None, 0),
    "result": (lambda ctx, x, y: setattr(ctx, "kept", y), 1),
    "given": (lambda ctx, x, y: setattr(ctx, "kept", x), 1),
    "both": (lambda ctx, x, y: setattr(ctx, "kept", (x, y)), 2),
    "in-a-dictionary": (lambda ctx, x, y: setattr(ctx, "kept", {"of": [y]}), 1),
    "another": (lambda ctx, x, y: setattr(ctx, "kept", y + 1), 1),
    "in-a-box": (lambda ctx, x, y: setattr(ctx, "kept", Box(y + 1)), 1),
    "in-a-closure": (lambda ctx, x, y: setattr(ctx, "kept", [lambda z=y + 1: z]), 1),
    "saved": (lambda ctx, x, y: ctx.save_for_backward(y), 1),
    "saved-and-kept": (result_and_more, 1),
}


@pytest.mark.parametrize(("keep", "sequences"), KEEPING.values(), ids=KEEPING)
@pytest.mark.parametrize("way", [Way.KEPT, Way.TRAIN])
def test_what_a_step_written_by_hand_keeps_is_counted_once(
    keep: Callable[[Any, torch.Tensor, torch.Tensor], None], sequences: int, way: Way
) -> None:
    layer = layer_calling(lambda x: ByHand.apply(x + 1, keep) + 1)

    assert trace(layer, SIZES, way=way).saved_bytes == sequences * SEQUENCE


def test_a_kept_result_counts_although_it_is_the_output() -> None:
    """A circle: the output knows the step that made it, and the step keeps the output."""
    layer = layer_calling(lambda x: ByHand.apply(x, lambda ctx, x, y: setattr(ctx, "kept", y)))

    assert trace(layer, SIZES, way=Way.KEPT).saved_bytes == SEQUENCE


def test_a_kept_input_counts_like_a_saved_one() -> None:
    kept = layer_calling(lambda x: ByHand.apply(x, lambda ctx, x, y: setattr(ctx, "kept", x)))
    saved = layer_calling(lambda x: ByHand.apply(x, lambda ctx, x, y: ctx.save_for_backward(x)))

    assert [trace(one, SIZES, way=Way.KEPT).saved_bytes for one in (kept, saved)] == [SEQUENCE, SEQUENCE]


def by_a_hook(x: torch.Tensor) -> torch.Tensor:
    factor, y = x.detach().exp(), x + 1
    y.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]
    return y + 1


def made_smaller(x: torch.Tensor) -> torch.Tensor:
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept.detach().bfloat16(), lambda kept: kept.float()):
        return (x + 1).tanh().tanh() + 1


def of_a_branch_that_is_dropped(x: torch.Tensor) -> torch.Tensor:
    (x + 1).tanh().exp()
    return x * 2


def emptied_after_use(x: torch.Tensor) -> torch.Tensor:
    y = (x + 1).tanh()
    output = y + 1
    y.untyped_storage().resize_(0)  # to be made anew on the way back
    return output


KEPT: dict[str, tuple[Function, int]] = {
    "by-a-hook": (by_a_hook, 1),
    "made-smaller": (made_smaller, 1),
    "dropped": (of_a_branch_that_is_dropped, 0),
    "emptied": (emptied_after_use, 0),
    "by-autograd": (lambda x: x.tanh().exp(), 2),
}


@pytest.mark.parametrize(("function", "sequences"), KEPT.values(), ids=KEPT)
def test_what_the_graph_keeps_alive_is_counted(function: Function, sequences: int) -> None:
    assert trace(layer_calling(function), SIZES, way=Way.KEPT).saved_bytes == sequences * SEQUENCE


class Checkpointed(nn.Module):
    """Blocks that keep their inputs only, and are run again on the way back."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4)) for _ in range(3))
        self.reentrant = reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_stack_keeps_the_inputs_of_its_blocks(reentrant: bool) -> None:
    layer = Layer("x", lambda: Checkpointed(reentrant=reentrant))

    assert trace(layer, SIZES, way=Way.KEPT).saved_bytes == 3 * SEQUENCE


class Remembers(nn.Module):
    """What a module keeps to be looked at afterwards is not kept for the backward pass."""

    def __init__(self, *, boxed: bool) -> None:
        super().__init__()
        self.boxed = boxed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shifted = x + 1
        self.remembered = Box(shifted) if self.boxed else shifted
        return shifted * 2


class ReturnsItsCache(nn.Module):
    """What a model returns beside its output is not kept for the backward pass either."""

    def forward(self, x: torch.Tensor) -> dict[str, object]:
        keys = x + 1
        return {"output": keys * 2, "cache": Box(keys)}


def test_a_cache_that_is_returned_is_not_kept_for_the_backward_pass() -> None:
    assert trace(Layer("x", lambda: ReturnsItsCache()), SIZES, way=Way.KEPT).saved_bytes == 0


@pytest.mark.parametrize("boxed", [False, True])
def test_what_the_module_remembers_is_not_kept_for_the_backward_pass(boxed: bool) -> None:
    assert trace(Layer("x", lambda: Remembers(boxed=boxed)), SIZES, way=Way.KEPT).saved_bytes == 0
