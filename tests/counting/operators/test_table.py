"""What holds for all families: torch's own counter where that one is right, and nothing free that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from attnbench.counting import flex_kernel  # noqa: F401  its operators are registered on import
from attnbench.counting.operators import TABLE, by_name, elementwise_of, flops_of, is_free, log_depth_of
from attnbench.counting.operators.contract.operator import Call, Operator, nothing
from attnbench.counting.trace import Way
from tests.counting.calling import Calling, trace_of, trace_of_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = Callable[..., object]
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


def calling(function: Function) -> Callable[[], nn.Module]:
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
def test_an_operation_without_a_formula_is_named_and_never_counted_as_free(
    function: Function, name: str, way: Way
) -> None:
    found = trace_of(lambda x: function(x @ x), (3, 6, 6), way=way)

    assert found.uncounted == (name,)
    assert found.flops == 2 * 3 * 6 * 6 * 6  # the product before it is counted all the same


def test_a_composite_operation_is_the_sum_of_its_parts() -> None:
    found = trace_of(lambda x, y: torch.ops.attnbench_tests.twice(x, y), (3, 4), (4, 5))

    assert found.uncounted == ()
    assert [kernel.name for kernel in found.kernels] == ["aten.mm.default", "aten.mm.default", "aten.add.Tensor"]
    assert found.flops == 2 * 2 * 3 * 4 * 5


def free_calls() -> Iterator[tuple[str, Function]]:
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
def test_element_wise_work_reductions_and_moves_are_known_to_cost_nothing_here(function: Function, way: Way) -> None:
    found = trace_of(function, (2, 6, 4), way=way)

    assert found.uncounted == ()
    assert found.flops == 0


# ------------------------------------------------------------------------------------------------- the table


def test_an_operator_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"^the operator tanh is registered twice$"):
        by_name((Operator("exp tanh"), Operator("tanh")))


def test_every_operator_of_the_table_exists_in_torch() -> None:
    def exists(name: str) -> bool:
        packet, _, overload = name.partition(".")
        spaces = (torch.ops.aten, torch.ops.attnbench, torch.ops.flex_lib)
        found = [getattr(space, name) for space in spaces for name in (packet, f"{packet}_") if hasattr(space, name)]
        return hasattr(found[0], overload or found[0].overloads()[0])

    assert [name for name in TABLE if not exists(name)] == []


def test_what_is_known_to_be_no_matrix_work_says_what_it_is_instead() -> None:
    silent = (one for one in TABLE.values() if one.flops is nothing and one.elementwise is None)

    assert [one.names for one in silent if not one.is_view] == []


def test_an_operation_that_nobody_knows_costs_nothing_element_wise_and_is_one_step() -> None:
    """The audit names it, as it has no FLOPs either."""
    call = Call(torch.ops.aten._cdist_forward.default, (), {}, torch.ones(3))

    assert not is_free(call.operation)
    assert (flops_of(call), elementwise_of(call), log_depth_of(call)) == (None, 0, 1)
