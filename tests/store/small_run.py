"""A small run, all of it known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attnbench.errors import RunError
from attnbench.law import Estimate, Exponent, FittedTerm, Law, Specification, Verdict
from attnbench.plan.plan import Plan
from attnbench.record import Counted, Host, Status, Visit
from attnbench.spec import from_mapping
from attnbench.store.run_info import RunInfo
from attnbench.trial import Choices, Subject, Trial

if TYPE_CHECKING:
    from collections.abc import Callable


HOST = Host("CPU", 2, 2**33, "Linux", "3.11", "2.13", "MKL", ("cpu",), (0.5, 0.25, 0.1), {"L2": 2**20})

SHORT = Trial(Subject("rnn"), {"b": 2, "n": 64, "d": 32})

LONG = Trial(Subject("rnn"), {"b": 2, "n": 128, "d": 32})

HEADS = Trial(Subject("attention-core", Choices("cuda:1", "bfloat16")), {"b": 2, "n": 64, "d": 32, "h": 4, "rank": 7})

BROKEN = Trial(Subject("gru"), {"b": 2, "n": 64, "d": 32})

COUNTED_LAW = Law(
    Subject("rnn"), "flops", Verdict.CONFIRMED, "it is", claim="4*b*n*d**2", formula="4*b*n*d**2", trials=9
)

TIME_LAW = Law(
    subject=Subject("rnn", Choices("cpu", "float32")),
    metric="time",
    verdict=Verdict.INCONCLUSIVE,
    reason="too wide",
    claim="n*d**2",
    exponents={"n": Exponent(Estimate(1.0, 0.9, 1.2), 1), "d": Exponent(Estimate(1.8, 1.5, 2.1, 0.95))},
    terms=(FittedTerm("n*d**2", Estimate(2e-12, 1e-12, 3e-12), 0.9),),
    window={"n": (64, 128)},
    trials=4,
    specifications=(Specification("all", {"n": 1.0, "d": 1.8}),),
    uncounted=("aten.fft",),
)

PLAN = Plan(
    suite=from_mapping({"title": "T", "sweep": [{"layers": ["rnn"], "n": [64, 128]}]}, "mine", "here"),
    trials=(SHORT, LONG, HEADS, BROKEN),
    counted={SHORT.id: Counted(2**60 + 1, 2048, 4096), HEADS.id: Counted(10, 0, 20, ("aten.fft",))},
    counted_laws=(COUNTED_LAW,),
    skipped={HEADS.id: "no such device"},
    claims={"rnn": {"time": "n*d**2"}},
    scopes={"rnn": "layer", "gru": "layer", "attention-core": "core"},
    windows={"rnn": "n from 64 to 128"},
    calibration=({"layer": "rnn", "device": "cpu", "sizes": {"n": 64}, "seconds": 0.5, "flops": 10},),
)

INFO = RunInfo(
    name="mine",
    command="attnbench run --suite mine",
    seed=3,
    started="2025-01-02T03:04:05Z",
    version="0.1.0",
    host=HOST,
    plan=PLAN,
    plugins=("mine.py",),
)

NEXT = Visit(SHORT.id, 1, 2, iterations=4, block_seconds=(0.4, 0.3))

RAN = ("aten::mm", "onednn::rnn/brgemm:avx2")

VISITS = (
    Visit(
        SHORT.id, 0, 0, iterations=4, block_seconds=(0.3, 0.1, 0.2), first_call_seconds=2.0, started=0.5, kernels=RAN
    ),
    Visit(BROKEN.id, 0, 0, Status.OOM, "out of memory", first_call_seconds=None),
    Visit(
        SHORT.id,
        process=1,
        round=1,
        iterations=4,
        block_seconds=(0.4, 0.2),
        first_call_seconds=1.5,
        reference_seconds=0.1,
        compile_seconds=6.0,
    ),
)


def refusal(action: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(RunError) as caught:
        action(*arguments)
    return str(caught.value)
