"""All exponents at a glance: those of every layer beside their claims, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence

from attnbench.law import MARGIN
from attnbench.report import figures, words
from attnbench.report.data.points import measured_laws
from attnbench.report.markup import picture
from attnbench.report.values import Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Choices, differences, ordered


def forest_rows(run: StoredRun) -> dict[str, list[figures.ForestRow]]:
    """Axis → the exponents of all measured laws along it."""
    rows: dict[str, list[figures.ForestRow]] = {}
    laws = measured_laws(run)
    choices: dict[str, list[Choices]] = {}
    for law in laws:
        choices.setdefault(law.layer, []).append(law.choices)
    about = {layer: differences(several) for layer, several in choices.items()}
    several = len({law.metric for law in laws}) > 1
    for law in laws:
        label = " · ".join(filter(None, (law.layer, law.metric if several else "", about[law.layer][law.choices])))
        for axis, e in law.exponents.items():
            rows.setdefault(axis, []).append(figures.ForestRow(label, e.estimate, e.claimed, law.verdict))
    return {axis: rows[axis] for axis in ordered(dict.fromkeys(rows, 0))}


def glance(run: StoredRun) -> Gallery:
    """A figure of the exponents along each axis."""
    rows = forest_rows(run)
    pictures = tuple(
        picture(figures.forest(axis, along), f"Exponents of {words.axis_phrase(axis)}", _described(along))
        for axis, along in rows.items()
    )
    return Gallery(pictures, _CAPTION, tuple(rows))


_CAPTION = (
    "Dot and bar are a fitted exponent and its interval, in the colour of its verdict; the upright stroke is the claim "
    f"and the box the margin of ±{words.power(MARGIN)} that the whole bar has to fit into. "
    "Laws of several terms have no single exponent and are shown in their own sections."
)


def _described(rows: Sequence[figures.ForestRow]) -> str:
    parts = []
    for row in rows:
        claim = "no claim" if row.claimed is None else f"claim {words.power(row.claimed)}"
        value = f"{words.exponent(row.estimate.value)} {words.interval(row.estimate)}"
        parts.append(f"{row.label}: {value}, {claim}, {words.VERDICT_WORDS[row.verdict].lower()}.")
    return " ".join(parts)
