"""An estimate never travels without an interval that holds it, and a law not without everything it rests on."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from attnbench.counting.laws import count_laws
from attnbench.fitting.time_law import law_of
from attnbench.formula import Formula
from attnbench.law import Curves, Estimate, Exponent, FittedTerm, Law, Parts, Specification, Verdict
from attnbench.layers.registry import Registry
from attnbench.trial import Choices, Subject
from tests.fitting.worlds import World

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("value", [0.9, 2.1, math.nan])
def test_a_value_outside_its_interval_is_no_estimate(value: float) -> None:
    with pytest.raises(ValueError, match=f"^{value} lies outside its interval 1.0 to 2.0$"):
        Estimate(value, 1.0, 2.0)


def test_an_interval_lies_within_outside_or_across_a_margin() -> None:
    estimate = Estimate(1.0, 0.9, 1.2)

    assert math.isclose(estimate.half_width, 0.15)
    assert estimate.within(0.8, 1.3)
    assert not estimate.within(0.9, 1.3)
    assert estimate.outside(1.3, 2.0)
    assert estimate.outside(0.1, 0.8)
    assert not estimate.outside(1.2, 2.0)


# ----------------------------------------------------------------------------------------------------------------- JSON

LAWS = {
    "one-term": lambda: law_of(World("1e-9*n**2*d").observed(), Formula("n**2*d"), flops=Formula("4*n**2*d")),
    "two-terms": lambda: law_of(World("8e-9*n*d**2 + 4e-9*n**2*d").observed(), Formula("n*d**2 + n**2*d")),
    "inferred": lambda: law_of(World("1e-9*n**2*d").observed(), None),
    "too-little": lambda: law_of(World("1e-9*n**2", {"n": (64,)}).observed(), Formula("n")),
    "counted": lambda: count_laws(Registry().get("multi-head-attention"), metrics=["flops"])[0],
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_law_survives_the_journey_through_json(law: Callable[[], Law]) -> None:
    there = law()

    assert Law.from_json(json.loads(json.dumps(there.as_json()))) == there


def test_the_json_of_a_law_has_the_documented_form() -> None:
    law = Law(
        subject=Subject("rnn", Choices("cpu", "float32")),
        metric="time",
        verdict=Verdict.CONFIRMED,
        reason="one sentence",
        claim="n*d**2",
        formula="1e-12*n**1.000*d**2.000",
        exponents={"n": Exponent(Estimate(1.0, 0.98, 1.02), 1.0), "d": Exponent(Estimate(2.0, 1.9, 2.1))},
        terms=(FittedTerm("n*d**2", Estimate(1.1e-12, 1.0e-12, 1.2e-12), 0.97),),
        window={"n": (64, 512)},
        trials=24,
        specifications=(Specification("without n = 64", {"n": 1.01}),),
        fixed={"b": 4},
        parts={
            "n": Parts(operations=1.0, overhead=0.1, efficiency=0.05, local=0.855),
            "d": Parts(None, 0.1, None, 1.8),
        },
        regimes=("values jump by a factor of 1.50 past n = 724 (probability 100%)",),
        curves=Curves(("1",), ("n", "d"), ((0.0, 1e-12, 1.0, 2.0), (1e-9, 1.1e-12, 0.99, 2.0)), 0.02),
    )

    assert law.as_json() == {
        "layer": "rnn",
        "device": "cpu",
        "dtype": "float32",
        "mode": "forward",
        "threads": 1,
        "compile": False,
        "sdpa": "default",
        "scope": "layer",
        "metric": "time",
        "claim": "n*d**2",
        "formula": "1e-12*n**1.000*d**2.000",
        "exponents": {
            "n": {"value": 1.0, "low": 0.98, "high": 1.02, "level": 0.9, "claimed": 1.0},
            "d": {"value": 2.0, "low": 1.9, "high": 2.1, "level": 0.9, "claimed": None},
        },
        "terms": [
            {"term": "n*d**2", "coefficient": 1.1e-12, "low": 1.0e-12, "high": 1.2e-12, "level": 0.9, "share": 0.97}
        ],
        "window": {"n": [64, 512]},
        "trials": 24,
        "verdict": "CONFIRMED",
        "reason": "one sentence",
        "specifications": [{"name": "without n = 64", "exponents": {"n": 1.01}}],
        "uncounted": [],
        "fixed": {"b": 4},
        "parts": {
            "n": {"operations": 1.0, "overhead": 0.1, "efficiency": 0.05, "local": 0.855},
            "d": {"operations": None, "overhead": 0.1, "efficiency": None, "local": 1.8},
        },
        "regimes": ["values jump by a factor of 1.50 past n = 724 (probability 100%)"],
        "curves": {
            "terms": ["1"],
            "bends": ["n", "d"],
            "draws": [[0.0, 1e-12, 1.0, 2.0], [1e-9, 1.1e-12, 0.99, 2.0]],
            "scatter": 0.02,
            "other_code": [1.0, 1.0],
        },
    }
    assert Law.from_json(json.loads(json.dumps(law.as_json()))) == law


def test_a_law_that_knows_less_is_read_too() -> None:
    """Laws of version 0.4 have no parts, regimes or curves, and their terms no level."""
    row = Law(
        Subject("rnn"), "time", Verdict.CONFIRMED, "one sentence", terms=(FittedTerm("n", Estimate(1, 0.9, 1.1), 1.0),)
    )
    old = row.as_json()
    for key in ("parts", "regimes", "curves"):
        del old[key]
    del old["terms"][0]["level"]

    assert Law.from_json(old) == row


@pytest.mark.parametrize(("h", "does"), [(1, True), (4, False)])
def test_a_count_that_was_proven_for_one_size_of_an_axis_speaks_of_that_size(h: int, does: bool) -> None:
    law = Law(Subject("any"), "peak_bytes", Verdict.INFERRED, "", formula="8*n**2", window={"n": (4, 64), "h": (1, 1)})

    assert law.speaks_of({"n": 10**6, "h": h}) is does
    assert law.speaks_of({"n": 10**6})
