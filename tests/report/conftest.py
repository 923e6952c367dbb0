"""One fake run, its values and its page, made once for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attnbench.report.page import build_context, render
from tests.report.fake_run import write_fake_run

if TYPE_CHECKING:
    from attnbench.report.context import PageContext
    from attnbench.store.run_folder import StoredRun


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """Six layers, every verdict, failures, skips, drift, a lower bound and hostile names."""
    return write_fake_run(tmp_path_factory.mktemp("results") / "scaling-1")


@pytest.fixture(scope="session")
def context(run: StoredRun) -> PageContext:
    return build_context(run)


@pytest.fixture(scope="session")
def page(context: PageContext) -> str:
    return render(context)
