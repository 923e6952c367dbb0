"""Attentions, blocks and models out of transformers, called on their own the way a model calls them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from attnbench.adapters.family import Family
    from attnbench.trial import Sizes

#: Says with each new process that packages of kernels are not installed, which nobody asked for here.
_CHATTY = "transformers.integrations.hub_kernels"


def build(family: Family, scope: str, sizes: Sizes, config: Mapping[str, Any]) -> nn.Module:
    """The module of one part of a family, with random weights.

    Raises:
        ImportError: transformers is not installed.
    """
    made = _configuration(family, sizes, config)
    if scope == "model":
        return _Model(_drawn(family, family.name + family.whole, made))
    body = _drawn(family, family.name + family.body, made)
    return _Part(body.get_submodule(family.parts[scope].path), _tables(family, body, sizes))


def _configuration(family: Family, sizes: Sizes, config: Mapping[str, Any]) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError("transformers is not installed: pip install 'attnbench[transformers]'") from error
    logging.getLogger(_CHATTY).setLevel(logging.ERROR)
    usual = {"attn_implementation": "sdpa"} if family.attends else {}
    kind = getattr(transformers, f"{family.name}Config")
    return kind(**{"use_cache": False, **usual, **family.configuration(sizes), **config})


def _drawn(family: Family, name: str, config: Any) -> nn.Module:
    """A model of class `name` with the weights that torch's modules draw, or its own where those do not draw all."""
    module = family.name.lower()
    kind = getattr(import_module(f"transformers.models.{module}.modeling_{module}"), name)
    if not family.draws:
        # A truncated normal is drawn until every value fits, and fake tensors have no values.
        kind = type(name, (kind,), {"_init_weights": _leave_as_drawn, "__module__": kind.__module__})
    model = kind(config)
    if not isinstance(model, nn.Module):
        raise TypeError(f"transformers: {name} is no torch module")
    return model


def _leave_as_drawn(model: nn.Module, module: nn.Module) -> None:
    """Initialise nothing anew."""


def _tables(family: Family, body: Any, sizes: Sizes) -> dict[str, Tensor]:
    """What a model of this family makes once for all of its blocks, for n positions and one to follow."""
    n, tables = sizes["n"], {}
    with torch.no_grad():
        if "rotary" in family.needs:
            tables["cos"], tables["sin"] = body.rotary_emb(torch.empty(0), torch.arange(n + 1)[None])
        if "window" in family.needs:
            tables["mask"] = torch.ones(n, n, dtype=torch.bool).tril().triu(-sizes["w"])[None, None]
        if "bias" in family.needs:
            tables["bias"] = body.encoder.block[0].layer[0].SelfAttention.compute_bias(n, n)
    return tables


class _Model(nn.Module):
    """A whole model, called for what it says of each position."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Tokens ``(b, n)`` → scores of tokens ``(b, n, v)``; images and sounds → states ``(b, n, d)``."""
        returned = self.model(*inputs, **named)
        scores: Tensor = returned["logits" if "logits" in returned else "last_hidden_state"]
        return scores


class _Part(nn.Module):
    """A block or an attention, with the tables that its model would hand to it."""

    cos: Tensor
    sin: Tensor
    mask: Tensor
    bias: Tensor

    def __init__(self, part: nn.Module, tables: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.part = part
        #: Some parts cannot be called without a word about masks.
        self.unmasked = dict.fromkeys({"attention_mask"} & set(signature(part.forward).parameters))
        self.tables = tuple(tables)
        for name, table in tables.items():
            self.register_buffer(name, table)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return self._call(x, 0)

    def prefill(self, context: Tensor) -> tuple[Tensor, ...]:
        """Keys and values ``(b, g, n, d/h)`` of a ``(b, n, d)`` context."""
        cache = _Cache()
        self._call(context, 0, cache=cache)
        return cache.pair

    def step(self, token: Tensor, pair: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The output ``(b, 1, d)`` of the position after a context, and all keys and values then."""
        cache = _Cache(pair)
        return self._call(token, pair[0].shape[2], cache=cache), cache.pair

    def _call(self, x: Tensor, start: int, **more: Any) -> Tensor:
        x = x.contiguous()  # GPT-2 takes no part of a longer sequence
        first: Tensor = tree_leaves(self.part(x, **self._handed(start, start + x.shape[1]), **more))[0]
        return first

    def _handed(self, start: int, stop: int) -> dict[str, Any]:
        """What a model hands to its blocks for the positions from `start` to `stop`."""
        handed: dict[str, Any] = dict(self.unmasked)
        if "cos" in self.tables:
            handed["position_embeddings"] = (self.cos[:, start:stop], self.sin[:, start:stop])
        if "mask" in self.tables:
            handed["attention_mask"] = self.mask[:, :, start:stop, :stop]
        if "bias" in self.tables:
            handed["position_bias"] = self.bias[:, :, start:stop, :stop]
        return handed


class _Cache:
    """Keys and values of one attention, ``(b, g, n, d/h)`` each; what grows is a copy, and what was given stays."""

    def __init__(self, pair: tuple[Tensor, ...] = ()) -> None:
        self.pair = pair

    def update(self, *new: Any, **_: Any) -> tuple[Tensor, ...]:
        """What transformers asks of a cache: to add keys and values, and to return all of them."""
        pair = new[:2]
        self.pair = tuple(torch.cat(both, 2) for both in zip(self.pair, pair, strict=True)) if self.pair else pair
        return self.pair
