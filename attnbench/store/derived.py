"""The files of a run that are derived from its journal, and the hashes that say of which journal they are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attnbench.errors import RunError
from attnbench.law import Law
from attnbench.store.atomic import drafts, put, put_json, put_text
from attnbench.store.damage import FOREIGN
from attnbench.store.fingerprint import of_file
from attnbench.store.journal import NAME as JOURNAL

if TYPE_CHECKING:
    import pandas as pd

#: File that says of what journal the derived files are.
_SUMS = "SHA256SUMS"
_LAWS_FROM = ("run.json", JOURNAL, "laws.json")
_TABLES = ("records.parquet", "samples.parquet")


def write_derived(folder: Path, tables: Sequence[pd.DataFrame], laws: Sequence[Law]) -> None:
    """Write the tables (records and samples) and the laws of a run beside its journal.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        for name, table in zip(_TABLES, tables, strict=True):
            put(folder / name, partial(table.to_parquet, index=False))
        put_json(folder / "laws.json", [law.as_json() for law in laws])
        put_text(folder / _SUMS, _sums(folder, (*_LAWS_FROM, *_TABLES)))
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}") from None


def read_laws(folder: Path) -> tuple[Law, ...] | None:
    """The laws that were fitted when the run ended; None where they must be fitted anew.

    They are read where ``SHA256SUMS`` says that they are whole, and of this journal.
    """
    try:
        if not (folder / _SUMS).read_text(encoding="utf-8").startswith(_sums(folder, _LAWS_FROM)):
            return None
        return tuple(Law.from_json(row) for row in json.loads((folder / "laws.json").read_text(encoding="utf-8")))
    except (OSError, *FOREIGN):
        return None


def whole_laws(folder: Path) -> str | None:
    """The text of ``laws.json`` where its hash and that of ``run.json`` fit; None where one does not.

    Hashing a long journal takes too long for a list of runs, and is not needed: `forget_laws` drops laws that are
    older than the journal.
    """
    try:
        written = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
        sums = _sums(folder, [name for name in _LAWS_FROM if name != JOURNAL]).splitlines()
        return (folder / "laws.json").read_text(encoding="utf-8") if set(sums) <= set(written) else None
    except (OSError, UnicodeDecodeError):
        return None


def forget_laws(folder: Path) -> None:
    """Drop laws that the visits to come will outdate, so that nobody reads them if the run is cut off again.

    Drafts of files that a crash left go with them.
    """
    left = (draft for name in (*_LAWS_FROM, *_TABLES, _SUMS) for draft in drafts(folder / name))
    for path in (folder / "laws.json", *left):
        with contextlib.suppress(OSError):
            path.unlink()


def _sums(folder: Path, names: Sequence[str]) -> str:
    """What ``sha256sum --check`` reads."""
    return "".join(f"{of_file(folder / name)}  {name}\n" for name in names)
