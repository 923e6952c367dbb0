"""Tables from files that others wrote: any delimiter, any encoding, CSV or Parquet.

The delimiter is found in the first lines; the rest goes through the fast parser as it is.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from pathlib import Path

import pandas as pd

from attnbench.errors import InputError, near_miss

_DELIMITERS = (",", ";", "\t", "|")
#: Stands for any run of spaces, where none of the delimiters occurs.
_SPACES = r"\s+"
#: Lines in which the delimiter is looked for.
_FIRST_LINES = 5
_PARQUET = b"PAR1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_file(file: str) -> pd.DataFrame:
    """The table in a file.

    Raises:
        InputError: there is no such file, or it holds no table with a header.
    """
    path = Path(file)
    if path.is_dir():
        raise InputError(f"{file} is a folder; name one file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        beside = (other.name for other in path.parent.glob("*")) if path.parent.is_dir() else ()
        raise InputError(f"there is no file {file}.{near_miss(path.name, beside)}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    return read_content(content, file)


def read_content(content: bytes, source: str) -> pd.DataFrame:
    """The table in the bytes of a file; `source` says in errors where they come from.

    Raises:
        InputError: they hold no table with a header.
    """
    if content.startswith(_PARQUET) or source.endswith(".parquet"):
        return _parquet(content, source)
    stream = io.StringIO(_text(content, source), newline=None)
    header, before = _first_line(stream)
    if not header:
        raise InputError(f"{source} is empty; a header such as n,d,seconds and rows are needed")
    delimiter = _delimiter(header, stream)
    names = [name.strip() for name in _cells(header, delimiter)]
    if any(names) and all(map(_is_number, filter(None, names))):
        raise InputError(
            f"{source} has no header: its first line is {header.strip()!r}; put names there, such as n,d,seconds"
        )
    frame = _rows(stream, delimiter, len(names), source, before)
    if frame.empty:
        raise InputError(f"{source} has a header and no rows; at least one measurement is needed")
    return frame.set_axis(names, axis="columns")


def _parquet(content: bytes, source: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:  # what pyarrow raises for damage of every kind
        reason = str(error).splitlines()[0]
        raise InputError(f"{source} cannot be read as Parquet: {reason}") from None


def _text(content: bytes, source: str) -> str:
    """The bytes as text: UTF-8, UTF-16 with its mark, else Latin-1, in which every byte is a letter."""
    try:
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if "\0" in text:
        raise InputError(f"{source} holds no text; unpack it, or export it as CSV or Parquet")
    return text


def _first_line(stream: io.StringIO) -> tuple[str, int]:
    """The first line that is not blank, and the number of lines up to it; nothing when there is none."""
    for number, line in enumerate(iter(stream.readline, ""), start=1):
        if line.strip():
            return line, number
    return "", 0


def _delimiter(header: str, stream: io.StringIO) -> str:
    """The delimiter that splits the first lines into most cells; the position in `stream` stays."""
    here = stream.tell()
    lines = [header, *(stream.readline() for _ in range(_FIRST_LINES))]
    stream.seek(here)
    filled = [line for line in lines if line.strip()]
    cells = {sign: min(len(_cells(line, sign)) for line in filled) for sign in _DELIMITERS}
    best = max(cells, key=lambda sign: (cells[sign], header.count(sign)))
    return best if best in header else _SPACES


def _cells(line: str, delimiter: str) -> list[str]:
    return (
        line.split() if delimiter == _SPACES else next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(stream: io.StringIO, delimiter: str, width: int, source: str, before: int) -> pd.DataFrame:
    """Everything after the header; columns are numbered, as a header may name two alike."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a first row that is longer than the header
            return pd.read_csv(
                stream,
                sep=delimiter,
                header=None,
                names=range(width),
                index_col=False,
                low_memory=False,
                skipinitialspace=True,
            )
    except pd.errors.ParserWarning:
        raise InputError(f"{source}, line {before + 1}: more values than the {width} names in the header") from None
    except pd.errors.ParserError as error:
        if found := re.search(r"in line (\d+), saw (\d+)", str(error)):
            line, values = before + int(found[1]), found[2]
            raise InputError(f"{source}, line {line}: {values} values, but the header has {width} names") from None
        if "inside string" in str(error):
            raise InputError(f"{source} has a quotation mark that is never closed; remove it") from None
        raise InputError(f"{source} cannot be read as a table: {' '.join(str(error).split())}") from None
