"""Count, time and judge the scaling laws of sequence layers.

>>> import attnbench
>>> run = attnbench.run("smoke")          # doctest: +SKIP
>>> run.laws                              # doctest: +SKIP

Everything here is light until it is used: torch and pandas are imported by the functions that need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnbench.errors import AttnbenchError
from attnbench.layers.base import Claims, Layer
from attnbench.version import __version__

if TYPE_CHECKING:
    from attnbench.session import count, load, run

__all__ = ["AttnbenchError", "Claims", "Layer", "__version__", "count", "load", "run"]

_HEAVY = {"count", "load", "run"}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module 'attnbench' has no attribute {name!r}")
    from attnbench import session

    return getattr(session, name)
