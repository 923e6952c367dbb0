"""What a check found, as a value that travels between processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    """What a check says. A hint is worth reading and fails nothing."""

    PASSED = "passed"
    HINT = "hint"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table of checks.

    Attributes:
        check: what was looked at.
        mark: what came of it.
        found: what was seen, in a few words.
        fix: what to do next; empty where there is nothing to do.
    """

    check: str
    mark: Mark
    found: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        """JSON form."""
        return {**asdict(self), "mark": str(self.mark)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Outcome:
        """Inverse of `as_json`. Raises KeyError, TypeError or ValueError on a foreign mapping."""
        return cls(**{**row, "mark": Mark(row["mark"])})


#: What a check hands back: a mark, what was found, and what to do next.
Answer = tuple[Mark, str, str]


def passed(found: str) -> Answer:
    """The promise is kept."""
    return Mark.PASSED, found, ""


def hint(found: str, fix: str) -> Answer:
    """Nothing is broken, but the author may want to know."""
    return Mark.HINT, found, fix


def unseen(why: str, fix: str) -> Answer:
    """Nobody can say whether the promise is kept, because of what is said."""
    return hint(f"not looked at: {why}", fix)


def failed(found: str, fix: str) -> Answer:
    """The promise is broken."""
    return Mark.FAILED, found, fix
