"""Depth and path length on the page: how both grow with n, and how much of what can arrive does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low

from markupsafe import Markup

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.law import Law
from attnbench.layers.registry import BUILT_IN
from attnbench.report import figures, words
from attnbench.report.figures.canvas.panel import power_of_ten
from attnbench.report.markup import math_text, picture
from attnbench.report.sections.structure.dependencies import DependencyMaps, dependency_maps
from attnbench.report.values import Fact, Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Sizes, ordered

#: Metric → title of its figure, and what is drawn.
_GROWING = {
    "hops": ("maximum path length", "Layers or steps between the two positions farthest apart"),
    "depth": ("depth", "Kernels that wait for one another"),
}
#: Sizes beside n in a run without trials: so odd that no two formulas meet by chance. Whatever has no entry is 8.
_HELD, _OTHER = {"b": 1, "k": 5}, 8
_LENGTHS = tuple(dict.fromkeys(round(2 ** (octave / 4)) for octave in range(8, 49)))
_FORMULA, _HELD_AT = Markup("<span>{}{}</span>"), Markup(" <small>at {}</small>")
_FAMILIES = {
    "attention": "Attention",
    "recurrent": "Recurrent layers",
    "convolution": "Convolutions",
    "mixing": "Mixing without pairs",
    "pooling": "Pooling and gates",
    "position": "Positions",
    "controls": "Controls",
}
_OTHERS = "Other layers"


@dataclass(frozen=True, slots=True)
class NamedCurves:
    """Counted formulas of one metric over n, a line for all layers that share it; and each formula with its layers."""

    gallery: Gallery
    names: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """How deep layers are and how far apart they leave two positions, as far as the run has counted it."""

    growth: tuple[NamedCurves, ...] = ()
    dependencies: DependencyMaps = field(default_factory=DependencyMaps)
    reach: Gallery = field(default_factory=Gallery)


def structure(run: StoredRun) -> Structure:
    """The section, as far as `run` counted depth or path length."""
    growth = tuple(curves for metric in _GROWING if (curves := _growth(run, metric)) is not None)
    return Structure(growth, dependency_maps(run), _reach(run))


# ------------------------------------------------------------------------------------------------- growth with n


@dataclass(frozen=True, slots=True)
class _Line:
    """One formula of one layer over n.

    Attributes:
        held: the other sizes that the formula names, and what they are held at.
        points: length → value, inf where there is no bound.
    """

    layer: str
    formula: str
    held: Sizes
    points: tuple[tuple[float, float], ...]

    @property
    def drawable(self) -> tuple[tuple[float, float], ...]:
        """What has a place on logarithmic axes."""
        return tuple((n, value) for n, value in self.points if 0 < value < math.inf)


def _growth(run: StoredRun, metric: str) -> NamedCurves | None:
    shared: dict[tuple[tuple[float, float], ...], list[_Line]] = {}
    for line in _lines(run, metric):
        shared.setdefault(line.points, []).append(line)
    if not shared:
        return None
    groups = sorted(shared.values(), key=_by_end)
    names = tuple(Fact(_formulas(lines), ", ".join(line.layer for line in lines)) for lines in groups)
    return NamedCurves(_drawn(metric, groups), names)


def _by_end(lines: Sequence[_Line]) -> tuple[bool, float]:
    """The longest first, and those without bound after all others."""
    end = lines[0].points[-1][1]
    return math.isinf(end), -end


def _lines(run: StoredRun, metric: str) -> Iterator[_Line]:
    laws: dict[str, Law] = {}
    for law in run.found_laws:
        if law.metric == metric and law.choices.mode == "forward" and law.formula and not law.lower_bound:
            laws.setdefault(law.layer, law)
    sizes: dict[str, list[Sizes]] = {}
    for trial in run.info.plan.trials:
        sizes.setdefault(trial.layer, []).append(trial.sizes)
    for layer, law in laws.items():
        typical = _typical(sizes.get(layer, []))
        try:
            axes = Formula(law.formula).axes - {"n"}
        except FormulaError:  # a run from elsewhere
            continue
        held = {axis: typical.get(axis, _HELD.get(axis, _OTHER)) for axis in ordered(dict.fromkeys(axes, 0))}
        if points := tuple(_points(Formula(law.formula), held)):
            yield _Line(layer, law.formula, held, points)


def _typical(trials: Sequence[Sizes]) -> Sizes:
    """The median over trials of each size that all of them have."""
    axes = set(trials[0]).intersection(*trials) if trials else ()
    return {axis: median_low(sizes[axis] for sizes in trials) for axis in axes}


def _points(formula: Formula, held: Mapping[str, int]) -> Iterator[tuple[float, float]]:
    for n in _LENGTHS:
        try:
            yield n, float(formula.evaluate({**held, "n": n}))
        except (FormulaError, OverflowError):
            continue


def _formulas(lines: Sequence[_Line]) -> Markup:
    """Each formula of a line, with the sizes it was drawn at."""
    formulas = {(line.formula, words.listing(f"{axis} = {size}" for axis, size in line.held.items())) for line in lines}
    return Markup().join(
        _FORMULA.format(math_text(text), _HELD_AT.format(sizes) if sizes else "") for text, sizes in sorted(formulas)
    )


def _drawn(metric: str, groups: Sequence[Sequence[_Line]]) -> Gallery:
    title, what = _GROWING[metric]
    curves = [
        figures.NamedLine(min((words.pretty(line.formula) for line in lines), key=len), lines[0].drawable)
        for lines in groups
        if lines[0].drawable
    ]
    caption = f"{what}, by the counted formula; layers of one line are named together."
    if len(curves) < len(groups):
        caption += " Where it is ∞, no stack connects all pairs, and there is nothing to draw."
    if not curves:
        return Gallery()
    return Gallery(
        (picture(figures.growing(title, curves), f"{title.capitalize()} against n", _ends(curves)),), caption
    )


def _ends(curves: Sequence[figures.NamedLine]) -> str:
    parts = []
    for curve in curves:
        (first, low), *_, (last, high) = curve.points
        parts.append(f"{curve.label}: {low:g} at n={first:g}, {high:g} at n={last:g}.")
    return " ".join(parts)


# ------------------------------------------------------------------------------------------- how much of it arrives


def _reach(run: StoredRun) -> Gallery:
    families: dict[str, list[figures.NamedLine]] = {}
    for layer, pairs in run.info.plan.observations.reach.items():
        points = tuple((distance, norm) for distance, norm in pairs if 0 <= norm < float("inf"))
        if any(norm > 0 for _, norm in points):
            family = _FAMILIES.get(BUILT_IN.get(layer, "").partition(".")[0], _OTHERS)
            families.setdefault(family, []).append(figures.NamedLine(layer, points))
    every = [point for curves in families.values() for curve in curves for point in curve.points]
    scales = min((norm for _, norm in every if norm > 0), default=1.0), max((far for far, _ in every), default=1.0)
    pictures = tuple(
        picture(figures.effective_reach(name, curves, *scales), f"Effective reach: {name}", _describe(curves))
        for name, curves in ((name, families[name]) for name in (*_FAMILIES.values(), _OTHERS) if name in families)
    )
    caption = (
        "How far inputs really act: size of the gradient of an output with respect to inputs at a distance, the "
        "largest being 1. Nothing arrives from beyond the end of a line, or less than "
        f"{power_of_ten(figures.MIN_NORM)}."
    )
    return Gallery(pictures, caption) if pictures else Gallery()


def _describe(curves: Sequence[figures.NamedLine]) -> str:
    parts = []
    for curve in curves:
        *_, (last, norm) = (point for point in curve.points if point[1] > 0)
        parts.append(
            f"{curve.label}: {curve.points[0][1]:.2g} at distance {curve.points[0][0]:g}, {norm:.2g} at {last:g}."
        )
    return " ".join(parts)
