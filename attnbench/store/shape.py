"""Whether what was read from a file can be what was written, and what to say when it cannot."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

#: Whole numbers beyond this fit into no table.
_LARGEST = 2**63 - 1
#: A file may hold much that is no use in a sentence about it.
_LONGEST = 200


class FlawError(ValueError):
    """What was read is not what was written, and the message says why."""


#: What content that is foreign to it makes a reader raise; Python itself refuses deep nesting and endless numbers.
FOREIGN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


def damage(where: object, error: BaseException) -> str:
    """``where is damaged: why``; `error` is one of `FOREIGN`."""
    why = str(error) if isinstance(error, FlawError) else f"{type(error).__name__} {error}"
    return f"{where} is damaged: {why[:_LONGEST]}"


def check_type(value: Any, hint: Any, where: str) -> None:
    """Walk through dataclasses, mappings, tuples and lists; ``Any`` is taken as it is.

    Args:
        value: what was read.
        hint: a type, as `typing.get_type_hints` gives it.
        where: what to call the value.

    Raises:
        FlawError: something in it is of another type, no number, or larger than any table holds.
    """
    if not _fits(value, hint):
        raise FlawError(f"{where} cannot be {value!r:.40}")
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint):
        for name, kind in typing.get_type_hints(hint).items():
            check_type(getattr(value, name), kind, f"{where}: {name}")
    elif origin in (dict, Mapping):
        for key, one in value.items():
            check_type(key, inner[0], f"{where}: a key")
            check_type(one, inner[1], f"{where}: {key}")
    elif origin in (tuple, list):
        kinds = [inner[0]] * len(value) if inner[-1] is ... or origin is list else inner
        for one, kind in zip(value, kinds, strict=True):
            check_type(one, kind, where)
    elif origin is types.UnionType and value is not None:
        check_type(value, next(kind for kind in inner if _fits(value, kind)), where)


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    if origin := typing.get_origin(hint):
        if origin is types.UnionType:
            return any(_fits(value, kind) for kind in typing.get_args(hint))
        inner = typing.get_args(hint)
        whole = origin is not tuple or inner[-1] is ... or len(inner) == len(value)
        return isinstance(value, origin) and whole
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST
    return isinstance(value, hint)
