"""Text from strangers on one line: a name, a reason or a path may hold what a terminal obeys instead of showing it."""

from __future__ import annotations

import re

#: Control characters, marks that turn the direction of writing, other ends of lines, and halves of characters.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]")


def plain(text: str) -> str:
    r"""`text` with what moves, colours or hides other characters written out: ``plain("\x1b[31m") == r"\x1b[31m"``."""
    return _UNSEEN.sub(lambda match: ascii(match[0])[1:-1], text)
