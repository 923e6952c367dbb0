"""The page of a run and the list of runs, as files: values from `build`, markup from ``templates``.

A page is one file that asks the network for nothing; its style sheets and its script are inlined. It is whole without
the script, which makes every control it offers, and no other script can run: the page's policy names ours by its hash.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from attnbench.errors import RunError
from attnbench.report.build import build_context, file_name, index_row
from attnbench.report.context import PageContext
from attnbench.report.figures.canvas.svg import printable
from attnbench.store.overview import Overview
from attnbench.store.run_folder import StoredRun

__all__ = ["build_context", "file_name", "render", "write_index", "write_report"]

_HEADING = re.compile(r'<h2 id="([\w-]+)">(.*?)</h2>')
_HERE = Path(__file__).parent
_TEMPLATES, _STYLES, _SCRIPT = _HERE / "templates", _HERE / "styles", _HERE / "script"
#: Style sheets in the order in which they apply; what a narrow window or paper needs comes last.
_SHEETS = ("page.css", "structure.css", "maps.css", "controls.css", "adapt.css")
#: Parts of the script: all know what the first defines, and `copy.js` the tables of `tables.js`.
_PARTS = ("base.js", "tables.js", "copy.js", "points.js", "axes.js", "links.js")


def render(context: PageContext) -> str:
    """The page as HTML text."""
    return _rendered("report.html", page=context)


def write_report(run: StoredRun, folder: Path) -> Path:
    """Write ``<run name>.html`` into `folder`.

    Raises:
        RunError: the folder cannot be written.
    """
    return _write(folder / file_name(run.info.name), render(build_context(run, folder)))


def write_index(folder: Path, runs: Iterable[Overview]) -> Path:
    """Write ``index.html``, the list of `runs` in the order given, into `folder`.

    Raises:
        RunError: the folder cannot be written.
    """
    rows = [index_row(run) for run in runs]
    return _write(folder / "index.html", _rendered("index.html", rows=rows))


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; choose another place with --reports") from None
    return path


def _rendered(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["headings"] = _headings
    ours = script()
    digest = b64encode(sha256(ours.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template(template).render(style=style(), script=ours, script_hash=digest, **values)


def style() -> Markup:
    """Our own style sheets: beside them only our script, formulas and figures are not escaped."""
    sheets = "\n".join((_STYLES / name).read_text(encoding="utf-8").strip() for name in _SHEETS)
    return Markup(sheets)  # noqa: S704


def script() -> Markup:
    """Our own script, the same on every page: its parts in one function, so that they leave no name in the page."""
    parts = "\n".join((_SCRIPT / name).read_text(encoding="utf-8").strip() for name in _PARTS)
    return Markup(f'(() => {{\n"use strict";\n{parts}\n}})();')  # noqa: S704


def _headings(sections: Markup) -> list[tuple[Markup, Markup]]:
    """The id and the text of each section's heading, so that a list of contents is always that of the page."""
    return [(Markup(name), Markup(text)) for name, text in _HEADING.findall(sections)]  # noqa: S704 - from a template


def _clean(value: Any) -> Any:
    """Text from a run may hold control characters, of a terminal for example; a page may not."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
