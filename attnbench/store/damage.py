"""What to say of a file that does not hold what was written to it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

#: Whole numbers beyond this fit into no table.
_MAX_WHOLE = 2**63 - 1
#: A file may hold much that is no use in a sentence about it.
_MAX_LETTERS = 200


class FlawError(ValueError):
    """What was read is not what was written, and the message says why."""


#: What content that is foreign to it makes a reader raise; Python itself refuses deep nesting and endless numbers.
FOREIGN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


def damage(where: object, error: BaseException) -> str:
    """``where is damaged: why``; `error` is one of `FOREIGN`."""
    worded = isinstance(error, FlawError | msgspec.ValidationError)
    why = str(error) if worded else f"{type(error).__name__} {error}"
    return f"{where} is damaged: {why[:_MAX_LETTERS]}"


def strictly(text: str) -> Any:
    """What a JSON text says, where every number in it is one that a table can hold.

    Raises:
        FlawError: one is none.
        ValueError: it is no JSON.
    """
    return json.loads(text, parse_int=_whole, parse_constant=_constant)


def _whole(digits: str) -> int:
    if abs(number := int(digits)) > _MAX_WHOLE:
        raise FlawError(f"no number can be {digits:.40}")
    return number


def _constant(name: str) -> float:
    if name == "NaN":
        raise FlawError("no number can be NaN")
    return float(name)


def foreign_key(read: Any, written: Any) -> str:
    """A key in what was read that is never written, as `written` shows; empty where there is none."""
    if isinstance(read, dict) and isinstance(written, dict):
        if foreign := [key for key in read if key not in written]:
            return str(foreign[0])
        return next(filter(None, (foreign_key(value, written[key]) for key, value in read.items())), "")
    if isinstance(read, list) and isinstance(written, list | tuple):
        return next(filter(None, map(foreign_key, read, written)), "")
    return ""
