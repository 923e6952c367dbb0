"""A factory without a layer is given by its file and its name, to whatever process needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from attnbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path

MODELS = (
    "from torch import nn\n\ndef build(d: int, bias: bool = False) -> nn.Module:\n    return nn.Linear(d, d, bias)\n"
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.py"
    path.write_text(MODELS, encoding="utf-8")
    return path


def test_a_factory_is_checked_in_another_process_by_the_name_it_was_given_under(models: Path) -> None:
    result = CliRunner().invoke(main, ["check", f"{models}:build"])

    assert result.exit_code == 0
    assert result.output.startswith(f"✓ {models}:build  10 checks\n")


@pytest.mark.parametrize("command", ["show", "count", "check"])
def test_every_command_says_in_one_line_that_there_is_no_such_factory(command: str, models: Path) -> None:
    result = CliRunner().invoke(main, [command, f"{models}:biuld"])

    assert result.exit_code == 2
    assert result.output == f"Error: plugin {models}: it defines no 'biuld'. Did you mean 'build'?\n"
