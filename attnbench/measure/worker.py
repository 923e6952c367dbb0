"""The measuring process: ``python -m attnbench.measure.worker``.

It reads one request a line (JSON) from standard input and answers one line each on its private copy of standard
output; whatever a layer prints goes to standard error. It knows nothing of plans or budgets. It can also count, so
that many layers are counted side by side.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import torch

from attnbench.errors import AttnbenchError, LayerError, UnsupportedError
from attnbench.layers.building import build_module, make_inputs, seed_for
from attnbench.layers.registry import Registry
from attnbench.measure.call import ready
from attnbench.measure.clock import Clock, clock_for, overhead
from attnbench.measure.loop import Pace, time_block, time_call
from attnbench.record import Status
from attnbench.trial import Choices, Trial

#: Edge of the square matrices of the drift reference: small enough for a cache, long enough for a clock.
_REFERENCE_EDGE = 384
_REFERENCE_BLOCKS = 3
#: How torch's CPU allocators put it.
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")
#: How torch puts it that an operation has no kernel for a dtype or a device.
_NO_KERNEL = ("\" not implemented for '", "Could not run 'aten::", "Unsupported dtype ", "dtypes not supported")


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until the input ends. The first one configures the process."""
    setup = json.loads(requests.readline())
    torch.set_num_threads(setup["threads"])
    gc.freeze()  # what is loaded by now stays: collecting before each visit need not walk through all of torch
    registry = Registry(setup["plugins"])
    _answer(answers, {"overhead": overhead(clock_for("cpu"))})
    for line in requests:
        request = json.loads(line)
        if "reference" in request:
            _answer(answers, _rate(request["reference"]))
            continue
        if "count" in request:
            _answer(answers, _counted(registry, **request["count"]))
            continue
        trial = Trial(request["layer"], request["sizes"], Choices(**request["choices"]))
        _answer(answers, visit(registry, trial, Pace(**request["pace"]), setup["seed"]))


def visit(registry: Registry, trial: Trial, pace: Pace, seed: int) -> dict[str, Any]:
    """Build, call and time one trial; a failure is an answer with a status and a reason."""
    clock = clock_for(trial.choices.device)
    torch.manual_seed(seed_for(trial.id, seed))
    try:
        return {"reference_seconds": reference(clock, trial.choices.device), **_timed(registry, trial, pace, clock)}
    except Exception as error:
        return _failed(_status_of(error), error, name=not isinstance(error, LayerError))


def reference(clock: Clock, device: str) -> float:
    """Seconds of a fixed matrix product: when it changes, the machine changed, not the layer."""
    matrix = torch.ones(_REFERENCE_EDGE, _REFERENCE_EDGE, device=device)
    return min(time_block(lambda: matrix @ matrix, 1, clock) for _ in range(_REFERENCE_BLOCKS))


def _rate(device: str) -> dict[str, Any]:
    try:
        return {"flops_per_second": 2 * _REFERENCE_EDGE**3 / reference(clock_for(device), device)}
    except Exception as error:
        return _failed(Status.ERROR, error)


def _counted(registry: Registry, layer: str, metrics: Sequence[str], dtype: str, mode: str) -> dict[str, Any]:
    """Counted laws of one layer, or one line that says why there are none."""
    from attnbench.count.laws import count_laws  # half a second that a process which only measures need not spend

    try:
        return {"laws": [law.as_json() for law in count_laws(registry.get(layer), metrics, dtype, mode)]}
    except AttnbenchError as error:
        return {"error": str(error)}


def _timed(registry: Registry, trial: Trial, pace: Pace, clock: Clock) -> dict[str, Any]:
    layer, choices = registry.get(trial.layer), trial.choices
    module = build_module(layer, trial.sizes, choices.device, choices.dtype)
    inputs = make_inputs(layer, trial.sizes, choices.device, choices.dtype)
    with ready(layer, module, inputs, choices.mode) as (call, examine):
        timing = time_call(call, clock, pace, examine)
    return {
        "status": Status.OK,
        "reason": "",
        "first_call_seconds": timing.first_call_seconds,
        "iterations": timing.iterations,
        "block_seconds": timing.block_seconds,
    }


def _status_of(error: Exception) -> Status:
    if _out_of_memory(error):
        return Status.OOM
    words = str(error.__cause__ or error)
    unsupported = isinstance(error, UnsupportedError) or any(text in words for text in _NO_KERNEL)
    return Status.UNSUPPORTED if unsupported else Status.ERROR


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, in a call or (then it is the cause) while building; the CPU says so in words only."""
    cause = error.__cause__ or error
    words = str(cause).lower()
    return isinstance(cause, torch.OutOfMemoryError | MemoryError) or any(text in words for text in _OUT_OF_MEMORY)


def _failed(status: Status, error: BaseException, *, name: bool = True) -> dict[str, Any]:
    message = " ".join(str(error).split())[:300]
    return {"status": status, "reason": f"{type(error).__name__}: {message}" if name else message}


def _answer(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main() -> None:
    """Keep standard output for answers and let everything else go to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
