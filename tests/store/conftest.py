"""The small run, on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attnbench.store.journal import Journal
from attnbench.store.run_folder import create
from tests.store.small_run import INFO, VISITS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with three visits on disk."""
    create(tmp_path / "mine", INFO)
    with Journal(tmp_path / "mine") as journal:
        for visit in VISITS:
            journal.append(visit)
    return tmp_path / "mine"
