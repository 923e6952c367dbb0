"""One fresh measuring process, and the parent's side of the conversation.

The parent sleeps in the kernel while the process measures: a parent that spins would be a second load on the machine
under test. The process leads a session of its own, so that whatever a layer starts there ends together with it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

from attnbench.check.outcome import Mark, Outcome
from attnbench.child import Program
from attnbench.errors import LayerError, WorkerError
from attnbench.execute.setup import Setup
from attnbench.law import Law
from attnbench.record import Counted, Peaks, Status
from attnbench.trial import Sizes, Subject, Trial

#: A process that cannot say hello in this time will not say anything.
_HELLO_SECONDS = 120.0
#: A process that ends before any layer was called is started so many times.
_TRIES = 2
#: A layer that is not counted by then never will be.
_COUNTING_SECONDS = 600.0
#: Compiling takes this long at the most, for a process that loads the compiler and for one layer at one size.
_COMPILING_SECONDS = 180.0
#: A process that hangs and whose parent is gone, too, ends itself this long after it should have been ended.
_ORPHAN_SECONDS = 60.0
#: What is told of a device's best rates.
_PEAKS = ("flops_per_second", "edge", "bytes_per_second", "copied_bytes", "reason")


class Process:
    """A measuring process; use it as a context, ask it one trial at a time.

    A trial that kills or hangs the process costs that trial only: the answer says so, and the next question starts a
    new process.

    Args:
        setup: what it has in common with the others of a run.
        variables: of its environment, besides those of the setup.
    """

    def __init__(self, setup: Setup, variables: Mapping[str, str] | None = None) -> None:
        self._setup = setup
        self._variables = variables or {}
        self._child: Program | None = None
        self._stopped = False
        self.overhead_seconds = 0.0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, trial: Trial, pace: dict[str, Any], timeout: float, *, first: bool = False) -> dict[str, Any]:
        """Visit one trial and return the answer: a status, and timings where there are any.

        The `first` visit of a trial also looks at what it runs; one that compiles has more time.
        """
        request = {"layer": trial.layer, "sizes": trial.sizes, "choices": asdict(trial.choices), "pace": pace}
        patience = timeout + (_COMPILING_SECONDS if trial.choices.compile else 0.0)
        return self._ask({**request, "first": first}, patience)

    def measure_memory(self, trial: Trial, timeout: float) -> dict[str, Any]:
        """Call one trial for its memory and return the answer: a status, and bytes where there are any."""
        request = {"layer": trial.layer, "sizes": trial.sizes, "choices": asdict(trial.choices)}
        return self._ask({"memory": request}, timeout)

    def rate(self, device: str) -> float:
        """FLOP/s of a plain matrix product on `device`.

        Raises:
            WorkerError: the device cannot multiply two matrices.
        """
        for _ in range(_TRIES):  # no layer takes part, so that what ended the process may not be there any more
            answer = self._ask({"reference": device}, _HELLO_SECONDS)
            if "flops_per_second" in answer:
                return float(answer["flops_per_second"])
        raise WorkerError(f"device {device}: {answer['reason']}")

    def peaks(self, device: str, dtype: str, seconds: float) -> tuple[Peaks, float]:
        """What `device` does at best in numbers of `dtype`, measured for about `seconds`, and the clock it took."""
        answer = self._ask({"peaks": {"device": device, "dtype": dtype, "seconds": seconds}}, _HELLO_SECONDS)
        took = answer.pop("clock_seconds", 0.0)
        known = {name: answer[name] for name in _PEAKS if name in answer}
        return Peaks(device, dtype, self._setup.threads, **known), took

    def count(self, what: Subject, metrics: Sequence[str]) -> list[Law]:
        """Counted laws of a layer.

        Raises:
            LayerError: it cannot be counted.
        """
        answer = self._ask({"count": {**_named(what), "metrics": list(metrics)}}, _COUNTING_SECONDS)
        if "laws" not in answer:
            raise LayerError(answer.get("error") or f"layer {what.layer!r} cannot be counted: {answer['reason']}")
        return [Law.from_json(row) for row in answer["laws"]]

    def count_at(self, what: Subject, laws: Sequence[Law], points: Sequence[Sizes]) -> list[Counted | None]:
        """Counts of a layer at some sizes; None where it cannot be counted."""
        known = [law.as_json() for law in laws]
        request = {**_named(what), "laws": known, "points": list(points)}
        answer = self._ask({"count_at": request}, _COUNTING_SECONDS)
        return [one and Counted.from_json(one) for one in answer.get("counts", [None] * len(points))]

    def observe(self, name: str, layer: str) -> Any:
        """What one of `attnbench.counting.observations.OBSERVATIONS` sees of a layer, as JSON keeps it.

        Raises:
            LayerError: there is nothing to see, or the process ended.
        """
        answer = self._ask({"observe": {"name": name, "layer": layer}}, _COUNTING_SECONDS)
        if "observed" not in answer:
            raise LayerError(answer.get("error") or answer["reason"])
        return answer["observed"]

    def check(self, layer: str, check: str, timeout: float) -> tuple[list[Outcome], bool]:
        """What one check of the contract finds of a layer, and whether the process is as it was after it."""
        answer = self._ask({"check": {"layer": layer, "check": check}}, timeout)
        if answer.get("status") == Status.OK:
            return [Outcome.from_json(row) for row in answer["outcomes"]], True
        fix = "mend what raises, hangs, ends the process or changes it in build() or forward()"
        return [Outcome(check, Mark.FAILED, answer["reason"], fix)], False

    def stop(self) -> None:
        """End the process for good; whoever waits for its answer is told that there is none."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        if self._child is not None and self._child.has_ended(time.monotonic()):
            self._end()  # it ended while nobody had asked it anything, which is not this trial's doing
        if self._child is None:
            self._start()
        if self._child is not None:
            self._child.forget_words()  # what earlier trials said is not about this one
        try:
            answer = self._exchange({**request, "seconds": timeout + _ORPHAN_SECONDS}, timeout)
        except TimeoutError:
            self._end()
            return {"status": Status.TIMEOUT, "reason": f"no answer within {timeout:g} s"}
        except (EOFError, BrokenPipeError, ValueError):
            return self._obituary()
        if answer.pop("spent", False):  # a layer changed or left behind what the next one would meet
            self._end()
        return answer

    def _start(self) -> None:
        """Start a process that says hello; one that ends before is started anew, as no layer was called yet.

        Raises:
            WorkerError: none says hello.
        """
        for _ in range(_TRIES):
            self._launch()
            try:
                hello = self._exchange(asdict(self._setup), _HELLO_SECONDS)
            except TimeoutError:
                self._end()
                raise WorkerError(f"the measuring process did not start within {_HELLO_SECONDS:g} s") from None
            except (EOFError, BrokenPipeError, ValueError):
                reason = self._obituary()["reason"]
                if self._stopped:
                    break
            except BaseException:  # an interrupt, before the context that would stop the child is entered
                self._end()
                raise
            else:
                self.overhead_seconds = hello["overhead"]
                return
        raise WorkerError(f"the measuring process did not start: {reason}")

    def _launch(self) -> None:
        environment = {**self._setup.environment(), **self._variables}
        self._child = Program("attnbench.measure.worker", environment=environment)
        if self._stopped:  # while it was being started
            self._end()
            raise WorkerError("the measuring process was stopped")

    def _exchange(self, message: dict[str, Any], timeout: float) -> dict[str, Any]:
        assert self._child is not None  # noqa: S101  both callers have just started it
        self._child.write_line(json.dumps(message))
        answer = json.loads(self._child.read_line(time.monotonic() + timeout))
        if not isinstance(answer, dict):
            raise ValueError("no answer, but something that was written into its place")  # noqa: TRY004  as bad JSON is
        return answer

    def _obituary(self) -> dict[str, Any]:
        assert self._child is not None  # noqa: S101  it has just been asked
        child, self._child = self._child, None
        return child.obituary()

    def _end(self) -> None:
        """End the process and all that it started."""
        child, self._child = self._child, None
        if child is not None:
            child.end()


def _named(what: Subject) -> dict[str, Any]:
    return {"layer": what.layer, "choices": asdict(what.choices)}
