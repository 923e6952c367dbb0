"""Run folders as they were written before lines had checksums, run.json a hash of itself, and trials all choices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def make_older(folder: Path) -> None:
    """Take from a run what an older attnbench did not write."""
    journal, info = folder / "journal.jsonl", folder / "run.json"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    journal.write_text(
        "".join(json.dumps(_without(line, "crc32", "kernels", "compile_seconds")) + "\n" for line in lines),
        encoding="utf-8",
    )
    content = json.loads(info.read_text(encoding="utf-8"))
    kept = _without(content, "sha256", "code")
    kept["trials"] = [_without(trial, "compile", "sdpa") for trial in kept["trials"]]
    kept["suite"] = _without(kept["suite"], "compile", "sdpa")
    info.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    (folder / "SHA256SUMS").unlink(missing_ok=True)


def _without(mapping: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}
