"""A run as it happens, for a person in front of a terminal or with a log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from attnbench.escape_controls import plain
from attnbench.law import Law
from attnbench.session.reporter import Reporter
from attnbench.terminal.screen import console
from attnbench.terminal.tables import laws_table

if TYPE_CHECKING:
    from attnbench.execute.rounds import Progress
    from attnbench.trial import Trial


#: Nothing is foretold from less than this: the first process of a stage takes seconds to start.
_TELLING_SECONDS, _TELLING_LAYERS = 2.0, 2


class RunView(Reporter):
    """Shows a run: one moving line and the laws as they settle on a terminal, one line a stage anywhere else.

    It draws only when told that something is about to start, never by itself: a thread that redraws would be a load on
    the machine under test.

    Args:
        budget_seconds: clock that probes and visits may take together.
    """

    def __init__(self, budget_seconds: float) -> None:
        self._console = console(stderr=True)
        self._budget = budget_seconds
        self._began = self._stage_began = time.monotonic()
        self._spent_before: float | None = None
        self._line = ""
        self._laws: Sequence[Law] = ()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def stage(self, text: str) -> None:
        """A new stage begins: it gets a line of its own that stays."""
        self._stage_began, self._spent_before = time.monotonic(), None
        passed = Text(f"{self._stage_began - self._began:5.0f} s", style="dim")
        self._console.print(Text.assemble(passed, f"  {text}"))
        self._draw(text)

    def counting(self, layer: str, done: int, total: int) -> None:
        """A layer is about to be counted."""
        left = self._passed * (total - done) / done if done >= _TELLING_LAYERS else None
        about = f", about {_duration(left)}" if left is not None else ""
        where = f"{done + 1} of {total}{about}, then at most {_duration(self._budget)} of clock"
        self._draw(f"counting {layer} · {where}")

    def probing(self, trial: Trial) -> None:
        """A probe is about to start."""
        self._draw(f"at most {_duration(self._budget)} of clock for probes and visits · probing {trial.id}")

    def visiting(self, progress: Progress) -> None:
        """A visit is about to start."""
        if self._spent_before is None:
            self._spent_before = progress.spent_seconds
        left = max(0.0, self._budget - progress.spent_seconds)
        where = f"round {progress.round + 1}, {progress.done + 1} of {progress.total}"
        clock = f"at most {_duration(left)} of clock left{self._to_wait(progress, left)}"
        self._draw(f"{where} · {clock} · {progress.trial.id}")

    def laws(self, laws: Sequence[Law]) -> None:
        """The laws of time as they stand after a round: those that have something to show."""
        self._laws = [law for law in laws if law.exponents or law.terms]
        self._draw(self._line)

    @property
    def _passed(self) -> float:
        return time.monotonic() - self._stage_began

    def _to_wait(self, progress: Progress, left: float) -> str:
        """What is left as a person waits for it: processes start, layers are built, laws are fitted.

        Each call for memory is made once and no clock runs, so there the calls tell how far it is.
        """
        spent = progress.spent_seconds - (self._spent_before or 0.0)
        if progress.spent_seconds == 0 and self._passed >= _TELLING_SECONDS and progress.done:
            return f", about {_duration(self._passed * (progress.total - progress.done) / progress.done)} to wait"
        if spent < _TELLING_SECONDS or self._passed < spent:
            return ""
        return f", about {_duration(left * self._passed / spent)} to wait"

    def _draw(self, line: str) -> None:
        self._line = line
        if self._console.is_terminal:
            text = Text(plain(line), overflow="ellipsis", no_wrap=True)
            self._live.update(Group(laws_table(self._laws, reasons=False), text) if self._laws else text, refresh=True)


def _duration(seconds: float) -> str:
    """Whole seconds, and minutes where there are many of them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
