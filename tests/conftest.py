"""What pytest must know of this folder: how tests share the machine."""

from __future__ import annotations

import fcntl
import importlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A package of its own, with a test that runs where it is installed: tests/test_example_plugin.py does that.
collect_ignore = ["example_plugin"]


#: Folders whose tests are about what becomes of a count, and not about counting.
USERS_OF_COUNTS = {"behaviour", "cli", "report", "session", "terminal"}
#: What was counted of a layer of our own in this process: the same each time, and seconds of work.
COUNTED: dict[tuple[Any, ...], list[Any]] = {}


@pytest.fixture(autouse=True)
def each_layer_is_counted_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tests only use the laws of a built-in layer, the laws that a test before was given."""
    folder, *_ = request.path.relative_to(Path(__file__).parent).parts
    if folder not in USERS_OF_COUNTS:
        return
    laws, counting = (importlib.import_module(f"attnbench.{room}") for room in ("counting.laws", "execute.counting"))
    count = laws.count_laws

    def count_once(layer: Any, metrics: Any = laws.COUNTED_METRICS, *choices: Any, **named: Any) -> list[Any]:
        if not layer.build.__module__.startswith("attnbench.layers."):
            return list(count(layer, metrics, *choices, **named))
        key = (layer.name, tuple(metrics), *choices, *named.values())
        if key not in COUNTED:
            COUNTED[key] = count(layer, metrics, *choices, **named)
        return list(COUNTED[key])

    for room in (laws, counting):
        monkeypatch.setattr(room, "count_laws", count_once)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tests run side by side, but nothing runs beside one that is marked `alone`: it asks this machine's clock."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    door, room = locks(os.getppid())
    with held(door, fcntl.LOCK_EX) as outside, held(room, fcntl.LOCK_UN) as inside:
        # Whoever waits for an empty room keeps the door, so that nobody else goes in.
        fcntl.flock(inside, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(outside, fcntl.LOCK_UN)
        return (yield)


def pytest_sessionfinish() -> None:
    """The process that started the others clears up after them."""
    for lock in locks(os.getpid()):
        lock.unlink(missing_ok=True)


def locks(session: int) -> tuple[Path, Path]:
    """Files that the processes of one session lock, by the number of the process that started them."""
    folder = Path(tempfile.gettempdir())
    return folder / f"attnbench-tests-{session}.door", folder / f"attnbench-tests-{session}.room"


@contextmanager
def held(path: Path, how: int) -> Iterator[int]:
    """A lock on a file."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)
