"""What several tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnbench.measure.machine import host, system


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file system that the facts are read from, empty at first."""

    def inside(path: str | Path) -> Path:
        return tmp_path / str(path).removeprefix(str(tmp_path)).lstrip("/")

    monkeypatch.setattr(host, "Path", inside)
    monkeypatch.setattr(system, "Path", inside)
    return tmp_path
