"""The shadow execution between its two witnesses, on layers of each family and on layers that deceive one of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from attnbench.counting.paths import reach
from attnbench.counting.paths.reach import Bracket, bracket, compare, effective_reach, jacobian_pairs, tainted_pairs
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from tests.counting.calling import layer_calling
from tests.counting.families import REPRESENTATIVES

REGISTRY = Registry()
SIZES = {"b": 1, "n": 8, "d": 4}
CAUSAL = Bracket(0.5625, 0.5625, 1.0, finding="computes 100% of the pairs, uses 56%")
#: Layers that compute pairs and mask them out again: a NaN passes where no information does.
MASKED = {
    "multi-head-attention-causal": CAUSAL,
    "attention-grouped-query": CAUSAL,
    "attention-multi-query": CAUSAL,
    # Within a line or a chunk pairs are computed in both directions, and those ahead thrown away.
    "attention-strided": Bracket(0.46875, 0.46875, 0.53125, finding="computes 53% of the pairs, uses 47%"),
    "attention-linear-causal": Bracket(0.5625, 0.5625, 0.75, finding="computes 75% of the pairs, uses 56%"),
}


@pytest.mark.parametrize("name", sorted(REPRESENTATIVES.keys() - MASKED.keys()))
def test_gradient_shadow_and_nan_find_the_same_pairs_in_a_layer_of_each_family(name: str) -> None:
    layer = REGISTRY.get(name)
    sizes = {axis: size for axis, size in {**SIZES, "c": 4, "w": 2, "l": 2}.items() if axis in layer.axes}

    found = bracket(layer, layer.complete(sizes))

    assert found.jacobian == found.shadow == found.taint
    assert (found.finding, found.violation) == ("", "")


@pytest.mark.parametrize("name", MASKED)
def test_a_built_in_layer_that_masks_pairs_computes_more_of_them_than_it_uses(name: str) -> None:
    layer = REGISTRY.get(name)

    assert bracket(layer, layer.complete(SIZES | ({"c": 4} if "c" in layer.axes else {}))) == MASKED[name]


def test_a_masked_dense_attention_computes_all_pairs_and_uses_half() -> None:
    causal = layer_calling(lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True))

    assert bracket(causal, {**SIZES, "n": 25}) == Bracket(
        0.52, 0.52, 1.0, finding="computes 100% of the pairs, uses 52%"
    )


def test_a_path_without_a_gradient_is_told() -> None:
    rounded = layer_calling(lambda x: x + x.mean(1, keepdim=True).round())

    assert bracket(rounded, SIZES).finding == "connects 100% of the pairs, but only 12% have a gradient"


def test_an_order_that_is_broken_is_told() -> None:
    none, own = np.zeros((2, 2), bool), np.eye(2, dtype=bool)

    assert compare(own, none, own).violation == "2 pairs have a gradient that the shadow execution missed"
    assert compare(own, own, none).violation == (
        "2 pairs of the shadow execution let no NaN through, as a sort or a comparison may"
    )
    assert compare(own, own, own) == Bracket(0.5, 0.5, 0.5)


class Closed(nn.Module):
    """A convolution and a rectifier that is closed at every position to begin with."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(4, 4, 3, padding=1)
        nn.init.constant_(self.kernel.bias, -100)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kernel(x.transpose(1, 2)).relu().transpose(1, 2)


def test_a_rectifier_that_starts_closed_is_opened_by_other_weights() -> None:
    band = np.abs(np.subtract.outer(np.arange(8), np.arange(8))) <= 1

    assert (jacobian_pairs(Layer("x", Closed), SIZES) == band).all()


def test_a_rectifier_that_stays_closed_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_make_positive", lambda case: None)

    assert bracket(Layer("x", Closed), SIZES).finding == "connects 34% of the pairs, but only 0% have a gradient"


def test_a_long_recurrence_keeps_a_gradient_in_double_precision() -> None:
    lower = np.tril(np.ones((40, 40), bool))

    assert (jacobian_pairs(REGISTRY.get("rnn"), {"b": 1, "n": 40, "d": 4}) == lower).all()


def test_a_nan_is_put_into_every_real_input() -> None:
    layer = Layer("x", lambda: Add(), inputs=lambda n: (torch.zeros(1, n, 2), torch.zeros(n, 3)))

    assert (tainted_pairs(layer, {"b": 1, "n": 5, "d": 2}) == np.eye(5, dtype=bool)).all()


class Add(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right[None, :, :2]


def test_the_gradient_of_a_known_map_is_felt_as_its_coefficients_say() -> None:
    weights = torch.tensor([[4.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 4.0]], dtype=torch.float64)

    felt = effective_reach(layer_calling(lambda x: weights @ x), {"b": 1, "n": 3, "d": 2})

    assert [steps for steps, _ in felt] == [0, 1, 2]
    assert [value for _, value in felt] == pytest.approx([1, 0.5, 0.25], rel=0.35)


def test_a_convolution_is_felt_up_to_half_its_width_and_a_recurrence_ever_less() -> None:
    kernel = dict(effective_reach(REGISTRY.get("conv1d"), {**SIZES, "k": 5}))
    rnn = dict(effective_reach(REGISTRY.get("rnn"), SIZES))

    assert [steps for steps, value in kernel.items() if value > 0] == [0, 1, 2]
    assert max(kernel.values()) == rnn[0] == 1
    assert list(rnn.values()) == sorted(rnn.values(), reverse=True)


def test_a_layer_over_words_has_no_gradient_to_follow() -> None:
    layer = Layer("x", lambda: nn.Embedding(9, 2), inputs=lambda n: torch.arange(n)[None])

    with pytest.raises(LayerError) as raised:
        bracket(layer, {"b": 1, "n": 4, "d": 2})

    assert str(raised.value) == "layer 'x' has no real input with positions; no gradient and no NaN to follow"
