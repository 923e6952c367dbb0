"""A run that never happened: known laws, seeded noise, and everything that can go wrong, written by the real store.

The laws are known exactly, so a test can compute what the page has to say. `write_fake_run` makes the folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from attnbench.law import Estimate, Exponent, FittedTerm, Law, Specification, Verdict
from attnbench.plan.plan import Plan
from attnbench.record import Counted, Host, Observations, Status, Visit
from attnbench.spec import from_mapping
from attnbench.store.journal import Journal
from attnbench.store.run_folder import StoredRun, create, load_stored
from attnbench.store.run_info import RunInfo
from attnbench.trial import Choices, Subject, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'&"
HOST = Host(
    cpu="AMD EPYC 7B13",
    cores=16,
    memory_bytes=64 * 1024**3,
    system="Linux 6.6.56 x86_64",
    python="3.11.7",
    torch="2.15.0",
    blas="Intel(R) oneAPI Math Kernel Library Version 2025.3",
    devices=("cpu",),
    load=(0.31, 0.4, 0.38),
    caches={"L1d": 32 * 1024, "L2": 512 * 1024, "L3": 32 * 1024**2},
)


@dataclass(frozen=True)
class FakeLayer:
    """A layer whose time is known: sizes, seconds and work as functions of them, and the law that was found."""

    name: str
    grid: dict[str, tuple[int, ...]]
    seconds: Callable[..., float]
    flops: Callable[..., int]
    law: Law | None = None
    noise: float = 0.01
    uncounted: tuple[str, ...] = ()
    counted_laws: tuple[Law, ...] = ()
    window: str = ""
    choices: Choices = field(default_factory=Choices)

    def trials(self) -> Iterator[Trial]:
        for sizes in product(*self.grid.values()):
            yield Trial(Subject(self.name, self.choices), dict(zip(self.grid, sizes, strict=True)))


def exponents(**axes: tuple[float, float, float | None]) -> dict[str, Exponent]:
    """Axis → (value, half width, claim)."""
    return {
        axis: Exponent(Estimate(value, value - half, value + half), claim)
        for axis, (value, half, claim) in axes.items()
    }


def time_law(layer: str, verdict: Verdict, reason: str, **fields: Any) -> Law:
    return Law(Subject(layer, Choices("cpu", "float32")), "time", verdict, reason, **fields)


def ways(**axes: tuple[float, float]) -> tuple[Specification, ...]:
    """Six ways to fit; axis → (middle, largest shift)."""
    names = (
        "all points",
        "without smallest n",
        "without largest n",
        "without smallest d",
        "without largest d",
        "median",
    )
    shifts = np.linspace(-1, 1, len(names))
    return tuple(
        Specification(name, {axis: middle + shift * most for axis, (middle, most) in axes.items()})
        for name, shift in zip(names, shifts, strict=True)
    )


def counted(layer: str, metric: str, formula: str, claim: str | None, **fields: Any) -> Law:
    verdict = Verdict.INFERRED if claim is None else Verdict.CONFIRMED if claim == formula else Verdict.REFUTED
    fields.setdefault("verdict", verdict)
    fields.setdefault("reason", "exact at 12 points it was not read from, the largest n = 131, d = 67")
    return Law(Subject(layer, Choices("", "float32")), metric, claim=claim, formula=formula, trials=12, **fields)


def three(layer: str, flops: tuple[str, str | None], parameters: str, peak: str) -> tuple[Law, ...]:
    """The three counted laws of a layer; the last two are claimed as they are."""
    return (
        counted(layer, "flops", *flops),
        counted(layer, "parameters", parameters, parameters),
        counted(layer, "peak_bytes", peak, None),
    )


def attention() -> FakeLayer:
    return FakeLayer(
        "attention-core",
        {"b": (1,), "n": (256, 512, 1024, 2048), "d": (64, 128, 256, 512)},
        lambda b, n, d: 4 * b * n**2 * d / 9e10,
        lambda b, n, d: 4 * b * n**2 * d,
        time_law(
            "attention-core",
            Verdict.CONFIRMED,
            "time grows as n^1.99±0.03, d^1.02±0.04: every interval lies within 0.1 of the claim",
            claim="n**2*d",
            formula="4.4e-11*n**1.99*d**1.02",
            exponents=exponents(n=(1.99, 0.03, 2.0), d=(1.02, 0.04, 1.0)),
            terms=(FittedTerm("n**2*d", Estimate(4.4e-11, 4.3e-11, 4.6e-11), 1.0),),
            window={"n": (256, 2048), "d": (64, 512)},
            trials=16,
            specifications=ways(n=(1.99, 0.025), d=(1.02, 0.03)),
        ),
        counted_laws=three("attention-core", ("4*b*n**2*d", "4*b*n**2*d"), "0", "8*b*n**2 + 4*b*n*d"),
        window="The counted formula is 4bn²d alone, so any window would do; this one keeps the scores out of cache.",
    )


def rnn() -> FakeLayer:
    return FakeLayer(
        "rnn",
        {"b": (32,), "n": (64, 128, 256, 512), "d": (256, 512, 1024)},
        lambda b, n, d: 4 * b * n * d**1.76 / 2.2e10,
        lambda b, n, d: 4 * b * n * d**2,
        time_law(
            "rnn",
            Verdict.REFUTED,
            "time grows as n^1.00±0.02, d^1.76±0.05: the whole interval lies beyond 0.1 around d^2.00",
            claim="n*d**2",
            formula="5.8e-9*n**1.0*d**1.76",
            exponents=exponents(n=(1.0, 0.02, 1.0), d=(1.76, 0.05, 2.0)),
            window={"n": (64, 512), "d": (256, 1024)},
            trials=12,
            specifications=ways(n=(1.0, 0.015), d=(1.76, 0.04)),
        ),
        counted_laws=three("rnn", ("4*b*n*d**2", "4*b*n*d**2"), "2*d**2 + 2*d", "4*b*n*d + 12*b*d"),
        window="From d = 256 on, a step is long enough that starting it costs less than 5 % of it.",
    )


def conv() -> FakeLayer:
    return FakeLayer(
        "conv1d",
        {"b": (4,), "n": (256, 1024, 4096), "d": (64, 128, 256), "k": (3, 7, 15)},
        lambda b, n, d, k: 2 * b * n * d**2 * k / 1.4e11,
        lambda b, n, d, k: 2 * b * n * d**2 * k,
        time_law(
            "conv1d",
            Verdict.INCONCLUSIVE,
            "time grows as n^1.01±0.03, d^2.04±0.13, k^0.97±0.06: the interval of d crosses the margin of 0.1",
            claim="k*n*d**2",
            formula="1.4e-10*n**1.01*d**2.04*k**0.97",
            exponents=exponents(n=(1.01, 0.03, 1.0), d=(2.04, 0.13, 2.0), k=(0.97, 0.06, 1.0)),
            window={"n": (256, 4096), "d": (64, 256), "k": (3, 15)},
            trials=25,
            specifications=ways(n=(1.01, 0.02), d=(2.04, 0.12), k=(0.97, 0.05)),
        ),
        noise=0.05,
        uncounted=("aten::hann_window",),
        counted_laws=(
            counted(
                "conv1d",
                "flops",
                "2*b*k*n*d**2",
                "2*b*k*n*d**2",
                verdict=Verdict.INCONCLUSIVE,
                reason="a lower bound: no formula for aten::hann_window",
                uncounted=("aten::hann_window",),
            ),
            counted("conv1d", "parameters", "k*d**2 + d", "k*d**2"),
            counted("conv1d", "peak_bytes", "4*b*d*(n + k - 1) + 4*b*n*d", None),
        ),
    )


def multi_head() -> FakeLayer:
    nd2, n2d = 8 / 9e10, 4 / 7e10
    return FakeLayer(
        "multi-head-attention",
        {"b": (1,), "n": (128, 256, 512, 1024, 2048, 4096), "d": (256, 512), "h": (8,)},
        lambda b, n, d, h: b * (nd2 * n * d**2 + n2d * n**2 * d),
        lambda b, n, d, h: 8 * b * n * d**2 + 4 * b * n**2 * d,
        time_law(
            "multi-head-attention",
            Verdict.CONFIRMED,
            "every term is there (n*d**2 up to 92.6 %, n**2*d up to 91.1 %) and they leave over only n^0.01±0.02",
            claim="n*d**2 + n**2*d",
            formula="8.89e-11*n*d**2 + 5.71e-11*n**2*d",
            terms=(
                FittedTerm("n*d**2", Estimate(nd2, 0.97 * nd2, 1.03 * nd2), 0.926),
                FittedTerm("n**2*d", Estimate(n2d, 0.96 * n2d, 1.02 * n2d), 0.911),
            ),
            window={"n": (128, 4096), "d": (256, 512)},
            trials=12,
            specifications=ways(n=(0.0, 0.02), d=(0.0, 0.01)),
        ),
        counted_laws=three(
            "multi-head-attention",
            ("8*b*n*d**2 + 4*b*n**2*d", "8*b*n*d**2 + 4*b*n**2*d"),
            "4*d**2",
            "8*b*h*n**2 + 16*b*n*d",
        ),
        window="Two terms carry the work in turn, so the window reaches from where one leads to where the other does.",
    )


def out_of_regime() -> FakeLayer:
    return FakeLayer(
        "windowed-attention",
        {"b": (1,), "n": (512, 1024, 2048), "d": (64,), "w": (16, 64)},
        lambda b, n, d, w: 2e-4 + 4 * b * n * (2 * w + 1) * d / 8e10,
        lambda b, n, d, w: 4 * b * n * (2 * w + 1) * d,
        time_law(
            "windowed-attention",
            Verdict.OUT_OF_REGIME,
            "the times change only 3.66-fold over the window, and 10-fold are needed",
            claim="w*n*d",
            exponents=exponents(n=(0.57, 0.21, 1.0), w=(0.44, 0.19, 1.0)),
            window={"n": (512, 2048), "w": (16, 64)},
            trials=6,
        ),
        counted_laws=three(
            "windowed-attention",
            ("4*b*n*d*(2*w + 1)", "4*b*n*d*(2*w + 1)"),
            "0",
            "min(n, 2*w + 1)*4*b*n + ceil(n/w)*w",
        ),
    )


def hostile() -> FakeLayer:
    return FakeLayer(
        HOSTILE,
        {"b": (1,), "n": (128, 256, 512), "d": (32, 64)},
        lambda b, n, d: 3e-9 * n**1.5 * d,
        lambda b, n, d: int(n**1.5 * d),
        time_law(
            HOSTILE,
            Verdict.INFERRED,
            f"time grows as n^1.50±0.05; {HOSTILE}",
            exponents=exponents(n=(1.5, 0.05, None), d=(1.0, 0.04, None)),
            window={"n": (128, 512), "d": (32, 64)},
            trials=6,
            specifications=(Specification(HOSTILE, {"n": 1.5, "d": 1.0}),),
        ),
        counted_laws=(counted(HOSTILE, "flops", "n*sqrt(n)*d", None, reason=f"exact at 9 points {HOSTILE}"),),
        window=f"{HOSTILE} \x1b[31mred\x1b[0m $x$",
    )


def fake_layers() -> tuple[FakeLayer, ...]:
    return (attention(), rnn(), conv(), multi_head(), out_of_regime(), hostile())


def write_fake_run(
    folder: Path, layers: tuple[FakeLayer, ...] | None = None, *, seed: int = 7, **changes: Any
) -> StoredRun:
    """Make the run folder and read it back; `changes` replace what `run.json` says."""
    layers = fake_layers() if layers is None else layers
    trials = tuple(trial for layer in layers for trial in layer.trials())
    failed, skipped = _troubles(trials)
    info = info_of(**(_facts(folder.name, layers, trials, skipped) | changes))
    create(folder, info)
    with Journal(folder) as journal:
        for visit in _visits(layers, failed, skipped, np.random.default_rng(seed)):
            if visit.trial in {trial.id for trial in info.plan.trials}:
                journal.append(visit)
    run = load_stored(folder)
    laws = (*info.plan.counted_laws, *(layer.law for layer in layers if layer.law))
    finished = StoredRun(run.path, run.info, run.visits, laws)
    finished.write_derived()
    return load_stored(folder)


def info_of(suite: dict[str, Any], suite_name: str, **facts: Any) -> RunInfo:
    """What is known of a run before its first round, from the keys of ``run.json``."""
    seen, planned = ({one.name for one in fields(kind)} & set(facts) for kind in (Observations, Plan))
    plan = Plan(
        suite=from_mapping({"sweep": [{"layers": list(facts["scopes"]) or ["none"]}], **suite}, suite_name, "fake"),
        observations=Observations(**{name: facts.pop(name) for name in seen}),
        **{name: facts.pop(name) for name in planned},
    )
    return RunInfo(plan=plan, **facts)


def _facts(
    name: str, layers: tuple[FakeLayer, ...], trials: tuple[Trial, ...], skipped: dict[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "suite": {
            "title": "Three scaling laws",
            "question": "Does time grow as n²d for self-attention, nd² for recurrence and knd² for convolution?",
            "metrics": ["flops", "parameters", "peak_bytes", "time"],
            "budget": "60s",
            "device": ["auto"],
            "sweep": [{"layers": [layer.name for layer in layers] or ["none"], "n": "auto", "d": [64, 128]}],
        },
        "suite_name": "scaling",
        "command": "attnbench run --suite scaling --budget 60s --seed 7",
        "seed": 7,
        "started": "2025-11-04T09:41:07+00:00",
        "version": "0.1.0",
        "host": HOST,
        "trials": trials,
        "counted": {t.id: _counted(layer, t) for layer in layers for t in layer.trials()},
        "counted_laws": tuple(law for layer in layers for law in layer.counted_laws),
        "skipped": skipped,
        "claims": {layer.name: {"time": layer.law.claim} for layer in layers if layer.law and layer.law.claim},
        "scopes": {layer.name: "core" if "core" in layer.name else "layer" for layer in layers},
        "windows": {layer.name: layer.window for layer in layers if layer.window},
        "calibration": tuple(row for layer in layers for row in _calibration(layer)),
        "timer_overhead_seconds": 4.6e-8,
    }


def _counted(layer: FakeLayer, trial: Trial) -> Counted:
    flops = int(layer.flops(**trial.sizes))
    return Counted(flops, 4 * trial.sizes["d"] ** 2, 4 * trial.sizes["n"] * trial.sizes["d"], layer.uncounted)


def _calibration(layer: FakeLayer) -> Iterator[dict[str, Any]]:
    """A pilot wider than the plan, with small sizes that reach only a part of the rate."""
    for n, d in product((64, 256, 1024, 4096), (32, 64, 128, 256, 512, 1024)):
        others = {axis: sizes[0] for axis, sizes in layer.grid.items()}
        for sizes in ({**others, "n": n, "d": d}, {**others, "b": 64, "n": n, "d": d}):
            if sizes["b"] == 64 and n > 64:
                continue
            seconds = layer.seconds(**sizes) + 2e-5
            yield {
                "layer": layer.name,
                "device": "cpu",
                "sizes": sizes,
                "seconds": seconds,
                "flops": int(layer.flops(**sizes)),
            }


def _troubles(trials: tuple[Trial, ...]) -> tuple[dict[str, tuple[Status, str]], dict[str, str]]:
    """One trial out of memory, one in error, two skipped; the largest convolutions, where there are any."""
    big = [trial.id for trial in trials if trial.layer == "conv1d"][-4:]
    if len(big) < 4:
        return {}, {}
    failed = {
        big[3]: (Status.OOM, "needed 9.1 GiB, 8.0 GiB were free"),
        big[2]: (Status.ERROR, f"RuntimeError: {HOSTILE}"),
    }
    return failed, dict.fromkeys(big[:2], "predicted 4.2 s a call: more than a tenth of the budget")


def _visits(
    layers: tuple[FakeLayer, ...],
    failed: dict[str, tuple[Status, str]],
    skipped: dict[str, str],
    rng: np.random.Generator,
) -> Iterator[Visit]:
    started = 0.0
    planned = [(layer, trial) for layer in layers for trial in layer.trials() if trial.id not in skipped]
    for number in range(3):
        for index in rng.permutation(len(planned)):
            layer, trial = planned[int(index)]
            started += float(rng.uniform(0.1, 0.4))
            reference = 1.2e-3 * (1 + rng.exponential(0.02)) * (1.3 if number == 1 and 22 < started < 25 else 1.0)
            facts = {"started": started, "reference_seconds": float(reference)}
            if trial.id in failed:
                status, reason = failed[trial.id]
                yield Visit(trial.id, number % 2, number, status, reason, **facts)
                continue
            best = layer.seconds(**trial.sizes)
            blocks = tuple(float(best * (1 + layer.noise * delay)) for delay in rng.exponential(1.5, size=5))
            yield Visit(
                trial.id,
                number % 2,
                number,
                iterations=max(1, math.ceil(1e-3 / best)),
                block_seconds=blocks,
                first_call_seconds=float(best * 2.5),
                **facts,
            )
