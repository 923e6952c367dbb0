"""The contract: every check by its name, in the order in which a layer has to pass them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from attnbench.check import behaviour
from attnbench.check.claims import claims
from attnbench.check.gradients import gradients
from attnbench.check.outcome import Answer, Mark, Outcome
from attnbench.errors import AttnbenchError, words_of
from attnbench.layers.base import Layer

#: Name → a look at one promise, and what to do when it cannot even be looked at.
_BEHAVIOUR: dict[str, tuple[Callable[[Layer], Answer], str]] = {
    "builds and runs": (behaviour.builds, "mend build(), or say in constraints= which sizes the layer needs"),
    "shape": (behaviour.shape, "return one tensor of the shape of the input"),
    "dtype": (behaviour.dtype, "make new tensors like the input: x.new_zeros(…), or dtype=x.dtype and device=x.device"),
    "finite": (behaviour.finite, "mend forward()"),
    "deterministic": (behaviour.deterministic, "mend forward()"),
    "batch": (behaviour.batch, "let forward() take a single sequence, too"),
    "causality": (behaviour.causality, "mend forward()"),
    "gradients": (gradients, 'mend forward(), or say modes=("forward",)'),
    "decode": (behaviour.decode, "mend prefill() and step(), or leave decode out of modes"),
    "fake tensors": (
        behaviour.fake_tensors,
        "let shapes and branches depend on sizes and not on numbers, without .item(), and keep to torch's operations",
    ),
    "travels": (behaviour.travels, "let the module define the same layer each time"),
}
CLAIMS = "claims"
#: Without the first two, all others would say the same once more; numbers that change by themselves cannot be compared.
_FIRST = {"builds and runs", "shape"}
_STEADY = {"finite", "deterministic"}
_COMPARED = {"batch", "causality", "gradients", "decode"}
_MODE_OF = {"gradients": "train", "decode": "decode"}


def checks_of(layer: Layer) -> tuple[str, ...]:
    """Names of the checks that apply to a layer, in order."""
    modes = {name: _MODE_OF.get(name, "forward") for name in _BEHAVIOUR}
    applied = tuple(name for name, mode in modes.items() if mode == "forward" or mode in layer.modes)
    return (*applied, CLAIMS) if layer.claims.given else applied


def look(layer: Layer, check: str) -> list[Outcome]:
    """What one check finds: one row, or one for each claim. Never raises an error of the layer's."""
    try:
        if check == CLAIMS:
            return list(claims(layer))
        with torch.no_grad():
            return [Outcome(check, *_BEHAVIOUR[check][0](layer))]
    except Exception as error:
        said = words_of(error)[:300]
        found = said if isinstance(error, AttnbenchError) else f"{type(error).__name__}: {said}"
        fix = _BEHAVIOUR[check][1] if check in _BEHAVIOUR else f"see what `attnbench count {layer.name}` says"
        return [Outcome(check, Mark.FAILED, found, fix)]


def is_due(check: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether a check can say anything new after these outcomes."""
    failed = {outcome.check for outcome in outcomes if outcome.mark is Mark.FAILED}
    return not (failed & _FIRST or (check in _COMPARED and failed & _STEADY))


def check_layer(layer: Layer) -> list[Outcome]:
    """Every check of one layer, in this process."""
    outcomes: list[Outcome] = []
    for check in checks_of(layer):
        if is_due(check, outcomes):
            outcomes += look(layer, check)
    return outcomes
