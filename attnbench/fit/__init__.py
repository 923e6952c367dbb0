"""Fitting and judging: knows tables only, never torch.

The room itself can be called, ``attnbench.fit(frame, y="seconds", over=["n", "d"])``: importing any part of it makes
it the attribute ``fit`` of the package, and would hide a function of that name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from attnbench.law import Law


class _Room(ModuleType):
    """A module that fits when it is called."""

    def __call__(
        self, frame: pd.DataFrame, y: str = "seconds", over: Sequence[str] = ("n", "d"), claim: str | None = None
    ) -> Law:
        """The law of anyone's measurements: how `y` grows over the axes, and the verdict on a claim.

        Args:
            frame: one row a measurement; several rows of the same sizes are replicates. Columns ``process`` and
                ``round`` say which were measured together.
            y: column of the metric, which is positive.
            over: columns of the sizes.
            claim: a formula over the axes, such as ``n**2*d``.

        Raises:
            InputError: the table cannot be read as positive numbers, or the claim does not fit it.
        """
        from attnbench.fit.frame import fit_frame

        return fit_frame(frame, y, over, claim)


sys.modules[__name__].__class__ = _Room
