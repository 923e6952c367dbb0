"""Record the runs of this folder again: ``python -m tests.recorded.record smoke table1 seeds``.

Each name is that of a suite, which is run, or a run folder, which is packed as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
#: What a run is loaded from. The tables beside these are derived.
FILES = ("run.json", "journal.jsonl", "laws.json", "SHA256SUMS")


def record(name: str) -> Path:
    """Run the suite `name`, or take the run folder `name`, and pack it."""
    if Path(name).is_dir():
        return pack(Path(name))
    with tempfile.TemporaryDirectory() as place:
        # Run from there, so that the command that the run remembers names no folder of this machine.
        subprocess.run([sys.executable, "-m", "attnbench", "run", "--suite", name], check=True, cwd=place)
        [folder] = (path for path in Path(place, "results").iterdir() if path.is_dir())
        return pack(folder)


def pack(folder: Path) -> Path:
    """``<suite>.tar.xz`` from a run folder; the same bytes from the same files."""
    target = HERE / f"{json.loads((folder / 'run.json').read_text(encoding='utf-8'))['suite_name']}.tar.xz"
    with tarfile.open(target, "w:xz") as archive:
        for name in FILES:
            entry = tarfile.TarInfo(f"{folder.name}/{name}")
            entry.size = (folder / name).stat().st_size
            with (folder / name).open("rb") as file:
                archive.addfile(entry, file)
    return target


def unpack(suite: str, place: Path) -> Path:
    """The run folder of a recorded suite, under `place`."""
    with tarfile.open(HERE / f"{suite}.tar.xz") as archive:
        folder = place / archive.getnames()[0].partition("/")[0]
        folder.mkdir(parents=True)
        for name in FILES:
            # Not `extractall`, whose arguments differ between versions of Python.
            with archive.extractfile(f"{folder.name}/{name}") as packed:  # type: ignore[union-attr]
                (folder / name).write_bytes(packed.read())
    return folder


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(record(name))  # noqa: T201
