"""What the encodings of position promise beside their outputs: waves that turn, distances that count, limits told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

from attnbench.layers.attention.core import AttentionCore
from attnbench.layers.attention.core_fused import FusedAttentionCore
from attnbench.layers.attention.multi_head import MultiHeadAttention
from attnbench.layers.attention.multi_head_causal import CausalMultiHeadAttention
from attnbench.layers.attention.multi_head_materialised import MaterialisedMultiHeadAttention
from attnbench.layers.joining import Encoded
from attnbench.layers.position.alibi import LinearBias, slopes_of
from attnbench.layers.position.learned import LearnedEncoding
from attnbench.layers.position.rotary import Rotary
from attnbench.layers.position.sinusoidal import SinusoidalEncoding
from attnbench.layers.registry import Registry
from tests.oracles.position import SLOPES

ADDED = (SinusoidalEncoding, LearnedEncoding)
Inside = Callable[[int], nn.Module]
INSIDE = {"rotary": lambda h: Rotary(12 // h, max_len=9), "alibi": LinearBias}


def waves(n: int, d: int) -> torch.Tensor:
    """What the encoding adds to nothing."""
    found: torch.Tensor = SinusoidalEncoding(d, max_len=n)(torch.zeros(1, n, d))[0]
    return found


@pytest.fixture(autouse=True)
def _in_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(11)
    yield
    torch.set_default_dtype(before)


def test_the_frequency_falls_along_the_features_by_the_same_factor_from_pair_to_pair() -> None:
    d = 32

    sines, cosines = waves(60, d).unflatten(1, (d // 2, 2)).movedim(-1, 0).numpy()
    turned = np.unwrap(np.arctan2(sines, cosines), axis=0)
    frequencies = turned[-1] / 59  # radians a position

    assert (np.diff(frequencies) < 0).all()
    np.testing.assert_allclose(frequencies[1:] / frequencies[:-1], 10000 ** (-2 / d))


@pytest.mark.parametrize("delta", [1, 7, 40])
def test_one_rotation_takes_a_pair_of_features_from_any_position_to_the_one_delta_later(delta: int) -> None:
    d, n = 16, 90
    pairs = waves(n, d).unflatten(1, (d // 2, 2))  # (n, d/2, 2): sine, cosine

    for j in range(d // 2):
        before, after = pairs[:-delta, j], pairs[delta:, j]
        rotation = torch.linalg.lstsq(before[:10], after[:10]).solution  # from the first ten, for all that follow

        angle = delta / 10000 ** (2 * j / d)
        turn = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        torch.testing.assert_close(before @ torch.tensor(turn), after)
        torch.testing.assert_close(before @ rotation, after, rtol=0, atol=1e-4)


def test_an_odd_width_ends_with_a_sine() -> None:
    torch.testing.assert_close(waves(9, 5)[:, 4], torch.sin(torch.arange(9) / 10000 ** (4 / 5)))


@pytest.mark.parametrize("encoding", ADDED)
def test_an_encoding_takes_1000_positions_by_default_and_says_what_to_do_about_more(encoding: type[nn.Module]) -> None:
    module = encoding(4)

    assert module(torch.zeros(2, 1000, 4)).shape == (2, 1000, 4)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is compared
        module(torch.zeros(2, 1001, 4))
    assert str(caught.value) == "a sequence of 1001 positions is longer than max_len=1000; build it with a larger one"


@pytest.mark.parametrize("encoding", ADDED)
def test_dropout_is_of_the_sum(encoding: type[nn.Module]) -> None:
    module, x = encoding(6, dropout=0.5), torch.randn(40, 30, 6)

    dropped, whole = module(x), module.eval()(x)

    kept = dropped != 0
    assert 0.45 < kept.double().mean() < 0.55
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


@pytest.mark.parametrize("encoding", ADDED)
@pytest.mark.parametrize("name", ["rnn", "attention-additive", "conv1d"])
def test_an_encoding_goes_before_any_layer(name: str, encoding: type[nn.Module]) -> None:
    layer, added = Registry().get(name).build(d=6), encoding(6)
    x = torch.randn(2, 9, 6)

    torch.testing.assert_close(Encoded(added, layer)(x), layer(added(x)))


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize(
    ("fused", "written_out"),
    [
        (lambda p: FusedAttentionCore(3, p), lambda p: AttentionCore(3, p)),
        (lambda p: MultiHeadAttention(12, 3, position=p), lambda p: MaterialisedMultiHeadAttention(12, 3, position=p)),
    ],
    ids=["core", "multi-head"],
)
def test_a_position_acts_alike_in_every_attention(
    fused: Callable[[nn.Module], nn.Module], written_out: Callable[[nn.Module], nn.Module], inside: Inside
) -> None:
    one, other, x = fused(inside(3)), written_out(inside(3)), torch.randn(2, 9, 12)
    other.load_state_dict(one.state_dict())

    torch.testing.assert_close(one(x), other(x))
    assert not torch.allclose(one(x.roll(1, dims=1)), one(x).roll(1, dims=1))  # as it would be without a position


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
def test_a_position_acts_under_a_causal_mask_as_in_attention_to_the_sequence_so_far(inside: Inside) -> None:
    causal, whole = (
        attention(12, 3, position=inside(3)) for attention in (CausalMultiHeadAttention, MultiHeadAttention)
    )
    whole.load_state_dict(causal.state_dict())
    x = torch.randn(2, 9, 12)

    so_far = torch.cat([whole(x[:, : i + 1])[:, -1:] for i in range(9)], dim=1)
    token, _ = causal.step(x[:, -1:], causal.prefill(x[:, :-1]))

    torch.testing.assert_close(causal(x), so_far)
    torch.testing.assert_close(token, so_far[:, -1:])


@pytest.mark.parametrize("width", [8, 7])
def test_rotary_scores_depend_on_the_distance_alone(width: int) -> None:
    q, k = (torch.randn(width).expand(1, 1, 30, width) for _ in range(2))  # the same at every position

    turned_q, turned_k, bias = Rotary(width)(q, k)
    scores = (turned_q @ turned_k.mT)[0, 0]

    assert bias is None
    for distance in range(-29, 30):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert scores[0].std() > 0.1


def test_a_rotation_keeps_lengths() -> None:
    q = torch.randn(2, 3, 30, 8)

    turned, _, _ = Rotary(8)(q, q)

    torch.testing.assert_close(turned.norm(dim=-1), q.norm(dim=-1))


@pytest.mark.parametrize("h", SLOPES)
def test_the_slopes_are_the_published_ones(h: int) -> None:
    assert slopes_of(h) == SLOPES[h]


def test_a_linear_bias_is_the_distance_times_the_slope_of_the_head() -> None:
    q = torch.zeros(1, 2, 3, 5)

    *_, bias = LinearBias(2)(q[:, :, -1:], q)  # one query, at the last of three positions

    torch.testing.assert_close(bias, -torch.tensor([[[[2 / 16, 1 / 16, 0]], [[2 / 256, 1 / 256, 0]]]]))
