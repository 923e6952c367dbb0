"""The answers to a claim."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The four answers to a claim, and the one without a claim."""

    CONFIRMED = "CONFIRMED"
    REFUTED = "REFUTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    OUT_OF_REGIME = "OUT-OF-REGIME"
    INFERRED = "INFERRED"

    @property
    def sign(self) -> str:
        """A sign beside the word, so that neither colour nor reading is needed alone."""
        return _SIGNS[self]


_SIGNS = {
    Verdict.CONFIRMED: "✓",
    Verdict.REFUTED: "✕",
    Verdict.INCONCLUSIVE: "?",
    Verdict.OUT_OF_REGIME: "↛",
    Verdict.INFERRED: "≈",
}
