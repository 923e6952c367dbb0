"""Counted laws: every built-in claim proved, wrong claims refuted, and no verdict where the count is incomplete."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from attnbench.count.laws import COUNTED_METRICS, count_at, count_laws
from attnbench.errors import LayerError
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.layers.base import Claims, Layer
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.record import Counted
from tests.count.calling import Calling, layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.trial import Sizes

REGISTRY = Registry()

#: Layer → FLOPs and parameters from the definitions, and peak bytes of float32 by adding up the tensors alive: the
#: fused kernel keeps 4bhn of statistics, a recurrence its input products, states and output; oneDNN packs weights.
BY_HAND = {
    "attention-core": ("4*b*n**2*d", "0", "8*b*n**2 + 4*b*n*d"),
    "attention-core-fused": ("4*b*n**2*d", "0", "4*b*n*d + 4*b*h*n"),
    "multi-head-attention": ("8*b*n*d**2 + 4*b*n**2*d", "4*d**2", "max(16*b*n*d + 4*b*h*n, 20*b*n*d)"),
    "rnn": ("4*b*n*d**2", "2*d**2", "12*b*n*d + 4*b*d"),
    "gru": ("12*b*n*d**2", "6*d**2", "20*b*n*d + 4*b*d"),
    "lstm": ("16*b*n*d**2", "8*d**2", "max(8*b*n*d + 32*d**2 + 16*b*d, 8*b*n*d + 24*b*d)"),
    "conv1d": ("2*b*k*n*d**2", "k*d**2", "4*b*n*d"),
    "conv1d-separable": ("2*b*k*n*d + 2*b*n*d**2", "k*d + d**2", "8*b*n*d"),
    "feed-forward": ("16*b*n*d**2", "8*d**2", "32*b*n*d"),
}
#: Where the stock counter is right on the meta device.
STOCK_IS_RIGHT = [name for name in BY_HAND if "attention" not in name] + ["attention-core"]


@cache
def laws_of(name: str) -> dict[str, Law]:
    return {law.metric: law for law in count_laws(REGISTRY.get(name))}


def same(left: str, right: str) -> bool:
    """Whether two formulas are equal at sizes that tell polynomials apart."""
    points = [{"b": 2, "n": 97, "d": 30, "h": 3, "k": 5}, {"b": 5, "n": 8, "d": 1000, "h": 10, "k": 31}]
    return all(Formula(left).evaluate(point) == Formula(right).evaluate(point) for point in points)


# ------------------------------------------------------------------------------------------------ built-in layers


def test_every_built_in_layer_was_counted_by_hand() -> None:
    assert list(BY_HAND) == list(BUILT_IN)


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("metric", ["flops", "parameters"])
def test_the_claims_of_the_built_in_layers_are_confirmed(name: str, metric: str) -> None:
    law, by_hand = laws_of(name)[metric], dict(zip(COUNTED_METRICS, BY_HAND[name], strict=True))[metric]

    assert law.verdict is Verdict.CONFIRMED
    assert law.claim == REGISTRY.get(name).claims.given[metric]
    assert same(law.formula, by_hand)
    assert law.window["n"] == (4, 2**20)
    assert law.uncounted == ()
    assert law.scope == REGISTRY.get(name).scope


@pytest.mark.parametrize("name", BY_HAND)
def test_peak_bytes_are_inferred_where_nothing_is_claimed(name: str) -> None:
    law = laws_of(name)["peak_bytes"]

    assert law.verdict is Verdict.INFERRED
    assert law.claim is None
    assert same(law.formula, BY_HAND[name][2])


@pytest.mark.parametrize("name", STOCK_IS_RIGHT)
def test_the_formula_says_what_the_stock_counter_says(name: str) -> None:
    layer = REGISTRY.get(name)
    sizes = layer.sizes({"b": 3, "n": 10, "d": 12})
    with torch.device("meta"):
        module, inputs = build_module(layer, sizes, device="meta"), make_inputs(layer, sizes, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)

    assert Formula(laws_of(name)["flops"].formula).evaluate(sizes) == counter.get_total_flops()


@pytest.mark.parametrize("name", BY_HAND)
def test_the_formulas_say_what_one_trace_says(name: str) -> None:
    layer = REGISTRY.get(name)
    sizes = layer.sizes({"b": 3, "n": 10, "d": 6})
    at = {metric: int(Formula(law.formula).evaluate(sizes)) for metric, law in laws_of(name).items()}

    assert count_at(layer, sizes) == Counted(**at)


def test_the_terms_of_a_counted_law_are_exact_and_have_their_largest_shares() -> None:
    law = laws_of("multi-head-attention")["flops"]
    found = {term.term: (term.coefficient.low, term.coefficient.high, term.coefficient.level) for term in law.terms}

    assert found == {"b*n*d**2": (8.0, 8.0, 1.0), "b*n**2*d": (4.0, 4.0, 1.0)}
    for term in law.terms:
        assert 0.8 < term.share <= 1


def test_the_sentence_of_a_confirmed_law_says_where_it_was_proved() -> None:
    assert laws_of("attention-core")["flops"].reason == (
        "exact at 12 sizes and 10 held-out ones, odd and prime among them, n up to 1048576"
    )


def test_only_the_metrics_asked_for_are_counted() -> None:
    laws = count_laws(REGISTRY.get("feed-forward"), metrics=["time", "parameters"])

    assert [law.metric for law in laws] == ["parameters"]


def test_bytes_follow_the_dtype() -> None:
    [law] = count_laws(REGISTRY.get("feed-forward"), metrics=["peak_bytes"], dtype="bfloat16")

    assert law.formula == "16*b*n*d"
    assert law.dtype == "bfloat16"


# ------------------------------------------------------------------------------------------------------- verdicts


def attend(x: torch.Tensor) -> torch.Tensor:
    return (x @ x.transpose(1, 2)).softmax(-1) @ x


def flops_law(
    build: Callable[..., nn.Module], claim: str | None = None, constraints: str | tuple[str, ...] = ()
) -> Law:
    [law] = count_laws(Layer("x", build, claims=Claims(flops=claim), constraints=constraints), metrics=["flops"])
    return law


def calling(function: Callable[[torch.Tensor], object]) -> Callable[..., nn.Module]:
    return lambda d: Calling(function)


def test_a_wrong_claim_is_refuted_with_both_formulas() -> None:
    law = flops_law(calling(attend), claim="2*b*n**2*d")

    assert law.verdict is Verdict.REFUTED
    assert law.reason == (
        "the claim is 2*b*n**2*d, but the count is 4*b*n**2*d, "
        "exact at 12 sizes and 10 held-out ones, odd and prime among them, n up to 1048576"
    )
    assert law.formula == "4*b*n**2*d"


def test_a_layer_that_promises_linear_work_and_does_quadratic_work_is_refuted() -> None:
    assert flops_law(calling(attend), claim="4*b*n*d**2").verdict is Verdict.REFUTED


def test_a_claim_that_is_written_otherwise_is_confirmed_all_the_same() -> None:
    assert flops_law(calling(attend), claim="2*b*n*(n*d + d*n)").verdict is Verdict.CONFIRMED


def test_without_a_claim_the_formula_is_inferred() -> None:
    law = flops_law(calling(attend))

    assert law.verdict is Verdict.INFERRED
    assert law.formula == "4*b*n**2*d"


@pytest.mark.parametrize("claim", [None, "4*b*n**2*d"])
def test_a_lower_bound_is_no_proof_of_any_claim(claim: str | None) -> None:
    law = flops_law(calling(lambda x: attend(x).sort(dim=1).values), claim)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == "a lower bound: no formula for aten.sort.default"
    assert law.uncounted == ("aten.sort.default",)
    assert law.lower_bound
    assert law.formula == "4*b*n**2*d"


def test_bytes_are_exact_where_work_is_a_lower_bound() -> None:
    sorting = layer_calling(lambda x: x.sort(dim=1).values)
    flops, peak = count_laws(sorting, metrics=["flops", "peak_bytes"])

    assert flops.uncounted == ("aten.sort.default",)
    assert (peak.verdict, peak.uncounted) == (Verdict.INFERRED, ())
    assert peak.formula == "12*b*n*d"  # the values, and their places as 64-bit integers
    assert count_at(sorting, {"b": 1, "n": 5, "d": 3}) == Counted(0, 0, 12 * 15, ("aten.sort.default",))


def test_kernels_of_the_opened_trace_do_not_make_the_work_a_lower_bound() -> None:
    def sorts_outside_inference_mode(x: torch.Tensor) -> torch.Tensor:
        return attend(x) if torch.is_inference_mode_enabled() else x.sort(dim=1).values

    laws = count_laws(layer_calling(sorts_outside_inference_mode), metrics=["peak_bytes", "flops"])

    assert [law.uncounted for law in laws] == [(), ()]


@pytest.mark.parametrize(
    "length",
    [lambda n: -(-n // 16) * 16, lambda n: 1 << (n - 1).bit_length(), lambda n: n if n <= 50 else 2 * n],
    ids=["padded-to-16", "padded-to-a-power-of-two", "another-branch-beyond-50"],
)
def test_a_staircase_has_no_formula_and_confirms_nothing(length: Callable[[int], int]) -> None:
    def padded(x: torch.Tensor) -> torch.Tensor:
        n = x.shape[1]
        longer = nn.functional.pad(x, (0, 0, 0, length(n) - n))
        return attend(longer)[:, :n]

    law = flops_law(calling(padded), claim="4*b*n**2*d")

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.formula == ""
    assert law.terms == ()
    assert law.reason.startswith("no polynomial of degree 3 or less in each size reproduces the counts: at b=")


# -------------------------------------------------------------------------------------------- sizes that are refused


def refusing(sizes_are_fine: Callable[[Sizes], bool]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Attention that raises, as careful layers do, and says nothing of it beforehand."""

    def careful(x: torch.Tensor) -> torch.Tensor:
        if not sizes_are_fine(dict(zip("bnd", x.shape, strict=True))):
            raise ValueError("not these sizes")
        return attend(x)

    return careful


