"""Attention weights on the page: keys × queries, a picture for each layer that has any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from attnbench.report import words
from attnbench.report.data.columns import Floats
from attnbench.report.figures import maps
from attnbench.report.markup import picture
from attnbench.report.values import Gallery
from attnbench.store.run_folder import StoredRun


def weight_gallery(run: StoredRun) -> Gallery:
    """The weights that were seen in `run`, in the order of its layers; empty where none were looked for."""
    weights = run.info.plan.observations.weights
    seen = {layer: maps_of for layer, heads in weights.items() if (maps_of := _readable(heads))}
    if not seen:
        return Gallery()
    pictures = tuple(_picture(layer, heads) for layer, heads in seen.items())
    keys = max(head.shape[1] for heads in seen.values() for head in heads)
    caption = (
        f"What each query takes from each of {words.plural(keys, 'key')}: the same random tokens for every layer, with "
        "the weights that it starts from, four heads at the most. "
        "Dark is nothing; the brightest colour is the largest weight of the layer. "
        f"Even attention would give every key {1 / keys:.2g}."
    )
    if without := [layer for layer in run.info.plan.scopes if layer not in seen]:
        caption += f" None to be seen: {words.listing(without)}."
    return Gallery(pictures, caption)


def _readable(heads: Sequence[Sequence[Sequence[float]]]) -> list[Floats]:
    """Heads as matrices of one shape, as far as they are finite; a run may come from elsewhere."""
    matrices = [np.array(head, dtype=np.float64) for head in heads if len({len(row) for row in head}) == 1]
    return [head for head in matrices if head.size and head.shape == matrices[0].shape and np.isfinite(head).all()]


def _picture(layer: str, heads: Sequence[Floats]) -> Markup:
    every = np.stack(heads)
    head, query, key = np.unravel_index(int(every.argmax()), every.shape)
    largest = f"largest {every.max():.2g}"
    where = f"at head {head + 1}, query {query + 1}, key {key + 1}"
    description = (
        f"{words.plural(len(heads), 'head')} of {every.shape[1]} × {every.shape[2]} weights. The {largest}, {where}. "
        f"On average a query gives {every.max(axis=2).mean():.2g} to the key it weighs most."
    )
    return picture(maps.weight_maps(f"{layer}: {largest}", heads), f"Attention weights of {layer}", description)
