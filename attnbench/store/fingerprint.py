"""What a file, a mapping or the code was, in a few letters: whoever comes back to it sees whether it is still that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnbench.version import __version__

PACKAGE = Path(__file__).parents[1]


def of_mapping(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a JSON object says; spaces and the order of its keys do not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of a file, as ``sha256sum`` prints it.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of_sources(path: Path) -> str:
    """SHA-256 of a Python file, or of every Python file of the package whose ``__init__.py`` `path` is.

    Raises:
        OSError: one cannot be read.
    """
    if path.name != "__init__.py":
        return of_file(path)
    files = sorted(path.parent.rglob("*.py"))
    return of_mapping({file.relative_to(path.parent).as_posix(): of_file(file) for file in files})


def of_attnbench() -> str:
    """The version of attnbench, and the beginning of the SHA-256 of its sources."""
    return f"{__version__} {of_sources(PACKAGE / '__init__.py')[:16]}"
