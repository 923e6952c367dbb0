"""Dependency maps on the page: hops from each position to each other, one picture for all layers that share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from attnbench.record import PathMap
from attnbench.report import words
from attnbench.report.data.columns import Floats
from attnbench.report.figures import maps
from attnbench.report.markup import picture
from attnbench.report.values import Fact
from attnbench.store.run_folder import StoredRun

#: Sizes that say which positions one layer looks at; no others change its map.
_LOOKING = ("k", "w", "c", "s")


@dataclass(frozen=True, slots=True)
class DependencyMap:
    """Path lengths between all positions, for all layers that share them."""

    picture: Markup
    layers: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class DependencyMaps:
    """A map for each that differs, their common scale, and the layers that have none."""

    maps: tuple[DependencyMap, ...] = ()
    scale: Markup = field(default_factory=Markup)
    caption: str = ""
    refused: tuple[Fact, ...] = ()


def dependency_maps(run: StoredRun) -> DependencyMaps:
    """The maps that `run` holds, in the order of its layers; nothing where it has none."""
    paths = run.info.plan.observations.paths
    matrices = {layer: matrix for layer, kept in paths.items() if (matrix := _matrix(kept.rows)) is not None}
    length = len(next(iter(matrices.values()), ()))
    shared: dict[bytes, list[str]] = {}
    for layer, matrix in matrices.items():
        if len(matrix) == length:
            shared.setdefault(matrix.tobytes(), []).append(layer)
    refused = tuple(Fact(layer, words.sentence(kept.refused)) for layer, kept in paths.items() if kept.refused)
    if not shared:
        return DependencyMaps(refused=refused)
    drawn = [matrices[layers[0]] for layers in shared.values()]
    farthest = max(int(matrix[np.isfinite(matrix)].max(initial=1)) for matrix in drawn)
    width = next(kept.sizes.get("d") for kept in paths.values() if kept.sizes)
    guesses = {law.layer for law in run.found_laws if law.metric == "hops" and law.lower_bound}
    panels = (
        _panel([_name(layer, paths[layer], layer in guesses) for layer in layers], matrix, farthest)
        for layers, matrix in zip(shared.values(), drawn, strict=True)
    )
    scale = picture(
        maps.hops_scale(farthest), "Scale of the maps", f"From 0 hops, pale, to {farthest}, dark; {_NEVER}."
    )
    return DependencyMaps(tuple(panels), scale, _CAPTION.format(n=length, d=width), refused)


_NEVER = "hatched where no stack of the layer connects the two"
_CAPTION = (
    "Hops from each input position, left to right, to each output position, downwards, at n = {n} and d = {d}, through "
    "as many layers as it takes until no further pair gets connected. Layers with the same map share it."
)


def _matrix(rows: Sequence[str]) -> Floats | None:
    """Rows of text as numbers, where they are a square of them; a run may come from elsewhere."""
    try:
        matrix = np.array([[float(hops) for hops in row.split()] for row in rows], dtype=np.float64)
    except ValueError:
        return None
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 1
    return matrix if square and bool((matrix >= 0).all()) else None


def _name(layer: str, kept: PathMap, guess: bool) -> str:
    remarks = [f"{axis} = {kept.sizes[axis]}" for axis in _LOOKING if axis in kept.sizes]
    remarks += ["a guess: some operations have no rule"] * guess
    return f"{layer} ({', '.join(remarks)})" if remarks else layer


def _panel(layers: Sequence[str], matrix: Floats, farthest: int) -> DependencyMap:
    text = _described(matrix)
    title = f"Path length from each position to each other: {words.listing(layers)}"
    return DependencyMap(picture(maps.dependency_map(matrix, farthest), title, text), tuple(layers), text)


def _described(matrix: Floats) -> str:
    """The farthest and the mean distance, the share of pairs that are connected, and in which direction."""
    pairs = ~np.eye(len(matrix), dtype=bool)
    connected = np.isfinite(matrix) & pairs
    if not connected.any():
        return "No two positions are connected."
    hops = matrix[connected]
    share = connected.sum() / pairs.sum()
    later, earlier = bool(np.tril(connected, -1).any()), bool(np.triu(connected, 1).any())
    direction = "in both directions" if later and earlier else "to later ones only" if later else "to earlier ones only"
    far = f"{hops.max():g} hops at most, {hops.mean():.3g} on average" if hops.max() > 1 else "one hop"
    whole = "all pairs" if share == 1 else f"{share:.0%} of the pairs"
    return f"{far.capitalize()}; {whole} connected, {direction}."
