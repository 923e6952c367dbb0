"""Work of every kernel: against torch's own counter where that one is right, against loops where it is not."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv1d, conv_transpose1d, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from attnbench.counting.operators import flops_of
from attnbench.counting.operators.contract.operator import Call as KernelCall
from attnbench.counting.trace import Way
from tests.counting.calling import Calling, trace_of, trace_of_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[..., object]
    Shapes = tuple[tuple[int, ...], ...]

B, N, D, H = 2, 8, 12, 2
SEQUENCE = (B, N, D)
HEADS = (B, H, N, D // H)


def stock_count(build: Callable[[], nn.Module], *shapes: tuple[int, ...], device: str) -> int:
    """What torch's counter says of one call without gradients."""
    with torch.device(device):
        module, inputs = build().eval(), [torch.randn(shape) for shape in shapes]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


def self_attention(*, need_weights: bool) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        module = nn.MultiheadAttention(D, H, batch_first=True).eval()
        return Calling(lambda x: module(x, x, x, need_weights=need_weights))

    return build


def self_attention_with_gradients(*, need_weights: bool) -> Callable[[], nn.Module]:
    """Gradients keep the module off its fast path."""

    def build() -> nn.Module:
        module = nn.MultiheadAttention(D, H, batch_first=True)

        def call(x: torch.Tensor) -> object:
            with torch.enable_grad():
                return module(x, x, x, need_weights=need_weights)

        return Calling(call)

    return build


def calling(function: Call) -> Callable[[], nn.Module]:
    return lambda: Calling(function)


def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return scaled_dot_product_attention(query, key, value)


