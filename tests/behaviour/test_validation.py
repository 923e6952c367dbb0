"""The validation table of ``benchmarks/verdicts.py``, smaller: fewer worlds a row, the same scores and the same goals.

A goal is a probability, and of a few worlds some more or less are right by chance. So each goal is loosened by two
standard errors of a share of that many worlds, ``2·√(goal·(1 - goal)/worlds)``, and by nothing else; the answers of one
world are not independent and count as one. The seeds are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.verdicts import OURS, Row, rows
from benchmarks.worlds import LAWS, draw

#: So many that each of six or of seven laws has its turn equally often.
WORLDS = 42
ROWS = [row for row in rows() if row.goal is not None]


def loosened(goal: float) -> float:
    """Two standard errors of a share."""
    return 2 * math.sqrt(goal * (1 - goal) / WORLDS)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_answers_are_right_as_often_as_wanted(row: Row) -> None:
    answers = [
        right
        for seed in range(WORLDS)
        for right in row.score(draw(LAWS[row.laws[seed % len(row.laws)]], row.world, seed), ())[OURS]
    ]
    assert row.goal is not None
    low, high = row.goal

    assert len(answers) >= WORLDS
    assert low - loosened(low) <= np.mean(answers) <= high + loosened(high)


def test_every_group_of_the_table_has_a_row_with_a_goal() -> None:
    assert {row.group for row in ROWS} == {"cover", "confirm", "wrong", "out", "terms", "class", "forecast"}
