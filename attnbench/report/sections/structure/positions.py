"""Positions on the page: the two properties of the sinusoidal encoding, and how much of a position survives a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from attnbench.report import words
from attnbench.report.data.columns import Floats
from attnbench.report.figures import maps
from attnbench.report.markup import picture
from attnbench.report.values import Gallery
from attnbench.store.run_folder import StoredRun

#: The picture of the textbook: 60 positions, 32 features, and four features of them.
_LENGTH, _WIDTH = 60, 32
_COLUMNS = (6, 7, 8, 9)
_NUMBERS, _BITS = 8, 3
#: Pairs of features that are shown turning, the distance they turn by, and the positions that they start from.
_PAIRS, _DELTA, _STARTS = (3, 4), 5, (0, 8, 16, 24)
_WAYS = {"plain": "as they are", "residual": "each added to its input"}


@dataclass(frozen=True, slots=True)
class Positions:
    """What the sinusoidal encoding is, and what becomes of a position in a stack of layers."""

    shown: bool = False
    absolute: Gallery = field(default_factory=Gallery)
    relative: Gallery = field(default_factory=Gallery)
    fading: Gallery = field(default_factory=Gallery)


def positions(run: StoredRun) -> Positions:
    """The section, where the suite asked for it."""
    if "position" not in run.info.plan.suite.pictures:
        return Positions()
    waves = sinusoids(_LENGTH, _WIDTH)
    return Positions(shown=True, absolute=_absolute(waves), relative=_relative(waves), fading=_fading(run))


def sinusoids(length: int, width: int) -> Floats:
    """``(length, width)``: sine in even and cosine in odd columns, of i / 10000^(2j/width)."""
    angles = np.arange(length)[:, None] / 10000 ** (2 * (np.arange(width) // 2) / width)
    return np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles))


def _absolute(waves: Floats) -> Gallery:
    lengths = [2 * np.pi * 10000 ** (column // 2 * 2 / _WIDTH) for column in (*_COLUMNS, 0, _WIDTH - 1)]
    heat = (
        f"{_LENGTH} positions downwards, {_WIDTH} features to the right. The first two features take {lengths[-2]:.1f} "
        f"positions for a wave, the last two {lengths[-1]:,.0f}: stripes widen from left to right."
    )
    lines = " ".join(
        f"Feature {column} takes {length:.1f} positions for a wave."
        for column, length in zip(_COLUMNS, lengths, strict=False)
    )
    numbers = ", ".join(f"{number} is {number:0{_BITS}b}" for number in range(_NUMBERS))
    pictures = (
        picture(maps.wave_map(waves), "Sinusoidal encoding, position against feature", heat),
        picture(maps.wave_columns(waves, _COLUMNS), "Four features of the sinusoidal encoding", lines),
        picture(maps.binary_digits(_NUMBERS, _BITS), "Numbers in binary", f"{numbers}."),
    )
    caption = (
        "The frequency falls from each pair of features to the next, by the same factor, as the bits of a number "
        "alternate ever more slowly from the lowest to the highest."
    )
    return Gallery(pictures, caption)


def _relative(waves: Floats) -> Gallery:
    """One rotation for each pair of features, found from the first ten positions and used for all others."""
    shown, worst = {}, 0.0
    for j in range(_WIDTH // 2):
        pair = waves[:, 2 * j : 2 * j + 2]
        rotation = _rotation(_DELTA / 10000 ** (2 * j / _WIDTH))
        turned = pair[:-_DELTA] @ rotation
        worst = max(worst, float(np.abs(turned - pair[_DELTA:]).max()))
        if j in _PAIRS:
            shown[f"features {2 * j} and {2 * j + 1}"] = pair[list(_STARTS)], turned[list(_STARTS)]
    degrees = [np.degrees(_DELTA / 10000 ** (2 * j / _WIDTH)) for j in _PAIRS]
    description = " ".join(
        f"{name.capitalize()}: every arrow from position i to i + {_DELTA} turns by {angle:.0f} degrees."
        for name, angle in zip(shown, degrees, strict=True)
    )
    caption = (
        f"Arrows lead from positions {words.listing(map(str, _STARTS))} to the positions {_DELTA} later. One rotation "
        f"for each pair of features takes it from any position to the one {_DELTA} later: over all {_WIDTH // 2} pairs "
        f"and {_LENGTH - _DELTA} positions nothing is off by more than {worst:.0e}."
    )
    return Gallery((picture(maps.turns(shown), "Positions as rotations", description),), caption)


def _rotation(angle: float) -> Floats:
    """By which a row (sine, cosine) is multiplied to turn by `angle`."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _fading(run: StoredRun) -> Gallery:
    pictures = []
    for way, how in _WAYS.items():
        curves = {layer: _draws(ways.get(way, ())) for layer, ways in run.info.plan.observations.fading.items()}
        curves = {layer: draws for layer, draws in curves.items() if draws.size}
        if curves:
            pictures.append(_faded(how, curves))
    caption = (
        "Random tokens, the sinusoidal encoding added once, then copies of the layer with fresh weights. The share of "
        "the position that a straight read-out explains in sequences it was not learnt from: the line is the mean "
        "over draws of weights and tokens, the band goes from the least to the most."
    )
    return Gallery(tuple(pictures), caption) if pictures else Gallery()


def _draws(draws: Sequence[Sequence[float]]) -> Floats:
    """Draw, layer → share; nothing where a run from elsewhere has lists of different lengths."""
    if len({len(draw) for draw in draws}) != 1:
        return np.empty((0, 0))
    return np.clip(np.array(draws, dtype=np.float64), 0, 1)


def _faded(way: str, curves: dict[str, Floats]) -> Markup:
    description = " ".join(
        f"{layer}: {draws[:, 0].mean():.0%} before the first layer, {draws[:, 1:2].mean():.0%} after it, "
        f"{draws[:, -1].mean():.0%} after {draws.shape[1] - 1}."
        for layer, draws in curves.items()
    )
    return picture(maps.fading(f"position left, layers {way}", curves), f"Position left, layers {way}", description)
