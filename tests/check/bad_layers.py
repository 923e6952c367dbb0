"""For every check a layer that fails it and nothing before it, as a plugin beside a decent one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from attnbench.layers.base import Claims, Layer


class Does(nn.Module):
    """Calls a function."""

    def __init__(self, what: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self._what = what

    def forward(self, x: Tensor) -> Any:
        """What the function makes of `x`."""
        return self._what(x)


class Sums(nn.Module):
    """A running sum, that decodes as a test tells it to."""

    def __init__(self, forgets: bool, in_place: bool) -> None:
        super().__init__()
        self._forgets, self._in_place = forgets, in_place

    def forward(self, x: Tensor) -> Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return x.cumsum(dim=1)

    def prefill(self, context: Tensor) -> Tensor:
        """The sum so far."""
        return context[:, -1:] if self._forgets else context.sum(dim=1, keepdim=True)

    def step(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One position more."""
        state = state.add_(token) if self._in_place else state + token
        return state, state


class Halves(nn.Module):
    """Needs pairs of positions."""

    def forward(self, x: Tensor) -> Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return x.unflatten(1, (-1, 2)).flatten(1, 2)


def linear(d: int) -> nn.Module:
    """A layer as it should be."""
    return nn.Linear(d, d, bias=False)


def sums_anew(d: int) -> nn.Module:
    """A product that is linear in n, of sums over all that came before, each begun anew: n² numbers are added."""
    return Does(lambda x: (x[:, None] * x.new_ones(x.shape[1], x.shape[1]).tril()[None, :, :, None]).sum(dim=2))


def needs_eight(d: int) -> nn.Module:
    """Eight heads share the width."""
    return nn.MultiheadAttention(d, 8)


def layer(name: str, what: Callable[[Tensor], Any], **more: Any) -> Layer:
    """A layer whose call is `what`."""
    return Layer(name, lambda d: Does(what), **more)


def decoding(name: str, module: Callable[[], nn.Module]) -> Layer:
    """A causal layer that offers to decode."""
    return Layer(name, lambda d: module(), modes=("forward", "train", "decode"), causal=True)


def claiming(name: str, **claims: str) -> Layer:
    """A decent layer that claims what a test tells it to."""
    return Layer(name, linear, claims=Claims(**claims))


