"""Commands in narrow windows: no line is wider than its window, but for a word that is to be copied whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from attnbench.cli import main
from tests.report.fake_run import attention, conv, rnn, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (
    "list layers",
    "list suites",
    "list runs --results {home}",
    "show attention-core",
    "count attention-core --at n=64,d=32",
    "laws {run}",
    "predict {run} rnn --at n=256,d=512",
    "compare {run} {run}",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_run(tmp_path_factory.mktemp("runs") / "run", (attention(), rnn(), conv()), windows={}).path


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_wider_than_the_window(command: str, width: int, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnbench.terminal.screen.window_width", lambda _: width)

    done = CliRunner().invoke(main, command.format(run=run, home=run.parent).split())

    assert done.exit_code == 0, done.output
    assert [line for line in done.stdout.splitlines() if cell_len(line) > width and " " in line.strip()] == []
