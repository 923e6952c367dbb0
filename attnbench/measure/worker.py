"""The measuring process: ``python -m attnbench.measure.worker``.

It reads one request a line (JSON) from its private copy of standard input and answers one line each on its private
copy of standard output; whatever a layer prints goes to standard error. It knows nothing of plans or budgets. It can
also count, so that many layers are counted side by side, and nobody's layer is called in the parent.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import IO, Any

import torch
from torch import nn

from attnbench.child import forked, obituary
from attnbench.errors import AttnbenchError, LayerError, UnsupportedError, words_of
from attnbench.law import Law
from attnbench.layers.backends import attention_backend
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, build_module, make_inputs, seed_for
from attnbench.layers.registry import Registry
from attnbench.measure import compiling, guard
from attnbench.measure.call import check_shape, output_in, ready
from attnbench.measure.clock import Clock, clock_for, overhead
from attnbench.measure.kernels import kernels_of, uses_fused_attention
from attnbench.measure.loop import Pace, time_block, time_call
from attnbench.measure.machine.conditions import Watch
from attnbench.measure.machine.peaks import measure_peaks
from attnbench.measure.memory import peaks
from attnbench.record import Status
from attnbench.trial import Choices, Sizes, Subject, Trial
from attnbench.units import nbytes

#: Edge of the square matrices of the drift reference: small enough for a cache, long enough for a clock.
_REFERENCE_EDGE = 384
_REFERENCE_BLOCKS = 3
#: How torch's CPU allocators put it, and the C++ library.
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "bad_alloc")
#: How torch puts it that an operation has no kernel for a dtype or a device.
_NO_KERNEL = ("\" not implemented for '", "Could not run 'aten::", "Unsupported dtype ", "dtypes not supported")
#: And that something cannot be trained.
_NO_GRADIENT = ("support automatic differentiation", "derivative for ")


def serve(requests: IO[str], answers: IO[str], room: int | None = None) -> None:
    """Answer requests until the input ends. The first one configures the process; `room` is the memory it may take."""
    setup = json.loads(requests.readline())
    torch.set_num_threads(setup["threads"])
    gc.freeze()  # what is loaded by now stays: collecting before each visit need not walk through all of torch
    belongings = guard.Belongings()
    registry = Registry(setup["plugins"], setup["installed"])
    torch.set_num_threads(setup["threads"])  # a plugin may have set it when it was imported, for all layers
    if setup.get("compile_folder"):
        compiling.objection("cpu")  # loads the compiler, before anything is asked and against no trial's time
    _answer(answers, {"overhead": overhead(clock_for("cpu"))})
    for line in requests:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request.pop("seconds", 0.0))  # the kernel's, so that it ends a hang in C
        if "reference" in request:
            answer = _rate(request["reference"])
        elif "peaks" in request:
            answer = measure_peaks(**request["peaks"], clock=clock_for(request["peaks"]["device"]))
        elif "memory" in request:
            answer = _memory_measured(belongings, room, registry, _trial(request["memory"]), setup["seed"])
        else:
            answer = _watched(belongings, room, *_asked(registry, request, setup["seed"]))
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        _answer(answers, answer)


def _asked(registry: Registry, request: dict[str, Any], seed: int) -> tuple[str, Callable[[], dict[str, Any]]]:
    """The device that a request needs, and the work it asks for."""
    for name, work in _COUNTING.items():
        if name in request:
            return "cpu", partial(_or_refused, work, registry, request[name])
    trial, first = _trial(request), request.get("first", False)
    return trial.choices.device, partial(visit, registry, trial, Pace(**request["pace"]), seed, first=first)


def _trial(request: dict[str, Any]) -> Trial:
    return Trial(Subject(request["layer"], Choices(**request["choices"])), request["sizes"])


def _memory_measured(
    belongings: guard.Belongings, room: int | None, registry: Registry, trial: Trial, seed: int
) -> dict[str, Any]:
    """Peaks of one call; where the system keeps the process's own, in a child, so that it is that trial's alone."""
    work, device = partial(memory_of, registry, trial, seed), trial.choices.device
    if trial.choices.mode == "train":
        import torch.fx.experimental.symbolic_shapes  # noqa: F401  torch does so in the first backward pass of each child
    if device == "cpu" and sys.platform.startswith("linux"):
        return _with_room(_in_fork(work), device, room)
    return _watched(belongings, room, device, work)


def _in_fork(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work answers in a fork under the alarm of this process, or how that died."""
    alarm = signal.getitimer(signal.ITIMER_REAL)[0]

    def under_alarm() -> dict[str, Any]:
        signal.setitimer(signal.ITIMER_REAL, alarm)  # a fork does not inherit it
        return work()

    answer, code = forked(under_alarm)
    return obituary(code) if answer is None else answer


