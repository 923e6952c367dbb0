"""Attention weights are what the definition says, of layers that write them out, fuse them, mask them or give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.counting.pictures.attention_weights import weights_of
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.registry import BUILT_IN, Registry
from tests.oracles.table1 import attention_weights

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRY = Registry()


def tokens() -> np.ndarray:
    """The tokens that every layer is shown."""
    torch.manual_seed(2)
    return torch.randn(1, 12, 32)[0].double().numpy()


def layer_calling(function: object) -> Layer:
    class Calls(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)  # type: ignore[operator, no-any-return]

    return Layer("mine", lambda d: Calls())


@pytest.mark.parametrize("name", ["attention-core", "attention-core-fused"])
def test_the_weights_of_a_head_are_the_softmax_of_its_scores(name: str) -> None:
    expected = [attention_weights(head, head) for head in np.split(tokens(), 4, axis=1)]

    np.testing.assert_allclose(weights_of(REGISTRY.get(name)), expected, atol=6e-5)


def test_a_fused_layer_and_one_that_writes_its_scores_out_show_the_same() -> None:
    fused, written = (REGISTRY.get(f"multi-head-attention{end}") for end in ("", "-materialised"))

    np.testing.assert_allclose(weights_of(fused), weights_of(written), atol=2e-4)


def test_what_is_masked_has_no_weight() -> None:
    causal = layer_calling(lambda x: scaled_dot_product_attention(x, x, x, is_causal=True))

    (head,) = weights_of(causal)

    assert np.array(head).shape == (12, 12)
    assert not np.triu(head, 1).any()
    np.testing.assert_allclose(np.sum(head, axis=1), 1, atol=1e-3)


def test_a_softmax_over_queries_is_turned_round_and_one_over_features_is_none() -> None:
    def mixed(x: Tensor) -> Tensor:
        over_keys = (x @ x.mT).softmax(dim=1).mT  # scores are symmetric: keys downwards, queries to the right
        return over_keys @ x.softmax(dim=-1)

    (head,) = weights_of(layer_calling(mixed))

    np.testing.assert_allclose(np.sum(head, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("attention-restricted", lambda i, j: abs(i - j) <= 2),
        ("attention-block-diagonal", lambda i, j: i // 4 == j // 4),
    ],
)
def test_a_window_or_a_block_shows_its_weights_among_all_positions(name: str, near: Callable[[int, int], bool]) -> None:
    x = tokens()
    band = np.array([[near(i, j) for j in range(12)] for i in range(12)])
    scores = np.where(band, x @ x.T / np.sqrt(32), -np.inf)

    (head,) = weights_of(REGISTRY.get(name))

    np.testing.assert_allclose(head, softmax(scores, axis=1), atol=6e-5)


def test_weights_that_values_do_not_show_are_not_made_up() -> None:
    def projected(x: Tensor) -> Tensor:
        near = x.unfold(1, 1, 1).squeeze(-1)  # each position alone: a softmax over one key
        return (near * x).sum(dim=-1, keepdim=True).softmax(dim=-1) * (2 * near + 1)

    with pytest.raises(LayerError, match="has no attention weights to be seen"):
        weights_of(layer_calling(projected))


def test_steps_of_a_decoder_are_the_rows_of_one_picture() -> None:
    def stepping(x: Tensor) -> Tensor:
        steps = [(x[:, i : i + 1] @ x.mT / 32**0.5).softmax(dim=-1) @ x for i in range(12)]
        return torch.cat(steps, dim=1)

    (head,) = weights_of(layer_calling(stepping))

    np.testing.assert_allclose(head, attention_weights(tokens(), tokens()), atol=6e-5)


class Words(nn.Module):
    """An embedding and an attention over all words or, where there is one, within windows of `width`."""

    def __init__(self, d: int, width: int = 12) -> None:
        super().__init__()
        self.words, self.width = nn.Embedding(9, d), width

    def forward(self, words: Tensor) -> dict[str, Tensor | None]:
        x = self.words(words).unflatten(1, (-1, self.width))
        return {"loss": None, "hidden": scaled_dot_product_attention(x, x, x).flatten(1, 2)}


def test_a_model_over_words_shows_its_weights_where_each_query_looks_at_all_keys() -> None:
    def over_words(width: int) -> Layer:
        return Layer("words", lambda d: Words(d, width), inputs=lambda n: torch.randint(0, 9, (1, n)))

    (head,) = weights_of(over_words(12))

    assert np.array(head).shape == (12, 12)
    np.testing.assert_allclose(np.sum(head, axis=1), 1, atol=1e-3)
    with pytest.raises(LayerError, match="has no attention weights to be seen"):
        weights_of(over_words(4))  # words cannot be set to 0 and 1 to see what arrives of each


def test_a_single_query_has_one_row() -> None:
    def first(x: Tensor) -> Tensor:
        return (x[:, :1] @ x.mT).softmax(dim=-1) @ x + 0 * x

    assert np.array(weights_of(layer_calling(first))).shape == (1, 1, 12)


def test_a_module_may_give_its_weights_itself() -> None:
    class Gives(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

        def weights(self, x: Tensor) -> Tensor:
            return torch.eye(x.shape[1]).expand(1, 2, -1, -1)

    assert weights_of(Layer("gives", lambda d: Gives())) == [np.eye(12).tolist()] * 2


def test_a_layer_without_weights_says_so() -> None:
    with pytest.raises(LayerError) as caught:
        weights_of(REGISTRY.get("rnn"))

    assert str(caught.value) == "layer 'rnn' has no attention weights to be seen"


def test_looking_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()

    weights_of(REGISTRY.get("attention-core"))

    assert torch.equal(torch.get_rng_state(), before)


#: They never have a weight for each pair of positions; that is their point.
WITHOUT_PAIRS = ("linear", "linear-causal", "low-rank", "random-features", "latent")


@pytest.mark.parametrize("kind", WITHOUT_PAIRS)
def test_an_attention_that_avoids_all_pairs_has_no_map_of_them(kind: str) -> None:
    with pytest.raises(LayerError, match=r"has no attention weights to be seen$"):
        weights_of(REGISTRY.get(f"attention-{kind}"))


@pytest.mark.parametrize(
    "name",
    [n for n in BUILT_IN if "attention" in n and n.removeprefix("attention-") not in WITHOUT_PAIRS],
)
def test_every_attention_here_shows_weights_that_add_up_to_one(name: str) -> None:
    heads = np.array(weights_of(REGISTRY.get(name)))

    assert heads.shape[1:] in ((12, 12), (1, 12))
    np.testing.assert_allclose(heads.sum(axis=2), 1, atol=1e-3)
