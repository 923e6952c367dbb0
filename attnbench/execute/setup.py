"""What the measuring processes of a run have in common: threads, plugins, seed, and where compiled code is kept."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from attnbench.trial import Choices

#: torch's profiler says on standard error when it begins and ends, and the last words of a process belong to the layer.
_QUIET_PROFILER = {"KINETO_LOG_LEVEL": "99"}


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

    def environment(self) -> dict[str, str]:
        """The parent's environment with the thread count fixed, one that compiles by itself, and its size at random.

        An environment's size shifts the stack and with it alignments (Mytkowicz et al., ASPLOS 2009); at random it is
        noise that the interval sees, and not a bias that it cannot see.
        """
        fixed = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads), **_QUIET_PROFILER}
        if folder := self.compile_folder:
            caches = {"TORCHINDUCTOR_CACHE_DIR": folder, "TRITON_CACHE_DIR": os.path.join(folder, "triton")}
            fixed |= {**caches, "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # a pool of compilers would work beside the clock
        return {**os.environ, **fixed, "ATTNBENCH_PADDING": "x" * random.randrange(4096)}


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
