"""What the variants of attention promise beside their outputs: which positions meet, and what is kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attnbench.count.trace import Way, trace
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import Registry
from attnbench.trial import slug

if TYPE_CHECKING:
    from torch import nn

    from attnbench.trial import Sizes

REGISTRY = Registry()
FLOAT = 4
WINDOWS = [{"b": 1, "n": 1, "d": 4, "w": 3}, {"b": 3, "n": 23, "d": 5, "w": 4}, {"b": 2, "n": 6, "d": 3, "w": 40}]


def built(name: str, sizes: Sizes, dtype: str = "float64") -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(3)
    layer = REGISTRY.get(name)
    return build_module(layer, sizes, dtype=dtype), make_inputs(layer, sizes, dtype=dtype)[0]


def reached(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Whether output i depends on input j, as a matrix (i, j), by the Jacobian of one sequence."""
    jacobian = torch.autograd.functional.jacobian(lambda one: module(one[None])[0], x[0])
    return jacobian.abs().sum(dim=(1, 3)) > 0


@pytest.mark.parametrize("sizes", WINDOWS, ids=slug)
def test_restricted_attention_is_dense_attention_under_a_band(sizes: Sizes) -> None:
    module, x = built("attention-restricted", sizes)
    positions = torch.arange(sizes["n"])
    band = (positions[:, None] - positions).abs() <= sizes["w"]

    torch.testing.assert_close(module(x), scaled_dot_product_attention(x, x, x, attn_mask=band))


@pytest.mark.parametrize("sizes", WINDOWS, ids=slug)
def test_restricted_attention_connects_the_positions_of_a_window_and_no_others(sizes: Sizes) -> None:
    module, x = built("attention-restricted", sizes)
    positions = torch.arange(sizes["n"])

    assert torch.equal(reached(module, x), (positions[:, None] - positions).abs() <= sizes["w"])


def test_restricted_attention_never_reads_a_position_beyond_its_window() -> None:
    module, x = built("attention-restricted", {"b": 2, "n": 20, "d": 4, "w": 3})
    x[0, 10] = torch.nan

    spoilt = module(x).isnan().any(dim=-1)

    assert spoilt.nonzero().tolist() == [[0, position] for position in range(7, 14)]


@pytest.mark.parametrize("b", [1, 3])
def test_restricted_attention_holds_neither_pairs_of_positions_nor_copies_of_its_windows(b: int) -> None:
    n, d, w = 4099, 64, 16
    padded, beyond, windows = b * (n + 2 * w) * d, n + 2 * w, b * n * (2 * w + 1)
    query = output = b * n * d
    sizes = {"b": b, "n": n, "d": d, "w": w}

    found = trace(REGISTRY.get("attention-restricted"), sizes, way=Way.OPENED)

    assert found.peak_bytes == FLOAT * (padded + beyond + query + 2 * windows + output)
    assert found.peak_bytes < FLOAT * min(n**2, windows * d)


def test_block_diagonal_attention_connects_the_positions_of_a_block_and_no_others() -> None:
    module, x = built("attention-block-diagonal", {"b": 1, "n": 12, "d": 3, "c": 4})

    assert torch.equal(reached(module, x), torch.block_diag(*[torch.ones(4, 4)] * 3) > 0)


@pytest.mark.parametrize(("b", "h"), [(1, 1), (4, 1), (1, 3), (4, 3)])
@pytest.mark.parametrize("n", [1, 7])
def test_materialised_attention_keeps_its_weights_and_six_times_its_input_for_training(b: int, n: int, h: int) -> None:
    d = 6
    module, x = built("multi-head-attention-materialised", {"b": b, "n": n, "d": d, "h": h}, "float32")
    weights = {weight.untyped_storage().data_ptr() for weight in module.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = module(x.requires_grad_())
    saved = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)

    assert output.requires_grad
    assert saved == FLOAT * (b * h * n**2 + 6 * b * n * d)


def test_multi_head_attention_is_the_same_function_fused_and_materialised() -> None:
    sizes = {"b": 2, "n": 9, "d": 12, "h": 3}
    fused, x = built("multi-head-attention", sizes)
    materialised, _ = built("multi-head-attention-materialised", sizes)
    materialised.load_state_dict(fused.state_dict())

    torch.testing.assert_close(materialised(x), fused(x))
