"""Files that are whole or not there: a reader never sees half of one, nor does a crash leave it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name, wait until it is on disk, and then give it its own name.

    Raises:
        OSError: it cannot be written; what had the name before still has it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        _sync(draft)
        os.replace(draft, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def put_json(path: Path, content: Any) -> None:
    """`put` for a JSON document."""
    put_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def put_text(path: Path, text: str) -> None:
    """`put` for a text."""
    put(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def drafts(path: Path) -> list[Path]:
    """What a crash may have left where `path` was being written."""
    return list(path.parent.glob(f".{path.name}.*"))


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk; a file's own content does not bring its name there."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
