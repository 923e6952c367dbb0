"""One call written down, in every mode: bytes alive and saved, worked out by hand, and one line for what cannot be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from attnbench.counting.trace import Trace, Way, trace
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
#: Bytes of one tensor of ten numbers.
TEN = 10 * FLOAT


def live(function: Function, *, way: Way = Way.OPENED) -> tuple[int, ...]:
    """Bytes alive after each kernel of `function` on ten numbers."""
    return trace_of(function, (10,), way=way).live_bytes


# ------------------------------------------------------------------------------------------------------- bytes


def test_the_bytes_of_the_attention_core_are_those_of_its_four_results() -> None:
    b, n, d = 3, 5, 2
    scaled_query, scores, weights, output = (FLOAT * size for size in (b * n * d, b * n * n, b * n * n, b * n * d))

    found = trace(REGISTRY.get("attention-core"), {"b": b, "n": n, "d": d, "h": 1}, way=Way.OPENED)

    assert [kernel.name for kernel in found.kernels] == [
        "aten.mul.Tensor",
        "aten.bmm.default",
        "aten._softmax.default",
        "aten.bmm.default",
    ]
    assert found.live_bytes == (
        scaled_query,
        scaled_query + scores,
        scores + weights,
        scores + weights + output,
    )
    assert found.peak_bytes == scores + weights + output
    assert found.flops == 4 * b * n**2 * d
    assert found.parameters == 0


def test_the_bytes_of_the_feed_forward_network_are_hidden_rectified_and_output() -> None:
    b, n, d = 2, 3, 4
    hidden, output = FLOAT * b * n * 4 * d, FLOAT * b * n * d

    found = trace(REGISTRY.get("feed-forward"), {"b": b, "n": n, "d": d}, way=Way.OPENED)

    assert found.live_bytes == (hidden, 2 * hidden, hidden + output)
    assert found.parameters == 8 * d**2


def test_a_tensor_that_is_dropped_leaves() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        first = x + 1
        second = first + 1
        del first
        third = second + 1
        del second
        return third + 1

    assert live(function) == (TEN, 2 * TEN, 2 * TEN, 2 * TEN)


def test_a_tensor_with_a_name_stays() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        first = x + 1
        second = first + 1
        third = second + 1
        return third + first + second

    assert live(function) == (TEN, 2 * TEN, 3 * TEN, 4 * TEN, 5 * TEN)


def test_a_place_that_is_used_again_counts_again() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        for _ in range(50):
            x = x + 1
        return x

    assert live(function) == (TEN, *[2 * TEN] * 49)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: x.view(2, 5).t().unsqueeze(0).expand(3, 5, 2),
        lambda x: x.add_(1).mul_(2),
        lambda x: torch.add(x, 1, out=x),
        lambda x: x.detach()[2:],
    ],
    ids=["nothing", "views", "in-place", "into-the-input", "slices"],
)
def test_views_and_work_in_place_need_no_bytes(function: Function) -> None:
    assert set(live(function)) <= {0}
    assert trace_of(function, (10,), way=Way.OPENED).peak_bytes == 0


def test_a_view_keeps_the_whole_tensor_alive() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        one_number = (x + 1)[:1]
        return one_number + 1

    assert live(function) == (TEN, TEN + FLOAT)


def test_work_in_place_on_a_result_does_not_grow_it() -> None:
    assert live(lambda x: (x + 1).add_(1).relu_()) == (TEN, TEN, TEN)


def test_a_narrower_dtype_needs_fewer_bytes() -> None:
    assert live(lambda x: (x + 1).to(torch.bfloat16)) == (TEN, TEN + TEN // 2)


def test_inputs_parameters_and_buffers_are_not_counted() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1000))
            self.register_buffer("table", torch.ones(1000))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(10) + self.weight[:10] + self.table[:10]

    found = trace_of_module(Table, (1, 10), way=Way.OPENED)

    assert found.live_bytes == (TEN, 2 * TEN)
    assert found.parameters == 1000


def test_frozen_parameters_are_not_trainable_numbers() -> None:
    assert trace_of_module(lambda: nn.Linear(10, 10).requires_grad_(False), (1, 10)).parameters == 0


class KeepsItsWeights(nn.Module):
    """Attention that remembers its weights, as a book's example does to plot them."""

    def __init__(self, *, keep: bool) -> None:
        super().__init__()
        self.keep = keep
        self.weights: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = self.attend(x)
        return mixed + 1

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        weights = (x @ x.T).softmax(-1)
        self.weights = weights if self.keep else None
        return weights @ x


