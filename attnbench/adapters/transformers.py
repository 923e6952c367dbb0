"""A part of a model of transformers, with random weights.

    layer("llama", "block")        a `Layer` over b, n, d, h, g and f
    layer("llama", "model")        tokens (b, n) → logits (b, n, v), of l blocks

Every one of them is in `LAYERS`, and known by its name (``transformers-llama-block``) without naming a plugin. What
is measured, and what is not:

- Attention is torch's fused one (``sdpa``), nothing is cached, nothing dropped.
- What a model computes once for all of its blocks (rotary tables, masks, T5's bias of positions) is made while a
  block or an attention is built; a model makes it in each call.
- A sliding window (`w`: each position sees itself and the w before it) is a mask, and masked scores are computed.
- Mixtral multiplies each token with weights gathered for it (``batched_mm``), as this is the way whose work does not
  depend on what the router says; its products are those of any other way, its memory is not.
- Mamba, Mamba-2 and RWKV take transformers' own torch code, which needs no further package.

Nothing is ever downloaded. Describing a layer imports neither transformers nor torch; building one does.
"""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from attnbench.adapters.families import FAMILIES
from attnbench.adapters.family import Family, Part
from attnbench.errors import LayerError, near_miss
from attnbench.formula import Constraint
from attnbench.layers.base import Claims, Layer, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

#: Scope of an adapter → scope of its layer.
_SCOPES: dict[str, Scope] = {"attention": "layer", "mixer": "layer", "block": "block", "model": "block"}


def layer(family: str, scope: str = "block", name: str = "", **config: Any) -> Layer:
    """A part of a family of models as a `Layer`.

    Args:
        family: of `FAMILIES`, such as ``llama``.
        scope: ``attention`` (``mixer`` where there is none), ``block`` or ``model``.
        name: what users type; by default ``transformers-llama-block``.
        config: further arguments of the family's configuration; with any, the layer claims nothing.

    Raises:
        LayerError: there is no such family, or it has no such part.
    """
    known = _family(family)
    if scope not in known.parts:
        raise LayerError(f"{family} has no {scope!r} in transformers; it has {', '.join(known.parts)}")
    part = known.parts[scope]
    return Layer(
        name=name or f"transformers-{family}-{scope}",
        build=_builder(known, scope, config),
        scope=_SCOPES[scope],
        claims=Claims() if config else Claims(flops=part.flops, parameters=part.parameters, hops=part.hops),
        source=known.source,
        inputs=_INPUTS[known.takes] if scope == "model" else None,
        constraints=_constraints(known, part),
        modes=("forward", "train", "decode") if part.decodes else ("forward", "train"),
        causal=known.causal,
        sizes={axis: sizes for axis, sizes in known.sizes.items() if axis in ("b", "n", "d", *part.axes)},
    )


def _family(name: str) -> Family:
    if name not in FAMILIES:
        hint = near_miss(name, FAMILIES) or f" Known: {', '.join(FAMILIES)}."
        raise LayerError(f"no family {name!r} of transformers.{hint}")
    return FAMILIES[name]


def _constraints(family: Family, part: Part) -> tuple[str, ...]:
    """Those of the family that speak of axes which the part has."""
    axes = {"n", "d", *part.axes}
    return tuple(text for text in family.constraints if Constraint(text).axes <= axes)


def _builder(family: Family, scope: str, config: dict[str, Any]) -> Callable[..., nn.Module]:
    def build(**sizes: int) -> nn.Module:
        from attnbench.adapters import parts  # torch comes with it

        return parts.build(family, scope, sizes, config)

    build.__signature__ = _signature(family, family.parts[scope])  # type: ignore[attr-defined]
    return build


def _signature(family: Family, part: Part) -> Signature:
    """What a function would have that names the axes of a part one by one."""
    axes: Iterable[tuple[str, Any]] = [
        ("n", Parameter.empty),
        ("d", Parameter.empty),
        *((axis, family.default(axis)) for axis in part.axes),
    ]
    return Signature([Parameter(axis, Parameter.KEYWORD_ONLY, default=default) for axis, default in axes])


def _tokens(b: int, n: int, v: int) -> Tensor:
    """One ``(b, n)`` tensor of tokens."""
    import torch

    return torch.randint(v, (b, n))


def _two_sides(b: int, n: int, m: int, v: int) -> dict[str, Tensor]:
    """``(b, n)`` tokens for the encoder and ``(b, m)`` for the decoder."""
    import torch

    return {"input_ids": torch.randint(v, (b, n)), "decoder_input_ids": torch.randint(v, (b, m))}


def _image(b: int, n: int) -> Tensor:
    """A ``(b, 3, 16, 16 n)`` image: a row of n patches of 16 × 16."""
    import torch

    return torch.randn(b, 3, 16, 16 * n)


def _sound(b: int, n: int) -> Tensor:
    """A ``(b, 80, 2 n)`` spectrogram of 80 bands, of which the encoder keeps every second frame."""
    import torch

    return torch.randn(b, 80, 2 * n)


_INPUTS: dict[str, Callable[..., Any]] = {
    "tokens": _tokens,
    "tokens for both sides": _two_sides,
    "an image": _image,
    "sound": _sound,
}

#: Every part of every family.
LAYERS = [layer(name, scope) for name, family in FAMILIES.items() for scope in family.parts]
