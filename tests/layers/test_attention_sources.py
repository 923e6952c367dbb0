"""What the texts that these layers come from say must hold, at the sizes of their examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.attention.bahdanau import EncoderDecoder
from attnbench.layers.attention.multi_head_d2l import MultiHeadAttentionWithLengths
from attnbench.layers.attention.multi_head_list import ListOfHeads
from attnbench.layers.attention.multi_head_materialised import MaterialisedMultiHeadAttention
from attnbench.layers.attention.multi_head_wide import WideMultiHeadAttention
from attnbench.layers.attention.single_query import SingleQueryAttention
from tests.oracles.attention import bahdanau, multi_head_d2l


@pytest.fixture(autouse=True)
def _drawn_alike() -> None:
    torch.manual_seed(11)


def weights_of(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in module.state_dict().items()}


# ------------------------------------------------------------------------------------------------ a single query


@pytest.mark.parametrize("scoring", ["dot", "cosine"])
def test_a_single_query_gets_one_context_and_its_weights(scoring: str) -> None:
    module, states = SingleQueryAttention(256, scoring), torch.randn(10, 12, 256)

    context, weights = module(torch.randn(10, 256), states, states)

    assert (context.shape, weights.shape) == ((10, 1, 256), (10, 1, 12))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(10, 1))
    assert [name for name, _ in module.named_parameters()] == ["query.weight", "key.weight", "value.weight"]


def test_the_length_of_the_query_sharpens_the_dot_and_not_the_cosine() -> None:
    query, states = torch.randn(2, 8), torch.randn(2, 5, 8)
    dot, cosine = SingleQueryAttention(8, "dot"), SingleQueryAttention(8, "cosine")

    torch.testing.assert_close(cosine(9 * query, states, states), cosine(query, states, states))
    assert (dot(9 * query, states, states)[1].amax(-1) > dot(query, states, states)[1].amax(-1)).all()


@pytest.mark.parametrize(
    ("scoring", "words"),
    [("cosin", " Did you mean 'cosine'?"), ("additive", " Known: dot, cosine.")],
)
def test_an_unknown_scoring_is_refused_with_the_names_there_are(scoring: str, words: str) -> None:
    with pytest.raises(ValueError, match="unknown scoring") as raised:
        SingleQueryAttention(8, scoring)

    assert str(raised.value) == f"unknown scoring {scoring!r}.{words}"


# --------------------------------------------------------------------------------------------- full-width heads


def test_a_mask_of_zeros_makes_the_weights_of_wide_heads_uniform() -> None:
    module, x = WideMultiHeadAttention(384, 128, 3), torch.randn(32, 16, 384)
    mask = torch.zeros(32, 1, 16, 16)

    output = module(x, mask)

    assert output.shape == (32, 16, 128)
    assert torch.isfinite(output).all()
    torch.testing.assert_close(module.weights(x, mask), torch.full((32, 3, 16, 16), 1 / 16))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_wide_head_gives_no_weight_where_the_mask_is_zero(dtype: torch.dtype) -> None:
    module = WideMultiHeadAttention(6, 4, 2).to(dtype)

    weights = module.weights(torch.randn(2, 5, 6, dtype=dtype), torch.ones(5, 5).tril())

    assert (weights.triu(1) == 0).all()
    assert (weights.tril().sum(dim=-1) > 0.98).all()


# --------------------------------------------------------------------------------------------------- valid lengths


@pytest.mark.parametrize(
    "lengths", [[3, 2], [[1, 4, 2, 3], [4, 4, 1, 2]]], ids=["one for a sequence", "one for a query"]
)
def test_keys_beyond_the_valid_length_are_as_if_they_were_not_there(lengths: list) -> None:
    module = MultiHeadAttentionWithLengths(100, 5, dropout=0.5).double().eval()
    x = torch.randn(2, 4, 100, dtype=torch.float64)

    output = module(x, valid_lens=torch.tensor(lengths)).detach().numpy()

    assert output.shape == (2, 4, 100)
    for found, sequence, valid in zip(output, x.numpy(), np.broadcast_to(np.transpose(lengths), (4, 2)).T, strict=True):
        np.testing.assert_allclose(found, multi_head_d2l(sequence, weights_of(module), 5, valid), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_valid_length_of_zero_leaves_equal_weights(dtype: torch.dtype) -> None:
    module = MultiHeadAttentionWithLengths(100, 5, dropout=0.5).to(dtype).eval()
    x = torch.randn(2, 4, 100, dtype=dtype)

    output = module(x, valid_lens=torch.tensor([0, 4]))

    mean = module.output(module.value(x).mean(dim=1, keepdim=True)).expand(2, 4, 100)
    torch.testing.assert_close(output[0], mean[0])
    torch.testing.assert_close(output[1], module(x)[1])


def test_keys_and_values_may_be_another_sequence_of_another_length() -> None:
    module = MultiHeadAttentionWithLengths(12, 3, dropout=0.5).eval()
    x, y = torch.randn(2, 4, 12), torch.randn(2, 7, 12)

    torch.testing.assert_close(module(x, y, y, torch.tensor([5, 5])), module(x, y[:, :5], y[:, :5]))


def test_dropout_falls_on_the_weights_in_training_only() -> None:
    x = torch.randn(2, 4, 100)
    for module in (MultiHeadAttentionWithLengths(100, 5, 0.5), MaterialisedMultiHeadAttention(100, 5, 0.5)):
        assert not torch.equal(module(x), module(x))
        assert torch.equal(module.eval()(x), module(x))


# --------------------------------------------------------------------------------- a list of heads, and fused from x


def test_a_list_of_heads_is_the_fused_form_with_the_same_weights() -> None:
    fused = MaterialisedMultiHeadAttention(hidden_size=12, num_heads=3, dropout=0.1).double().eval()
    listed, x = ListOfHeads(12, 3).double(), torch.randn(2, 9, 12, dtype=torch.float64)
    q, k, v = (part.chunk(3) for part in fused.project.weight.detach().chunk(3))
    for i, head in enumerate(listed.heads):
        head.load_state_dict({"query.weight": q[i], "key.weight": k[i], "value.weight": v[i]})
    listed.output.load_state_dict(fused.output.state_dict())

    torch.testing.assert_close(listed(x), fused(x), rtol=1e-12, atol=1e-12)


def test_a_list_of_heads_takes_queries_keys_values_and_a_mask() -> None:
    module, mask = ListOfHeads(8, 2), torch.rand(3, 4, 6) < 0.6
    mask[..., 0] = True
    query, key, value = torch.randn(3, 4, 8), torch.randn(3, 6, 8), torch.randn(3, 6, 8)

    heads = [
        scaled_dot_product_attention(head.query(query), head.key(key), head.value(value), attn_mask=mask)
        for head in module.heads
    ]

    torch.testing.assert_close(module(query, key, value, mask), module.output(torch.cat(heads, dim=-1)))


# ------------------------------------------------------------------------------------------- encoder and decoder


def test_each_step_of_the_decoder_looks_over_the_whole_source_and_reads_the_target_so_far() -> None:
    module, (x, target) = EncoderDecoder(4).double(), torch.randn(2, 6, 4, dtype=torch.float64)

    by_source, by_target = torch.autograd.functional.jacobian(lambda x, y: module(x[None], y[None])[0], (x, target))

    assert (by_source.abs().sum(dim=(1, 3)) > 0).all()
    assert torch.equal(by_target.abs().sum(dim=(1, 3)) > 0, torch.ones(6, 6).tril(-1) > 0)


def test_a_decoder_may_read_another_target_than_its_source() -> None:
    module, (x, target) = EncoderDecoder(4).double(), torch.randn(2, 6, 4, dtype=torch.float64)

    found = module(x[None], target[None])[0].detach().numpy()

    np.testing.assert_allclose(found, bahdanau(x.numpy(), weights_of(module), target.numpy()), rtol=1e-9, atol=1e-12)