@pytest.mark.parametrize(
    ("sizes_are_fine", "longest"),
    [
        (lambda s: s["d"] % 2 == 0, 2**20),
        (lambda s: s["n"] % 16 == 0, 2**20),
        (lambda s: s["n"] & (s["n"] - 1) == 0, 2**20),
        (lambda s: s["b"] > 1, 2**20),
        (lambda s: s["n"] < 2000, 1009),
    ],
    ids=["even-d", "n-by-16", "n-power-of-two", "no-single-sequence", "short-n"],
)
def test_sizes_that_a_layer_refuses_only_by_raising_are_avoided(
    sizes_are_fine: Callable[[Sizes], bool], longest: int
) -> None:
    law = flops_law(calling(refusing(sizes_are_fine)), claim="4*b*n**2*d")

    assert law.verdict is Verdict.CONFIRMED
    assert law.window["n"][1] == longest


def test_constraints_between_axes_are_kept() -> None:
    def build(d: int, c: int) -> nn.Module:
        def within_blocks(x: torch.Tensor) -> torch.Tensor:
            blocks = x.reshape(-1, c, d)
            return attend(blocks).view(x.shape)

        return Calling(within_blocks)

    law = flops_law(build, claim="4*b*n*c*d", constraints="n % c == 0")

    assert law.verdict is Verdict.CONFIRMED
    assert law.window["c"] == (1, 8)


