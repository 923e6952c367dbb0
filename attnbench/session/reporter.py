"""Whoever shows a run to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnbench.execute.rounds import Progress
    from attnbench.law import Law
    from attnbench.trial import Trial


class Reporter:
    """Is told how a run goes, and shows nothing of it; who does more for a person is a subclass."""

    def stage(self, text: str) -> None:
        """A new stage begins."""

    def counting(self, layer: str, done: int, total: int) -> None:
        """A layer is about to be counted, after `done` others of `total`."""

    def probing(self, trial: Trial) -> None:
        """A probe is about to start."""

    def visiting(self, progress: Progress) -> None:
        """A visit is about to start."""

    def laws(self, laws: Sequence[Law]) -> None:
        """The laws of time as they stand after a round."""
