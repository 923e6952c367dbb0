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
from attnbench.counting.trace import Way, trace
from attnbench.errors import LayerError
from attnbench.formula import Formula
from attnbench.layers.base import Claims, Layer
from attnbench.layers.building import apply, build_module, make_inputs, output_of
from attnbench.layers.registry import Registry

#: Sizes that share no factor where they need not; d is even, as rotary tables turn pairs, and 16 of Mamba's ranks.
SIZES = (
    {"b": 3, "n": 9, "d": 48, "h": 3, "g": 3, "f": 7, "l": 2, "v": 11, "w": 2, "m": 4, "k": 3, "c": 3, "e": 5, "t": 3},
    {"b": 1, "n": 5, "d": 144, "h": 9, "g": 3, "f": 5, "l": 3, "v": 13, "w": 3, "m": 7, "k": 5, "c": 5, "e": 3, "t": 2},
    {"b": 2, "n": 7, "d": 80, "h": 5, "g": 1, "f": 9, "l": 4, "v": 3, "w": 5, "m": 3, "k": 2, "c": 7, "e": 7, "t": 1},
)
PARTS = [one for one in LAYERS if one.inputs is None]
MODELS = [one for one in LAYERS if one.inputs is not None]
BLOCKS = [one for one in PARTS if one.scope == "block"]


def sizes_of(one: Layer, number: int = 0) -> dict[str, int]:
    return one.complete({axis: SIZES[number][axis] for axis in one.axes})


def name_of(one: Any) -> str:
    return str(getattr(one, "name", one))


@pytest.mark.parametrize(
    ("one", "number"),
    [*((one, number) for one in BLOCKS for number in (1, 2)), *((one, 0) for one in LAYERS)],
    ids=name_of,
)
def test_work_and_weights_are_what_was_derived_by_hand(one: Layer, number: int) -> None:
    sizes = sizes_of(one, number)
    call = trace(one, sizes)

    assert call.uncounted == ()
    assert call.flops == Formula(str(one.claims.flops)).evaluate(sizes)
    if one.claims.parameters:
        assert call.parameters == Formula(one.claims.parameters).evaluate(sizes)


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


@pytest.mark.parametrize("one", BLOCKS, ids=name_of)
def test_a_block_makes_of_states_what_it_makes_inside_of_its_model(one: Layer) -> None:
    whole = layer(one.name.split("-")[1], "model")
    block: Any = build_module(one, sizes_of(one))
    model: Any = build_module(whole, sizes_of(whole))
    inside = [module for module in model.modules() if type(module) is type(block.part)][1]
    block.part.load_state_dict(inside.state_dict())
    if "bias" in block.tables:  # made by the first block of a model
        block.bias = model.get_submodule("model.encoder.block.0.layer.0.SelfAttention").compute_bias(9, 9)
    seen: list[tuple[torch.Tensor, Any]] = []
    inside.register_forward_hook(lambda _, given, returned: seen.append((given[0], returned)))

    with torch.no_grad():
        apply(model, make_inputs(whole, sizes_of(whole)))
        states, returned = seen[0]
        torch.testing.assert_close(block(states), returned[0] if isinstance(returned, tuple) else returned)


@pytest.mark.parametrize("one", [one for one in PARTS if "decode" in one.modes], ids=name_of)
def test_a_step_after_a_context_is_the_last_position_and_leaves_the_context_as_it_is(one: Layer) -> None:
    sizes = sizes_of(one)
    module: Any = build_module(one, sizes)
    x = torch.randn(sizes["b"], sizes["n"], sizes["d"])
    with torch.no_grad():
        kept = module.prefill(x[:, :-1])
        keys = kept[0].clone()
        output, grown = module.step(x[:, -1:], kept)

        torch.testing.assert_close(output, module(x)[:, -1:])
    assert torch.equal(kept[0], keys)
    assert [tuple(one.shape) for one in grown] == 2 * [(sizes["b"], *keys.shape[1:2], sizes["n"], *keys.shape[3:])]


@pytest.mark.parametrize("one", [one for one in PARTS if one.causal], ids=name_of)
def test_a_position_of_a_causal_part_knows_none_after_it(one: Layer) -> None:
    sizes = sizes_of(one)
    module = build_module(one, sizes)
    x = torch.randn(sizes["b"], sizes["n"], sizes["d"])
    later = torch.cat([x[:, :4], x[:, 4:] + 1], 1)
    with torch.no_grad():
        torch.testing.assert_close(module(later)[:, :4], module(x)[:, :4])


