"""Which layers there are: built in, installed beside us, or handed over on the command line.

A built-in layer is known by name without importing it, so that listing needs no torch. A plugin is a module that
exposes ``LAYER`` or ``LAYERS``; it is found by entry point (group ``attnbench.layers``), by file or by module name,
and validated when it is registered.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import traceback
import zlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from attnbench.errors import AttnbenchError, LayerError, PluginError, near_miss
from attnbench.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    "rnn": "recurrent.rnn",
    "rnn-bidirectional": "recurrent.rnn_bidirectional",
    "gru": "recurrent.gru",
    "lstm": "recurrent.lstm",
    "sru": "recurrent.sru",
    "min-gru": "recurrent.min_gru",
    "state-space-diagonal": "recurrent.state_space",
    "conv1d": "convolution.conv1d",
    "conv1d-causal": "convolution.conv1d_causal",
    "conv1d-separable": "convolution.conv1d_separable",
    "conv1d-dilated-causal": "convolution.dilated_causal",
    "conv1d-dilated-centred": "convolution.dilated_centred",
    "conv1d-dilated-doubling": "convolution.dilated_doubling",
    "conv1d-depthwise": "convolution.depthwise",
    "conv1d-grouped": "convolution.grouped",
    "conv1d-gated": "convolution.gated",
    "feed-forward": "controls.feed_forward",
    "attention-block-diagonal": "attention.block_diagonal",
    "fully-connected": "controls.fully_connected",
    "identity": "controls.identity",
    "attention-linear": "mixing.linear_attention",
    "attention-linear-causal": "mixing.linear_attention_causal",
    "attention-low-rank": "mixing.low_rank_attention",
    "attention-random-features": "mixing.random_feature_attention",
    "attention-latent": "mixing.latent_attention",
    "attention-synthesizer": "mixing.synthesizer",
    "fourier-mixing": "mixing.fourier",
    "token-mlp": "mixing.token_mlp",
    "gated-mlp": "mixing.gated_mlp",
    "squeeze-excitation": "pooling.squeeze_excitation",
    "squeeze-spatial-channel": "pooling.spatial_channel_squeeze",
    "cbam": "pooling.cbam",
    "kernel-regression": "pooling.kernel_regression",
}


class Registry:
    """Layers by name.

    Args:
        plugins: files (``my_layer.py``) or modules (``package.module``) to load at once.

    Raises:
        PluginError: a plugin cannot be imported, breaks the contract, or takes a name that is taken.
    """

    def __init__(self, plugins: Iterable[str] = ()) -> None:
        self.plugins = tuple(dict.fromkeys(plugins))
        self._layers: dict[str, Layer] = {}
        self._origin: dict[str, str] = dict.fromkeys(BUILT_IN, "built in")
        self._summary: dict[str, str] = {}
        self._modules: set[str] = set()
        #: Where layers come from, as `origin` says it → the file of their module.
        self.sources: dict[str, Path] = {}
        #: Installed distribution → what is wrong with its layers; they hide nobody else's.
        self.broken: dict[str, str] = {}
        for plugin in self.plugins:
            self._register(_load(plugin), origin=plugin)

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
        """The layer called `name`.

        Raises:
            LayerError: there is none; the message offers the nearest name.
        """
        if name not in self._layers and name in BUILT_IN:
            self._layers[name] = importlib.import_module(f"attnbench.layers.{BUILT_IN[name]}").LAYER
        if name not in self._layers and name not in self.names:
            hint = near_miss(name, self.names) or " `attnbench list layers` shows all."
            failed = "".join(f" Not loaded: {message}" for message in self.broken.values())
            raise LayerError(f"unknown layer {name!r}.{hint}{failed}")
        return self._layers[name]

    @cached_property
    def _entry_points(self) -> tuple[EntryPoint, ...]:
        from importlib.metadata import entry_points  # 20 ms that a built-in layer need not pay

        return tuple(entry_points(group=ENTRY_POINT_GROUP))

    def _load_installed(self) -> None:
        for point in self._entry_points:
            if point.module not in self._modules:
                self._modules.add(point.module)
                origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
                try:
                    self._register(_import(origin, point.module), origin)
                except PluginError as error:
                    self.broken[origin] = str(error)

    def _register(self, module: ModuleType, origin: str) -> None:
        for layer in _exposed(module, origin):
            if layer.name in self._origin:
                raise PluginError(f"plugin {origin}: the name {layer.name!r} is taken ({self._origin[layer.name]})")
            self._layers[layer.name] = layer
            self._origin[layer.name] = origin
            self._summary[layer.name] = _first_line(module.__doc__)
        self._modules.add(module.__name__)
        if module.__file__:
            self.sources[origin] = Path(module.__file__).resolve()


def _first_line(documentation: str | None) -> str:
    return (documentation or "").strip().partition("\n")[0]


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


def _load(plugin: str) -> ModuleType:
    if plugin.endswith(".py") or os.sep in plugin:
        if not Path(plugin).is_file():
            raise PluginError(f"plugin {plugin}: there is no such file")
        path = Path(plugin).resolve()
        # The name is the same in every process, so that what the file defines can be pickled.
        return _import(plugin, f"attnbench_plugin_{path.stem}_{zlib.crc32(bytes(path)):08x}", path)
    if os.getcwd() not in sys.path:  # a console script, unlike python -m, does not look in the current folder
        sys.path.insert(0, os.getcwd())
    return _import(plugin, plugin)


def _import(origin: str, name: str, path: Path | None = None) -> ModuleType:
    try:
        return _import_file(name, path) if path else importlib.import_module(name)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        kind = "" if isinstance(error, AttnbenchError) else f"{type(error).__name__}: "
        message = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        raise PluginError(f"plugin {origin}{_line(error, name, path)}: {kind}{message}") from error


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickling and dataclasses look a module up by its name
    spec.loader.exec_module(module)
    return module


def _line(error: BaseException, name: str, path: Path | None) -> str:
    """``, line 7``: the plugin's own line that led to `error`, after the file's name where it is not the plugin's."""
    package = name.partition(".")[0]
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    if isinstance(error, SyntaxError) and error.lineno and Path(error.filename or "").is_file():
        lines.append((str(error.filename), error.lineno))
    if not lines:
        return ""
    file, line = lines[-1]
    return f", line {line}" if Path(file) == path else f", {Path(file).name}, line {line}"
