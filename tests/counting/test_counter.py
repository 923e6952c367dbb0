"""Ways in which counts lie, each put into a toy layer or into the counter itself, and told apart from the truth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from attnbench.counting import counter, operators
from attnbench.counting.counter import Counter
from attnbench.counting.laws import claimed_laws, count_laws
from attnbench.counting.recover import Parts
from attnbench.counting.trace import Way
from attnbench.errors import LayerError
from attnbench.formula import Formula
from attnbench.law import PREFILL_METRICS, Law, Verdict
from attnbench.layers.base import Claims, Layer
from attnbench.layers.registry import Registry
from attnbench.trial import Choices
from tests.counting.calling import Calling, layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRY = Registry()


def law_of(layer: Layer, metric: str, mode: str = "forward") -> Law:
    [law] = count_laws(layer, [metric], choices=Choices(mode=mode))
    return law


def of_one_head(x: torch.Tensor) -> torch.Tensor:
    heads = x[:, None]
    return scaled_dot_product_attention(heads, heads, heads)[:, 0]


def test_attention_that_is_not_fused_is_counted_with_its_matrix() -> None:
    """By hand: n² scores and n² weights of four bytes are alive together, and the weights are kept for the way back."""
    layer = Layer("x", lambda: Calling(of_one_head), claims=Claims(flops="4*b*n**2*d"))
    fused = {law.metric: law for law in count_laws(layer, ["flops", "saved_bytes"])}
    written_out = {
        law.metric: law for law in count_laws(layer, ["flops", "peak_bytes", "saved_bytes"], Choices(sdpa="math"))
    }
    large = {"b": 2, "n": 4096, "d": 8}

    assert {law.choices.sdpa for law in written_out.values()} == {"math"}
    assert fused["flops"].formula == written_out["flops"].formula == "4*b*n**2*d"
    assert Formula(written_out["peak_bytes"].formula).evaluate(large) == 8 * 2 * 4096**2 + 4 * 2 * 4096 * 8
    assert Formula(written_out["saved_bytes"].formula).evaluate(large) == 4 * 2 * 4096**2 + 12 * 2 * 4096 * 8
    assert Formula(fused["saved_bytes"].formula).evaluate(large) == 8 * 2 * 4096 * 8 + 4 * 2 * 4096
    assert fused["flops"].verdict is Verdict.CONFIRMED
    assert written_out["flops"].claim is None  # what its author says is about the layer as it runs by itself


def claiming(build: Callable[..., nn.Module], **claims: str) -> Layer:
    return Layer("x", build, claims=Claims(**claims))


def attend(x: torch.Tensor) -> torch.Tensor:
    weights = (x @ x.transpose(1, 2)).softmax(-1)
    return weights @ x


def attend_among(allowed: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """All scores, of which a mask leaves those where ``allowed(i − j)``."""
    places = torch.arange(x.shape[1])
    scores = (x @ x.transpose(1, 2)).masked_fill(~allowed(places[:, None] - places), -math.inf)
    return scores.softmax(-1) @ x


# ------------------------------------------------------------------------------------- trap 2: work counted as zero


@torch.library.custom_op("attnbench_tests::hidden_product", mutates_args=())
def hidden_product(x: torch.Tensor) -> torch.Tensor:
    return x @ x.transpose(1, 2) @ x


@hidden_product.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


HIDDEN = {
    "distances": (
        lambda x: torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") @ x,
        "2*b*n**2*d",
        "aten._cdist_forward.default",
    ),
    "custom": (lambda x: hidden_product(x), "0", "attnbench_tests.hidden_product.default"),
}


@pytest.mark.parametrize(("function", "seen", "name"), HIDDEN.values(), ids=HIDDEN)
def test_work_without_a_formula_is_named_and_confirms_no_claim_even_if_the_rest_agrees(
    function: Callable[[torch.Tensor], torch.Tensor], seen: str, name: str
) -> None:
    law = law_of(claiming(lambda d: Calling(function), flops=seen), "flops")

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == f"a lower bound: no formula for {name}"
    assert law.uncounted == (name,)
    assert law.formula == seen


def test_the_stock_counter_takes_the_same_work_for_nothing() -> None:
    x = torch.randn(1, 5, 3)
    with FlopCounterMode(display=False) as stock:
        hidden_product(x)

    assert stock.get_total_flops() == 0


# ---------------------------------------------------------------------- trap 3: gradients of depthwise convolutions


class Depthwise(nn.Module):
    """Each channel mixed with its neighbours."""

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(d, d, k, padding="same", groups=d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.kernel(x.transpose(1, 2))
        return mixed.transpose(1, 2)


DEPTHWISE = Layer("x", lambda d, k=3: Depthwise(d, k), constraints="k % 2 == 1")


def test_training_a_depthwise_convolution_is_three_times_its_forward_pass() -> None:
    forward, train = (law_of(DEPTHWISE, "flops", mode) for mode in ("forward", "train"))

    assert (forward.formula, train.formula) == ("2*b*k*n*d", "6*b*k*n*d")
    assert (train.choices.mode, train.uncounted) == ("train", ())


def test_the_stock_formula_for_its_gradient_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """It multiplies the gradient of the weight by the channels."""
    without = replace(operators.TABLE["convolution_backward"], flops=None)
    monkeypatch.setitem(operators.TABLE, "convolution_backward", without)

    assert law_of(DEPTHWISE, "flops", "train").formula == "2*b*k*n*d**2 + 4*b*k*n*d"


# ------------------------------------------------------------------------------------- trap 4: kernels that change


class Switching(nn.Module):
    """One way for short sequences and another from 64 positions on."""

    def __init__(self, d: int, longer: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(d, d))
        self.longer = longer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] < 64:
            return nn.functional.linear(x, self.weight)
        return self.longer(x, self.weight)


def test_work_that_changes_has_a_formula_for_each_side_and_refutes_a_claim_that_holds_for_short_sequences_only() -> (
    None
):
    law = law_of(claiming(lambda d: Switching(d, lambda x, _: attend(x)), flops="2*b*n*d**2"), "flops")

    assert law.verdict is Verdict.REFUTED
    assert law.formula == "4*b*n**2*d"
    assert law.window["n"][0] == 64
    assert law.reason.endswith("for n ≥ 64; other kernels run from n = 64 on, and below it is 2*b*n*d**2")


def test_other_kernels_with_the_same_work_are_remarked() -> None:
    law = law_of(Layer("x", lambda d: Switching(d, lambda x, w: torch.einsum("bnd,ed->bne", x, w).tanh())), "flops")

    assert law.formula == "2*b*n*d**2"
    assert law.window["n"][0] < 64 < law.window["n"][1]
    assert law.reason.endswith("; other kernels run from n = 64 on")


def in_blocks(x: torch.Tensor, c: int) -> torch.Tensor:
    """Attention within blocks; the length of the only block takes another way."""
    blocks = x.view(-1, c, x.shape[2])
    return (attend(blocks) if len(blocks) > 1 else blocks.tanh()).view(x.shape)


def test_lengths_that_a_layer_refuses_show_no_other_kernels() -> None:
    layer = Layer("x", lambda c: Calling(lambda x: in_blocks(x, c)), constraints=("n % c == 0", "n > c"))

    assert Counter(layer).switch is None
    assert law_of(layer, "flops").formula == "4*b*c*n*d"


def test_other_kernels_are_remarked_where_constraints_leave_too_few_lengths_for_two_formulas() -> None:
    longer = Layer("x", lambda d: Switching(d, lambda x, _: attend(x)), constraints="n % 16 == 0")

    assert law_of(longer, "flops").reason.endswith("; other kernels run from n = 64 on")


@pytest.mark.parametrize("name", ["attention-core", "conv1d"])
def test_the_built_in_layers_run_the_same_kernels_at_every_length(name: str) -> None:
    assert Counter(REGISTRY.get(name)).switch is None


# ----------------------------------------------------------------------------------------------- trap 8: staircases

PADDINGS = {
    "block": (lambda n: -(-n // 16) * 16, "n is padded to a multiple of 16; exact at ", "4*b*d*(16*ceil(n/16))**2"),
    "power": (
        lambda n: 1 << (n - 1).bit_length(),
        "n is padded to a power of two; exact at ",
        "4*b*d*(2**ceil(log2(n)))**2",
    ),
}


@pytest.mark.parametrize(("longer", "named", "formula"), PADDINGS.values(), ids=PADDINGS)
def test_a_layer_that_pads_is_found_out_and_its_step_named(
    longer: Callable[[int], int], named: str, formula: str
) -> None:
    def padded(x: torch.Tensor) -> torch.Tensor:
        n = x.shape[1]
        return attend(nn.functional.pad(x, (0, 0, 0, longer(n) - n)))[:, :n]

    law = law_of(claiming(lambda d: Calling(padded), flops="4*b*n**2*d"), "flops")

    assert law.verdict is Verdict.REFUTED
    assert law.reason.startswith(f"the claim is 4*b*n**2*d, but the count is {law.formula}, {named}")
    for n in (16, 17, 63, 64, 97, 1001):
        sizes = {"b": 3, "n": n, "d": 5}
        assert Formula(law.formula).evaluate(sizes) == Formula(formula).evaluate(sizes) == 60 * longer(n) ** 2


# --------------------------------------------------------------------------------- trap 13: memory at another moment


def test_the_peak_is_not_what_is_left_after_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_calling(lambda x: attend(x) + 1)
    right = law_of(layer, "peak_bytes").formula
    after = replace(counter.TRACE_METRICS["peak_bytes"], parts=lambda found: Parts.added(found.live_bytes[-1:]))
    monkeypatch.setitem(counter.TRACE_METRICS, "peak_bytes", after)
    wrong = law_of(layer, "peak_bytes").formula

    assert wrong == "8*b*n*d"  # the mixed, and one more
    sizes = {"b": 2, "n": 50, "d": 3}
    assert Formula(right).evaluate(sizes) == 4 * 2 * 2 * 50**2  # scores and weights


def test_scores_that_a_layer_keeps_are_in_its_peak() -> None:
    class Keeping(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.scores = x @ x.transpose(1, 2)
            self.weights = self.scores.softmax(-1)
            return (self.weights @ x).tanh()

    assert law_of(Layer("x", lambda d: Keeping()), "peak_bytes").formula == "8*b*n**2 + 8*b*n*d"


# --------------------------------------------------------------------------------------- trap 14: depth and distance


@pytest.mark.parametrize(("name", "way"), [("rnn", Way.WHOLE), ("lstm", Way.OPENED)])
def test_a_recurrence_in_one_kernel_is_not_shallow(name: str, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    (depth,) = claimed_laws(replace(REGISTRY.get(name), claims=Claims(depth="n")))
    fused = replace(counter.TRACE_METRICS["depth"], ways={"forward": way})
    monkeypatch.setitem(counter.TRACE_METRICS, "depth", fused)
    wrong = law_of(REGISTRY.get(name), "depth")

    assert depth.verdict is Verdict.CONFIRMED
    assert wrong.verdict is Verdict.REFUTED
    assert Formula(wrong.formula).axes == frozenset()


def test_a_recurrence_in_one_kernel_is_not_short() -> None:
    hops = law_of(REGISTRY.get("rnn"), "hops")

    assert (hops.verdict, hops.formula) == (Verdict.CONFIRMED, "n - 1")


@pytest.mark.parametrize("name", ["feed-forward", "attention-block-diagonal"])
def test_what_is_never_connected_is_infinitely_far_away(name: str) -> None:
    law = law_of(REGISTRY.get(name), "hops")

    assert law.formula == "inf"
    assert "no stack connects more than " in law.reason


def test_a_rectifier_that_is_closed_does_not_cut_the_path() -> None:
    closed = layer_calling(lambda x: (attend(x) - 1e9).relu())

    assert law_of(closed, "hops").formula == "1"


def test_causal_attention_with_a_mask_says_how_much_it_computes_for_nothing() -> None:
    law = law_of(layer_calling(lambda x: attend_among(lambda away: away >= 0, x)), "hops")

    assert law.formula == "1"
    assert "; left to right only; one layer computes 100% of the pairs, uses 5" in law.reason


# ------------------------------------------------------------------------------------------ trap 15: labels that lie


def test_windowed_attention_that_computes_all_pairs_is_refuted_on_its_work_and_not_on_its_paths() -> None:
    def build(d: int, w: int = 16) -> nn.Module:
        return Calling(lambda x: attend_among(lambda away: away.abs() <= w, x))

    layer = claiming(build, flops="4*b*n*(2*w + 1)*d", hops="n/w")
    work, paths = count_laws(layer, ["flops", "hops"])

    assert work.verdict is Verdict.REFUTED
    assert work.formula == "4*b*n**2*d"
    assert work.reason.startswith("the claim is 4*b*n*(2*w + 1)*d, but the count is 4*b*n**2*d, exact at ")
    assert (paths.verdict, paths.formula) == (Verdict.CONFIRMED, "ceil((n - 1)/w)")
    assert "one layer computes 100% of the pairs, uses " in paths.reason


def test_windowed_attention_that_is_one_has_nothing_to_say_of_unused_pairs() -> None:
    law = law_of(REGISTRY.get("attention-restricted"), "hops")

    assert "computes" not in law.reason


# ----------------------------------------------------------------------------------------------------- other modes


def test_one_more_token_has_a_law_of_its_own() -> None:
    laws = count_laws(REGISTRY.get("attention-core"), ["flops", "hops"], choices=Choices(mode="decode"))

    assert [(law.metric, law.choices.mode, law.formula) for law in laws] == [("flops", "decode", "4*b*n*d + 4*b*d")]


@pytest.mark.parametrize(
    ("name", "flops", "nbytes"),
    [("attention-core", "0", "0"), ("multi-head-attention", "6*b*n*d**2", "12*b*n*d"), ("gru", "12*b*n*d**2", None)],
)
def test_a_prefill_is_counted_apart_from_the_token(name: str, flops: str, nbytes: str | None) -> None:
    """Derived by hand: nothing; keys, values and queries of the context; three gates for each of its positions."""
    laws = {
        law.metric: law.formula
        for law in count_laws(REGISTRY.get(name), PREFILL_METRICS, choices=Choices(mode="decode"))
    }

    assert laws["prefill_flops"] == flops
    assert nbytes is None or laws["prefill_bytes"] == nbytes
    assert count_laws(REGISTRY.get(name), PREFILL_METRICS) == []


# ---------------------------------------------------------------------------------------- layers without any count


def raises(x: torch.Tensor) -> torch.Tensor:
    raise ValueError("two\nlines")


REFUSED = {
    "raises": (raises, " raised ValueError: two lines"),
    "wrong-shape": (lambda x: x[:, :, :1], "layer 'x' must return shape (b, n, d) = "),
    "item": (lambda x: x * x.sum().item(), "depends on the values of its input"),
    "branch": (lambda x: x if x.sum() > 0 else -x, "depends on the values of its input"),
}


#: Each way to refuse once, and each way to be called.
REFUSALS = [
    *((name, "flops", "forward") for name in REFUSED),
    *(("raises", metric, mode) for metric in ("depth", "saved_bytes") for mode in ("forward", "train")),
    ("raises", "flops", "train"),
]


@pytest.mark.parametrize(("name", "metric", "mode"), REFUSALS)
def test_a_layer_that_cannot_be_counted_is_one_clear_line(name: str, metric: str, mode: str) -> None:
    function, words = REFUSED[name]

    with pytest.raises(LayerError) as caught:
        count_laws(layer_calling(function), [metric], choices=Choices(mode=mode))

    assert words in str(caught.value)
    assert str(caught.value).startswith("layer 'x' ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", ["hops", "hops_rf", "flops_needed"])
def test_what_runs_on_real_numbers_fails_in_one_line_too(metric: str) -> None:
    with pytest.raises(LayerError, match=r"^layer 'x' at .* raised ValueError( in float64)?: two lines$"):
        count_laws(layer_calling(raises), [metric])
