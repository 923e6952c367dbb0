"""Which layers there are: built in, installed beside us, or handed over on the command line.

A built-in layer is known by name without importing it, so that listing needs no torch. An adapter, which makes layers
of another library's modules, is imported when one of its names is asked for. A plugin is a module that
exposes ``LAYER`` or ``LAYERS``; it is found by entry point (group ``attnbench.layers``), by file or by module name,
and validated when it is registered. A factory without a ``LAYER`` is asked for as ``path.py:build``.
"""

from __future__ import annotations

import ast
import importlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnbench.errors import LayerError, PluginError, near_miss
from attnbench.layers.base import MAX_NAME_LENGTH, Layer
from attnbench.layers.loading import defined_in, import_module, is_reference, load

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from importlib.metadata import EntryPoint
    from types import ModuleType

ENTRY_POINT_GROUP = "attnbench.layers"

#: Built-in layer → module within `attnbench.layers`.
BUILT_IN = {
    "attention-core": "attention.core",
    "attention-core-fused": "attention.core_fused",
    "multi-head-attention": "attention.multi_head",
    "multi-head-attention-materialised": "attention.multi_head_materialised",
    "attention-restricted": "attention.restricted",
    "attention-additive": "attention.additive",
    "attention-dot-query": "attention.dot_query",
    "attention-cosine-query": "attention.cosine_query",
    "multi-head-attention-wide": "attention.multi_head_wide",
    "multi-head-attention-d2l": "attention.multi_head_d2l",
    "multi-head-attention-list-of-heads": "attention.multi_head_list",
    "multi-head-attention-causal": "attention.multi_head_causal",
    "attention-grouped-query": "attention.grouped_query",
    "attention-multi-query": "attention.multi_query",
    "attention-luong-dot": "attention.luong_dot",
    "attention-luong-general": "attention.luong_general",
    "attention-luong-concat": "attention.luong_concat",
    "attention-cosine": "attention.cosine",
    "attention-axial": "attention.axial",
    "attention-strided": "attention.strided",
    "attention-logarithmic": "attention.logarithmic",
    "attention-dilated": "attention.dilated",
    "attention-bahdanau": "attention.bahdanau",
    "attention-block-diagonal": "attention.block_diagonal",
    "flex-attention-causal": "flex.causal",
    "flex-attention-sliding-window": "flex.sliding_window",
    "flex-attention-documents": "flex.documents",
    "position-sinusoidal": "position.sinusoidal",
    "position-learned": "position.learned",
    "attention-sinusoidal": "position.attention_sinusoidal",
    "attention-learned": "position.attention_learned",
    "attention-rotary": "position.rotary",
    "attention-alibi": "position.alibi",
    "attention-linear": "mixing.linear_attention",
    "attention-linear-causal": "mixing.linear_attention_causal",
    "attention-low-rank": "mixing.low_rank_attention",
    "attention-random-features": "mixing.random_feature_attention",
    "attention-latent": "mixing.latent_attention",
    "attention-synthesizer": "mixing.synthesizer",
    "fourier-mixing": "mixing.fourier",
    "token-mlp": "mixing.token_mlp",
    "gated-mlp": "mixing.gated_mlp",
    "rnn": "recurrent.rnn",
    "rnn-bidirectional": "recurrent.rnn_bidirectional",
    "gru": "recurrent.gru",
    "lstm": "recurrent.lstm",
    "sru": "recurrent.sru",
    "min-gru": "recurrent.min_gru",
    "rg-lru": "recurrent.rg_lru",
    "state-space-diagonal": "recurrent.state_space",
    "mamba-2": "recurrent.mamba2",
    "gated-delta-rule": "recurrent.gated_delta",
    "conv1d": "convolution.conv1d",
    "conv1d-causal": "convolution.conv1d_causal",
    "conv1d-separable": "convolution.conv1d_separable",
    "conv1d-dilated-causal": "convolution.dilated_causal",
    "conv1d-dilated-centred": "convolution.dilated_centred",
    "conv1d-dilated-doubling": "convolution.dilated_doubling",
    "conv1d-depthwise": "convolution.depthwise",
    "conv1d-grouped": "convolution.grouped",
    "conv1d-gated": "convolution.gated",
    "squeeze-excitation": "pooling.squeeze_excitation",
    "squeeze-spatial-channel": "pooling.spatial_channel_squeeze",
    "cbam": "pooling.cbam",
    "kernel-regression": "pooling.kernel_regression",
    "feed-forward": "controls.feed_forward",
    "fully-connected": "controls.fully_connected",
    "identity": "controls.identity",
}

