"""A matplotlib figure as SVG that can live inside an HTML page.

Matplotlib writes SVG for a file of its own: a prolog, ids that two figures share, a style rule for ``*`` that would
reach the whole page, its own fonts and fixed colours. All of that is put right here, and a text alternative is added.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from attnbench.report.figures.canvas.palette import VARIABLES

#: Settings that matter while texts are made and while a figure is written: text stays text, ``$`` stays a dollar sign.
SETTINGS: dict[str, Any] = {"svg.fonttype": "none", "text.parse_math": False, "axes.unicode_minus": True}

_NAMESPACE = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_URL = re.compile(r"url\(#([^)]+)\)")
#: Begins the id of a group whose marks have texts of their own; they follow as JSON.
_TOLD = "told:"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """`text` with characters that neither XML nor a page can hold replaced by ``·``."""
    return _UNPRINTABLE.sub("·", text)


def tell(artist: Artist, texts: Iterable[str]) -> None:
    """Give each mark of `artist` a line of text, which `svg` writes as its attribute ``data-tip``.

    Args:
        artist: markers of ``scatter`` or of ``plot``, lines of ``vlines``, the cells of a mesh, or one patch. All its
            marks have to lie within the figure: matplotlib leaves out those that do not.
        texts: one for each mark, in the order in which they were given to matplotlib.
    """
    # The id of its group is the one thing of an artist that matplotlib hands on, unread, to the file.
    artist.set_gid(_TOLD + json.dumps(list(texts)))


def svg(figure: Figure, title: str, description: str) -> str:
    """The figure as one inline ``<svg>`` element, the same text for the same figure.

    Args:
        figure: what to show; its texts are expected to be `printable`.
        title: its name, for those who cannot see it.
        description: what it shows, in a sentence or two.

    Raises:
        ValueError: an artist was `tell`-ed of more or fewer marks than it has.
    """
    root = ET.fromstring(_written(figure, salt=title))  # noqa: S314 - our own text, written one call before
    _strip(root)
    _write_tips(root)
    prefix = "p" + sha256(f"{title}\0{description}".encode()).hexdigest()[:10]
    _rename_ids(root, prefix)
    for element in root.iter():
        _restyle(element)
    for group in root.iter("g"):
        _share_style(group)
    _describe(root, prefix, title, description)
    return ET.tostring(root, encoding="unicode")


def _written(figure: Figure, salt: str) -> str:
    buffer = io.StringIO()
    settings: Any = {**SETTINGS, "svg.hashsalt": salt}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The reader's browser draws the letters; that matplotlib's own font lacks some of them does not matter.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        _lay_out(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def _lay_out(figure: Figure) -> None:
    """Place the axes once and for all: a figure that keeps its layout engine is drawn twice to be written once."""
    FigureCanvasSVG(figure)  # so that texts are measured as they will be written
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine(None)


def _strip(root: ET.Element) -> None:
    """Drop namespaces, metadata and the style sheet that would leak into the page."""
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        if element.tag not in ("text", "tspan"):
            element.text = None
        if (target := element.attrib.pop(_HREF, None)) is not None:
            element.set("href", target)


def _write_tips(root: ET.Element) -> None:
    for group in root.iter("g"):
        name = group.get("id", "")
        if name.startswith(_TOLD):
            texts, marks = json.loads(name.removeprefix(_TOLD)), _marks(group)
            for mark, text in zip(marks, texts, strict=True):
                mark.set("data-tip", " ".join(printable(text).split()))


def _marks(group: ET.Element) -> list[ET.Element]:
    """What an artist drew: copies of one shape, or shapes of their own."""
    defined = {id(shape) for definitions in group.iter("defs") for shape in definitions.iter()}
    return list(group.iter("use")) or [shape for shape in group.iter("path") if id(shape) not in defined]


def _rename_ids(root: ET.Element, prefix: str) -> None:
    """Keep the ids that something points to, under names no other figure has."""
    used = {e.get("href", "")[1:] for e in root.iter()}
    used |= {name for e in root.iter() for value in e.attrib.values() for name in _URL.findall(value)}
    names: dict[str, str] = {}
    for element in root.iter():
        old = element.attrib.pop("id", "")
        if old in used and old:
            element.set("id", names.setdefault(old, f"{prefix}-{len(names)}"))
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "href":
                element.set(key, f"#{names[value[1:]]}")
            elif "url(#" in value:
                element.set(key, _URL.sub(lambda match: f"url(#{names[match[1]]})", value))


def _restyle(element: ET.Element) -> None:
    """Colours become CSS variables, fonts are the page's, and coordinates end after two decimals."""
    for key in ("d", "x", "y", "width", "height", "transform", "points"):
        if key in element.attrib:
            shorter = _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}", element.attrib[key])
            element.set(key, " ".join(shorter.split()))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    if style := element.get("style"):
        kept = [part.strip() for part in style.split(";") if not part.strip().startswith("font-family")]
        element.set("style", _COLOUR.sub(_variable, "; ".join(kept)))


def _share_style(group: ET.Element) -> None:
    """Copies of one shape say their common style once: a figure of many points is half as long."""
    styles = {child.get("style") for child in group}
    if len(group) > 1 and len(styles) == 1 and {child.tag for child in group} == {"use"} and not group.get("style"):
        group.set("style", group[0].get("style", ""))
        for child in group:
            child.attrib.pop("style", None)


def _variable(match: re.Match[str]) -> str:
    name = VARIABLES.get(match[0])
    return f"var(--{name}, {match[0]})" if name else match[0]


def _describe(root: ET.Element, prefix: str, title: str, description: str) -> None:
    box = root.get("viewBox", "0 0 1 1")
    root.attrib.clear()
    root.attrib |= {
        "xmlns": _NAMESPACE,
        "viewBox": box,
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
        "style": "stroke-linejoin: round; stroke-linecap: butt",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = printable(text)
        root.insert(position, element)
