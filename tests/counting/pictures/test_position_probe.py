"""What a read-out tells of a position: what is there to be read, and less with every layer that mixes it away."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from attnbench.counting.pictures.position_probe import position_probe_of, readable
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry


def features(noise: float, *, seed: int = 1) -> np.ndarray:
    """The position with noise in one feature of six, and nothing but noise in the others: 4000 sequences of 20."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(4000, 20, 6))
    found[:, :, 2] = np.linspace(-1, 1, 20) + noise * found[:, :, 2]
    return 7 * found + 100


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_a_read_out_explains_the_share_of_the_variance_that_is_no_noise(noise: float) -> None:
    position = np.square(np.linspace(-1, 1, 20)).mean()

    assert readable(features(noise), 1000) == pytest.approx(position / (position + noise**2), abs=0.02)


def test_what_is_learnt_by_heart_does_not_count() -> None:
    noise = np.random.default_rng(2).normal(size=(40, 20, 300))

    assert readable(noise, 20) == 0


def test_features_that_never_change_are_no_trouble() -> None:
    assert readable(np.ones((30, 20, 4)), 20) == pytest.approx(0, abs=1e-12)


def test_the_position_fades_in_a_stack_of_attention_and_not_beside_it() -> None:
    found = {
        way: np.mean(draws, axis=0) for way, draws in position_probe_of(Registry().get("multi-head-attention")).items()
    }

    assert found["plain"][0] == found["residual"][0] > 0.6
    assert found["plain"][1] < 0.25
    assert (found["plain"][2:] < 0.02).all()
    assert (found["residual"] > 0.6).all()


def test_what_changes_nothing_loses_nothing() -> None:
    found = position_probe_of(Layer("identity", lambda d: nn.Identity()))

    assert all(len(set(draw)) == 1 and len(draw) == 9 for draw in found["plain"])
    assert len({draw[0] for draw in found["plain"]}) == 3


def test_a_layer_with_inputs_of_its_own_cannot_be_stacked() -> None:
    with pytest.raises(LayerError) as caught:
        position_probe_of(Layer("mine", lambda d: nn.Identity(), inputs=lambda d: None))

    assert str(caught.value) == "layer 'mine' has inputs of its own: its copies cannot be stacked on tokens"
