"""Count, time and judge the scaling laws of sequence layers.

>>> import attnbench
>>> run = attnbench.run("smoke")          # doctest: +SKIP
>>> run.laws                              # doctest: +SKIP

``run``        execute a suite, and return the `Run` with its tables, laws, forecasts, figures and report
``load``       read a run folder
``compare``    what changed between two runs
``count``      exact counts of a layer at any size
``fit``        the law of anyone's measurements, and the verdict on a claim
``Layer``      a layer of one's own, with its `Claims`
``AttnbenchError`` is the root of every error that one sentence explains.

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
    from attnbench.session import compare, load, run

__all__ = ["AttnbenchError", "Claims", "Layer", "__version__", "compare", "count", "fit", "load", "run"]

#: Public name → the module that holds it; the rooms ``count`` and ``fit`` are themselves the functions of that name.
_HEAVY = {"compare": "session", "count": "count", "fit": "fit", "load": "session", "run": "session"}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module 'attnbench' has no attribute {name!r}")
    module = import_module(f"attnbench.{_HEAVY[name]}")
    return module if _HEAVY[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
