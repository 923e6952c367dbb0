"""How finely a machine's noise lets an exponent be read, from visits of one operation that never changes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import median

import numpy as np
import pandas as pd

from attnbench.fitting.model.observations import Observations
from attnbench.fitting.time_law import law_of
from attnbench.formula import Formula

#: A typical window: three octaves on each of two axes, visited in three rounds, the last one in a process of its own.
_SIZES = pd.DataFrame(list(itertools.product((256, 512, 1024), (64, 128, 256))), columns=["n", "d"])
_PROCESSES = (0, 0, 1)
#: Visits that such a window takes: fewer cannot say what it would see.
FEWEST_VISITS = len(_SIZES) * len(_PROCESSES)
_WINDOWS = 15


def implied_half_width(visits: Sequence[float], seed: int = 0) -> float:
    """Half-width of the interval of an exponent that a window would get whose visits scatter like these.

    Windows of a known law are made out of the visits: as many in a row as there are sizes make a round, so that what a
    moment did to all of them stays together, and rounds are drawn at random. Each is fitted as measurements are.

    Args:
        visits: what each visit of a fixed operation read, in seconds and in the order of time; `FEWEST_VISITS` or more.
        seed: of the draws.

    Returns:
        The median over such windows of the wider of the two exponents' half-widths. The luck of processes (their memory
        layout) is in it only if the visits are of several processes.

    Raises:
        ValueError: there are too few visits.
    """
    if len(visits) < FEWEST_VISITS:
        raise ValueError(f"{FEWEST_VISITS} visits are needed, not {len(visits)}")
    rng = np.random.default_rng(seed)
    whole = len(visits) // len(_SIZES)
    rounds = np.asarray(visits, dtype=float)[: whole * len(_SIZES)].reshape(whole, len(_SIZES))
    return median(_half_width(rng, rounds) for _ in range(_WINDOWS))


def _half_width(rng: np.random.Generator, rounds: np.ndarray) -> float:
    drawn = [rng.permutation(rounds[index]) for index in rng.choice(len(rounds), len(_PROCESSES), replace=False)]
    work = (_SIZES["n"] * _SIZES["d"]).to_numpy(dtype=float)
    law = law_of(Observations(_SIZES, work[:, None] * np.column_stack(drawn), _PROCESSES), Formula("n*d"))
    return max((exponent.estimate.half_width for exponent in law.exponents.values()), default=math.inf)