#: What a layer's name begins with → the module that knows it: loaded when it is asked for, and listed as a plugin only.
ADAPTERS = {"transformers-": "attnbench.adapters.transformers"}


class Registry:
    """Layers by name.

    Args:
        plugins: files (``my_layer.py``) or modules (``package.module``) to load at once.
        installed: modules of installed plugins that another process could import, as `installed` names them there:
            no others are looked at, and nothing is attempted before it is imported. None: all, each attempted first.

    Raises:
        PluginError: a plugin cannot be imported, breaks the contract, or takes a name that is taken.
    """

    def __init__(self, plugins: Iterable[str] = (), installed: Collection[str] | None = None) -> None:
        self.plugins = tuple(dict.fromkeys(plugins))
        self._known_good = installed
        self._layers: dict[str, Layer] = {}
        self._origin: dict[str, str] = dict.fromkeys(BUILT_IN, "built in")
        self._summary: dict[str, str] = {}
        self._modules: set[str] = set()
        self._imported: set[str] = set()
        self._loaded: dict[str, ModuleType] = {}
        #: Where layers come from, as `origin` says it → the file of their module.
        self.sources: dict[str, Path] = {}
        #: Installed distribution → what is wrong with its layers; they hide nobody else's.
        self.broken: dict[str, str] = {}
        for plugin in self.plugins:
            self._register(self._load(plugin), origin=plugin)

    @property
    def installed(self) -> tuple[str, ...]:
        """Modules of the installed plugins that were imported so far."""
        return tuple(point.module for point in self._entry_points if point.module in self._imported)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name. Built-in layers are not imported for it; installed plugins are, and `broken` has the failures."""
        self._load_installed()
        return tuple(self._origin)

    @property
    def handed_over(self) -> tuple[str, ...]:
        """Names of the layers of the plugins this registry was made with."""
        return tuple(name for name, origin in self._origin.items() if origin in self.plugins)

    def origin(self, name: str) -> str:
        """Where a layer comes from: ``built in``, a plugin's file or module, or an installed distribution."""
        if name not in self._origin:
            self.get(name)
        return self._origin[name]

    def summary(self, name: str) -> str:
        """First line of the documentation of the layer's module; a built-in layer's file is read, not imported."""
        if name in BUILT_IN:
            path = Path(__file__).parent / (BUILT_IN[name].replace(".", "/") + ".py")
            return _first_line(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
        self.get(name)
        return self._summary[name]

    def get(self, name: str) -> Layer:
        """The layer called `name`, or made of the factory at ``path.py:build`` or ``package.module:Block``.

        Raises:
            LayerError: there is none; the message offers the nearest name.
            PluginError: there is no such file or factory, or its signature does not name axes.
        """
        if name not in self._layers and name in BUILT_IN:
            self._layers[name] = importlib.import_module(f"attnbench.layers.{BUILT_IN[name]}").LAYER
        if name not in self._layers:
            self._load_adapter(name)
        if name not in self._layers and name not in self.names and is_reference(name):
            self._refer(name)
        if name not in self._layers:
            hint = near_miss(name, self.names) or " `attnbench list layers` shows all."
            failed = "".join(f" Not loaded: {message}" for message in self.broken.values())
            raise LayerError(f"unknown layer {name!r}.{hint}{failed}")
        return self._layers[name]

    @cached_property
    def _entry_points(self) -> tuple[EntryPoint, ...]:
        from importlib.metadata import entry_points  # 20 ms that a built-in layer need not pay

        found = entry_points(group=ENTRY_POINT_GROUP)
        return tuple(one for one in found if self._known_good is None or one.module in self._known_good)

    def _load_installed(self) -> None:
        for point in self._entry_points:
            if point.module not in self._modules:
                self._modules.add(point.module)
                origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
                try:
                    self._register(import_module(origin, point.module, attempt=self._known_good is None), origin)
                except PluginError as error:
                    self.broken[origin] = str(error)

    def _load_adapter(self, name: str) -> None:
        """Register what an adapter offers, if `name` begins like one of its names."""
        for beginning, module in ADAPTERS.items():
            if name.startswith(beginning) and module not in self._modules:
                self._register(importlib.import_module(module), origin=module)

    def _refer(self, reference: str) -> None:
        """Enter the factory, or the layer, that a reference leads to, under the reference."""
        plugin, _, name = reference.rpartition(":")
        module = self._load(plugin)
        found = defined_in(module, plugin, name)
        self._layers[reference] = _layer_of(found, plugin, name)
        self._origin[reference] = plugin
        own = "" if isinstance(found, Layer) else _first_line(found.__doc__)
        self._summary[reference] = own or _first_line(module.__doc__)

    def _load(self, plugin: str) -> ModuleType:
        """The module of a plugin, imported once: what it defines is the same whoever asks."""
        if plugin not in self._loaded:
            self._loaded[plugin] = module = load(plugin, attempt=self._known_good is None)
            if module.__file__:
                self.sources[plugin] = Path(module.__file__).resolve()
        return self._loaded[plugin]

    def _register(self, module: ModuleType, origin: str) -> None:
        layers = _exposed(module, origin)
        taken = dict(self._origin)
        for layer in layers:  # all of them first: a plugin is registered as a whole or not at all
            if layer.name in taken:
                raise PluginError(f"plugin {origin}: the name {layer.name!r} is taken ({taken[layer.name]})")
            taken[layer.name] = origin
        for layer in layers:
            self._layers[layer.name] = layer
            self._origin[layer.name] = origin
            self._summary[layer.name] = _first_line(module.__doc__)
        self._modules.add(module.__name__)
        self._imported.add(module.__name__)
        if module.__file__:
            self.sources[origin] = Path(module.__file__).resolve()


def _first_line(documentation: str | None) -> str:
    return (documentation or "").strip().partition("\n")[0]


def _layer_of(found: Any, plugin: str, name: str) -> Layer:
    """What was found, as a layer that is called as it was asked for, or, where that is too long, without folders."""
    if isinstance(found, Layer):
        return found
    asked = f"{plugin}:{name}"
    try:
        return Layer.of(found, name=asked if len(asked) <= MAX_NAME_LENGTH else f"{Path(plugin).name}:{name}")
    except PluginError as error:
        raise PluginError(f"plugin {plugin}, {name!r}: {error}") from None


def _exposed(module: ModuleType, origin: str) -> list[Layer]:
    found = [name for name in ("LAYER", "LAYERS") if hasattr(module, name)]
    if len(found) != 1:
        what = "both LAYER and LAYERS; keep one" if found else "neither LAYER nor LAYERS"
        raise PluginError(f"plugin {origin}: it exposes {what}")
    layers = [module.LAYER] if found == ["LAYER"] else module.LAYERS
    if not isinstance(layers, list | tuple) or not layers:
        raise PluginError(f"plugin {origin}: LAYERS must be a list of layers, not {layers!r}")
    for layer in layers:
        if not isinstance(layer, Layer):
            raise PluginError(f"plugin {origin}: {found[0]} must hold an attnbench.Layer, not {type(layer).__name__}")
    return list(layers)
