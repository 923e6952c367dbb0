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
``operator``   what a call of one's own operator costs
``AttnbenchError`` is the root of every error that one sentence explains.

Everything here is light until it is used: torch and pandas are imported by the functions that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attnbench.errors import AttnbenchError
from attnbench.layers.base import Claims, Layer
from attnbench.layers.own_operators import operator
from attnbench.version import __version__

if TYPE_CHECKING:
    from attnbench.counting.laws import count
    from attnbench.fitting.frame import fit
    from attnbench.session.reading import compare, load
    from attnbench.session.run import run

__all__ = ["AttnbenchError", "Claims", "Layer", "__version__", "compare", "count", "fit", "load", "operator", "run"]

#: Public name → the module that defines it.
_HEAVY = {
    "compare": "session.reading",
    "count": "counting.laws",
    "fit": "fitting.frame",
    "load": "session.reading",
    "run": "session.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module 'attnbench' has no attribute {name!r}")
    return getattr(import_module(f"attnbench.{_HEAVY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