def test_a_layer_that_refuses_every_size_is_one_line() -> None:
    with pytest.raises(LayerError) as caught:
        flops_law(calling(refusing(lambda s: False)))

    assert str(caught.value).startswith("layer 'x' at b=")
    assert str(caught.value).endswith(" raised ValueError: not these sizes")


def test_constraints_that_leave_no_size_are_one_line() -> None:
    with pytest.raises(LayerError) as caught:
        flops_law(calling(attend), constraints=("n < 4", "n > 4"))

    assert str(caught.value) == "layer 'x': its constraints leave no size to count at"


# ------------------------------------------------------------------------------------- paths of a single head or batch


def special_path(axis: str) -> Callable[..., nn.Module]:
    """Twice the memory where `axis` is one."""

    def build(d: int, h: int = 1) -> nn.Module:
        def call(x: torch.Tensor) -> torch.Tensor:
            single = (h if axis == "h" else x.shape[0]) == 1
            return (x + 1) + (x + 2) if single else x + 1

        return Calling(call)

    return build


@pytest.mark.parametrize(
    ("axis", "formula", "where"),
    [("h", "12*b*n*d", ", for h = 1"), ("b", "4*b*n*d", ", for b ≥ 2")],
)
def test_a_path_that_only_single_heads_or_sequences_take_is_named(axis: str, formula: str, where: str) -> None:
    [law] = count_laws(Layer("x", special_path(axis)), metrics=["peak_bytes"])

    assert law.formula == formula
    assert law.reason == ("exact at 8 sizes and 10 held-out ones, odd and prime among them, n up to 1048576" + where)
