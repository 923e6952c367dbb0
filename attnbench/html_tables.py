"""Small tables for a notebook: one string of HTML without a style sheet, readable on light and on dark paper.

Text takes the notebook's own colour, lines are half transparent, and only a badge has paper of its own. Whatever is not
`Markup` is escaped, so the name of a layer can be any text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from attnbench.errors import FormulaError
from attnbench.formula import Formula

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,.35);padding:.25em .7em;text-align:left;vertical-align:top"
_CELL = Markup('<td style="{};white-space:normal">{}</td>')
_HEAD = Markup('<th scope="{}" style="{};font-weight:inherit">{}</th>')
_CARD = Markup(
    '<table style="border-collapse:collapse;border:0;color:inherit;background:none">'
    '<caption style="caption-side:top;text-align:left;color:inherit;padding:.3em .7em">{}</caption>'
    "{}<tbody>{}</tbody></table>"
)
#: White letters on paper of the verdict's own colour: the contrast does not depend on the page around them.
_BADGE = Markup(
    '<span style="background:{};color:#fff;border-radius:.7em;padding:.05em .6em;white-space:nowrap">{} {}</span>'
)


def card(caption: str | Markup, rows: Iterable[Sequence[str | Markup]], heads: Sequence[str] = ()) -> Markup:
    """A table with a caption; the first cell of each row is its heading.

    Args:
        caption: what the table is about.
        rows: cells, text or markup.
        heads: headings of the columns; none where the first column says everything.
    """
    top = Markup("<thead><tr>{}</tr></thead>").format(
        _joined(_HEAD.format("col", _LINE, _bold(head)) for head in heads)
    )
    return _CARD.format(_bold(caption), top if heads else "", _joined(map(_row, rows)))


def badge(sign: str, word: str, colour: str) -> Markup:
    """A sign and a word on paper of `colour`."""
    return _BADGE.format(colour, sign, word)


def math(formula: str | None) -> Markup:
    """A formula as MathML; what cannot be read as a formula stays text, and no formula is a dash."""
    if not formula:
        return Markup("–")
    try:
        return Markup(Formula(formula).mathml)  # noqa: S704 - the parser lets only numbers, names and operators through
    except FormulaError:
        return Markup("<code>{}</code>").format(shown(formula))


def lines(parts: Iterable[str | Markup]) -> Markup:
    """Several parts of one cell, one below the other."""
    return Markup("<br>").join(map(shown, parts))


def titled(parts: Iterable[str | Markup]) -> Markup:
    """Several parts of one cell, the first in bold and the others below it."""
    first, *rest = parts
    return lines([Markup("<b>{}</b>").format(shown(first)), *rest])


def shown(text: str | Markup) -> str | Markup:
    """`text` with a dot for each character that a page cannot show; markup as it is."""
    return text if isinstance(text, Markup) else "".join(c if c.isprintable() else "·" for c in text)


def _bold(text: str | Markup) -> Markup:
    return text if isinstance(text, Markup) else titled([text])


def _row(cells: Sequence[str | Markup]) -> Markup:
    first, *rest = cells
    cells_after = [_CELL.format(_LINE, shown(cell)) for cell in rest]
    return Markup("<tr>{}</tr>").format(_joined([_HEAD.format("row", _LINE, _bold(first)), *cells_after]))


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