def by_definition(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return scaled_dot_product_attention(query, key, value)


CORE = 4 * B * N**2 * D
PROJECTIONS = 8 * B * N * D**2
ENCODER = 24 * B * N * D**2 + CORE

# ------------------------------------------------------------- where the stock counter is right, ours says the same

RIGHT = {
    "linear": (lambda: nn.Linear(D, 5), (SEQUENCE,), 2 * B * N * D * 5),
    "matrix-product": (calling(torch.matmul), ((3, 4), (4, 5)), 2 * 3 * 4 * 5),
    "batched-product": (calling(torch.bmm), ((2, 3, 4), (2, 4, 5)), 2 * 2 * 3 * 4 * 5),
    "added-product": (calling(torch.addmm), ((3, 5), (3, 4), (4, 5)), 2 * 3 * 4 * 5),
    "added-batched-product": (calling(torch.baddbmm), ((2, 3, 5), (2, 3, 4), (2, 4, 5)), 2 * 2 * 3 * 4 * 5),
    "einsum": (calling(lambda x, y: torch.einsum("bnd,bmd->bnm", x, y)), (SEQUENCE, (B, 5, D)), 2 * B * N * 5 * D),
    "attention-by-definition": (calling(by_definition), (HEADS,) * 3, CORE),
    "multi-head-with-weights": (self_attention_with_gradients(need_weights=True), (SEQUENCE,), PROJECTIONS + CORE),
    "rnn": (lambda: nn.RNN(D, D, batch_first=True), (SEQUENCE,), 4 * B * N * D**2),
    "gru": (lambda: nn.GRU(D, D, batch_first=True), (SEQUENCE,), 12 * B * N * D**2),
    "lstm": (lambda: nn.LSTM(D, D, batch_first=True), (SEQUENCE,), 16 * B * N * D**2),
    "convolution": (lambda: nn.Conv1d(D, 5, 3), ((B, D, N),), 2 * B * (N - 2) * 3 * D * 5),
    "convolution-2d": (lambda: nn.Conv2d(D, 5, 3), ((B, D, N, N),), 2 * B * (N - 2) ** 2 * 9 * D * 5),
}


@pytest.mark.parametrize(("build", "shapes", "truth"), RIGHT.values(), ids=RIGHT)
def test_counts_agree_with_the_stock_counter_where_that_one_is_right(
    build: Callable[[], nn.Module], shapes: Shapes, truth: int
) -> None:
    assert stock_count(build, *shapes, device="meta") == truth
    assert trace_of_module(build, *shapes).flops == truth
    assert trace_of_module(build, *shapes, way=Way.OPENED).flops == truth


# ---------------------------------------------------- where it is wrong today: what it says on a CPU, and the truth

WRONG = {
    "fused-attention": (calling(fused), (HEADS,) * 3, 0, CORE),
    "lstm-through-onednn": (lambda: nn.LSTM(D, D, batch_first=True), (SEQUENCE,), 0, 16 * B * N * D**2),
    "multi-head-fast-path": (self_attention(need_weights=True), (SEQUENCE,), 0, PROJECTIONS + CORE),
    "multi-head-without-weights": (
        self_attention_with_gradients(need_weights=False),
        (SEQUENCE,),
        PROJECTIONS,
        PROJECTIONS + CORE,
    ),
    "encoder-fast-path": (
        lambda: nn.TransformerEncoderLayer(D, H, 4 * D, batch_first=True),
        (SEQUENCE,),
        0,
        ENCODER,
    ),
    "matrix-times-vector": (calling(torch.mv), ((3, 4), (4,)), 0, 2 * 3 * 4),
    "added-matrix-times-vector": (calling(torch.addmv), ((3,), (3, 4), (4,)), 0, 2 * 3 * 4),
    "dot": (calling(torch.dot), ((7,), (7,)), 0, 2 * 7),
    "fourier": (calling(torch.fft.fft), ((3, 8),), 0, 5 * 3 * 8 * 3),
    "in-place-product": (calling(lambda c, a, b: c.addmm_(a, b)), ((3, 5), (3, 4), (4, 5)), 0, 2 * 3 * 4 * 5),
}


@pytest.mark.parametrize(("build", "shapes", "stock", "truth"), WRONG.values(), ids=WRONG)
def test_counts_are_right_where_the_stock_counter_is_wrong(
    build: Callable[[], nn.Module], shapes: Shapes, stock: int, truth: int
) -> None:
    assert stock_count(build, *shapes, device="cpu") == stock
    for way in (Way.WHOLE, Way.OPENED):
        found = trace_of_module(build, *shapes, way=way)
        assert found.flops == truth
        assert found.uncounted == ()


def test_a_depthwise_convolution_backward_is_counted_once_for_each_gradient() -> None:
    def forward_and_backward(x: torch.Tensor, weight: torch.Tensor) -> object:
        with torch.enable_grad():
            values, kernel = x.requires_grad_(), weight.requires_grad_()
            loss = conv1d(values, kernel, padding=1, groups=D).sum()
            return torch.autograd.grad(loss, [values, kernel])

    shapes, forward = ((B, D, N), (D, 1, 3)), 2 * B * 3 * N * D

    assert trace_of(forward_and_backward, *shapes, way=Way.OPENED).flops == 3 * forward
    assert stock_count(calling(forward_and_backward), *shapes, device="cpu") == (2 + D) * forward


@pytest.mark.parametrize("bias", [False, True])
def test_the_gradient_of_a_bias_is_a_sum_and_free(bias: bool) -> None:
    def forward_and_backward(x: torch.Tensor, weight: torch.Tensor, offset: torch.Tensor) -> object:
        with torch.enable_grad():
            wanted = [tensor.requires_grad_() for tensor in (weight, offset)[: 1 + bias]]
            return torch.autograd.grad(conv1d(x, weight, offset).sum(), wanted)

    found = trace_of(forward_and_backward, (B, D, N), (5, D, 3), (5,), way=Way.OPENED)

    assert found.flops == 2 * (2 * B * (N - 2) * 3 * D * 5)


# ------------------------------------------------------------------------------------------------ convolutions

CONVOLUTIONS = {
    "plain": {},
    "padded": {"padding": 2},
    "strided": {"stride": 3},
    "dilated": {"dilation": 2},
    "grouped": {"groups": 2},
    "depthwise": {"groups": 4},
    "all": {"groups": 2, "stride": 2, "padding": 3, "dilation": 2},
}


def multiply_adds(options: dict[str, int], length: int, k: int, into: int, out: int) -> int:
    """Every product of one sequence, one by one; taps on the padding are executed too."""
    groups, stride, dilation = (options.get(key, 1) for key in ("groups", "stride", "dilation"))
    first = -options.get("padding", 0)
    last = length - first - dilation * (k - 1)
    positions = range(first, last, stride)
    return sum(1 for _ in itertools.product(positions, range(out), range(into // groups), range(k)))


@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_are_counted_product_by_product(options: dict[str, int]) -> None:
    into, out, k, length = 4, 8, 3, 11
    weight = (out, into // options.get("groups", 1), k)

    found = trace_of(lambda x, w: conv1d(x, w, **options), (B, into, length), weight)

    assert found.flops == 2 * B * multiply_adds(options, length, k, into, out)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_transposed_convolution_spreads_every_input_number(groups: int) -> None:
    into, out, k, length = 4, 8, 3, 11
    products = itertools.product(range(length), range(into), range(out // groups), range(k))

    found = trace_of(
        lambda x, w: conv_transpose1d(x, w, stride=2, groups=groups), (B, into, length), (into, out // groups, k)
    )

    assert found.flops == 2 * B * sum(1 for _ in products)


# -------------------------------------------------------------------------------------------------- attention


@pytest.mark.parametrize("kernel", [fused, by_definition], ids=["fused", "by-definition"])
def test_queries_keys_and_values_may_have_lengths_and_widths_of_their_own(kernel: Call) -> None:
    queries, keys, width, value_width = 5, 9, 4, 6

    found = trace_of(kernel, (B, H, queries, width), (B, H, keys, width), (B, H, keys, value_width))

    assert found.flops == 2 * B * H * queries * keys * (width + value_width)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_fewer_heads_of_keys_and_values_cost_the_same_work(groups: int) -> None:
    found = trace_of(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (B, 4, N, 6),
        (B, groups, N, 6),
        (B, groups, N, 6),
    )

    assert found.flops == 4 * B * 4 * N * N * 6
    assert found.uncounted == ()


@pytest.mark.parametrize("kernel", ["flash", "efficient", "cudnn", "fused_overrideable"])
def test_kernels_that_only_other_devices_have_are_counted_by_their_shapes(kernel: str) -> None:
    name = f"_scaled_dot_product_{kernel.replace('_overrideable', '')}_attention"
    operation = getattr(torch.ops.aten, name + ("_overrideable" if "overrideable" in kernel else "")).default
    query, key, value = (torch.empty(shape, device="meta") for shape in [(B, H, 5, 4), (B, H, 9, 4), (B, H, 9, 6)])

    assert flops_of(KernelCall(operation, (query, key, value), {})) == 2 * B * H * 5 * 9 * (4 + 6)


@pytest.mark.parametrize("mask", ["causal", "band"])
def test_a_mask_saves_no_work_in_a_dense_kernel(mask: str) -> None:
    def masked(q: torch.Tensor) -> torch.Tensor:
        band = torch.ones(N, N, dtype=torch.bool).tril()
        options = {"is_causal": True} if mask == "causal" else {"attn_mask": band}
        return scaled_dot_product_attention(q, q, q, **options)

    assert trace_of(masked, HEADS).flops == CORE


@pytest.mark.parametrize("mask", ["src_mask", "src_key_padding_mask"])
def test_an_encoder_does_not_mistake_its_mask_for_weights(mask: str) -> None:
    shape = (N, N) if mask == "src_mask" else (B, N)

    def build() -> nn.Module:
        module = nn.TransformerEncoderLayer(D, H, 4 * D, batch_first=True).eval()
        return Calling(lambda x: module(x, **{mask: torch.zeros(shape, dtype=torch.bool)}))

    found = trace_of_module(build, SEQUENCE)

    assert found.flops == ENCODER
    assert found.uncounted == ()


# ------------------------------------------------------------------------------------------------- recurrences

RECURRENCES = {
    "rnn-tanh": (nn.RNN, {}, 1),
    "rnn-relu": (nn.RNN, {"nonlinearity": "relu"}, 1),
    "gru": (nn.GRU, {}, 3),
    "lstm": (nn.LSTM, {}, 4),
}
SHAPES_OF_STACKS = list(itertools.product([1, 2], [False, True]))


def recurrent_work(gates: int, layers: int, directions: int, width: int, hidden: int) -> int:
    """Every matrix of every layer and direction meets every position of every sequence once."""
    inputs = [width] + [directions * hidden] * (layers - 1)
    return sum(2 * B * N * directions * gates * hidden * (into + hidden) for into in inputs)


@pytest.mark.parametrize(("layers", "bidirectional"), SHAPES_OF_STACKS)
@pytest.mark.parametrize(("cell", "options", "gates"), RECURRENCES.values(), ids=RECURRENCES)
@pytest.mark.parametrize("onednn", [True, False], ids=["onednn", "step-by-step"])
def test_a_whole_recurrence_counts_what_its_steps_count(
    cell: type[nn.RNNBase], options: dict[str, str], gates: int, layers: int, bidirectional: bool, onednn: bool
) -> None:
    def build() -> nn.Module:
        return cell(5, 7, num_layers=layers, bidirectional=bidirectional, batch_first=True, **options)

    with torch.backends.mkldnn.flags(enabled=onednn, allow_tf32=None):
        whole, steps = trace_of_module(build, (B, N, 5)), trace_of_module(build, (B, N, 5), way=Way.OPENED)

    assert whole.flops == recurrent_work(gates, layers, 1 + bidirectional, 5, 7)
    assert steps.flops == whole.flops
    assert whole.uncounted == steps.uncounted == ()


def test_a_recurrence_over_the_first_dimension_counts_the_same() -> None:
    turned = trace_of_module(lambda: nn.GRU(5, 7), (N, B, 5))

    assert turned.flops == recurrent_work(3, 1, 1, 5, 7)


def test_the_projection_of_an_lstm_is_counted() -> None:
    def build() -> nn.Module:
        return nn.LSTM(5, 7, proj_size=3, batch_first=True)

    expected = 2 * B * N * (4 * 7 * (5 + 3) + 3 * 7)

    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):  # oneDNN has none, and warns
        whole, steps = trace_of_module(build, (B, N, 5)), trace_of_module(build, (B, N, 5), way=Way.OPENED)

    assert whole.flops == steps.flops == expected


def test_a_whole_recurrence_has_the_outputs_of_the_real_one() -> None:
    shapes: list[list[tuple[int, ...]]] = []

    def build() -> nn.Module:
        module = nn.LSTM(5, 7, num_layers=2, bidirectional=True, batch_first=True)

        def call(x: torch.Tensor) -> object:
            output, (state, memory) = module(x)
            shapes.append([tuple(output.shape), tuple(state.shape), tuple(memory.shape)])
            return output

        return Calling(call)

    trace_of_module(build, (B, N, 5))
    build()(torch.randn(B, N, 5))

    assert shapes[0] == shapes[1]


# -------------------------------------------------------------------------------------------------- transforms

TRANSFORMS = {
    "complex": (torch.fft.fft, (3, 8), 5 * 3 * 8 * 3),
    "real": (torch.fft.rfft, (3, 8), 5 * 3 * 8 * 3),
    "inverse-real": (lambda x: torch.fft.irfft(torch.fft.rfft(x)), (3, 8), 2 * 5 * 3 * 8 * 3),
    "along-length": (lambda x: torch.fft.fft(x, dim=1), (B, 16, 4), 5 * B * 16 * 4 * 4),
    "two-dimensions": (torch.fft.fft2, (B, 16, 4), 5 * B * 16 * 4 * (4 + 2)),
    "odd-length": (torch.fft.fft, (3, 7), 5 * 21 * math.log2(7)),
}


@pytest.mark.parametrize(("transform", "shape", "truth"), TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_fourier_transform_costs_five_n_log_n(transform: Call, shape: tuple[int, ...], truth: float) -> None:
    assert trace_of(transform, shape).flops == truth


# ------------------------------------------------------------------------------------- what nobody has a formula for

_library = torch.library.Library("attnbench_tests", "DEF")
_library.define("norm(Tensor x) -> Tensor")
_library.impl("norm", lambda x: torch.empty_like(x), "CompositeExplicitAutograd")
_library.define("twice(Tensor x, Tensor y) -> Tensor")
_library.impl("twice", lambda x, y: x @ y + x @ y, "CompositeImplicitAutograd")

UNKNOWN = {
    "inverse": (torch.linalg.inv_ex, "aten.linalg_inv_ex.default"),
    "distances": (lambda x: torch.cdist(x, x), "aten._cdist_forward.default"),
    "bilinear": (lambda x: torch.bilinear(x, x, x.new_ones(2, 6, 6), None), "aten._trilinear.default"),
    "custom-with-a-familiar-name": (lambda x: torch.ops.attnbench_tests.norm(x), "attnbench_tests.norm.default"),
}


@pytest.mark.parametrize(("function", "name"), UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("way", [Way.WHOLE, Way.OPENED])
def test_an_operation_without_a_formula_is_named_and_never_counted_as_free(function: Call, name: str, way: Way) -> None:
    found = trace_of(lambda x: function(x @ x), (3, 6, 6), way=way)

    assert found.uncounted == (name,)
    assert found.flops == 2 * 3 * 6 * 6 * 6  # the product before it is counted all the same


def test_a_composite_operation_is_the_sum_of_its_parts() -> None:
    found = trace_of(lambda x, y: torch.ops.attnbench_tests.twice(x, y), (3, 4), (4, 5))

    assert found.uncounted == ()
    assert [kernel.name for kernel in found.kernels] == ["aten.mm.default", "aten.mm.default", "aten.add.Tensor"]
    assert found.flops == 2 * 2 * 3 * 4 * 5


def free_calls() -> Iterator[tuple[str, Call]]:
    yield "masking", lambda x: x.masked_fill(x > 0, 0.0).masked_fill_(x < 0, 1.0)
    yield "comparing-in-place", lambda x: x.clone().ge_(0.5).abs_()
    yield "activations", lambda x: nn.functional.gelu(x).relu_().sigmoid().mul_(2)
    yield "norms", lambda x: nn.functional.layer_norm(nn.functional.rms_norm(x, (4,)), (4,))
    yield "softmax", lambda x: x.softmax(-1) + x.log_softmax(-1) + x.logsumexp(-1, keepdim=True)
    yield "running-sums", lambda x: x.cumsum(1) + x.flip(1).cumsum(1)
    yield "gathering", lambda x: torch.cat([x[:, :2], x.roll(1, 1)[:, 2:]], dim=1).index_select(1, torch.arange(6))
    yield "reshaping", lambda x: x.view(2, 3, 8).transpose(1, 2).contiguous().reshape(2, 6, 4).unsqueeze(0).squeeze_(0)
    yield "pooling", lambda x: nn.functional.avg_pool1d(x, 3, 1, 1)


@pytest.mark.parametrize("function", [pytest.param(call, id=name) for name, call in free_calls()])
@pytest.mark.parametrize("way", [Way.WHOLE, Way.OPENED])
def test_element_wise_work_reductions_and_moves_are_known_to_cost_nothing_here(function: Call, way: Way) -> None:
    found = trace_of(function, (2, 6, 4), way=way)

    assert found.uncounted == ()
    assert found.flops == 0
