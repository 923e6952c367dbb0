"""One fresh measuring process, and the parent's side of the conversation.

The parent sleeps in the kernel while the process measures: a parent that spins would be a second load on the machine
under test. The process leads a session of its own, so that whatever a layer starts there ends together with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Self

import psutil

from attnbench.check.outcome import Mark, Outcome
from attnbench.errors import LayerError, WorkerError
from attnbench.law import Law
from attnbench.record import Counted, PathMap, Peaks, Status
from attnbench.trial import Choices, Sizes, Subject, Trial

#: A process that cannot say hello in this time will not say anything.
_HELLO_SECONDS = 120.0
#: A process that ends before any layer was called is started so many times.
_TRIES = 2
#: A layer that is not counted by then never will be.
_COUNTING_SECONDS = 600.0
#: Compiling takes this long at the most, for a process that loads the compiler and for one layer at one size.
_COMPILING_SECONDS = 180.0
#: A process whose pipe has ended is gone after this time, or will not go by itself.
_LAST_SECONDS = 10.0
#: A process that hangs and whose parent is gone, too, ends itself this long after it should have been ended.
_ORPHAN_SECONDS = 60.0
#: torch's profiler says on standard error when it begins and ends, and the last words of a process belong to the layer.
_QUIET_PROFILER = {"KINETO_LOG_LEVEL": "99"}
#: What is told of a device's best rates.
_PEAKS = ("flops_per_second", "edge", "bytes_per_second", "copied_bytes", "reason")
#: Where the system cannot wake the parent at the end of a process, it looks as often as this.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Setup:
    """What every measuring process of a run has in common.

    Attributes:
        threads: number of CPU threads.
        plugins: files and modules of plugins.
        seed: the run's seed.
        installed: modules of installed plugins.
        compile_folder: where compiled code is kept; empty for a process that compiles nothing.
    """

    threads: int
    plugins: tuple[str, ...]
    seed: int
    installed: tuple[str, ...] = ()
    compile_folder: str = ""

    def under(self, choices: Choices, compile_folder: str) -> Setup:
        """That of a process for trials of `choices`: the compiler is loaded where it is needed, and nowhere else."""
        return replace(self, threads=choices.threads, compile_folder=compile_folder if choices.compile else "")


@contextmanager
def compile_folder(every: Iterable[Choices]) -> Iterator[str]:
    """A folder for compiled code that processes share as long as the context lasts; empty where nothing is compiled.

    What one process compiled is quickly loaded by the next one. An older run's code is not found: it would hide what
    compiling costs.
    """
    if not any(choices.compile for choices in every):
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="attnbench-compiled-", ignore_cleanup_errors=True) as folder:
        yield folder


class Process:
    """A measuring process; use it as a context, ask it one trial at a time.

    A trial that kills or hangs the process costs that trial only: the answer says so, and the next question starts a
    new process.

    Args:
        setup: what it has in common with the others of a run.
        environment: variables that it needs besides.
    """

    def __init__(self, setup: Setup, environment: Mapping[str, str] | None = None) -> None:
        self._setup = setup
        self._variables = environment or {}
        self._child: subprocess.Popen[bytes] | None = None
        self._end: int | None = None
        self._errors: IO[bytes] | None = None
        self._pending = b""
        self._heard = 0
        self._stopped = False
        self.overhead_seconds = 0.0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, trial: Trial, pace: dict[str, Any], timeout: float, *, first: bool = False) -> dict[str, Any]:
        """Visit one trial and return the answer: a status, and timings where there are any.

        The `first` visit of a trial also looks at what it runs; one that compiles has more time.
        """
        request = {"layer": trial.layer, "sizes": trial.sizes, "choices": asdict(trial.choices), "pace": pace}
        patience = timeout + (_COMPILING_SECONDS if trial.choices.compile else 0.0)
        return self._ask({**request, "first": first}, patience)

    def weigh(self, trial: Trial, timeout: float) -> dict[str, Any]:
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

    def reach(self, layer: str) -> tuple[tuple[int, float], ...]:
        """Effective reach of a layer; empty where there is none."""
        answer = self._ask({"reach": {"layer": layer}}, _COUNTING_SECONDS)
        return tuple((distance, norm) for distance, norm in answer.get("reach", ()))

    def paths(self, layer: str) -> PathMap:
        """Path lengths between all positions of a layer, or why there are none."""
        answer = self._ask({"paths": {"layer": layer}}, _COUNTING_SECONDS)
        return PathMap(**answer["paths"]) if "paths" in answer else PathMap(refused=_why(answer))

    def check(self, layer: str, check: str, timeout: float) -> tuple[list[Outcome], bool]:
        """What one check of the contract finds of a layer, and whether the process is as it was after it."""
        answer = self._ask({"check": {"layer": layer, "check": check}}, timeout)
        if answer.get("status") == Status.OK:
            return [Outcome.from_json(row) for row in answer["outcomes"]], True
        fix = "mend what raises, hangs, ends the process or changes it in build() or forward()"
        return [Outcome(check, Mark.FAILED, answer["reason"], fix)], False

    def weights(self, layer: str) -> list[list[list[float]]] | None:
        """Attention weights of a layer; None where there are none to be seen."""
        found: list[list[list[float]]] | None = self._ask({"weights": {"layer": layer}}, _COUNTING_SECONDS).get(
            "weights"
        )
        return found

    def fading(self, layer: str) -> dict[str, list[list[float]]] | None:
        """What is left of a position after copies of a layer; None where they cannot be stacked."""
        found: dict[str, list[list[float]]] | None = self._ask({"fading": {"layer": layer}}, _COUNTING_SECONDS).get(
            "fading"
        )
        return found

    def stop(self) -> None:
        """End the process for good; whoever waits for its answer is told that there is none."""
        self._stopped = True
        if self._child is not None:
            _kill_group(self._child)

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        if self._child is not None and self._wait([], time.monotonic()):
            self._stop()  # it ended while nobody had asked it anything, which is not this trial's doing
        if self._child is None:
            self._start()
        if self._errors is not None:
            self._heard = os.fstat(self._errors.fileno()).st_size  # what earlier trials said is not about this one
        try:
            answer = self._exchange({**request, "seconds": timeout + _ORPHAN_SECONDS}, timeout)
        except TimeoutError:
            self._stop()
            return {"status": Status.TIMEOUT, "reason": f"no answer within {timeout:g} s"}
        except (EOFError, BrokenPipeError, ValueError):
            return self._obituary()
        if answer.pop("spent", False):  # a layer changed or left behind what the next one would meet
            self._stop()
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
                self._stop()
                raise WorkerError(f"the measuring process did not start within {_HELLO_SECONDS:g} s") from None
            except (EOFError, BrokenPipeError, ValueError):
                reason = self._obituary()["reason"]
                if self._stopped:
                    break
            except BaseException:  # an interrupt, before the context that would stop the child is entered
                self._stop()
                raise
            else:
                self.overhead_seconds = hello["overhead"]
                return
        raise WorkerError(f"the measuring process did not start: {reason}")

    def _launch(self) -> None:
        self._pending, self._heard = b"", 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self._child = subprocess.Popen(
            [sys.executable, "-m", "attnbench.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**_environment(self._setup), **self._variables},
            start_new_session=True,
        )
        self._end = _end_of(self._child)
        if self._stopped:  # while it was being started
            self._stop()
            raise WorkerError("the measuring process was stopped")

    def _exchange(self, message: dict[str, Any], timeout: float) -> dict[str, Any]:
        assert self._child is not None  # noqa: S101  both callers have just started it
        assert self._child.stdin is not None  # noqa: S101
        self._child.stdin.write(json.dumps(message).encode() + b"\n")
        self._child.stdin.flush()
        answer = json.loads(self._read_line(timeout))
        if not isinstance(answer, dict):
            raise ValueError("no answer, but something that was written into its place")  # noqa: TRY004  as bad JSON is
        return answer

    def _read_line(self, timeout: float) -> bytes:
        """The next line of the process; its end is seen even while something it started holds the pipe open."""
        assert self._child is not None  # noqa: S101
        assert self._child.stdout is not None  # noqa: S101
        descriptor = self._child.stdout.fileno()
        deadline = time.monotonic() + timeout
        while b"\n" not in self._pending:
            ready = self._wait([descriptor], deadline)
            if descriptor not in ready:
                raise EOFError if ready else TimeoutError
            chunk = os.read(descriptor, 65_536)
            if not chunk:
                raise EOFError
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _wait(self, descriptors: list[int], deadline: float) -> list[int]:
        """Sleep until one can be read, the process has ended or time is up; what became ready, -1 for its end."""
        while True:
            left = max(0.0, deadline - time.monotonic())
            if self._end is not None:
                ready, _, _ = select.select([*descriptors, self._end], [], [], left)
                return [-1 if one == self._end else one for one in ready]
            ready, _, _ = select.select(descriptors, [], [], min(left, _LOOK_SECONDS))
            if not ready and self._child is not None and _is_zombie(self._child):
                return [-1]
            if ready or left <= _LOOK_SECONDS:
                return ready

    def _obituary(self) -> dict[str, Any]:
        """Why the process is gone: how it ended, and the last line it wrote since it was asked."""
        ended = bool(self._wait([], time.monotonic() + _LAST_SECONDS))
        words = os.pread(self._errors.fileno(), 1_000_000, self._heard) if self._errors else b""
        stopped, code = self._stopped, self._stop()
        if not ended:
            return _died("closed its pipes and was stopped")
        if code == -signal.SIGKILL and not stopped:
            return _died("was killed, most likely because memory ran out", Status.OOM)
        how = f"ended with signal {-code}" if code < 0 else f"ended with exit status {code}"
        last = words.decode(errors="replace").strip().rpartition("\n")[2][:200]
        return _died(how + (f": {last}" if last else ""))

    def _stop(self) -> int:
        """End the process and all that it started; its exit status."""
        child, errors, end = self._child, self._errors, self._end
        self._child = self._errors = self._end = None
        if child is None:
            return 0
        _kill_group(child)
        code = child.wait()
        for stream in (child.stdin, child.stdout, errors):
            _close(stream)
        if end is not None:
            os.close(end)
        return code


def _why(answer: dict[str, Any]) -> str:
    """What a process says of a layer that it could not look at, or how the process ended."""
    return str(answer.get("error") or answer["reason"])


def _named(what: Subject) -> dict[str, Any]:
    return {"layer": what.layer, "choices": asdict(what.choices)}


def _died(how: str, status: Status = Status.ERROR) -> dict[str, Any]:
    return {"status": status, "reason": f"the measuring process {how}"}


def _end_of(child: subprocess.Popen[bytes]) -> int | None:
    """A descriptor that becomes readable when the process ends; only Linux has it, and not every sandbox."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(child.pid)
    return None


def _is_zombie(child: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended, without collecting its exit status: until then its number stays its own."""
    return bool(psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill a process and what it started, unless that went into a session of its own."""
    if child.returncode is not None:
        return  # its number may be another's by now
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _close(stream: IO[bytes] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except BrokenPipeError:
        pass  # an unsent request to a process that is gone


def _environment(setup: Setup) -> dict[str, str]:
    """The parent's environment with the thread count fixed, one that compiles by itself, and its size at random.

    An environment's size shifts the stack and with it alignments (Mytkowicz et al., ASPLOS 2009); at random it is
    noise that the interval sees, and not a bias that it cannot see.
    """
    fixed = {"OMP_NUM_THREADS": str(setup.threads), "MKL_NUM_THREADS": str(setup.threads), **_QUIET_PROFILER}
    if folder := setup.compile_folder:
        caches = {"TORCHINDUCTOR_CACHE_DIR": folder, "TRITON_CACHE_DIR": os.path.join(folder, "triton")}
        fixed |= {**caches, "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # a pool of compilers would work beside the clock
    return {**os.environ, **fixed, "ATTNBENCH_PADDING": "x" * random.randrange(4096)}
