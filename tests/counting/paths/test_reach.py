"""The shadow execution between its two witnesses, on layers of each family and on layers that deceive one of them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import CheckpointFunction

from attnbench.counting.paths import reach
from attnbench.counting.paths.hops import hops_at
from attnbench.counting.paths.reach import (
    Bracket,
    bracket,
    changed_pairs,
    compare,
    compare_changes,
    effective_reach,
    evidence,
    jacobian_pairs,
    tainted_pairs,
)
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from tests.counting.calling import layer_calling
from tests.counting.families import REPRESENTATIVES

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Calls(nn.Module):
    """A function of whatever the module is given and of its parts."""

    def __init__(self, function: Callable[..., object], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> object:
        return self.function(*inputs, *self.parts, **named)


def over_tokens(function: Callable[..., object], *parts: Callable[[], nn.Module]) -> Layer:
    return Layer(
        "x",
        lambda: Calls(function, *(part() for part in parts)),
        inputs=lambda n: torch.randint(0, 9, (1, n)),
    )


def words() -> nn.Module:
    return nn.Embedding(9, 4)


def causal(x: torch.Tensor) -> torch.Tensor:
    return functional.scaled_dot_product_attention(x, x, x, is_causal=True)


def language_model(tokens: torch.Tensor, word: nn.Module, place: nn.Module, head: nn.Module) -> torch.Tensor:
    x = word(tokens) + place(torch.arange(tokens.shape[1]))
    return head(x + causal(x))


def encoder(input_ids: torch.Tensor, word: nn.Module, *, attention_mask: torch.Tensor) -> dict[str, object]:
    x = word(input_ids)
    mask = (1 - attention_mask[:, None].to(x.dtype)) * -1e9
    return {"loss": None, "hidden": functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)}


def marked(tokens: torch.Tensor, recurrence: nn.Module) -> torch.Tensor:
    one_of_nine = (tokens[..., None] == torch.arange(9)).double()
    states: torch.Tensor = recurrence(one_of_nine)[0]
    return states


LOWER = np.tri(8, dtype=bool)
TOKENS = {
    "an embedding alone": (over_tokens(lambda t, e: e(t), words), np.eye(8, dtype=bool), True),
    "a language model": (
        over_tokens(language_model, words, lambda: nn.Embedding(64, 4), lambda: nn.Linear(4, 9)),
        LOWER,
        False,
    ),
    "hashes of tokens": (over_tokens(lambda t, e: e((t * 7 + 3) % 9).cumsum(1), words), LOWER, True),
    "a table as it is": (over_tokens(lambda t, e: causal(e.weight[t]), words), LOWER, False),
    "one of nine": (over_tokens(marked, lambda: nn.GRU(9, 4, batch_first=True)), LOWER, True),
    "a mask beside them": (
        Layer(
            "x",
            lambda: Calls(lambda **named: encoder(named.pop("input_ids"), WORDS.double(), **named)),
            inputs=lambda n: {"input_ids": torch.randint(0, 9, (1, n)), "attention_mask": torch.ones(1, n).long()},
        ),
        np.ones((8, 8), bool),
        True,
    ),
}
WORDS = words()


@pytest.mark.parametrize(("layer", "pairs", "is_all_used"), TOKENS.values(), ids=TOKENS)
def test_tokens_are_followed_from_the_first_real_tensor_made_of_them(
    layer: Layer, pairs: np.ndarray, is_all_used: bool
) -> None:
    found = bracket(layer, SIZES)

    assert (jacobian_pairs(layer, SIZES) == pairs).all()
    assert (found.jacobian, found.shadow, found.violation) == (pairs.mean(), pairs.mean(), "")
    assert found.taint == (pairs.mean() if is_all_used else 1)


def test_tokens_that_nothing_real_is_made_of_are_changed() -> None:
    sums = over_tokens(lambda tokens: tokens.cumsum(1))

    assert bracket(sums, SIZES) == Bracket(LOWER.mean(), LOWER.mean(), 1)
    assert (changed_pairs(sums, SIZES) == LOWER).all()


def test_changes_that_contradict_the_shadow_are_told() -> None:
    none, own = np.zeros((2, 2), bool), np.eye(2, dtype=bool)

    assert compare_changes(own, none).violation == "2 pairs change together that the shadow execution missed"
    assert compare_changes(none, own).finding == ("connects 50% of the pairs, but only 0% change with their token")


def test_the_reach_of_tokens_is_felt_at_their_embedding() -> None:
    felt = dict(effective_reach(over_tokens(lambda t, e: e(t).cumsum(1), words), SIZES))

    # A sum of all words so far: at every distance half of the pairs, those that look back, have the same gradient.
    assert felt == pytest.approx({0: 1, **dict.fromkeys(range(1, 8), 0.5)}, rel=0.35)


def checkpointed(x: torch.Tensor, product: nn.Module) -> object:
    """A reentrant checkpoint, which refuses ``torch.autograd.grad``."""
    return x + CheckpointFunction.apply(lambda y: product(y).cumsum(1), True, x)


def cached(x: torch.Tensor, product: nn.Module) -> object:
    state = {"keys": product(x)}
    return x + copy.deepcopy(state)["keys"].cumsum(1)


def overwriting(x: torch.Tensor, product: nn.Module) -> object:
    x += 1
    return product(x).cumsum_(1)


@pytest.mark.parametrize("function", [checkpointed, cached, overwriting])
def test_what_torch_does_behind_its_operations_is_followed(function: Callable[..., object]) -> None:
    layer = Layer("x", lambda: Calls(function, nn.Linear(4, 4)))

    assert bracket(layer, SIZES) == Bracket(LOWER.mean(), LOWER.mean(), LOWER.mean())


def matmul_into(x: torch.Tensor) -> torch.Tensor:
    return torch.matmul(x, x.mT, out=torch.empty(0, dtype=x.dtype)).softmax(-1) @ x


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x.cumsum(1), ""),
        (causal, "one layer computes 100% of the pairs, uses 56% at b=1, n=8, d=4"),
        (
            lambda x: x + x.mean(1, keepdim=True).round(),
            "one layer connects 100% of the pairs, but only 12% have a gradient at b=1, n=8, d=4",
        ),
        (
            lambda x: x.log(),
            "gradients and NaNs could not be followed: returns numbers that are not finite for random inputs",
        ),
        (
            lambda x: x.mean(1),
            "gradients and NaNs could not be followed: returns no tensor with a dimension of n = 8",
        ),
    ],
)
def test_evidence_is_one_line_and_never_an_end(function: Callable[..., object], said: str) -> None:
    assert evidence(Layer("x", lambda: Calls(function)), SIZES) == said


def test_what_has_no_gradient_keeps_its_hops() -> None:
    layer = layer_calling(matmul_into)

    assert hops_at(layer, SIZES).io == 1
    assert evidence(layer, SIZES).startswith("gradients and NaNs could not be followed: raised RuntimeError in float64")
