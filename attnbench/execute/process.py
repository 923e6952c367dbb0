"""One fresh measuring process, and the parent's side of the conversation.

The parent sleeps in the kernel while the process measures: a parent that spins would be a second load on the machine
under test.
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any, Self

from attnbench.errors import LayerError, WorkerError
from attnbench.law import Law
from attnbench.record import Status
from attnbench.trial import Trial

#: A process that cannot say hello in this time will not say anything.
_HELLO_SECONDS = 120.0
#: A layer that is not counted by then never will be.
_COUNTING_SECONDS = 600.0
#: A process whose pipe has ended is gone after this time, or will not go by itself.
_LAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What every measuring process of a run has in common."""

    threads: int
    plugins: tuple[str, ...]
    seed: int


class Process:
    """A measuring process; use it as a context, ask it one trial at a time.

    A trial that kills or hangs the process costs that trial only: the answer says so, and the next question starts a
    new process.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._child: subprocess.Popen[bytes] | None = None
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

    def ask(self, trial: Trial, pace: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Visit one trial and return the answer: a status, and timings where there are any."""
        request = {"layer": trial.layer, "sizes": trial.sizes, "choices": asdict(trial.choices), "pace": pace}
        return self._ask(request, timeout)

    def rate(self, device: str) -> float:
        """FLOP/s of a plain matrix product on `device`.

        Raises:
            WorkerError: the device cannot multiply two matrices.
        """
        answer = self._ask({"reference": device}, _HELLO_SECONDS)
        if "flops_per_second" not in answer:
            raise WorkerError(f"device {device}: {answer['reason']}")
        return float(answer["flops_per_second"])

    def count(self, layer: str, metrics: Sequence[str], dtype: str, mode: str) -> list[Law]:
        """Counted laws of a layer.

        Raises:
            LayerError: it cannot be counted.
        """
        asked = {"layer": layer, "metrics": list(metrics), "dtype": dtype, "mode": mode}
        answer = self._ask({"count": asked}, _COUNTING_SECONDS)
        if "laws" not in answer:
            raise LayerError(answer.get("error") or f"layer {layer!r} cannot be counted: {answer['reason']}")
        return [Law.from_json(row) for row in answer["laws"]]

    def stop(self) -> None:
        """End the process for good; whoever waits for its answer is told that there is none."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        if self._child is None:
            self._start()
        if self._errors is not None:
            self._heard = os.fstat(self._errors.fileno()).st_size  # what earlier trials said is not about this one
        try:
            return self._exchange(request, timeout)
        except TimeoutError:
            self._stop()
            return {"status": Status.TIMEOUT, "reason": f"no answer within {timeout:g} s"}
        except (EOFError, BrokenPipeError, ValueError):
            return {"status": Status.ERROR, "reason": self._last_words()}

    def _start(self) -> None:
        self._pending, self._heard = b"", 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self._child = subprocess.Popen(
            [sys.executable, "-m", "attnbench.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(self._setup.threads),
        )
        if self._stopped:  # while it was being started
            self._stop()
            raise WorkerError("the measuring process was stopped")
        try:
            hello = self._exchange(asdict(self._setup), _HELLO_SECONDS)
        except (TimeoutError, EOFError, BrokenPipeError, ValueError):
            raise WorkerError(f"the measuring process did not start: {self._last_words()}") from None
        except BaseException:  # an interrupt, before the context that would stop the child is entered
            self._stop()
            raise
        self.overhead_seconds = hello["overhead"]

    def _exchange(self, message: dict[str, Any], timeout: float) -> dict[str, Any]:
        assert self._child is not None  # noqa: S101  both callers have just started it
        assert self._child.stdin is not None  # noqa: S101
        self._child.stdin.write(json.dumps(message).encode() + b"\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read_line(timeout))
        return answer

    def _read_line(self, timeout: float) -> bytes:
        assert self._child is not None  # noqa: S101
        assert self._child.stdout is not None  # noqa: S101
        descriptor = self._child.stdout.fileno()
        deadline = time.monotonic() + timeout
        while b"\n" not in self._pending:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            chunk = os.read(descriptor, 65_536)
            if not chunk:
                raise EOFError
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _last_words(self) -> str:
        """Why the process is gone: how it ended, and the last line it wrote since it was asked."""
        child, errors = self._child, self._errors
        how = _ending(child) if child else "is gone"
        words = os.pread(errors.fileno(), 1_000_000, self._heard) if errors else b""
        self._stop()
        last = words.decode(errors="replace").strip().rpartition("\n")[2][:200]
        return f"the measuring process {how}" + (f": {last}" if last else "")

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for stream in (self._child.stdin, self._child.stdout, self._errors):
                _close(stream)
        self._child = self._errors = None


def _ending(child: subprocess.Popen[bytes]) -> str:
    """How the process ended; one that lives on but cannot be talked to any more is ended here."""
    try:
        code = child.wait(timeout=_LAST_SECONDS)
    except subprocess.TimeoutExpired:
        return "closed its pipes and was stopped"
    return f"ended with signal {-code}" if code < 0 else f"ended with exit status {code}"


def _close(stream: IO[bytes] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except BrokenPipeError:
        pass  # an unsent request to a process that is gone


def _environment(threads: int) -> dict[str, str]:
    """The parent's environment with the thread count fixed and its size at random.

    An environment's size shifts the stack and with it alignments (Mytkowicz et al., ASPLOS 2009); at random it is
    noise that the interval sees, and not a bias that it cannot see.
    """
    fixed = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return {**os.environ, **fixed, "ATTNBENCH_PADDING": "x" * random.randrange(4096)}
