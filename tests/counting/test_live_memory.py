"""Storages that grow and shrink, held against torch's own allocator, and chains of kernels that lead through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from attnbench.counting.trace import Way, trace
from attnbench.measure.memory import allocator_peak
from tests.counting.calling import layer_calling, trace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[torch.Tensor], torch.Tensor]

B, N, D = 2, 48, 16
SIZES = {"b": B, "n": N, "d": D}
#: Bytes of a sequence, and of a score for each pair of positions.
SEQUENCE, PAIRS = 4 * B * N * D, 4 * B * N * N


def into_nothing(x: torch.Tensor) -> torch.Tensor:
    scores = torch.empty(0)
    torch.matmul(x, x.mT, out=scores)
    return scores.softmax(-1) @ x


def into_less(x: torch.Tensor) -> torch.Tensor:
    scores = torch.ones_like(x)
    torch.matmul(x, x.mT, out=scores.resize_(0))
    return scores.softmax(-1) @ x


def into_several(x: torch.Tensor) -> torch.Tensor:
    values, places = torch.empty(0), torch.empty(0, dtype=torch.long)
    torch.max(x, dim=2, out=(values, places))
    return x + (values + places.to(x))[..., None]


def joined_into(x: torch.Tensor) -> torch.Tensor:
    both = torch.empty(0)
    torch.cat([x, x], dim=1, out=both)
    return x + both[:, :N]


def first_of(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The numbers that were there before: those behind them are whatever was in the memory."""
    return values[: x.numel()].view(x.shape)


def by_resize(x: torch.Tensor) -> torch.Tensor:
    return first_of((x + 1).resize_(3 * x.numel()), x) + x


def by_resize_as(x: torch.Tensor) -> torch.Tensor:
    return first_of((x + 1).resize_as_(torch.empty(2 * x.numel())), x) + x


def by_set(x: torch.Tensor) -> torch.Tensor:
    scores = torch.empty(0)
    scores.set_(x @ x.mT)
    return scores.softmax(-1) @ x


def by_set_beyond_the_end(x: torch.Tensor) -> torch.Tensor:
    return first_of(torch.empty(0).set_((x + 1).untyped_storage(), 0, (2 * x.numel(),)), x) + x


def by_hand(x: torch.Tensor) -> torch.Tensor:
    shifted = x + 1
    shifted.untyped_storage().resize_(3 * SEQUENCE)
    return shifted + x


def emptied_and_refilled(x: torch.Tensor) -> torch.Tensor:
    scores = x @ x.mT
    weights = scores.softmax(-1)
    scores.untyped_storage().resize_(0)
    output = weights @ x
    weights.untyped_storage().resize_(0)
    scores.untyped_storage().resize_(PAIRS)
    return output + x


def within_its_room(x: torch.Tensor) -> torch.Tensor:
    return (x + 1).resize_(B, N, 2).sum() + x


#: What grows, and the peak: all of them agree with the allocator, some are worked out here.
GROWING: dict[str, tuple[Function, int | None]] = {
    "into-nothing": (into_nothing, 2 * PAIRS + SEQUENCE),
    "into-less": (into_less, 2 * PAIRS + SEQUENCE),
    "into-several": (into_several, None),
    "joined": (joined_into, 3 * SEQUENCE),
    "resized": (by_resize, 4 * SEQUENCE),  # one, and beside it the three that take its place
    "resized-as": (by_resize_as, 5 * SEQUENCE),
    "set": (by_set, 2 * PAIRS + SEQUENCE),
    "set-beyond-the-end": (by_set_beyond_the_end, 3 * SEQUENCE),
    "by-hand": (by_hand, 4 * SEQUENCE),
    "emptied-and-refilled": (emptied_and_refilled, 2 * PAIRS),
    "within-its-room": (within_its_room, None),
}


@pytest.mark.parametrize(("function", "peak"), GROWING.values(), ids=GROWING)
def test_a_storage_that_grows_is_counted_as_the_allocator_sees_it(function: Function, peak: int | None) -> None:
    layer = layer_calling(function)

    found = trace(layer, SIZES, way=Way.OPENED)

    # In some calls torch allocates a number or two by itself.
    assert found.peak_bytes == pytest.approx(allocator_peak(layer, SIZES), abs=12)
    assert peak in (None, found.peak_bytes)
    assert max(_levels(found.stored, len(found.kernels))) == found.peak_bytes


def _levels(stored: tuple[tuple[int, int, int], ...], kernels: int) -> list[int]:
    """The same levels, added up from when each piece of memory came and went."""
    return [sum(nbytes for nbytes, made, gone in stored if made <= now < gone) for now in range(kernels)]


@pytest.mark.parametrize("b", [1, 3])
@pytest.mark.parametrize("n", [7, 33])
def test_scores_written_into_an_empty_tensor_are_there_twice_at_the_peak(b: int, n: int) -> None:
    d = 4

    found = trace(layer_calling(into_nothing), {"b": b, "n": n, "d": d}, way=Way.OPENED)

    assert found.peak_bytes == 8 * b * n**2 + 4 * b * n * d


def test_an_input_that_grows_costs_what_it_grows_by_and_all_of_it_while_it_is_moved() -> None:
    ten = 10 * 4

    found = trace_of(lambda x: x.resize_(30) + 1, (10,), way=Way.OPENED)

    assert found.live_bytes == (3 * ten, 2 * ten + 3 * ten)
    assert trace_of(lambda x: x.resize_(5) + 1, (10,), way=Way.OPENED).live_bytes == (ten // 2,)


def test_a_buffer_that_a_module_grows_stays_grown() -> None:
    class Cache(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.zeros(0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.add(x, 1, out=self.get_buffer("kept"))
            return x + 1

    layer = layer_calling(lambda x: x)
    grown = trace(type(layer)("x", Cache), SIZES, way=Way.OPENED)

    assert grown.live_bytes == (SEQUENCE, 2 * SEQUENCE)


def test_torch_resizes_by_itself_again_after_a_trace() -> None:
    own = torch.UntypedStorage.resize_

    trace(layer_calling(by_hand), SIZES)

    assert torch.UntypedStorage.resize_ is own


# ------------------------------------------------------------------------------------------------------ chains


def in_turns(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty(0)
    torch.add(x, 1, out=out)
    torch.mul(out, 2, out=out)
    return out + 1


def handed_back_by_nobody(x: torch.Tensor) -> torch.Tensor:
    values = [x + 1]
    torch._foreach_mul_(values, 2.0)
    return values[0] + 1


def into_parts(x: torch.Tensor) -> torch.Tensor:
    values, places = torch.empty(0), torch.empty(0, dtype=torch.long)
    torch.max(x + 1, dim=0, out=(values, places))
    return values + places


CHAINS: dict[str, tuple[Function, int]] = {
    "into-nothing": (lambda x: into_nothing(x[None]), 3),
    "in-turns": (in_turns, 3),
    "handed-back-by-nobody": (handed_back_by_nobody, 3),
    "into-several": (into_parts, 3),
    "grown-on-the-way": (lambda x: (x + 1).resize_(20) + 1, 2),
    "set-on-the-way": (lambda x: torch.empty(0).set_(x + 1) + 1, 2),
}


@pytest.mark.parametrize(("function", "depth"), CHAINS.values(), ids=CHAINS)
def test_a_chain_leads_through_what_is_written_elsewhere(function: Function, depth: int) -> None:
    assert trace_of(function, (3, 4), way=Way.STEPPED).depth == depth
