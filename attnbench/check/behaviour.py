"""What a layer does with small real tensors, and whether that is what the contract says."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from attnbench.check.case import Case, points
from attnbench.check.outcome import Answer, failed, hint, passed
from attnbench.counting.flex import flex_attention_as, written_out
from attnbench.counting.paths.hops import leave_no_zero_weight
from attnbench.counting.trace import trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.trial import Sizes, describe

#: Divisors that a layer may want of a size without saying so.
_DIVISORS = (2, 3, 4, 8, 16, 32, 64, 128, 256)
#: A change of the input that changes an output by less than this share of its size is rounding.
_ROUNDING = 1e-9
#: Positions that are named in a sentence; of more, the first.
_NAMED = 4


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
    own = layer.inputs is not None
    return passed(f"{tuple(output.shape)}, from inputs of its own" if own else "(b, n, d), for several sequences too")


def dtype(layer: Layer) -> Answer:
    """Whether the output has the dtype of the input."""
    for name in ("float32", "float64"):
        found = str(Case.of(layer, points(layer)[0], name).output().dtype).removeprefix("torch.")
        if found != name:
            return failed(
                f"an input in {name} comes out in {found}",
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
    if torch.equal(case.output(), case.output()):
        return passed("the same input gives the same output")
    return failed(
        "the same input gives two outputs",
        "draw random numbers once, in build(), and keep them with register_buffer(); modules run in evaluation mode",
    )


def batch(layer: Layer) -> Answer:
    """Whether each sequence of a batch gives what it gives alone."""
    for sizes in points(layer):
        if layer.broken_constraint(sizes | {"b": 1}):
            continue
        case = Case.of(layer, sizes)
        together = case.output()
        for index in range(sizes["b"]):
            alone = case.output(case.item(index))
            if alone.shape[1:] != together.shape[1:] or _differ(together[index : index + 1], alone):
                return failed(
                    f"sequence {index + 1} of {sizes['b']} gives other numbers alone than in a batch",
                    "mix along positions or features, never along the first dimension; check reshape() and view()",
                )
    return passed("each sequence gives what it gives alone")


def causality(layer: Layer) -> Answer:
    """Whether outputs depend on inputs to their right, beside what the layer says."""
    sizes = points(layer)[-1]
    case = Case.of(layer, sizes)
    if layer.inputs is not None and sizes["n"] not in case.output().shape:
        return passed("its output has no positions that could come before others")
    felt = _felt(case)
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


def _felt(case: Case) -> Tensor:
    """``[output, input]``: whether another input at one position changes an output."""
    usual = case.by_position(case.output())
    scale = usual.abs().max()
    columns = [
        (case.by_position(case.output(case.changed_at(position))) - usual).abs().amax(dim=1) > _ROUNDING * scale
        for position in range(case.sizes["n"])
    ]
    return torch.stack(columns, dim=1)


def gradients(layer: Layer) -> Answer:
    """Whether a gradient reaches every input position."""
    sizes = points(layer)[-1]
    reached = torch.zeros(sizes["n"], dtype=torch.bool)
    for seed in (1, 2):  # a rectifier that is closed in one draw is open in another
        case = Case.of(layer, sizes, seed=seed)
        leave_no_zero_weight(case.module)
        found = _gradient(case)
        if found is None:
            return failed(
                "no gradient flows back through it",
                'leave detach(), .data and no_grad() out of forward(), or say modes=("forward",)',
            )
        if not bool(found.isfinite().all()):
            return failed("gradients are not finite", "look for a square root, a norm or a logarithm of 0")
        reached |= found > 0
    if not bool(reached.any()):
        return failed(
            "every gradient of the input is 0", "let the output depend on the input, and not by rounding only"
        )
    if left_out := (~reached).nonzero().flatten().tolist():
        named = ", ".join(map(str, left_out[:_NAMED])) + (", …" if len(left_out) > _NAMED else "")
        return hint(
            f"no gradient reaches {len(left_out)} of {sizes['n']} input positions ({named})",
            "nothing to mend if the layer means to leave them out; otherwise look at strides, windows and masks",
        )
    return passed("they reach every input position")


def _gradient(case: Case) -> Tensor | None:
    """Size of the gradient at each input position; None where there is none."""
    with torch.enable_grad(), flex_attention_as(written_out):  # which has no compiled backward on a CPU
        leaves = [leaf.requires_grad_() for leaf, _ in case.real_leaves]
        output = case.output()
        if not output.requires_grad:
            return None
        found = torch.autograd.grad(output.square().sum(), leaves, allow_unused=True)
    sizes = [
        gradient.abs().movedim(at, 0).reshape(case.sizes["n"], -1).sum(dim=1)
        for gradient, (_, at) in zip(found, case.real_leaves, strict=True)
        if gradient is not None
    ]
    return torch.stack(sizes).sum(dim=0) if sizes else torch.zeros(case.sizes["n"])


def decode(layer: Layer) -> Answer:
    """Whether decoding position by position gives what the whole sequence gives."""
    case = Case.of(layer, points(layer)[0])
    (x,) = tree_leaves(case.inputs)
    prefill, step = (getattr(case.module, name, None) for name in ("prefill", "step"))
    if not (callable(prefill) and callable(step)):
        return failed(
            "it offers decode, but its module has no prefill(context) and step(token, state)",
            'write both (see docs/add-a-layer.md), or leave "decode" out of modes',
        )
    for known in (1, x.shape[1] - 1):
        state = prefill(x[:, :known])
        for position in range(known, x.shape[1]):
            given, before = state, [leaf.clone() for leaf in _tensors(state)]
            output, state = step(x[:, position : position + 1], given)
            if not all(map(torch.equal, before, _tensors(given))):
                return failed("step() changes the state it is given", "return a new one: one step is timed many times")
            if layer.broken_constraint(case.sizes | {"n": position + 1}):
                continue
            if _differ(output, case.output((x[:, : position + 1],))[:, -1:]):
                return failed(
                    f"after {position} positions a step gives other numbers than forward() over all {position + 1}",
                    "keep in the state whatever the next output depends on, the number of positions included",
                )
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


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
