"""What pytest must know of this folder: how tests share the machine."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A package of its own, with a test that runs where it is installed: tests/test_example_plugin.py does that.
collect_ignore = ["example_plugin"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tests run side by side, but nothing runs beside one that is marked `alone`: it asks this machine's clock."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if session is None:
        return (yield)
    room = Path(tempfile.gettempdir()) / f"attnbench-tests-{session}"
    with held(f"{room}.door", fcntl.LOCK_EX) as door, held(f"{room}", fcntl.LOCK_UN) as inside:
        # Whoever waits for an empty room keeps the door, so that nobody else goes in.
        fcntl.flock(inside, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        return (yield)


@contextmanager
def held(path: str, how: int) -> Iterator[int]:
    """A lock on a file that the processes of one session share."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)
