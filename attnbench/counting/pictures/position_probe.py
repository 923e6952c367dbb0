"""How much of a position is left after L layers: a straight read-out of it from the outputs, layer by layer.

Random tokens get the sinusoidal encoding added, once. Then copies of a layer follow, each with fresh weights: one on
top of the other as they are, or each with its input added to its output. After each of them a ridge regression learns
to tell the position from the features of a token, on some sequences; what it explains of the position on others is
what is left: 1 is all of it, 0 is no more than the mean position tells.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnbench.counting.calls import one_clear_line
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module, output_of
from attnbench.layers.position.sinusoidal import SinusoidalEncoding
from attnbench.trial import Sizes

#: Way of stacking → explained share after 0, 1, 2 … layers, one list for each draw of weights and tokens.
PositionProbe = dict[str, list[list[float]]]

_SIZES: Sizes = {"b": 96, "n": 32, "d": 64}
_HEADS = 4
_LEARNT_FROM = 64
_LAYERS, _DRAWS = 8, 3
#: Ridge, as a share of the number of tokens: features have a spread of 1.
_RIDGE = 1e-3
PLAIN, RESIDUAL = "plain", "residual"


def position_probe_of(layer: Layer) -> PositionProbe:
    """What is left of the position on top of 0 to 8 layers, stacked in both ways, in three draws.

    Raises:
        LayerError: the layer cannot be built or called at the sizes of this look, or has inputs of its own.
    """
    if layer.inputs is not None:
        raise LayerError(f"layer {layer.name!r} has inputs of its own: its copies cannot be stacked on tokens")
    sizes = layer.complete(_SIZES | ({"h": _HEADS} if "h" in layer.axes else {}))
    ways = {PLAIN: False, RESIDUAL: True}
    with torch.random.fork_rng(devices=[]), one_clear_line(layer, sizes, "float64"), torch.no_grad():
        return {way: [_stacked(layer, sizes, add, draw) for draw in range(_DRAWS)] for way, add in ways.items()}


def readable(features: NDArray[np.float64], learnt_from: int) -> float:
    """Share of the variance of the position that a straight read-out explains in sequences it has not seen, from 0 on.

    Args:
        features: ``(sequences, n, d)``.
        learnt_from: sequences of them that the read-out is learnt from.
    """
    n = features.shape[1]
    position = np.linspace(-1, 1, n)
    known, unknown = features[:learnt_from].reshape(learnt_from * n, -1), features[learnt_from:]
    spread = known.std(axis=0)
    centre, scale = known.mean(axis=0), np.where(spread > 0, spread, 1)
    known, unknown = (known - centre) / scale, (unknown - centre) / scale
    ridge = _RIDGE * len(known) * np.eye(known.shape[1])
    weights = np.linalg.solve(known.T @ known + ridge, known.T @ np.tile(position, learnt_from))
    left = unknown @ weights - position
    return float(max(0.0, 1 - np.square(left).mean() / np.square(position).mean()))


def _stacked(layer: Layer, sizes: Sizes, add: bool, draw: int) -> list[float]:
    torch.manual_seed(draw)
    x: Tensor = torch.randn(sizes["b"], sizes["n"], sizes["d"], dtype=torch.float64)
    x = SinusoidalEncoding(sizes["d"], sizes["n"]).double()(x)
    outputs = [x]
    for _ in range(_LAYERS):
        y = output_of(layer, sizes, build_module(layer, sizes, dtype="float64")(outputs[-1]))
        outputs.append(outputs[-1] + y if add else y)
    return [round(readable(x.numpy(), _LEARNT_FROM), 4) for x in outputs]
