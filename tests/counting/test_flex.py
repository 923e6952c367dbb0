"""`flex_attention`, wherever it is called: pairs of the blocks it visits, what its functions cost, and its paths."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn.attention import flex_attention as home
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from attnbench.counting.effective_flops import effective_flops
from attnbench.counting.flex import flex_attention_as, written_out
from attnbench.counting.paths.hops import hop_matrix
from attnbench.counting.trace import Way, trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from tests.counting.calling import trace_of, trace_of_module

if TYPE_CHECKING:
    from collections.abc import Callable

B, H, N, D = 2, 3, 20, 4
HEADS = (B, H, N, D)
PAIRS = B * H * N**2
compiled = torch.compile(flex_attention, backend="eager")


class Masked(nn.Module):
    """Attention of heads under a mask that is made as the module is."""

    def __init__(self, mask_mod: Callable[..., torch.Tensor], block: int = 8, keys: int = N, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.mask = create_block_mask(mask_mod, None, None, N, keys, device="cpu", BLOCK_SIZE=block)

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return flex_attention(q, k, v, block_mask=self.mask, **self.options)


def causal(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return q >= k


def blocks(visible: Callable[[int, int], bool], block: int) -> int:
    """Pairs of all blocks in which any pair is visible, for one sequence and head."""
    rows = range(ceil(N / block))
    return sum(
        (min(N, (i + 1) * block) - i * block) * (min(N, (j + 1) * block) - j * block)
        for i in rows
        for j in rows
        if any(
            visible(q, k)
            for q in range(i * block, min(N, (i + 1) * block))
            for k in range(j * block, min(N, (j + 1) * block))
        )
    )


MASKS: dict[str, tuple[Callable[..., torch.Tensor], Callable[[int, int], bool]]] = {
    "causal": (causal, lambda q, k: q >= k),
    "window": (lambda b, h, q, k: (q >= k) & (q - k <= 5), lambda q, k: 0 <= q - k <= 5),
    "documents": (lambda b, h, q, k: q // 6 == k // 6, lambda q, k: q // 6 == k // 6),
    "a-prefix": (lambda b, h, q, k: (k < 3) | (q >= k), lambda q, k: k < 3 or q >= k),
    "all": (lambda b, h, q, k: q >= 0, lambda q, k: True),
    "nothing": (lambda b, h, q, k: q < 0, lambda q, k: False),
}


@pytest.mark.parametrize("block", [4, 7, 8, 128])
@pytest.mark.parametrize("name", MASKS)
def test_the_blocks_with_a_visible_pair_are_the_work(name: str, block: int) -> None:
    mask_mod, visible = MASKS[name]

    found = trace_of_module(lambda: Masked(mask_mod, block), HEADS, HEADS, HEADS)

    assert found.flops == 4 * B * H * blocks(visible, block) * D
    assert found.uncounted == ()


@pytest.mark.parametrize("call", [flex_attention, compiled], ids=["as it is", "compiled"])
def test_without_a_mask_all_pairs_are_the_work_and_no_scores_are_kept(call: Callable[..., torch.Tensor]) -> None:
    found = trace_of(lambda q, k, v: call(q, k, v), HEADS, HEADS, HEADS)

    assert found.flops == 4 * PAIRS * D
    assert found.elementwise == 6 * PAIRS
    assert found.peak_bytes < 4 * PAIRS


def test_what_is_written_out_does_the_work_of_all_pairs() -> None:
    """The other way to the same number: products that the stock rules count."""
    from attnbench.counting.operators import flops_of
    from tests.counting.operators.stating import calls_of

    q, k, v = (torch.randn(HEADS) for _ in range(3))
    with flex_attention_as(written_out):
        calls = calls_of(lambda: flex_attention(q, k, v, block_mask=Masked(causal).mask))

    assert sum(flops_of(call) or 0 for call in calls) == 4 * PAIRS * D


def test_keys_and_values_may_be_longer_wider_and_fewer() -> None:
    keys, values = (B, 1, 24, D), (B, 1, 24, 10)

    found = trace_of_module(lambda: Masked(causal, 8, keys=24, enable_gqa=True), HEADS, keys, values)

    visited = 8 * 8 + 8 * 16 + 4 * 24
    assert found.flops == 2 * B * H * visited * (D + 10)


def test_score_functions_cost_what_they_compute_for_a_pair_and_masks_where_they_cut_a_block() -> None:
    def slanted(score: torch.Tensor, b: Any, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return torch.tanh(score / 9) + (k - q)  # four operations

    found = trace_of_module(lambda: Masked(causal, 4, score_mod=slanted), HEADS, HEADS, HEADS)

    visited, cut = 16 * 15, 16 * 5  # blocks of 4 · 4 in five rows, of which the last of each is cut
    assert found.elementwise == B * H * (visited * (6 + 4) + cut * (1 + 1))


class Learned(nn.Module):
    """A learned slope a head."""

    def __init__(self) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.ones(H))

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return flex_attention(q, k, v, score_mod=lambda score, b, h, i, j: score + self.slopes[h] * (j - i))


def test_training_is_five_products_more_and_keeps_no_scores() -> None:
    found = trace_of_module(Learned, HEADS, HEADS, HEADS, way=Way.TRAIN)
    numbers = B * H * N * D

    assert found.flops == (4 + 10) * PAIRS * D
    # Query, key, value, output, a sum for each row; and of a single pair, what the slope was multiplied by, and it.
    assert found.saved_bytes == 4 * (4 * numbers + B * H * N + 2)
    assert found.uncounted == ()


def test_a_mask_made_from_the_input_is_one_clear_sentence() -> None:
    def routed(q: torch.Tensor) -> torch.Tensor:
        chosen = q[0, 0, :, 0] > 0
        mask = create_block_mask(lambda b, h, i, j: chosen[j], None, None, N, N, device="cpu", BLOCK_SIZE=8)
        return flex_attention(q, q, q, block_mask=mask)

    with pytest.raises(LayerError, match="reads tensors that have no values while counting; let mask_mod compute"):
        trace_of(routed, HEADS)


def test_a_mask_of_too_many_pairs_is_one_clear_sentence() -> None:
    def long(q: torch.Tensor) -> torch.Tensor:
        mask = create_block_mask(causal, None, None, 2**14, 2**14, device="cpu")
        return flex_attention(q, q, q, block_mask=mask)

    with pytest.raises(LayerError, match="block mask too long to be looked at; count it at a shorter length"):
        trace_of(long, (1, 1, 2**14, D))


class Alone(nn.Module):
    """One head of attention over the input itself."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.mask = create_block_mask(causal, None, None, n, n, device="cpu", BLOCK_SIZE=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return flex_attention(*3 * (x[:, None],), block_mask=self.mask)[:, 0]


def test_paths_and_needed_work_are_those_of_its_definition() -> None:
    layer = Layer("alone", lambda d, n: Alone(n))
    sizes = {"b": 1, "n": 8, "d": 3}

    assert torch.equal(torch.tensor(hop_matrix(layer, sizes)).isfinite(), torch.ones(8, 8).tril().bool())
    assert effective_flops(layer, sizes) == 4 * (8 * 9 // 2) * 3
    assert trace(layer, sizes).flops == 4 * 3 * 16 * 3


def test_torch_has_its_own_kernel_back_afterwards() -> None:
    before = dict(vars(home))
    trace_of(lambda q: flex_attention(q, q, q), HEADS)

    assert vars(home) == before
