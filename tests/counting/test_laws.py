"""Counted laws: every built-in claim proved, wrong claims refuted, and no verdict where the count is incomplete."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from attnbench.counting.laws import count, count_at, count_laws
from attnbench.errors import LayerError
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.layers.base import Claims, Layer
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import Registry
from attnbench.trial import Choices
from tests.by_hand import BY_HAND
from tests.counting.calling import Calling, layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.trial import Sizes

REGISTRY = Registry()

#: Where the stock counter is right on the meta device.
STOCK_IS_RIGHT = [name for name in BY_HAND if name not in ("attention-core-fused", "multi-head-attention")]
GIVEN = ({"b": 2, "n": 60, "d": 30}, {"b": 5, "n": 17, "d": 64}, {"b": 3, "n": 32, "d": 6})


# ------------------------------------------------------------------------------------------------ built-in layers


@pytest.mark.parametrize("name", BY_HAND)
def test_the_counts_of_one_call_are_those_worked_out_by_hand(name: str) -> None:
    layer, truth = REGISTRY.get(name), BY_HAND[name]
    parts = {"k": 5, "l": 3, "w": 4, "c": 1}
    for given in GIVEN:
        sizes = layer.complete(given | {axis: size for axis, size in parts.items() if axis in layer.axes})
        flops, parameters, peak = (int(Formula(text).evaluate(sizes)) for text in truth.of_one_call)

        found = count_at(layer, sizes)
        assert (found.flops, found.parameters, found.peak_bytes) == (flops, parameters, peak)


@pytest.mark.parametrize("name", STOCK_IS_RIGHT)
def test_the_work_is_what_the_stock_counter_says(name: str) -> None:
    layer = REGISTRY.get(name)
    sizes = layer.complete({"b": 3, "n": 32, "d": 12})
    with torch.device("meta"):
        module, inputs = build_module(layer, sizes, device="meta"), make_inputs(layer, sizes, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)

    assert count_at(layer, sizes).flops == counter.get_total_flops()


def test_several_heads_write_the_scores_and_the_weights_of_each() -> None:
    """Beyond them, the mixed heads and their copy side by side."""
    b, n, d, h = 2, 50, 12, 3

    found = count_at(REGISTRY.get("attention-core"), {"b": b, "n": n, "d": d, "h": h})

    assert found.peak_bytes == 4 * (2 * b * h * n**2 + 2 * b * n * d)


@cache
def laws_of(name: str) -> dict[str, Law]:
    return {law.metric: law for law in count_laws(REGISTRY.get(name), ("flops", "peak_bytes"))}


def test_claims_are_confirmed_and_what_nobody_claimed_is_inferred() -> None:
    flops, peak = laws_of("attention-core").values()

    assert (flops.verdict, flops.claim, flops.formula) == (Verdict.CONFIRMED, "4*b*n**2*d", "4*b*n**2*d")
    assert (peak.verdict, peak.claim, peak.formula) == (Verdict.INFERRED, None, "8*b*n**2 + 4*b*n*d")
    assert flops.window["n"] == (9, 2**20)
    assert flops.scope == peak.scope == "core"


def test_a_formula_for_one_head_says_so() -> None:
    """With several, PyTorch copies what it otherwise views."""
    law = laws_of("attention-core")["peak_bytes"]

    assert law.reason.endswith(", for h = 1")
    assert law.window["h"] == (1, 1)


def test_what_a_trace_would_walk_long_for_is_taken_from_laws() -> None:
    layer, sizes = REGISTRY.get("conv1d-causal"), {"b": 2, "n": 100_003, "d": 6, "k": 5}
    laws = count_laws(layer, ("saved_bytes", "depth", "hops"))

    found = count_at(layer, sizes, laws=laws)

    assert (found.saved_bytes, found.depth) == (4 * 2 * (100_003 + 4) * 6, 2)
    assert found.hops == -(-100_002 // 4)
    assert count("conv1d-causal", **sizes) == found


def test_what_nothing_connects_is_infinitely_far_away() -> None:
    assert count("feed-forward", n=5).hops == math.inf


def test_the_terms_of_a_counted_law_are_exact_and_have_their_largest_shares() -> None:
    law = laws_of("multi-head-attention")["flops"]
    found = {term.term: (term.coefficient.low, term.coefficient.high, term.coefficient.level) for term in law.terms}

    assert found == {"b*n*d**2": (8.0, 8.0, 1.0), "b*n**2*d": (4.0, 4.0, 1.0)}
    for term in law.terms:
        assert 0.8 < term.share <= 1


def test_the_sentence_of_a_confirmed_law_says_where_it_was_proved() -> None:
    assert laws_of("attention-core")["flops"].reason == (
        "exact at 9 sizes and 10 held-out ones, odd and prime among them, n up to 1048576"
    )


def test_only_the_metrics_asked_for_are_counted() -> None:
    laws = count_laws(REGISTRY.get("feed-forward"), metrics=["time", "parameters"])

    assert [law.metric for law in laws] == ["parameters"]


def test_bytes_follow_the_dtype() -> None:
    [law] = count_laws(REGISTRY.get("feed-forward"), ["peak_bytes"], Choices(dtype="bfloat16"))

    assert law.formula == "16*b*n*d"
    assert law.choices.dtype == "bfloat16"


# ------------------------------------------------------------------------------------------------------- verdicts


def same_at_sizes(left: str, right: str) -> bool:
    """Whether two formulas are equal at sizes that tell polynomials apart."""
    points = ({"b": 2, "n": 97, "d": 30}, {"b": 5, "n": 8, "d": 1000}, {"b": 3, "n": 1, "d": 1})
    return all(Formula(left).evaluate(point) == Formula(right).evaluate(point) for point in points)


def attend(x: torch.Tensor) -> torch.Tensor:
    return (x @ x.transpose(1, 2)).softmax(-1) @ x


def distances(x: torch.Tensor) -> torch.Tensor:
    """An operation for whose work nobody has a formula."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


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
        "exact at 7 sizes and 10 held-out ones, odd and prime among them, n up to 1048576"
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
    law = flops_law(calling(lambda x: attend(x) + distances(x).sum(-1, keepdim=True)), claim)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == "a lower bound: no formula for aten._cdist_forward.default"
    assert law.uncounted == ("aten._cdist_forward.default",)
    assert law.lower_bound
    assert law.formula == "4*b*n**2*d"


