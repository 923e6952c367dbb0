"""Any text as LaTeX that shows it, whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence

from attnbench.escape_controls import plain

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"\char34{}",
    "'": r"\char39{}",
    "`": r"\char96{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "·": r"\ensuremath{\cdot}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "−": r"\ensuremath{-}",
    "∞": r"\ensuremath{\infty}",
    "µ": r"\ensuremath{\mu}",
    "μ": r"\ensuremath{\mu}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
}


def escaped(text: str) -> str:
    """`text` as LaTeX for text mode; a letter that its fonts may lack is written as its number, ``[U+4E2D]``."""
    letters = (_SPECIAL.get(one) or (one if _in_every_font(one) else _number(one)) for one in plain(text))
    return "".join(letters).replace("--", "-{}-").replace("--", "-{}-")  # no dash is made of two hyphens


def listed(items: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def _in_every_font(one: str) -> bool:
    return one.isascii() or (one.isalpha() and "À" <= one <= "ÿ" and one not in "ÐÞðþ")


def _number(one: str) -> str:
    return f"{{[}}U+{ord(one):04X}{{]}}"
