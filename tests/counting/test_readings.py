"""What is read from a trace beside work and live bytes: depth, saved bytes, and the modes train and decode."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from attnbench.counting.trace import Way, trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import make_inputs
from attnbench.layers.registry import Registry
from tests.counting.calling import SIZES, Calling, layer_calling, trace_of, trace_of_module
from tests.counting.families import REPRESENTATIVES

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[torch.Tensor], object]

FLOAT = 4
REGISTRY = Registry()


# ------------------------------------------------------------------------------------------------------- depth


def in_a_preallocated_output(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for t in range(x.shape[0]):
        out[t] = x[t] + 1
    return out


def one_after_the_other(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for t in range(1, x.shape[0]):
        out[t] = out[t - 1] + x[t]
    return out


DEPTHS = {
    "nothing": (lambda x: x, 0),
    "views": (lambda x: x[2:].unsqueeze(0), 0),
    "chain": (lambda x: ((x + 1) * 2).sum(), 3),
    "branches": (lambda x: (x + 1) * (x + 2), 2),
    "in-place": (lambda x: (x + 1).mul_(2).relu_(), 3),
    "allocation-waits-for-nothing": (lambda x: x + torch.zeros(10), 1),
    "a-reduction-is-one-step": (lambda x: x.softmax(0), 1),
    "stack-of-independent-steps": (lambda x: torch.stack([x[t] + 1 for t in range(10)]), 2),
    "independent-steps-in-one-storage": (in_a_preallocated_output, 2),
    "dependent-steps-in-one-storage": (one_after_the_other, 2 * 9),
}


@pytest.mark.parametrize(("function", "depth"), DEPTHS.values(), ids=DEPTHS)
def test_depth_is_the_longest_chain_of_dependent_kernels(function: Function, depth: int) -> None:
    assert trace_of(function, (10,), way=Way.STEPPED).depth == depth


def test_an_overwritten_part_forgets_the_chain_behind_it() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        kept = ((x + 1) + 1) + 1  # three kernels
        kept[:] = x  # the fourth, which reads nothing of them but waits for its place
        return kept

    assert trace_of(function, (10,), way=Way.STEPPED).depth == 4


@pytest.mark.parametrize(
    ("name", "steps"), [("rnn", (3, 2)), ("gru", (9, 2)), ("lstm", (7, 2))], ids=["rnn", "gru", "lstm"]
)
def test_a_recurrence_is_opened_however_torch_hides_it(name: str, steps: tuple[int, int]) -> None:
    """A trap: seen as one fused operation, a recurrence has depth 1."""
    depths = [trace(REGISTRY.get(name), {"b": 2, "n": n, "d": 8}, way=Way.STEPPED).depth for n in (8, 13, 32)]

    assert depths == [steps[0] * n + steps[1] for n in (8, 13, 32)]
    assert trace(REGISTRY.get(name), {"b": 2, "n": 32, "d": 8}).depth < 4


def test_onednn_is_as_it_was_after_a_trace_without_it() -> None:
    before = torch.backends.mkldnn.enabled  # type: ignore[attr-defined]

    trace(REGISTRY.get("lstm"), {"b": 1, "n": 4, "d": 8}, way=Way.STEPPED)

    assert torch.backends.mkldnn.enabled == before  # type: ignore[attr-defined]


def test_depth_with_logarithms_weighs_what_a_kernel_hides() -> None:
    n = 64
    found = trace_of(lambda x: x.softmax(0), (n,), way=Way.STEPPED)

    assert found.depth == 1
    assert found.log_depth >= 2 * math.log2(n)  # two reductions over n numbers


# ------------------------------------------------------------------------------------------------- saved bytes


def saved_by_torch(module: nn.Module, *inputs: torch.Tensor) -> int:
    """What autograd keeps in a real forward pass, each storage once; what the module holds and workspaces left out."""
    weights = {held.untyped_storage().data_ptr() for held in (*module.parameters(), *module.buffers())}
    seen: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype is not torch.uint8:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module.train()(*(value.requires_grad_() for value in inputs))
    return sum(storage.nbytes() for place, storage in seen.items() if place not in weights)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_saved_bytes_are_what_autograd_really_keeps(name: str) -> None:
    layer = REGISTRY.get(name)
    own = {axis: size for axis, size in {"h": 2, "c": 8}.items() if axis in layer.axes}
    sizes = layer.sizes({"b": 3, "n": 32, "d": 12, **own})
    module = layer.build(**{axis: sizes[axis] for axis in layer.axes if axis in _parameters_of(layer)})

    found = trace(layer, sizes, way=Way.TRAIN)

    assert found.saved_bytes == saved_by_torch(module, *make_inputs(layer, sizes))


def test_a_workspace_that_only_the_real_kernel_knows_is_named() -> None:
    sizes = {"b": 2, "n": 8, "d": 12}

    assert trace(REGISTRY.get("lstm"), sizes, way=Way.TRAIN).hidden == ("aten.mkldnn_rnn_layer.default",)
    assert trace(REGISTRY.get("rnn"), sizes, way=Way.TRAIN).hidden == ()


def _parameters_of(layer: Layer) -> set[str]:
    code = layer.build.__code__
    return set(code.co_varnames[: code.co_argcount])


def test_only_training_keeps_bytes() -> None:
    assert trace_of(torch.tanh, (10,), way=Way.OPENED).saved_bytes == 0
    assert trace_of(torch.tanh, (10,), way=Way.TRAIN).saved_bytes == 10 * FLOAT


def test_a_saved_view_keeps_its_whole_storage() -> None:
    assert trace_of(
        lambda x: (x + 1)[:2].tanh().sum() + (x * 2)[:3].square().sum(), (10,), way=Way.TRAIN
    ).saved_bytes == (
        2 * FLOAT + 10 * FLOAT  # the two results of tanh, and all ten doubled numbers that the square looks at
    )


# ------------------------------------------------------------------------------------------------------- train


BILINEAR = {
    "linear": (lambda: nn.Linear(12, 12, bias=False), (2, 7, 12)),
    "convolution": (lambda: nn.Conv1d(12, 12, 3, padding=1, bias=False), (2, 12, 7)),
    "depthwise": (lambda: nn.Conv1d(12, 12, 3, padding=1, groups=12, bias=False), (2, 12, 7)),
    "grouped": (lambda: nn.Conv1d(12, 12, 3, groups=3, bias=False), (2, 12, 7)),
    "transposed": (lambda: nn.ConvTranspose1d(12, 6, 3, bias=False), (2, 12, 7)),
    "lstm": (lambda: nn.LSTM(12, 12, bias=False), (7, 2, 12)),
    "attention": (lambda: Calling(lambda x: (x @ x.transpose(1, 2)).softmax(-1) @ x), (2, 7, 12)),
}


@pytest.mark.parametrize(("build", "shape"), BILINEAR.values(), ids=BILINEAR)
def test_the_backward_of_bilinear_work_is_twice_the_forward(
    build: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    """A trap: the stock counter multiplies the weight gradient of a depthwise convolution by its channels."""
    forward, train = (trace_of_module(build, shape, way=way) for way in (Way.OPENED, Way.TRAIN))

    assert train.flops == 3 * forward.flops > 0
    assert train.uncounted == ()


def test_fused_attention_computes_its_scores_again_on_the_way_back() -> None:
    layer, sizes = REGISTRY.get("attention-core-fused"), {"b": 2, "n": 9, "d": 8, "h": 2}

    assert trace(layer, sizes, way=Way.TRAIN).flops == (2 + 5) * 2 * 2 * 9**2 * 8


@pytest.mark.parametrize("name", ["rnn", "gru"])
def test_nobody_asks_a_recurrence_for_the_gradient_of_its_first_state(name: str) -> None:
    b, n, d, gates = 2, 9, 8, {"rnn": 1, "gru": 3}[name]
    layer, sizes = REGISTRY.get(name), {"b": b, "n": n, "d": d}

    found = trace(layer, sizes, way=Way.TRAIN).flops

    assert found == 3 * trace(layer, sizes).flops - 2 * b * gates * d**2


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_every_layer_is_counted_in_training(name: str) -> None:
    layer = REGISTRY.get(name)
    sizes = layer.sizes({"b": 2, "n": 32, "d": 12, **({"c": 8} if "c" in layer.axes else {})})

    found = trace(layer, sizes, way=Way.TRAIN)

    assert found.uncounted == ()
    # Backwards, a product has two gradients, or one where the other factor is no weight and depends on no input.
    assert 2 * trace(layer, sizes).flops <= found.flops <= 3.6 * trace(layer, sizes).flops


def test_the_way_back_comes_after_the_way_there() -> None:
    linear = lambda: nn.Linear(4, 4, bias=False)  # noqa: E731

    assert trace_of_module(linear, (6, 4), way=Way.TRAIN).depth == 2
    assert trace_of_module(linear, (6, 4), way=Way.OPENED).depth == 1


def test_a_layer_without_gradients_says_so() -> None:
    with pytest.raises(LayerError, match="layer 'x' cannot be trained: no gradient flows back through it"):
        trace(layer_calling(lambda x: x.detach() * 2), SIZES, way=Way.TRAIN)


# ------------------------------------------------------------------------------------------------------ decode


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("attention-core", lambda n, d: 4 * (n + 1) * d),
        ("attention-core-fused", lambda n, d: 4 * (n + 1) * d),
        ("multi-head-attention", lambda n, d: 8 * d**2 + 4 * (n + 1) * d),
        ("rnn", lambda n, d: 4 * d**2),
        ("gru", lambda n, d: 12 * d**2),
        ("lstm", lambda n, d: 16 * d**2),
        ("conv1d-causal", lambda n, d: 2 * 3 * d**2),
        ("feed-forward", lambda n, d: 16 * d**2),
    ],
)
def test_one_more_token_costs_the_context_in_attention_and_nothing_of_it_in_a_recurrence(
    name: str, flops: Callable[[int, int], int]
) -> None:
    layer = REGISTRY.get(name)
    for n, d in ((8, 12), (101, 24)):
        assert trace(layer, layer.sizes({"b": 2, "n": n, "d": d}), way=Way.DECODE).flops == 2 * flops(n, d)


def test_a_layer_that_cannot_decode_says_what_it_lacks() -> None:
    with pytest.raises(LayerError, match=r"layer 'x' cannot decode: its module has no prefill\(context\) and step"):
        trace(layer_calling(lambda x: x), SIZES, way=Way.DECODE)
