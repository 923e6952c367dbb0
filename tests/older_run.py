"""Run folders as they were written before lines had checksums and run.json a hash of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_older(folder: Path) -> None:
    """Take from a run what an older attnbench did not write."""
    journal, info = folder / "journal.jsonl", folder / "run.json"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    journal.write_text(
        "".join(json.dumps({k: v for k, v in line.items() if k != "crc32"}) + "\n" for line in lines), encoding="utf-8"
    )
    content = json.loads(info.read_text(encoding="utf-8"))
    kept = {key: value for key, value in content.items() if key not in ("sha256", "code")}
    info.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    (folder / "SHA256SUMS").unlink(missing_ok=True)