#: Layer → the check that it fails, how what was found begins, and how what to do begins.
BAD: dict[str, tuple[Layer, str, str, str]] = {
    bad.name: (bad, check, found, fix)
    for bad, check, found, fix in [
        (
            layer("raises", lambda x: x.no_such_method()),
            "builds and runs",
            "layer 'raises' at b=3, n=15, d=8 raised AttributeError in float32: 'Tensor' object has no attribute",
            "mend build() or forward(), or say in constraints= which sizes the layer needs",
        ),
        (
            Layer("needs-pairs", lambda d: Halves()),
            "builds and runs",
            "layer 'needs-pairs' at b=3, n=15, d=8 raised",
            'it works where 2 divides n: say constraints="n % 2 == 0"',
        ),
        (
            Layer("impossible", linear, constraints="n > 2 * n"),
            "builds and runs",
            "layer 'impossible': its constraints leave none of the small sizes that are checked",
            "mend build(), or say in constraints= which sizes the layer needs",
        ),
        (
            layer("too-short", lambda x: x[:, :1]),
            "shape",
            "layer 'too-short' must return shape (b, n, d) = (3, 15, 8), not (3, 1, 8), at b=3, n=15, d=8",
            "return one tensor of the shape of the input",
        ),
        (
            layer("no-tensor", lambda x: [1]),
            "builds and runs",
            "layer 'no-tensor' must return one tensor, not list",
            "mend build() or forward(), or say in constraints= which sizes the layer needs",
        ),
        (
            layer("widens", lambda x: x.double()),
            "dtype",
            "an input in float32 comes out in float64",
            "make new tensors like the input: x.new_zeros(…)",
        ),
        (
            layer("divides-by-zero", lambda x: x / x.sub(x)),
            "finite",
            "360 of 360 numbers are not finite at b=3, n=15, d=8",
            "look for a division by 0",
        ),
        (
            layer("draws", lambda x: x + torch.randn_like(x)),
            "deterministic",
            "the same input gives two outputs",
            "draw random numbers once, in build()",
        ),
        (
            layer("mixes-sequences", lambda x: x - x.mean(dim=0)),
            "batch",
            "sequence 1 of 3 gives other numbers alone than in a batch",
            "mix along positions or features",
        ),
        (
            layer("looks-ahead", lambda x: x + x.roll(-1, 1), causal=True),
            "causality",
            "it says causal, but output 0 depends on input 1 at b=2, n=45, d=9",
            "mask what comes later",
        ),
        (
            layer("detaches", lambda x: x.detach() * 2),
            "gradients",
            "no gradient flows back through it",
            "leave detach(), .data and no_grad() out of forward()",
        ),
        (
            layer("flat", lambda x: x * 0),
            "gradients",
            "every gradient of the input is 0",
            "let the output depend on the input",
        ),
        (
            layer("steep", lambda x: x.sub(x).abs().sqrt() + x),
            "gradients",
            "gradients are not finite",
            "look for a square root",
        ),
        (
            decoding("cannot-decode", lambda: Does(lambda x: x.cumsum(1))),
            "decode",
            "it offers decode, but its module has no prefill(context) and step(token, state)",
            "write both",
        ),
        (
            decoding("forgets", lambda: Sums(forgets=True, in_place=False)),
            "decode",
            "after 14 positions a step gives other numbers than forward() over all 15",
            "keep in the state whatever the next output depends on",
        ),
        (
            decoding("in-place", lambda: Sums(forgets=False, in_place=True)),
            "decode",
            "step() changes the state it is given",
            "return a new one",
        ),
        (
            layer("decides", lambda x: x if x.isfinite().all() else -x, modes=("forward",)),
            "fake tensors",
            "layer 'decides' at b=3, n=15, d=8 depends on the values of its input",
            "let shapes and branches depend on sizes and not on numbers",
        ),
        (
            claiming("too-much-work", flops="3*b*n*d**2"),
            "claim of flops",
            "claimed 3bnd², counted 2bnd²",
            'claim flops="2*b*n*d**2", or change the layer',
        ),
        (
            claiming("too-few-weights", parameters="d"),
            "claim of parameters",
            "claimed d, counted d²",
            'claim parameters="d**2", or change the layer',
        ),
        (
            claiming("too-little-kept", saved_bytes="b*n*d"),
            "claim of saved_bytes",
            "claimed bnd, counted 4bnd",
            'claim saved_bytes="4*b*n*d", or change the layer',
        ),
        (
            claiming("too-little-memory", peak_bytes="b*n*d"),
            "claim of peak_bytes",
            "claimed bnd, counted 4bnd",
            'claim peak_bytes="4*b*n*d", or change the layer',
        ),
        (
            claiming("too-deep", depth="n"),
            "claim of depth",
            "claimed n, counted 1",
            'claim depth="1", or change the layer',
        ),
        (
            claiming("too-near", hops="n"),
            "claim of hops",
            "claimed n, counted ∞",
            'claim hops="inf", or change the layer',
        ),
        (
            claiming("too-fast", time="n*d"),
            "claim of time",
            "claimed nd, and the work is 2bnd², which outgrows the claim",
            'claim time="b*n*d**2", or change the layer',
        ),
        (
            Layer("sums-anew", sums_anew, claims=Claims(time="n*d**2")),
            "claim of time",
            "claimed nd², but the work on single numbers is ",
            "claim what grows with it, or leave out the mask",
        ),
        (
            claiming("nothing", time="0"),
            "claim of time",
            "claimed 0, and the work is 2bnd², which outgrows the claim",
            'claim time="b*n*d**2", or change the layer',
        ),
        (
            claiming("nowhere", memory="n*d**2/log2(b)"),
            "claim of memory",
            "'n*d**2/log2(b)' has no value at",
            "write a formula that has a value there",
        ),
    ]
}

#: Layer → the check that has a hint for it, and how that begins.
HINTED: dict[str, tuple[Layer, str, str]] = {
    hinted.name: (hinted, check, found)
    for hinted, check, found in [
        (layer("modest", lambda x: x.cumsum(dim=1)), "causality", "no output depends on what comes after it"),
        (
            layer("skips", lambda x: x[:, ::2].repeat_interleave(2, 1)[:, : x.shape[1]]),
            "gradients",
            "no gradient reaches 22 of 45 input positions (1, 3, 5, 7, …)",
        ),
        (layer("solves", lambda x: x @ torch.linalg.inv(x.mT @ x)), "fake tensors", "it can be counted, but nobody"),
        (Layer("a-lambda", lambda d: linear(d)), "travels", "measuring processes find it by name, but it cannot be"),
        (claiming("slow", time="n**2*d**2"), "claim of time", "claimed n²d², and the work is 2bnd², which does not"),
    ]
}

LAYERS = [Layer("decent", linear, claims=Claims(flops="2*b*n*d**2", parameters="d**2", time="n*d**2", hops="inf"))]
LAYERS += [bad for bad, *_ in (*BAD.values(), *HINTED.values())]