def _with_room(answer: dict[str, Any], device: str, room: int | None) -> dict[str, Any]:
    if room is not None and device == "cpu" and answer.get("status") == Status.OOM:
        return {**answer, "reason": f"{answer['reason']} (a measuring process may take {nbytes(room)} here)"}
    return answer


def _watched(
    belongings: guard.Belongings, room: int | None, device: str, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """The answer to a request; one after which the process should serve no other says so with ``spent``."""
    belongings.settle(device)
    before = guard.state()
    answer = work()
    changed = guard.changes(before, guard.state())
    if changed and answer.get("status") == Status.OK:
        answer = {"status": Status.ERROR, "reason": changed}
    answer = _with_room(answer, device, room)
    return {**answer, "spent": True} if changed or belongings.left_behind(device) else answer


def visit(registry: Registry, trial: Trial, pace: Pace, seed: int, *, first: bool = False) -> dict[str, Any]:
    """Build, call and time one trial; a failure is an answer with a status and a reason.

    In the `first` visit of a trial, what it runs is looked at too, outside of what is timed.
    """
    clock = clock_for(trial.choices.device)
    guard.seed_everything(seed_for(trial.id, seed))
    try:
        before = {"reference_seconds": reference(clock, trial.choices.device)}
        watch = Watch(trial.choices.device)
        timed = _timed(registry.get(trial.layer), trial, pace, clock, first)
        return {**before, **timed, "conditions": watch.conditions()}
    except BaseException as error:  # sys.exit and an interrupt are the layer's too: nobody else sends them here
        return _failed(_status_of(error), error, name=not isinstance(error, LayerError))


def memory_of(registry: Registry, trial: Trial, seed: int) -> dict[str, Any]:
    """Build and call one trial, and say what memory the call took; a failure is an answer like any other."""
    guard.seed_everything(seed_for(trial.id, seed))
    try:
        measured = peaks(registry.get(trial.layer), trial)
    except BaseException as error:
        return _failed(_status_of(error), error, name=not isinstance(error, LayerError))
    return {
        "status": Status.OK,
        "reason": "",
        "allocated_bytes": measured.allocated,
        "resident_bytes": measured.resident,
    }


def reference(clock: Clock, device: str) -> float:
    """Seconds of a fixed matrix product: when it changes, the machine changed, not the layer."""
    matrix = torch.ones(_REFERENCE_EDGE, _REFERENCE_EDGE, device=device)
    return min(time_block(lambda: matrix @ matrix, 1, clock) for _ in range(_REFERENCE_BLOCKS))


def _rate(device: str) -> dict[str, Any]:
    try:
        return {"flops_per_second": 2 * _REFERENCE_EDGE**3 / reference(clock_for(device), device)}
    except Exception as error:
        return _failed(Status.ERROR, error)


def _counted(registry: Registry, layer: str, metrics: Sequence[str], choices: dict[str, Any]) -> dict[str, Any]:
    """Counted laws of one layer."""
    from attnbench.counting.laws import count_laws

    return {"laws": [law.as_json() for law in count_laws(registry.get(layer), metrics, Choices(**choices))]}


def _counted_at(
    registry: Registry, layer: str, choices: dict[str, Any], laws: Sequence[dict[str, Any]], points: Sequence[Sizes]
) -> dict[str, Any]:
    """Counts of one layer at some sizes; None where it cannot be counted."""
    from attnbench.counting.laws import count_at

    known = [Law.from_json(law) for law in laws]

    def at(sizes: Sizes) -> dict[str, Any] | None:
        try:
            return count_at(registry.get(layer), sizes, Choices(**choices), known).as_json()
        except AttnbenchError:
            return None

    return {"counts": [at(sizes) for sizes in points]}


def _observed(registry: Registry, name: str, layer: str) -> dict[str, Any]:
    """What one observation sees of one layer."""
    from attnbench.counting.observations import OBSERVATIONS

    return {"observed": OBSERVATIONS[name].look(registry.get(layer))}


def _checked(registry: Registry, layer: str, check: str) -> dict[str, Any]:
    """What one check of the contract finds; a layer that ends the check with more than an error has an answer too."""
    from attnbench.check.contract import look

    guard.seed_everything(seed_for(layer, 0))
    try:
        return {"status": Status.OK, "outcomes": [outcome.as_json() for outcome in look(registry.get(layer), check)]}
    except BaseException as error:
        return _failed(Status.ERROR, error)


_COUNTING: dict[str, Callable[..., dict[str, Any]]] = {
    "count": _counted,
    "count_at": _counted_at,
    "observe": _observed,
    "check": _checked,
}


def _or_refused(work: Callable[..., dict[str, Any]], registry: Registry, request: dict[str, Any]) -> dict[str, Any]:
    """What the work answers, or one line that says why the layer was not counted."""
    try:
        return work(registry, **request)
    except AttnbenchError as error:
        return {"error": str(error)}
    except BaseException as error:
        reason = _failed(Status.ERROR, error)["reason"]
        return {"error": f"layer {request['layer']!r} cannot be counted: {reason}"}


def _timed(layer: Layer, trial: Trial, pace: Pace, clock: Clock, first: bool) -> dict[str, Any]:
    choices, seen = trial.choices, dict[str, Any]()
    module = build_module(layer, trial.sizes, choices.device, choices.dtype)
    inputs = make_inputs(layer, trial.sizes, choices.device, choices.dtype)
    with contextlib.ExitStack() as around:
        around.enter_context(attention_backend(choices.sdpa))
        if choices.compile:
            around.enter_context(compiling.compiler(choices.device))
        plain = _plain(layer, trial, module, inputs) if first and _is_special(choices) else None
        form = {"form": compiling.one_graph} if choices.compile else {}
        call, examine = around.enter_context(ready(layer, module, inputs, choices.mode, **form))
        if choices.compile:
            seen["compile_seconds"] = compiling.compile_seconds(call, layer.name, clock)

        def look(output: Any) -> None:
            check_shape(layer, trial.sizes, choices.mode, output)
            examine(output)
            if choices.compile and plain is not None:
                compiling.check_same(layer.name, output_in(layer, choices.mode, output), plain)

        timing = time_call(call, clock, pace, look)
        if first:
            seen["kernels"] = kernels_of(call, choices.device)
    return {"status": Status.OK, "reason": "", **asdict(timing), **seen}


def _is_special(choices: Choices) -> bool:
    """Whether it must be seen first what the layer does by itself."""
    return choices.compile or choices.sdpa != "default"


def _plain(layer: Layer, trial: Trial, module: nn.Module, inputs: Inputs) -> Any:
    """What the layer returns when it is not compiled.

    Raises:
        UnsupportedError: a backend of attention was chosen for a layer that does not use any.
    """
    with ready(layer, module, inputs, trial.choices.mode) as (call, examine):
        output = call()
        check_shape(layer, trial.sizes, trial.choices.mode, output)
        examine(output)
        if trial.choices.sdpa != "default" and not uses_fused_attention(kernels_of(call, trial.choices.device)):
            raise UnsupportedError(
                f"layer {layer.name!r} does not call scaled_dot_product_attention, so it has no backend to choose"
            )
        return output_in(layer, trial.choices.mode, output)


def _status_of(error: BaseException) -> Status:
    if _out_of_memory(error):
        return Status.OOM
    words = str(error.__cause__ or error)
    unsupported = isinstance(error, UnsupportedError) or any(text in words for text in (*_NO_KERNEL, *_NO_GRADIENT))
    return Status.UNSUPPORTED if unsupported else Status.ERROR


def _out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in a call or (then it is the cause) while building; the CPU says so in words only."""
    cause = error.__cause__ or error
    words = str(cause).lower()
    return isinstance(cause, torch.OutOfMemoryError | MemoryError) or any(text in words for text in _OUT_OF_MEMORY)


def _failed(status: Status, error: BaseException, *, name: bool = True) -> dict[str, Any]:
    message = words_of(error)[:300]
    return {"status": status, "reason": f"{type(error).__name__}: {message}" if name else message}


def _answer(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main() -> None:
    """Keep the standard streams for requests and answers; layers find an empty input, and print on standard error."""
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with requests, answers, open(os.devnull, encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        serve(requests, answers, guard.limit_memory())


if __name__ == "__main__":
    main()
