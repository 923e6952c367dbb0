"""The colours of a report, by name.

Figures are drawn in the light scheme's values, so that they look right on their own; `svg` then replaces each value by
the CSS variable of the same name, and ``page.css`` gives that variable its light and its dark value.
"""

from __future__ import annotations

from attnbench.law import Verdict
from attnbench.law.show import COLOURS

INK = "#1b1e23"
SOFT = "#5a616b"
HAIR = "#d9d7d0"
PAPER = "#fbfaf7"
BAND = "#e6e3da"
#: On the cells of a map, whose colours are the same in both schemes. Not quite black: matplotlib leaves black out of
#: the file, and the page would then paint it in the ink of the scheme.
ON_DARK, ON_LIGHT = "#ffffff", "#010101"

#: Sizes from small to large, one hue family after viridis: dark is large on light paper, bright is large on dark paper.
SERIES = ("#237f6d", "#1d7a8f", "#2a71ad", "#3c57a6", "#4b3c92", "#45206c")

VERDICT_NAMES: dict[Verdict | None, str] = {
    Verdict.CONFIRMED: "confirmed",
    Verdict.REFUTED: "refuted",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.OUT_OF_REGIME: "regime",
    Verdict.INFERRED: "inferred",
    None: "pending",
}
VERDICT_COLOURS: dict[Verdict | None, str] = {**COLOURS, None: "#5b616a"}

#: Value in a figure → name of the CSS variable.
VARIABLES: dict[str, str] = {
    INK: "ink",
    SOFT: "soft",
    HAIR: "hair",
    PAPER: "paper",
    BAND: "band",
    **{colour: f"series-{level}" for level, colour in enumerate(SERIES)},
    **{colour: VERDICT_NAMES[verdict] for verdict, colour in VERDICT_COLOURS.items()},
}


def series_colour(rank: int, count: int) -> str:
    """Colour of line `rank` of `count`, from small sizes to large."""
    return SERIES[-2] if count < 2 else SERIES[round(rank * (len(SERIES) - 1) / (count - 1))]
