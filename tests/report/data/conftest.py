"""A run whose times are an exact power law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.report.fake_run import write_fake_run
from tests.report.measured import exact

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


@pytest.fixture(scope="package")
def exact_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return write_fake_run(tmp_path_factory.mktemp("exact") / "run", (exact(),))
