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
    from attnbench.fit.frame import fit_frame as fit
    from attnbench.session import load, run

__all__ = ["AttnbenchError", "Claims", "Layer", "__version__", "count", "fit", "load", "run"]

#: Public name → the module that holds it; the rooms ``count`` and ``fit`` are themselves the functions of that name.
_HEAVY = {"count": "count", "fit": "fit", "load": "session", "run": "session"}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module 'attnbench' has no attribute {name!r}")
    module = import_module(f"attnbench.{_HEAVY[name]}")
    return module if _HEAVY[name] == name else getattr(module, name)
