"""The command line. Each command is a few lines that call the rooms; what is heavy is imported where it is used."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import click

from attnbench.cli import (
    checking,
    comparing,
    counting,
    creating,
    doctor,
    exporting,
    fitting,
    running,
    runs,
)
from attnbench.cli import (
    predicting as asking,
)
from attnbench.cli.options import complain
from attnbench.errors import AttnbenchError, Terminated, stopped_by
from attnbench.version import __version__


@contextlib.contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C: processes are stopped, and tables are written."""

    def stop(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Commands(click.Group):
    """Turns our errors and an interrupt into one line and an exit code, with nothing lost."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with _heeding_sigterm():
                return super().invoke(ctx)
        except AttnbenchError as error:
            failure = error
        except KeyboardInterrupt as stop:
            failure = stopped_by(stop, "interrupted; what was measured before is on disk")
        complain(failure)
        return ctx.exit(failure.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="attnbench")
def main() -> None:
    """Count, time and judge the scaling laws of attention, recurrent and convolutional layers."""


for _room in (running, runs, exporting, counting, checking, creating, fitting, asking, comparing, doctor):
    for _command in _room.COMMANDS:
        main.add_command(_command)