def test_what_the_module_keeps_stays_alive() -> None:
    n, d = 7, 3
    keeping = trace_of_module(lambda: KeepsItsWeights(keep=True), (n, d), way=Way.OPENED)
    forgetting = trace_of_module(lambda: KeepsItsWeights(keep=False), (n, d), way=Way.OPENED)

    assert forgetting.live_bytes[-1] == 2 * FLOAT * n * d
    assert keeping.live_bytes[-1] == 2 * FLOAT * n * d + FLOAT * n * n


def test_a_whole_recurrence_is_one_kernel_and_an_opened_one_is_its_steps() -> None:
    layer, sizes = REGISTRY.get("rnn"), {"b": 1, "n": 6, "d": 4}

    whole, steps = trace(layer, sizes), trace(layer, sizes, way=Way.OPENED)

    assert [kernel.name for kernel in whole.kernels] == ["aten.zeros.default", "aten.rnn_tanh.input"]
    assert sum(kernel.name == "aten.tanh.default" for kernel in steps.kernels) == 6
    assert whole.flops == steps.flops == 4 * 6 * 4**2
    assert whole.parameters == steps.parameters == 2 * 4**2


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_bytes_follow_the_dtype_and_work_does_not(dtype: str) -> None:
    layer, sizes = REGISTRY.get("attention-core"), {"b": 1, "n": 5, "d": 2, "h": 1}

    found, usual = trace(layer, sizes, dtype=dtype, way=Way.OPENED), trace(layer, sizes, way=Way.OPENED)

    assert found.flops == usual.flops
    assert found.peak_bytes * FLOAT == usual.peak_bytes * getattr(torch, dtype).itemsize


def test_an_empty_trace_needs_nothing() -> None:
    assert Trace((), (), ()).peak_bytes == 0
    assert Trace((), (), ()).flops == 0


# ------------------------------------------------------------------------------------------------------- length


def test_a_million_positions_are_traced_without_a_number_being_stored() -> None:
    stored: list[tuple[bool, str]] = []

    def attend(x: torch.Tensor) -> torch.Tensor:
        weights = (x @ x.transpose(1, 2)).softmax(-1)  # 4 TiB of them
        stored.append((isinstance(weights, FakeTensor), weights.untyped_storage().device.type))
        return weights @ x

    found = trace(layer_calling(attend), {"b": 1, "n": 2**20, "d": 4}, way=Way.OPENED)

    assert stored == [(True, "meta")]
    assert found.peak_bytes == 2 * FLOAT * 2**40
    assert found.flops == 4 * 2**40 * 4


#: A scan calls its kernels anew for each doubling.
STEP_BY_STEP = {"min-gru"}


@pytest.mark.parametrize("name", sorted(REPRESENTATIVES.keys() - STEP_BY_STEP))
def test_a_million_positions_take_as_many_kernels_as_a_few(name: str) -> None:
    layer = REGISTRY.get(name)
    few, more, million = (trace(layer, layer.complete({"b": 1, "n": n, "d": 12})) for n in (64, 128, 2**20))

    assert [kernel.name for kernel in million.kernels] == [kernel.name for kernel in few.kernels]
    assert million.flops >= 0.99 * (2**14 - 1) * (more.flops - few.flops)  # all but what is done once a call


# --------------------------------------------------------------------------------------------- what cannot be traced


def raises(x: torch.Tensor) -> torch.Tensor:
    raise ValueError("two\nlines")


def boolean_mask(x: torch.Tensor) -> torch.Tensor:
    return x + x[x > 0].sum()


