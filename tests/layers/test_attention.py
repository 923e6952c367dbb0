"""What the variants of attention promise beside their outputs: which positions meet, and what is kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attnbench.counting.trace import Way, trace
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


#: Sparse layer → its sizes, and the positions j that a position i attends to, by i − j.
PATTERNS = {
    "attention-strided": ({"c": 4}, lambda lag: (lag >= 0) & ((lag < 4) | (lag % 4 == 0))),
    "attention-logarithmic": ({}, lambda lag: (lag == 0) | ((lag > 0) & (lag & (lag - 1) == 0))),
    "attention-dilated": ({"w": 2, "s": 3}, lambda lag: (lag.abs() <= 6) & (lag % 3 == 0)),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_sparse_attention_is_dense_attention_under_its_pattern(name: str) -> None:
    own, pattern = PATTERNS[name]
    module, x = built(name, {"b": 2, "n": 24, "d": 5, **own})
    positions = torch.arange(24)
    mask = pattern(positions[:, None] - positions)

    torch.testing.assert_close(module(x), scaled_dot_product_attention(x, x, x, attn_mask=mask))
    assert torch.equal(reached(module, x), mask)


@pytest.mark.parametrize(("name", "keys"), [("attention-dilated", 33), ("attention-logarithmic", 15)])
def test_a_sparse_attention_holds_no_pairs_of_positions(name: str, keys: int) -> None:
    b, n, d = 1, 2**14, 16
    layer = REGISTRY.get(name)

    found = trace(layer, layer.complete({"b": b, "n": n, "d": d}), way=Way.OPENED)

    assert found.flops == 4 * b * n * keys * d
    assert found.peak_bytes < FLOAT * n**2 / 32


def test_axial_and_strided_attention_hold_the_scores_of_a_line_and_not_of_all_pairs() -> None:
    sizes = {"b": 1, "n": 2**14, "d": 16, "c": 2**7}
    for name in ("attention-axial", "attention-strided"):
        found = trace(REGISTRY.get(name), sizes, way=Way.OPENED)

        assert found.flops == 4 * 2**14 * 2 * 2**7 * 16
        assert found.peak_bytes < FLOAT * 2**14 * 2**7 * 8


def test_axial_attention_connects_all_positions() -> None:
    module, x = built("attention-axial", {"b": 1, "n": 12, "d": 3, "c": 4})

    assert reached(module, x).all()


@pytest.mark.parametrize(("name", "g"), [("attention-grouped-query", 2), ("attention-multi-query", 1)])
def test_decoding_with_shared_keys_and_values_holds_those_of_the_groups_and_no_more(name: str, g: int) -> None:
    b, n, d, h = 3, 1000, 64, 8
    layer = REGISTRY.get(name)
    module, x = built(name, sizes := layer.complete({"b": b, "n": n, "d": d, "h": h} | ({"g": g} if g > 1 else {})))

    found = trace(layer, sizes, way=Way.DECODE)
    kept = 2 * b * g * (n + 1) * d // h

    assert module.prefill(x).numel() == kept - 2 * b * g * d // h
    assert FLOAT * kept < found.peak_bytes < FLOAT * (kept + 8 * b * d)


def test_with_as_many_groups_as_heads_grouped_queries_are_causal_multi_head_attention() -> None:
    sizes = {"b": 2, "n": 9, "d": 12, "h": 3}
    causal, x = built("multi-head-attention-causal", sizes)
    grouped, _ = built("attention-grouped-query", sizes | {"g": 3})
    projections = causal.project.weight.detach().split([12, 24])
    shared = dict(zip(("query.weight", "key_value.weight"), projections, strict=True))
    grouped.load_state_dict({**shared, "output.weight": causal.output.weight.detach()})

    torch.testing.assert_close(grouped(x), causal(x))


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
