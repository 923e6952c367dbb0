"""The journal of a run: one line for each visit of a trial, appended, and on disk before the next visit begins.

Each line ends with a checksum over its own content and that of the lines before it. A line that was cut off by the
end of the process or of the disk is dropped; one that was changed, removed, doubled or moved is an error that names it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import zlib
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from attnbench.errors import RunError
from attnbench.record import Visit
from attnbench.store.atomic import sync_folder
from attnbench.store.damage import FOREIGN, FlawError, damage, foreign_key

NAME = "journal.jsonl"

#: The end of a line: its checksum. What stands before it, closed again, is what the checksum is about.
_CHECKSUM = re.compile(rb', "crc32": "([0-9a-f]{8})"}$')


class Journal:
    """The journal of a run, to be written; each line is on disk before `append` returns.

    Only one process at a time holds the journal of a run. A line that was cut off is cut away: the next one must not
    be glued to it.

    Args:
        run: the folder.
        start: the checksum from which that of the first line goes on. Each run has its own, so that no line of one
            run can be taken for a line of another.

    Raises:
        RunError: another process is writing to this run, or the file is damaged or cannot be opened.
    """

    def __init__(self, run: Path, start: int = 0) -> None:
        self._path = run / NAME
        with contextlib.ExitStack() as on_failure:
            try:
                self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
                on_failure.callback(os.close, self._file)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._length, self._checksum = _end(self._path, start)
                os.ftruncate(self._file, self._length)
                sync_folder(run)
            except BlockingIOError:
                message = f"another process is writing to {run}; wait for it or choose another folder"
                raise RunError(message) from None
            except OSError as error:
                raise RunError(f"{self._path} cannot be written: {error.strerror}") from None
            on_failure.pop_all()

    def append(self, visit: Visit) -> None:
        """Write one line and wait until it is on disk.

        Raises:
            RunError: the disk is full, or the file cannot be written for another reason; it is as it was before.
        """
        line, checksum = _line(visit, self._checksum)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):  # it needs no space; and a reader drops a torn line
                os.ftruncate(self._file, self._length)
            raise RunError(f"{self._path} cannot be written: {error.strerror}; everything before is kept") from None
        self._length, self._checksum = self._length + len(line), checksum

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def read_journal(run: Path, start: int = 0, *, older: bool = True) -> tuple[Visit, ...]:
    """The visits of a run, in the order in which they were made; none where there is no journal yet.

    Args:
        run: the folder.
        start: as for `Journal`.
        older: whether the lines may have no checksums.

    Raises:
        RunError: the file cannot be read, or a line of it is damaged.
    """
    return _read(run / NAME, start, older=older).visits


class _Written(NamedTuple):
    """What a journal holds.

    Attributes:
        visits: one for each line.
        length: of the whole lines, in bytes.
        checksum: of them all, from which that of the next line goes on; None where the lines have none.
    """

    visits: tuple[Visit, ...] = ()
    length: int = 0
    checksum: int | None = 0


def _read(path: Path, start: int, *, older: bool = True) -> _Written:
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        return _Written(checksum=start)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    *lines, torn = written.split(b"\n")  # what follows the last newline is a write that was cut off
    checksum = None if older and lines and not _CHECKSUM.search(lines[0]) else start
    visits: dict[tuple[str, str, int], Visit] = {}
    for number, line in enumerate(lines, start=1):
        try:
            if checksum is None:
                visit = _looked_over(line)
            else:
                content, checksum = _checked(line, checksum)
                visit = _visit(content)
            if (key := (visit.metric, visit.trial, visit.round)) in visits:
                raise FlawError(f"round {visit.round} has this trial twice")
        except FOREIGN as error:
            raise RunError(damage(f"{path}, line {number},", error)) from None
        visits[key] = visit
    return _Written(tuple(visits.values()), len(written) - len(torn), checksum)


def _end(path: Path, start: int) -> tuple[int, int]:
    """Where the next line begins, and the checksum from which its own goes on."""
    written = _read(path, start)
    if written.checksum is None:
        raise RunError(f"{path} is of an older attnbench, which wrote no checksums, so it cannot be continued")
    return written.length, written.checksum


def _visit(content: bytes) -> Visit:
    visit = Visit.from_json(json.loads(content))
    if flaw := visit.flaw:
        raise FlawError(flaw)
    return visit


def _looked_over(line: bytes) -> Visit:
    """A visit without a checksum, once it has no key that nobody wrote."""
    visit = _visit(line)
    if foreign := foreign_key(json.loads(line), visit.as_json()):
        raise FlawError(f"no visit has {foreign!r}")
    return visit


def _line(visit: Visit, before: int) -> tuple[bytes, int]:
    """A line with its checksum, and the checksum; `before` is that of the line before."""
    if flaw := visit.flaw:
        raise RunError(f"a visit of {visit.trial} cannot be kept: {flaw}")
    content = json.dumps(visit.as_json(), allow_nan=False).encode()
    checksum = zlib.crc32(content, before)
    return content[:-1] + f', "crc32": "{checksum:08x}"}}\n'.encode(), checksum


def _checked(line: bytes, before: int) -> tuple[bytes, int]:
    """A line without its checksum, and the checksum. Raises FlawError where it is wrong."""
    match = _CHECKSUM.search(line)
    content = line[: match.start()] + b"}" if match else line
    checksum = zlib.crc32(content, before)
    if match is None or int(match[1], 16) != checksum:
        raise FlawError(
            "its checksum does not fit: it was changed, or lines before it were removed, added or moved, "
            "or it is of another run"
        )
    return content, checksum
