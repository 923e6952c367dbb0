"""Text from strangers: shown, and never obeyed."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from attnbench.escape_controls import plain


def test_what_moves_or_colours_is_written_out() -> None:
    assert plain("a\x1b[31mb\x9b0m\r\n\u202ec\udc80") == r"a\x1b[31mb\x9b0m\r\n\u202ec\udc80"


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys_and_other_letters_stay(text: str) -> None:
    shown = plain(text)

    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cs", "Zl", "Zp"}
    letters = [one for one in text if one.isalnum() or one in " <>&[]|"]
    assert [one for one in shown if one in letters][: len(letters)] or not letters
