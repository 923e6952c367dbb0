"""One fake run with hostile names for all formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.report.fake_run import write_fake_run

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return write_fake_run(tmp_path_factory.mktemp("results") / "fake")
