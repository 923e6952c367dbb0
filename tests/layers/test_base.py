"""Sizes of a layer: given, by default, and refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attnbench.errors import LayerError, PluginError
from attnbench.layers.base import Claims, Layer

if TYPE_CHECKING:
    from attnbench.trial import Sizes


def build(n: int, d: int, w: int, h: int = 4, rank: int = 2) -> None:
    """A factory with every kind of axis: of the input, required, with a default, and of its own."""


LAYER = Layer("windowed", build, constraints=("d % h == 0", "w < n"))


def test_the_axes_are_those_of_the_input_and_of_the_factory_in_one_order() -> None:
    assert LAYER.axes == {"b": None, "n": None, "d": None, "h": 4, "w": None, "rank": 2}
    assert list(LAYER.axes) == ["b", "n", "d", "h", "w", "rank"]


def test_an_input_factory_adds_its_axes() -> None:
    layer = Layer("pooled", lambda d: None, inputs=lambda b, n, d, m=3: None)

    assert layer.axes == {"b": None, "n": None, "d": None, "m": 3}


def test_sizes_are_completed_by_the_factorys_defaults_before_the_general_ones() -> None:
    assert LAYER.complete({"w": 5}) == {"b": 1, "n": 256, "d": 256, "h": 4, "w": 5, "rank": 2}


def test_given_sizes_win() -> None:
    given = {"b": 2, "n": 9, "d": 6, "h": 3, "w": 8, "rank": 1}

    assert LAYER.complete(given) == given


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({}, "layer 'windowed' needs a size for axis 'w'; give one with --set w=…"),
        ({"w": 1, "k": 3}, "layer 'windowed' has no axis 'k'. It has b, n, d, h, w, rank."),
        ({"w": 1, "rang": 3}, "layer 'windowed' has no axis 'rang'. Did you mean 'rank'?"),
        (
            {"b": 1, "n": 8, "w": 2, "d": 6},
            "layer 'windowed' needs d % h == 0, which b=1, n=8, d=6, h=4, w=2, rank=2 does not satisfy",
        ),
        (
            {"b": 1, "n": 8, "w": 8, "d": 8},
            "layer 'windowed' needs w < n, which b=1, n=8, d=8, h=4, w=8, rank=2 does not satisfy",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_one_sentence(sizes: Sizes, message: str) -> None:
    with pytest.raises(LayerError) as caught:
        LAYER.complete(sizes)

    assert str(caught.value) == message


def test_a_layer_can_be_called_and_trained_unless_it_says_otherwise() -> None:
    assert LAYER.modes == ("forward", "train")


def test_only_the_claims_that_were_made_are_given() -> None:
    assert Claims(hops="1", flops="n").given == {"flops": "n", "hops": "1"}
    assert Claims().given == {}


@pytest.mark.parametrize("axis", ["samples", "threads", "host", "flops"])
def test_an_axis_cannot_be_called_like_a_column_of_the_tables(axis: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def build(d, {axis}=1): ...", scope)  # noqa: S102

    with pytest.raises(PluginError) as caught:
        _ = Layer(name="mine", build=scope["build"]).axes

    assert str(caught.value) == f"layer 'mine': {axis!r} is a column of the tables, and no axis"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"z": (1, 2, 3)}, "layer 'x': sizes= names 'z', which build() does not"),
        ({"n": (8, 8, 16)}, "layer 'x': sizes= of n needs 3 sizes, not (8, 8, 16)"),
        ({"n": (0, 8, 16)}, "layer 'x': sizes= of n must be positive whole numbers, not (0, 8, 16)"),
        ({"n": 8}, "layer 'x': sizes= of n must be positive whole numbers, not 8"),
        ((8, 16), "layer 'x': sizes= maps axes to sizes, as in {'n': (32, 48, 64)}"),
    ],
)
def test_sizes_to_solve_at_are_three_of_an_axis_it_has(sizes: Any, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        Layer("x", build, sizes=sizes)

    assert str(caught.value) == message
