"""What is looked at of a layer beside its counts. Another observation is another line of the table."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any, NamedTuple

from attnbench.counting.laws import reach_of
from attnbench.counting.paths.maps import path_map_of
from attnbench.counting.pictures.attention_weights import weights_of
from attnbench.counting.pictures.position_probe import position_probe_of
from attnbench.layers.base import Layer
from attnbench.record import PathMap


class Observation(NamedTuple):
    """A look at a layer.

    Attributes:
        look: what is seen of a layer, as JSON can keep it; raises LayerError where there is nothing to see.
        asked_by: the metric or the picture of a suite that asks for it.
        refused: what stands for a layer of which nothing was seen, given why; None leaves it out.
    """

    look: Callable[[Layer], Any]
    asked_by: str
    refused: Callable[[str], Any] = lambda why: None


OBSERVATIONS: dict[str, Observation] = {
    "reach": Observation(lambda layer: [list(pair) for pair in reach_of(layer)], "hops"),
    "paths": Observation(lambda layer: asdict(path_map_of(layer)), "hops", lambda why: asdict(PathMap(refused=why))),
    "weights": Observation(weights_of, "weights"),
    "fading": Observation(position_probe_of, "position"),
}


def asked_by(words: Collection[str]) -> list[str]:
    """Names of the observations that the metrics and pictures of a suite ask for."""
    return [name for name, observation in OBSERVATIONS.items() if observation.asked_by in words]
