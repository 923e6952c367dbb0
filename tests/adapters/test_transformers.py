"""Parts of transformers do the work that was derived by hand, and are the very parts of their models."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from attnbench.adapters.families import FAMILIES
from attnbench.adapters.transformers import LAYERS, layer
from attnbench.counting.trace import trace
from attnbench.errors import LayerError
from attnbench.formula import Formula
from attnbench.layers.base import Claims, Layer
from attnbench.layers.building import apply, build_module, make_inputs, output_of
from attnbench.layers.registry import Registry

#: Sizes that share no factor where they need not; d is even, as rotary tables turn pairs, and one of Mamba's ranks.
SIZES = (
    {"b": 3, "n": 15, "d": 48, "h": 3, "g": 3, "f": 7, "l": 3, "v": 11, "w": 2, "m": 5, "k": 3, "c": 5, "e": 5, "t": 3},
    {"b": 1, "n": 9, "d": 144, "h": 9, "g": 3, "f": 5, "l": 2, "v": 13, "w": 3, "m": 7, "k": 5, "c": 3, "e": 3, "t": 2},
    {"b": 2, "n": 21, "d": 80, "h": 5, "g": 1, "f": 9, "l": 4, "v": 3, "w": 5, "m": 3, "k": 2, "c": 7, "e": 7, "t": 1},
)
PARTS = [one for one in LAYERS if one.inputs is None]
MODELS = [one for one in LAYERS if one.inputs is not None]
HANDED_ON = [one for one in PARTS if one.scope == "block"]


def sizes_of(one: Layer, number: int = 0) -> dict[str, int]:
    return one.complete({axis: SIZES[number][axis] for axis in one.axes})


def name_of(one: Any) -> str:
    return str(getattr(one, "name", one))


@pytest.mark.parametrize("number", range(len(SIZES)))
@pytest.mark.parametrize("one", [*PARTS, *MODELS], ids=name_of)
def test_work_is_what_was_derived_by_hand(one: Layer, number: int) -> None:
    sizes = sizes_of(one, number)
    call = trace(one, sizes)

    assert call.uncounted == ()
    assert call.flops == Formula(str(one.claims.flops)).evaluate(sizes)


def test_llamas_work_is_what_its_weights_say() -> None:
    sizes = {"b": 2, "n": 9, "d": 48, "h": 6, "g": 2, "f": 11}
    queries, keys, scores, gated = 2 * 18 * 48 * 48, 2 * 18 * 48 * 16, 2 * 2 * 9 * 9 * 48, 2 * 18 * 48 * 11

    assert trace(layer("llama"), sizes).flops == 2 * queries + 2 * keys + 2 * scores + 3 * gated


@pytest.mark.parametrize("one", LAYERS, ids=name_of)
def test_what_comes_out_is_finite_and_long_enough(one: Layer) -> None:
    sizes = sizes_of(one)
    torch.manual_seed(1)
    with torch.no_grad():
        output = output_of(one, sizes, apply(build_module(one, sizes), make_inputs(one, sizes)))

    assert output.isfinite().all()
    assert output.std() > 0
    assert list(output.shape) == shape_of(one, sizes)


def shape_of(one: Layer, sizes: dict[str, int]) -> list[int]:
    if one.inputs is None or "whisper" in one.name:
        return [sizes["b"], sizes["n"], sizes["d"]]
    if "vit" in one.name:  # one position more for the whole image
        return [sizes["b"], sizes["n"] + 1, sizes["d"]]
    return [sizes["b"], sizes["m" if "t5" in one.name else "n"], sizes["v"]]


@pytest.mark.parametrize("one", HANDED_ON, ids=name_of)
def test_a_block_is_given_what_its_model_would_give_it(one: Layer) -> None:
    """Inside of a model, the same block makes of the same states what it makes on its own."""
    family = one.name.split("-")[1]
    sizes = sizes_of(one)
    block: Any = build_module(one, sizes)
    whole = layer(family, "model")
    sizes_of_whole = {**sizes_of(whole), **sizes}
    if "m" in whole.axes and "m" not in one.axes:
        sizes_of_whole["m"] = 4
    model: Any = build_module(whole, sizes_of_whole)
    inside = model.get_submodule("model." + dict(model.model.named_modules(prefix=""))and place(model.model, family))
    block.part.load_state_dict(inside.state_dict())
    seen: list[Any] = []
    inside.register_forward_hook(lambda module, given, returned: seen.append((given[0], returned)))

    with torch.no_grad():
        apply(model, make_inputs(whole, sizes_of_whole))
        states, returned = seen[0]
        alone = block(states)

    torch.testing.assert_close(alone, returned[0] if isinstance(returned, tuple) else returned)
