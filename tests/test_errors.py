"""The page of errors says what there is."""

from __future__ import annotations

import inspect
import re

import pytest

from attnbench import errors

LINE = re.compile(r"(?P<branches>[ │├└─]*)(?P<name>[A-Z]\w+Error)  +(?P<what>\S.*?)(?: +exit (?P<code>\d+))?")


def classes() -> list[type[errors.AttnbenchError]]:
    return [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


def drawn() -> list[re.Match[str]]:
    return [match for line in (errors.__doc__ or "").splitlines() if (match := LINE.fullmatch(line))]


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    lineage: dict[int, str] = {}
    found = {}
    for match in drawn():
        depth = len(match["branches"]) // 4
        lineage[depth] = match["name"]
        found[match["name"]] = lineage.get(depth - 1, "Exception") if depth > 1 else "Exception"

    assert found == {kind.__name__: kind.__base__.__name__ for kind in classes() if kind.__base__}


def test_the_exit_codes_in_the_docstring_are_the_real_ones() -> None:
    codes = {match["name"]: int(match["code"]) for match in drawn() if match["code"]}

    assert codes == {kind.__name__: kind.exit_code for kind in classes() if "exit_code" in vars(kind)}


def test_words_of_an_error_are_one_line_without_addresses() -> None:
    said = ValueError("two\n lines of <Thing object at 0x7f1b503dbd80> and <f at 0xABCdef>, at 0 and at 0x")

    assert errors.words_of(said) == "two lines of <Thing object> and <f>, at 0 and at 0x"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("rn", " Did you mean 'rnn'?"), ("atention", " Did you mean 'attention'?"), ("zebra", ""), ("", "")],
)
def test_a_near_miss_is_hinted_at_and_a_far_one_is_not(word: str, hint: str) -> None:
    assert errors.near_miss(word, ["rnn", "gru", "attention"]) == hint
