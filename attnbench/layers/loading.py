"""From the file or the name of a plugin to its module, or to one line that says why there is none."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnbench.errors import AttnbenchError, PluginError, near_miss, words_of
from attnbench.layers.attempt import attempted, own_streams

if TYPE_CHECKING:
    from types import ModuleType


def load(plugin: str, *, attempt: bool = True) -> ModuleType:
    """Import a plugin by its file or by the name of its module; `attempt` as for `import_module`.

    Raises:
        PluginError: there is none, or it cannot be imported.
    """
    if plugin.endswith(".py") or os.sep in plugin:
        if not Path(plugin).is_file():
            raise PluginError(f"plugin {plugin}: there is no such file")
        path = Path(plugin).resolve()
        # The name is the same in every process, so that what the file defines can be pickled.
        name = f"attnbench_plugin_{path.stem}_{zlib.crc32(bytes(path)):08x}"
        return import_module(plugin, name, path, attempt=attempt)
    if os.getcwd() not in sys.path:  # a console script, unlike python -m, does not look in the current folder
        sys.path.insert(0, os.getcwd())
    return import_module(plugin, plugin, attempt=attempt)


def is_reference(name: str) -> bool:
    """Whether a name says where something is defined, as ``path.py:build`` and ``package.module:Block`` do."""
    plugin, _, within = name.rpartition(":")
    return bool(plugin) and within.isidentifier()


def defined_in(module: ModuleType, plugin: str, name: str) -> Any:
    """What a plugin calls `name`.

    Raises:
        PluginError: it defines nothing of that name; the message offers the nearest.
    """
    if not hasattr(module, name):
        own = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise PluginError(f"plugin {plugin}: it defines no {name!r}.{near_miss(name, own)}".removesuffix("."))
    return getattr(module, name)


def import_module(origin: str, name: str, path: Path | None = None, *, attempt: bool = True) -> ModuleType:
    """Import a module of somebody else's.

    Args:
        origin: what to call it in messages.
        name: its name.
        path: its file; None where Python finds it by its name.
        attempt: import it in another process first, so that one that ends its process does not end this one.

    Raises:
        PluginError: it raised, or ended the process, or did not end.
    """
    if attempt and (path or name not in sys.modules):
        problem = attempted(lambda: _problem(origin, name, path), f"plugin {origin}: importing it")
        if problem:
            raise PluginError(problem)
    return _import(origin, name, path)


def _problem(origin: str, name: str, path: Path | None) -> str:
    """What is wrong with importing a module, where the process lives to tell; empty when nothing is."""
    try:
        _import(origin, name, path)
    except PluginError as error:
        return str(error)
    except KeyboardInterrupt as error:  # nobody can have pressed a key here
        return _message(origin, name, path, error)
    return ""


def _import(origin: str, name: str, path: Path | None) -> ModuleType:
    try:
        with own_streams():
            return _import_file(name, path) if path else importlib.import_module(name)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise PluginError(_message(origin, name, path, error)) from error


def _message(origin: str, name: str, path: Path | None, error: BaseException) -> str:
    kind = "" if isinstance(error, AttnbenchError) else f"{type(error).__name__}: "
    message = error.msg if isinstance(error, SyntaxError) else words_of(error)
    return f"plugin {origin}{_line(error, name, path)}: {kind}{message}"


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
