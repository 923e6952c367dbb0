"""What tests of real processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def left_behind() -> Callable[[], list[psutil.Process]]:
    """The processes begun since the test began that are still there; a browser of other tests is none of them."""
    before = psutil.Process().children()
    return lambda: [process for process in psutil.Process().children() if process not in before]
