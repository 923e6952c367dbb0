"""A layer of a factory: its axes are the sizes in the signature, its name is the factory's."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import pytest
from torch import nn

from attnbench.errors import PluginError
from attnbench.layers.base import Claims, Layer
from attnbench.layers.building import build_module


class GatedMLP(nn.Module):
    """With every kind of parameter that modules have."""

    def __init__(
        self, d: int, f: int = 24, bias: bool = True, p: float = 0.0, first: int = 0, act: Any = None, **more: Any
    ) -> None:
        super().__init__()
        self.up = nn.Linear(d, f, bias=bias)
        self.rest = (p, first, act, more)


def build_block(d: int, h: int = 4) -> nn.Module:
    return nn.MultiheadAttention(d, h)


def wants_config(config: dict[str, int], d: int) -> nn.Module:
    return nn.Identity()


def test_sizes_are_axes_and_whatever_else_a_module_takes_keeps_its_default() -> None:
    layer = Layer.of(GatedMLP)
    module = build_module(layer, {"b": 1, "n": 5, "d": 8, "f": 12})

    assert layer.axes == {"b": None, "n": None, "d": None, "f": 24}
    assert (module.up.in_features, module.up.out_features, module.rest) == (8, 12, (0.0, 0, None, {}))
    assert module.up.bias is not None


def test_a_factory_of_sizes_only_is_taken_as_it_is() -> None:
    assert Layer.of(build_block) == Layer("build-block", build_block)


def test_a_layer_of_a_factory_claims_nothing_unless_it_is_told_to() -> None:
    claims = Claims(parameters="2*d*f")

    assert Layer.of(GatedMLP).claims == Claims()
    assert Layer.of(GatedMLP, claims=claims, causal=True, name="mine") == Layer(
        "mine", Layer.of(GatedMLP).build, claims=claims, causal=True
    )


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (GatedMLP, "gated-mlp"),
        (build_block, "build-block"),
        (nn.TransformerEncoderLayer, "transformer-encoder-layer"),
        (partial(build_block, h=2), "build-block"),
    ],
)
def test_the_name_is_the_factorys_in_the_style_of_layers(factory: Any, name: str) -> None:
    assert Layer.of(factory).name == name


def test_a_layer_of_a_factory_travels() -> None:
    layer = Layer.of(GatedMLP)

    assert pickle.loads(pickle.dumps(layer)) == layer  # noqa: S301  our own bytes


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (nn.Identity, "the factory 'Identity' names no axes, only *args or **kwargs; name them, as in build(d, h=4)"),
        (
            wants_config,
            (
                "the factory 'wants_config' needs \"config: 'dict[str, int]'\", which is no size with a name; "
                "write a function of sizes, as in build(d, h=4), that makes it"
            ),
        ),
        (lambda mode: None, "the factory '<lambda>' needs 'mode', which is a column of the tables, and no axis"),
        (
            lambda d, /: None,
            (
                "the factory '<lambda>' needs 'd', which is no size with a name; "
                "write a function of sizes, as in build(d, h=4), that makes it"
            ),
        ),
        (dict, "the factory 'dict' has no signature, so nobody knows its axes; write one in Python"),
        (nn.Identity(), "a layer is made of a factory of modules, not of the module Identity"),
        (3, "a layer is made of a factory of modules, not of int"),
    ],
)
def test_a_signature_without_axes_is_one_sentence(factory: Any, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        Layer.of(factory, name="mine")

    assert str(caught.value) == message


def test_a_factory_without_a_name_is_asked_for_one() -> None:
    with pytest.raises(PluginError, match=r"^a layer of '<lambda>' needs a name: Layer.of\(…, name='mine'\)$"):
        Layer.of(lambda d: nn.Linear(d, d))
