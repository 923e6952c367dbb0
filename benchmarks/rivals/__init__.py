"""Other ways to read a growth law from timings, each asked as its own users ask it.

* a plain log-log regression over all axes at once;
* the published rule of Google Benchmark, re-implemented from its description;
* big_O: ``pip install big-O==0.11.0``;
* Extra-P: ``pip install matplotlib tqdm "marshmallow<4"``, then ``pip install --no-deps extrap==4.2.5``. Its metadata
  ask for numpy 1 and for a graphical toolkit, and its modelers need neither. Without ``--no-deps``, next to numpy 2,
  pip silently falls back on extrap 0.0.1, which contains no modeler.

Nothing in attnbench needs the two packages; `missing` says which of them is not there. All are given the same figure
for each configuration, the smallest of its replicates, which delays touch least. big_O and Google's rule know one
argument, so they see one axis at a time while the others are held at their middle size, and the classes they pick are
multiplied.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from .answer import Answer, Array
from .packages import big_o, big_o_rescaled, can_import_big_o, can_import_extra_p, extra_p
from .plain import google_benchmark, power_law

__all__ = ["RIVALS", "Answer", "big_o", "big_o_rescaled", "extra_p", "google_benchmark", "missing", "power_law"]

RIVALS: dict[str, Callable[[pd.DataFrame, Array], Answer]] = {
    "log-log regression": power_law,
    "Google Benchmark's rule": google_benchmark,
    "big_O": big_o,
    "big_O, rescaled": big_o_rescaled,
    "Extra-P": extra_p,
}
_NEEDS = {"big_O": can_import_big_o, "big_O, rescaled": can_import_big_o, "Extra-P": can_import_extra_p}


def missing(rival: str) -> str:
    """Why `rival` cannot be asked here, such as ``not installed``; empty where it can."""
    return "" if rival not in _NEEDS or _NEEDS[rival]() else "not installed"