def test_work_of_a_step_after_n_positions_is_what_was_derived_by_hand() -> None:
    sizes = {"b": 2, "n": 9, "d": 48, "h": 6, "g": 2, "f": 11}
    queries, keys, scores, gated = 2 * 2 * 48 * 48, 2 * 2 * 48 * 16, 2 * 2 * 10 * 48, 2 * 2 * 48 * 11

    assert trace(layer("llama"), sizes, way=Way.DECODE).flops == 2 * queries + 2 * keys + 2 * scores + 3 * gated


def test_a_position_of_mistral_sees_itself_and_the_window_before_it() -> None:
    sizes = {"b": 1, "n": 9, "d": 24, "h": 3, "g": 1, "w": 2}
    module = build_module(layer("mistral", "attention"), sizes)
    x = torch.randn(1, 9, 24, requires_grad=True)

    module(x)[0, 6].sum().backward()

    assert x.grad is not None
    assert x.grad[0].abs().sum(1).nonzero().flatten().tolist() == [4, 5, 6]


def test_t5_is_given_a_length_for_each_side() -> None:
    sizes = {"b": 2, "n": 9, "m": 4, "d": 12, "h": 3, "f": 5, "l": 2, "v": 7}
    module = build_module(layer("t5", "model"), sizes)
    inputs = make_inputs(layer("t5", "model"), sizes)

    assert {name: tuple(tokens.shape) for name, tokens in dict(inputs).items()} == {
        "input_ids": (2, 9),
        "decoder_input_ids": (2, 4),
    }
    assert apply(module, inputs).shape == (2, 4, 7)


def test_more_of_the_configuration_may_be_given_and_then_nothing_is_claimed() -> None:
    biased = layer("llama", "attention", name="biased", attention_bias=True)
    plain, sizes = layer("llama", "attention"), {"b": 1, "n": 4, "d": 8, "h": 2, "g": 1}

    assert (biased.name, biased.claims) == ("biased", Claims())
    assert trace(biased, sizes).parameters - trace(plain, sizes).parameters == 8 + 4 + 4 + 8


@pytest.mark.parametrize(
    ("family", "scope", "message"),
    [
        ("lama", "block", "no family 'lama' of transformers. Did you mean 'llama'?"),
        ("xlnet", "block", f"no family 'xlnet' of transformers. Known: {', '.join(FAMILIES)}."),
        ("mamba", "attention", "mamba has no 'attention' in transformers; it has mixer, block, model"),
    ],
)
def test_what_there_is_not_is_said_in_one_line(family: str, scope: str, message: str) -> None:
    with pytest.raises(LayerError) as caught:
        layer(family, scope)

    assert str(caught.value) == message


def test_an_adapters_layer_is_known_by_its_name_and_listed_as_a_plugins_only() -> None:
    registry = Registry()

    assert "transformers-llama-block" not in registry.names
    assert registry.get("transformers-llama-block").source == "Touvron et al. 2023"
    assert registry.origin("transformers-llama-block") == "attnbench.adapters.transformers"
    assert Registry(["attnbench.adapters.transformers"]).handed_over == tuple(one.name for one in LAYERS)


def test_a_mistyped_name_of_an_adapters_layer_brings_the_nearest() -> None:
    with pytest.raises(LayerError) as caught:
        Registry().get("transformers-lama-block")

    assert str(caught.value) == "unknown layer 'transformers-lama-block'. Did you mean 'transformers-llama-block'?"


def test_describing_every_part_imports_neither_transformers_nor_torch() -> None:
    program = "import json, sys, attnbench.adapters.transformers; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert {"attnbench.adapters.families"} <= set(json.loads(done.stdout))
    assert {"torch", "transformers", "attnbench.adapters.parts"} & set(json.loads(done.stdout)) == set()


def test_without_transformers_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LayerError) as caught:
        build_module(layer("gpt2"), {"b": 1, "n": 2, "d": 4, "h": 1, "f": 3})

    assert str(caught.value) == (
        "layer 'transformers-gpt2-block' cannot be built at b=1, n=2, d=4, h=1, f=3: ImportError: transformers is not "
        "installed: pip install 'attnbench[transformers]'"
    )


def test_nothing_is_asked_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)

    assert isinstance(build_module(layer("mamba"), sizes_of(layer("mamba"))), nn.Module)
