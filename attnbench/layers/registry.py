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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from attnbench.errors import AttnbenchError, LayerError, PluginError, near_miss
from attnbench.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.metadata import EntryPoint
    from types import ModuleType

ENTRY_POINT_GROUP = "attnbench.layers"

#: Built-in layer → module within `attnbench.layers`.
BUILT_IN = {
    "attention-core": "attention.core",
    "attention-core-fused": "attention.core_fused",
    "multi-head-attention": "attention.multi_head",
    "rnn": "recurrent.rnn",
    "gru": "recurrent.gru",
    "lstm": "recurrent.lstm",
    "conv1d": "convolution.conv1d",
    "conv1d-separable": "convolution.conv1d_separable",
    "feed-forward": "controls.feed_forward",
}


class Registry:
    """Layers by name.

    Args:
        plugins: files (``my_layer.py``) or modules (``package.module``) to load at once.

    Raises:
        PluginError: a plugin cannot be imported, breaks the contract, or takes a name that is taken.
    """

    def __init__(self, plugins: Iterable[str] = ()) -> None:
        self.plugins = tuple(plugins)
        self._layers: dict[str, Layer] = {}
        self._origin: dict[str, str] = dict.fromkeys(BUILT_IN, "built in")
        for plugin in self.plugins:
            self._register(_load(plugin), origin=plugin)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is known without importing installed plugins."""
        return tuple(dict.fromkeys((*self._origin, *(point.name for point in self._entry_points))))

    def origin(self, name: str) -> str:
        """Where a layer comes from: ``built in``, a plugin's file or module, or an installed distribution."""
        if name in self._origin:
            return self._origin[name]
        return next((_distribution(point) for point in self._entry_points if point.name == name), "unknown")

    def summary(self, name: str) -> str:
        """First line of the layer's documentation; a built-in layer's file is read, not imported."""
        if name in self._layers:
            documentation = sys.modules[self._layers[name].build.__module__].__doc__ or ""
        elif name in BUILT_IN:
            path = Path(__file__).parent / (BUILT_IN[name].replace(".", "/") + ".py")
            documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        else:
            documentation = ""
        return documentation.strip().partition("\n")[0]

    def get(self, name: str) -> Layer:
        """The layer called `name`.

        Raises:
            LayerError: there is none; the message offers the nearest name.
            PluginError: an installed plugin had to be imported and is broken.
        """
        if name not in self._layers and name in BUILT_IN:
            self._layers[name] = importlib.import_module(f"attnbench.layers.{BUILT_IN[name]}").LAYER
        if name not in self._layers:
            self._import_entry_points()
        if name not in self._layers:
            hint = near_miss(name, self.names) or " `attnbench list layers` shows all."
            raise LayerError(f"unknown layer {name!r}.{hint}")
        return self._layers[name]

    @cached_property
    def _entry_points(self) -> tuple[EntryPoint, ...]:
        from importlib.metadata import entry_points  # 20 ms that a built-in layer need not pay

        return tuple(entry_points(group=ENTRY_POINT_GROUP))

    def _import_entry_points(self) -> None:
        for point in self._entry_points:
            origin = _distribution(point)
            if origin in self._origin.values():
                continue
            module = _import(origin, lambda point=point: importlib.import_module(point.module))  # type: ignore[misc]
            self._register(module, origin)

    def _register(self, module: ModuleType, origin: str) -> None:
        exposed = getattr(module, "LAYERS", None)
        layers = [module.LAYER] if hasattr(module, "LAYER") else list(exposed or ())
        if not layers:
            raise PluginError(f"plugin {origin}: it exposes neither LAYER nor LAYERS")
        for layer in layers:
            if not isinstance(layer, Layer):
                raise PluginError(f"plugin {origin}: LAYER must be an attnbench.Layer, not {type(layer).__name__}")
            if layer.name in self._origin:
                raise PluginError(f"plugin {origin}: the name {layer.name!r} is taken ({self._origin[layer.name]})")
            layer.axes  # noqa: B018  reads the factory's signature now, so that a bad one is found here
            self._layers[layer.name] = layer
            self._origin[layer.name] = origin


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _load(plugin: str) -> ModuleType:
    path = Path(plugin)
    if plugin.endswith(".py") or os.sep in plugin:
        if not path.is_file():
            raise PluginError(f"plugin {plugin}: there is no such file")
        return _import(plugin, lambda: _import_file(path.resolve()))
    if os.getcwd() not in sys.path:  # a console script, unlike python -m, does not look in the current folder
        sys.path.insert(0, os.getcwd())
    return _import(plugin, lambda: importlib.import_module(plugin))


def _import_file(path: Path) -> ModuleType:
    name = f"attnbench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickling and dataclasses look a module up by its name
    spec.loader.exec_module(module)
    return module


def _import(origin: str, load: Callable[[], ModuleType]) -> ModuleType:
    try:
        return load()
    except (Exception, SystemExit) as error:
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if _is_theirs(f.filename)),
            None,
        )
        line = error.lineno if isinstance(error, SyntaxError) else line
        kind = "" if isinstance(error, AttnbenchError) else f"{type(error).__name__}: "
        message = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        where = f", line {line}" if line else ""
        raise PluginError(f"plugin {origin}{where}: {kind}{message}") from error


def _is_theirs(filename: str) -> bool:
    ours = str(Path(__file__).parents[1])
    return not filename.startswith((ours, "<frozen")) and filename != importlib.__file__