def test_bytes_are_exact_where_work_is_a_lower_bound() -> None:
    far_apart = layer_calling(lambda x: x + distances(x).sum(-1, keepdim=True))
    flops, peak = count_laws(far_apart, metrics=["flops", "peak_bytes"])

    assert flops.uncounted == ("aten._cdist_forward.default",)
    assert (peak.verdict, peak.uncounted) == (Verdict.INFERRED, ())
    assert same_at_sizes(peak.formula, "4*b*n*max(n + 1, 1 + d)")  # distances and their sums; sums and output
    found = count_at(far_apart, {"b": 1, "n": 5, "d": 3})
    assert (found.flops, found.peak_bytes, found.uncounted) == (0, 4 * 30, ("aten._cdist_forward.default",))


def test_work_and_bytes_are_read_from_the_same_call_where_no_loop_is_hidden() -> None:
    def otherwise_in_inference_mode(x: torch.Tensor) -> torch.Tensor:
        return attend(x) if torch.is_inference_mode_enabled() else x @ x.mT @ x + 0 * x

    laws = count_laws(layer_calling(otherwise_in_inference_mode), metrics=["elementwise", "peak_bytes", "flops"])

    peak = "max(4*b*n**2 + 4*b*n*d, 12*b*n*d)"
    assert [law.formula for law in laws] == ["4*b*n**2*d", "2*b*n*d", peak]


def by_digits(x: torch.Tensor) -> torch.Tensor:
    """Attention over as many more positions as the digits of the length add up to."""
    n = x.shape[1]
    longer = nn.functional.pad(x, (0, 0, 0, sum(map(int, str(n)))))
    return attend(longer)[:, :n]


def test_work_that_no_formula_follows_shows_its_residual() -> None:
    law = flops_law(calling(by_digits))

    assert law.verdict is Verdict.INCONCLUSIVE
    assert (law.formula, law.terms) == ("", ())
    assert re.match(
        r"no polynomial of degree 3 or less in each size reproduces the counts: at b=\d+, n=\d+, d=\d+ "
        r"it would say -?[\d/]+, and \d+ is true; (of formulas|nor does a formula) with roots, ",
        law.reason,
    )


def test_one_size_refutes_an_exact_claim_where_no_formula_was_found() -> None:
    law = flops_law(calling(by_digits), claim="4*b*n**2*d")

    assert law.verdict is Verdict.REFUTED
    assert re.match(r"the claim is 4\*b\*n\*\*2\*d, but at b=(\d+), n=(\d+), d=(\d+) it would say", law.reason)
    assert "; no polynomial of degree 3 or less" in law.reason


def test_a_claim_that_is_true_at_every_size_is_confirmed_where_no_formula_was_found() -> None:
    def uneven(x: torch.Tensor) -> torch.Tensor:
        n = x.shape[1]
        return attend(nn.functional.pad(x, (0, 0, 0, n * n % 11)))[:, :n]

    law = flops_law(calling(uneven), claim="4*b*(n + n**2 % 11)**2*d")

    assert law.verdict is Verdict.CONFIRMED
    assert law.formula == "4*b*(n + n**2 % 11)**2*d"
    assert law.reason == (
        "equal to the count at 10 sizes, odd and prime ones among them, n up to 1048576; "
        "without the claim no formula was found"
    )


def test_work_that_a_single_part_does_otherwise_has_a_formula_from_two_parts_on() -> None:
    """Einsum multiplies element by element, without a product of matrices, where a dimension has one number."""

    def build(d: int, m: int = 4) -> nn.Module:
        return Calling(
            lambda x: torch.einsum("bnm,md->bnd", torch.einsum("bnd,dm->bnm", x, x.new_ones(d, m)), x.new_ones(m, d))
        )

    law = flops_law(build, claim="4*b*n*m*d")

    assert law.verdict is Verdict.CONFIRMED
    assert law.formula == "4*b*m*n*d"
    assert law.reason.endswith(", for m ≥ 2")


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
    assert law.window["c"][0] < law.window["c"][1]


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
    ("axis", "formula", "sizes", "where"),
    [("h", "12*b*n*d", 7, ", for h = 1"), ("b", "4*b*n*d", 9, ", for b ≥ 2")],
)
def test_a_path_that_only_single_heads_or_sequences_take_is_named(
    axis: str, formula: str, sizes: int, where: str
) -> None:
    [law] = count_laws(Layer("x", special_path(axis)), metrics=["peak_bytes"])

    assert law.formula == formula
    assert law.reason == (
        f"exact at {sizes} sizes and 10 held-out ones, odd and prime among them, n up to 1048576" + where
    )
