"""What authors say of operators of their own is what is counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import attnbench
from attnbench.counting.counter import Counter
from attnbench.counting.laws import count_laws
from attnbench.counting.paths.hops import hops_at
from attnbench.counting.trace import trace
from attnbench.errors import LayerError, PluginError
from attnbench.layers.own_operators import OWN_OPERATORS
from tests.counting.calling import layer_calling

SIZES = {"b": 2, "n": 6, "d": 4}


@torch.library.custom_op("attnbench_tests::scan", mutates_args=())
def scan(x: torch.Tensor) -> torch.Tensor:
    return x.cumsum(1)


@scan.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


LAYER = layer_calling(lambda x: scan(x) + 1)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    OWN_OPERATORS.clear()


def test_of_an_operator_that_nobody_spoke_of_counts_are_lower_bounds_that_name_it() -> None:
    flops, elementwise = count_laws(LAYER, ["flops", "elementwise"])

    assert (flops.formula, elementwise.formula) == ("0", "b*n*d")
    assert flops.uncounted == elementwise.uncounted == ("attnbench_tests.scan.default",)


def test_what_is_said_of_it_is_counted() -> None:
    attnbench.operator("attnbench_tests::scan", flops=lambda x: 3 * x.numel(), elementwise=lambda x: x.shape[1])

    assert str(Counter(LAYER).recover("flops").formula) == "3*b*n*d"
    assert str(Counter(LAYER).recover("elementwise").formula) == "b*n*d + n"
    assert trace(LAYER, SIZES).uncounted == ()


@pytest.mark.parametrize(("mixes", "hops"), [(True, 1), (False, float("inf"))])
def test_whether_it_mixes_positions_decides_the_path_length(mixes: bool, hops: float) -> None:
    attnbench.operator("attnbench_tests::scan", mixes_positions=mixes)

    found = hops_at(LAYER, SIZES)

    assert (found.io, found.unknown) == (hops, ())


def test_a_formula_that_fails_is_one_line_that_names_the_operator() -> None:
    attnbench.operator("attnbench_tests::scan", flops=lambda x, missing: 0)

    with pytest.raises(LayerError, match="uses attnbench_tests::scan, whose formula raised TypeError: "):
        trace(LAYER, SIZES)


@pytest.mark.parametrize("name", ["scan", "aten::mm", "a::b::c", ""])
def test_a_name_without_a_namespace_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(PluginError, match="an operator of one's own is named like"):
        attnbench.operator(name)


def test_a_formula_is_a_function() -> None:
    with pytest.raises(PluginError, match="operator a::b: flops must be a function of its arguments, not 3"):
        attnbench.operator("a::b", flops=3)  # type: ignore[arg-type]
