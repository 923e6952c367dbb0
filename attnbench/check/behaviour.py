"""What a layer does with small real tensors, and whether that is what the contract says."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from attnbench.check.case import Case, points
from attnbench.check.draws import part_of
from attnbench.check.outcome import Answer, failed, hint, passed, unseen
from attnbench.counting.trace import trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import output_of, tensors_in
from attnbench.trial import Sizes, describe

#: Divisors that a layer may want of a size without saying so.
_DIVISORS = (2, 3, 4, 8, 16, 32, 64, 128, 256)
#: A change of the input that changes an output by less than this share of its size is rounding.
_ROUNDING = 1e-9


def builds(layer: Layer) -> Answer:
    """Whether the layer can be built and called, at sizes that are odd wherever its constraints allow it."""
    tried = points(layer)
    for sizes in tried:
        if refusal := _refusal(layer, sizes):
            return failed(refusal, _what_helps(layer, sizes))
    return passed(" and ".join(f"at {describe(sizes)}" for sizes in tried))


def _refusal(layer: Layer, sizes: Sizes) -> str:
    """Why the layer cannot be built and called at `sizes`; empty when it can."""
    try:
        Case.of(layer, sizes, "float32").output()
    except LayerError as error:
        return str(error)
    return ""


def _what_helps(layer: Layer, sizes: Sizes) -> str:
    """A constraint under which the call succeeds, where one is found."""
    for axis, divisor in itertools.product(("n", "d"), _DIVISORS):
        multiples = (sizes | {axis: factor * divisor} for factor in range(1, 16))
        tried = list(itertools.islice((other for other in multiples if not layer.broken_constraint(other)), 2))
        if sizes[axis] % divisor and len(tried) == 2 and not any(_refusal(layer, other) for other in tried):
            return f'it works where {divisor} divides {axis}: say constraints="{axis} % {divisor} == 0"'
    return "mend build() or forward(), or say in constraints= which sizes the layer needs"


def shape(layer: Layer) -> Answer:
    """Whether ``(b, n, d)`` comes out of ``(b, n, d)``."""
    for sizes in points(layer):
        output = Case.of(layer, sizes, "float32").checked_output()
    if layer.inputs is None and layer.output is None:
        return passed("(b, n, d), for several sequences too")
    return passed(f"{tuple(output.shape)}, {'from inputs of its own' if layer.inputs else 'picked by output='}")


def dtype(layer: Layer) -> Answer:
    """Whether the output has the dtype of the input, or of the weights where the input is tokens."""
    for name in ("float32", "float64"):
        case = Case.of(layer, points(layer)[0], name)
        kind = case.output().dtype
        if not (kind.is_floating_point or kind.is_complex):
            return unseen(f"its output is whole numbers ({kind})", "nothing to mend, or pick its numbers with output=")
        found = str(kind if layer.inputs is None else kind.to_real()).removeprefix("torch.")
        if found != name:
            given = "made" if case.draws.tokens and not case.draws.real else "an input"
            return failed(
                f"{given} in {name} comes out in {found}",
                "make new tensors like the input: x.new_zeros(…), or dtype=x.dtype and device=x.device",
            )
    return passed("float32 and float64 stay what they are")


def finite(layer: Layer) -> Answer:
    """Whether normal random input gives finite numbers."""
    for sizes in points(layer):
        output = Case.of(layer, sizes, "float32").output()
        if bad := int((~output.isfinite()).sum()):
            return failed(
                f"{bad} of {output.numel()} numbers are not finite at {describe(sizes)}",
                "look for a division by 0, a softmax over nothing but -inf, or an overflow on normal random input",
            )
    return passed("on normal random input")


def deterministic(layer: Layer) -> Answer:
    """Whether the same input gives the same output."""
    case = Case.of(layer, points(layer)[0])
    one, other = case.output(), case.output()
    if bool(((one == other) | (one.isnan() & other.isnan())).all()):
        return passed("the same input gives the same output")
    return failed(
        "the same input gives two outputs",
        "draw random numbers once, in build(), and keep them with register_buffer(); modules run in evaluation mode",
    )


def batch(layer: Layer) -> Answer:
    """Whether each sequence of a batch gives what it gives alone."""
    possible = [sizes for sizes in points(layer) if not layer.broken_constraint(sizes | {"b": 1})]
    if not possible:
        return unseen("its constraints do not let one sequence alone", "nothing to mend if it needs several")
    for sizes in possible:
        case = Case.of(layer, sizes)
        together = case.output()
        for index, inputs in enumerate(map(case.draws.item, range(sizes["b"]))):
            if inputs is None:
                return unseen(
                    f"no input has a dimension of b = {sizes['b']}", "name b in inputs= and give each its own"
                )
            alone = case.output(inputs, b=1)
            part = part_of(together, index, alone)
            if part is None:
                return unseen(
                    f"its output {tuple(together.shape)} has no dimension of b = {sizes['b']}",
                    "nothing to mend, or pick with output= what each sequence gives",
                )
            if _differ(part, alone):
                return failed(
                    f"sequence {index + 1} of {sizes['b']} gives other numbers alone than in a batch",
                    "mix along positions or features, never along the first dimension; check reshape() and view()",
                )
    return passed("each sequence gives what it gives alone")


def causality(layer: Layer) -> Answer:
    """Whether outputs depend on inputs to their right, beside what the layer says."""
    sizes = points(layer)[-1]
    case = Case.of(layer, sizes)
    if sizes["n"] not in (shape := tuple(case.output().shape)):
        return unseen(
            f"its output {shape} has no dimension of n = {sizes['n']}",
            "nothing to mend, or pick with output= what each position gives",
        )
    if not case.draws.along:
        return unseen(f"no input has a dimension of n = {sizes['n']}", "nothing to mend, or name n in inputs=")
    felt = _felt(case)
    if felt is None or not bool(felt.any()):
        return unseen(
            "inputs() gives the same each time" if felt is None else "no change of its input changes its output",
            "let inputs() draw at random what has a dimension of n, and the output depend on it",
        )
    return _told(layer, sizes, felt)


def _told(layer: Layer, sizes: Sizes, felt: Tensor) -> Answer:
    ahead = felt.triu(1).nonzero().tolist()
    if layer.causal and ahead:
        output, position = ahead[0]
        return failed(
            f"it says causal, but output {output} depends on input {position} at {describe(sizes)}",
            "mask what comes later, pad on the left only, or leave causal=True out",
        )
    if not layer.causal and not ahead and bool(felt.tril(-1).any()):
        return hint("no output depends on what comes after it", "say causal=True")
    if layer.causal:
        return passed("no output depends on what comes after it, as it says")
    return passed("outputs depend on what comes after them" if ahead else "each output depends on its own input only")


def _felt(case: Case) -> Tensor | None:
    """``[output, input]``: whether another input at one position changes an output; None where nothing was changed."""
    usual = case.by_position(case.output())
    scale, felt = usual.abs().max(), torch.zeros(len(usual), len(usual), dtype=torch.bool)
    others = [case.draws.changed_at(position) for position in range(len(usual))]
    for position, inputs in enumerate(others):
        if inputs is not None:
            change = (case.by_position(case.output(inputs)) - usual).abs().amax(dim=1)
            felt[:, position] = change > _ROUNDING * scale
    return None if all(inputs is None for inputs in others) else felt


def decode(layer: Layer) -> Answer:
    """Whether decoding position by position gives what the whole sequence gives."""
    case = Case.of(layer, points(layer)[0])
    prefill, step = (getattr(case.module, name, None) for name in ("prefill", "step"))
    if not (callable(prefill) and callable(step)):
        return failed(
            "it offers decode, but its module has no prefill(context) and step(token, state)",
            'write both (see docs/add-a-layer.md), or leave "decode" out of modes',
        )
    if len(leaves := tree_leaves(case.inputs)) != 1:
        return failed(
            f"it offers decode, but inputs() gives {len(leaves)} values",
            'decode from one context, (b, n, d) or tokens (b, n), or leave "decode" out of modes',
        )
    return _decoded(case, leaves[0], prefill, step)


def _decoded(case: Case, x: Tensor, prefill: Callable[..., Any], step: Callable[..., Any]) -> Answer:
    compared = 0
    for known in (1, x.shape[1] - 1):
        state = prefill(x[:, :known])
        for position in range(known, x.shape[1]):
            given, before = state, [leaf.clone() for leaf in tensors_in(state)]
            returned, state = step(x[:, position : position + 1], given)
            if not all(map(torch.equal, before, tensors_in(given))):
                return failed("step() changes the state it is given", "return a new one: one step is timed many times")
            if case.layer.broken_constraint(case.sizes | {"n": position + 1}):
                continue
            whole = case.output(case.draws.inputs([x[:, : position + 1]]), n=position + 1)
            if _differ(output_of(case.layer, case.sizes | {"n": 1}, returned), whole[:, -1:]):
                return failed(
                    f"after {position} positions a step gives other numbers than forward() over all {position + 1}",
                    "keep in the state whatever the next output depends on, the number of positions included",
                )
            compared += 1
    if not compared:
        return unseen("its constraints let no shorter sequence be compared", "nothing to mend")
    return passed("a step gives what the whole sequence gives at its end")


def fake_tensors(layer: Layer) -> Answer:
    """Whether the layer can be counted."""
    uncounted: tuple[str, ...] = ()
    for sizes in points(layer):
        uncounted = trace(layer, sizes).uncounted
    if uncounted:
        return hint(
            f"it can be counted, but nobody has a formula for the work of {', '.join(uncounted)}",
            "its FLOPs are a lower bound and are shown as one; write it with other operations to have them counted",
        )
    return passed("it can be counted at any size without data")


def travels(layer: Layer) -> Answer:
    """Whether the layer can be sent to another process by reference."""
    try:
        same = pickle.loads(pickle.dumps(layer)) == layer  # noqa: S301  our own bytes
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return hint(
            f"measuring processes find it by name, but it cannot be pickled: {' '.join(str(error).split())}",
            "define the factory with def at the top of the module, and not as a lambda or within a function",
        )
    if not same:
        return failed(
            "what arrives in another process is another layer", "let the module define the same layer each time"
        )
    return passed("it arrives in another process as it is")


def _differ(one: Tensor, other: Tensor) -> bool:
    scale = max(float(one.abs().max()), float(other.abs().max()))
    return not torch.allclose(one, other, rtol=1e-6, atol=1e-9 * scale)
