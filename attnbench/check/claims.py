"""What a layer claims beside what is counted of it."""

from __future__ import annotations

from collections.abc import Iterator

from attnbench.check.outcome import Answer, Mark, Outcome, failed, hint, passed
from attnbench.counting.counter import Counter
from attnbench.counting.laws import claimed_laws, count_laws
from attnbench.errors import FormulaError, LayerError
from attnbench.formula import Formula, for_a_batch, from_terms
from attnbench.formula.growth import outgrows, outgrows_along, same_growth
from attnbench.law import Law, Verdict
from attnbench.layers.base import Layer

#: Where more positions multiply this share by less, it does not grow with them.
_STEADY = 1.05


def claims(layer: Layer) -> Iterator[Outcome]:
    """One row for each claim that can be compared with a count; memory is for an allocator.

    Raises:
        LayerError: the layer cannot be counted.
    """
    laws = {law.metric: law for law in claimed_laws(layer)}
    for metric, text in layer.claims.given.items():
        if metric in laws:
            yield Outcome(f"claim of {metric}", *_judged(laws[metric]))
        elif metric == "time":
            yield Outcome("claim of time", *_of_time(layer, Formula(text), laws.get("flops")))
    yield from _without_value(layer)


def _judged(law: Law) -> Answer:
    claim = Formula(str(law.claim)).pretty
    match law.verdict:
        case Verdict.CONFIRMED:
            return passed(f"{claim}: {law.reason}")
        case Verdict.REFUTED if law.formula:
            fix = f'claim {law.metric}="{law.formula}", or change the layer'
            return failed(f"claimed {claim}, counted {Formula(law.formula).pretty}", fix)
        case Verdict.REFUTED:
            return failed(law.reason, f"leave the claim of {law.metric} out, or change the layer")
    return hint(f"claimed {claim}; not compared: {law.reason}", f"`attnbench count {law.layer}` shows what was counted")


def _of_time(layer: Layer, claim: Formula, flops: Law | None) -> Answer:
    """The class claimed of time beside the counted work: a clock cannot be faster than the work for long.

    Work on single numbers counts as well, such as a mask or a mean over all that came before. It is compared along the
    length only: how it grows with heads and widths seldom matters beside the products.
    """
    flops = flops or count_laws(layer, ["flops"])[0]
    if not flops.formula:
        return hint(f"claimed {claim.pretty}; not compared: {flops.reason}", "`attnbench run` asks a clock")
    work = Formula(flops.formula)
    try:
        each = for_a_batch(claim)
    except FormulaError:  # with a ceiling, say: it is no sum of terms
        each = ()
    claimed = from_terms((1, monomial) for monomial in each) if each else claim
    if (beside := _elementwise(layer, claimed)) and outgrows_along("n", beside, claimed):
        said = f"claimed {claim.pretty}, but the work on single numbers is {beside.pretty}, which outgrows it"
        return failed(said, "claim what grows with it, or leave out the mask, mean or sum over all pairs")
    shown = f"claimed {claim.pretty}, and the work is {work.pretty}"
    if each and work.is_sum_of_terms:
        leading = [term.monomial for term in work.leading]
        if all(any(one.grows_like(of, layer.axes) for of in leading) for one in each):
            return passed(f"{shown}; `attnbench run` asks a clock")
    if same_growth(claimed, work, layer.axes):
        return passed(f"{shown}; `attnbench run` asks a clock")
    is_nothing = claimed.is_sum_of_terms and not claimed.terms
    if is_nothing or outgrows(work, claimed, layer.axes):
        leads = from_terms((1, term.monomial) for term in work.leading).text if work.is_sum_of_terms else work.text
        return failed(f"{shown}, which outgrows the claim", f'claim time="{leads}", or change the layer')
    return hint(f"{shown}, which does not grow as fast", "other work may lead: `attnbench run` asks a clock")


def _elementwise(layer: Layer, claimed: Formula) -> Formula | None:
    """The counted work on single numbers; None where nobody knows, or where few counts show that the claim holds it."""
    if _is_steady(layer, claimed):
        return None
    found = count_laws(layer, ["elementwise"])[0].formula
    return Formula(found) if found else None


def _is_steady(layer: Layer, claimed: Formula) -> bool:
    """Whether work on single numbers stays the same share of the claim over the last step of a growing length."""
    lines: dict[tuple[int, ...], dict[int, float]] = {}
    for sizes, count in Counter(layer).growing_counts("elementwise"):
        others = tuple(size for axis, size in sizes.items() if axis != "n")
        try:
            lines.setdefault(others, {})[sizes["n"]] = count / float(claimed.evaluate(sizes))
        except (FormulaError, ZeroDivisionError):  # a claim without a value there, or of nothing
            return False
    longest = max(lines.values(), key=len, default={})
    if len(longest) < 2:
        return False
    *_, before, last = (longest[n] for n in sorted(longest))
    return last <= _STEADY * before


def _without_value(layer: Layer) -> Iterator[Outcome]:
    """Claims that say nothing at the sizes that the layer has by default."""
    try:
        sizes = layer.complete({})
    except LayerError:  # it has no defaults, or none that its constraints allow
        return
    for metric, text in layer.claims.given.items():
        try:
            Formula(text).evaluate(sizes)
        except FormulaError as error:
            yield Outcome(f"claim of {metric}", Mark.FAILED, str(error), "write a formula that has a value there")
