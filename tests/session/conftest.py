"""Suites, plugins and machines for the tests of sessions."""

from __future__ import annotations

import pytest

from attnbench.session.reading import Run
from tests.fake_machine import FakeMachine, as_counted
from tests.session.grid import FALSE_CLAIM, GRID


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("suites") / "grid.toml"
    path.write_text(GRID, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def false_claim(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugins") / "false_claim.py"
    path.write_text(FALSE_CLAIM, encoding="utf-8")
    return str(path)


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine(as_counted(), noise=0.02)


@pytest.fixture(scope="module")
def finished(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the grid on a machine that obeys the law."""
    return FakeMachine(as_counted(), noise=0.02).run(suite, results=tmp_path_factory.mktemp("results"), seed=3)
