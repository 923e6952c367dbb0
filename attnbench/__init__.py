"""Count, time and judge the scaling laws of sequence layers.

>>> import attnbench
>>> run = attnbench.run("smoke")          # doctest: +SKIP
>>> run.laws                              # doctest: +SKIP

Everything here is light until it is used: torch and pandas are imported by the functions that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attnbench.errors import AttnbenchError
from attnbench.layers.base import Claims, Layer
from attnbench.version import __version__

if TYPE_CHECKING:
    from attnbench.count.laws import count_layer as count
    from attnbench.session import load, run

__all__ = ["AttnbenchError", "Claims", "Layer", "__version__", "count", "load", "run"]

#: Public name → the module that holds it; the room ``count`` is itself the function of that name.
_HEAVY = {"count": "count", "load": "session", "run": "session"}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module 'attnbench' has no attribute {name!r}")
    module = import_module(f"attnbench.{_HEAVY[name]}")
    return module if name == "count" else getattr(module, name)