@torch.library.custom_op("attnbench_tests::without_fake", mutates_args=())
def without_fake(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


DEPENDS = "layer 'x' at b=2, n=6, d=4 depends on the values of its input ({}); it cannot be counted exactly"
REFUSED = {
    "raises": (raises, "layer 'x' at b=2, n=6, d=4 raised ValueError: two lines"),
    "wrong-shape": (
        lambda x: x[:, :3],
        "layer 'x' must return shape (b, n, d) = (2, 6, 4), not (2, 3, 4), at b=2, n=6, d=4",
    ),
    "tuple": (lambda x: (1, 2), "layer 'x' must return one tensor, not tuple"),
    "nothing": (lambda x: None, "layer 'x' must return one tensor, not NoneType"),
    "item": (lambda x: x * x.sum().item(), DEPENDS.format("aten._local_scalar_dense.default")),
    "branch": (lambda x: x if x.sum() > 0 else -x, DEPENDS.format("aten._local_scalar_dense.default")),
    "boolean-mask": (boolean_mask, DEPENDS.format("aten.nonzero.default")),
    "unique": (lambda x: x + x.unique().sum(), DEPENDS.format("aten._unique2.default")),
    "no-fake-kernel": (
        lambda x: torch.nested.as_nested_tensor([x[0], x[1]]).to_padded_tensor(0.0),
        (
            "layer 'x' at b=2, n=6, d=4 uses aten._nested_tensor_from_tensor_list.default, which has no fake-tensor "
            "kernel; it cannot be counted"
        ),
    ),
}


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("way", [Way.WHOLE, Way.OPENED, Way.TRAIN])
def test_what_cannot_be_traced_is_one_clear_line(function: Function, message: str, way: Way) -> None:
    with pytest.raises(LayerError) as caught:
        trace(layer_calling(function), SIZES, way=way)

    assert str(caught.value) == message


def test_a_custom_operation_without_a_fake_kernel_is_one_line_that_says_what_to_add() -> None:
    with pytest.raises(LayerError) as caught:
        trace(layer_calling(without_fake), SIZES)

    assert "\n" not in str(caught.value)
    assert "register_fake" in str(caught.value)


def test_a_layer_that_cannot_be_built_says_so_in_its_own_words() -> None:
    with pytest.raises(LayerError) as caught:
        trace(Layer("x", lambda d: nn.Linear(d, -1)), SIZES)

    assert str(caught.value).startswith("layer 'x' cannot be built at b=2, n=6, d=4: RuntimeError: ")


def test_layers_with_inputs_of_their_own_return_what_they_like() -> None:
    found = trace_of(lambda x: {"sum": x.sum()}, (10,))

    assert found.live_bytes == (FLOAT,)


@pytest.mark.parametrize("function", [lambda x: x, lambda x: x * x.sum().item()], ids=["well", "badly"])
def test_torchs_own_log_speaks_again_afterwards(function: Function) -> None:
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, level = log.level, logging.INFO
    log.setLevel(level)
    try:
        trace(layer_calling(function), SIZES)
    except LayerError:
        pass
    finally:
        after = log.level
        log.setLevel(before)

    assert after == level


def test_onednn_is_as_it_was_after_a_trace_without_it() -> None:
    before = torch.backends.mkldnn.enabled  # type: ignore[attr-defined]

    trace(REGISTRY.get("lstm"), {"b": 1, "n": 4, "d": 8}, way=Way.STEPPED)

    assert torch.backends.mkldnn.enabled == before  # type: ignore[attr-defined]


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
    sizes = layer.complete({"b": 3, "n": 32, "d": 12, **own})
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
def test_a_layer_of_each_family_is_counted_in_training(name: str) -> None:
    layer = REGISTRY.get(name)
    sizes = layer.complete({"b": 2, "n": 32, "d": 12, **({"c": 8} if "c" in layer.axes else {})})

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
        assert trace(layer, layer.complete({"b": 2, "n": n, "d": d}), way=Way.DECODE).flops == 2 * flops(n, d)


def test_a_layer_that_cannot_decode_says_what_it_lacks() -> None:
    with pytest.raises(LayerError, match=r"layer 'x' cannot decode: its module has no prefill\(context\) and step"):
        trace(layer_calling(lambda x: x), SIZES, way=Way.DECODE)
