"""Dependency maps at n = 3, drawn by hand: all pairs, from left to right, none, a window, and one refused."""

from __future__ import annotations

from attnbench.record import PathMap

SIZES = {"b": 1, "n": 3, "d": 8}
EVEN, CAUSAL = ["1 1 1"] * 3, ["0 inf inf", "1 0 inf", "2 1 0"]
PATHS = {
    "attention-core": PathMap(SIZES, EVEN),
    "rnn": PathMap(SIZES, CAUSAL),
    "multi-head-attention": PathMap({**SIZES, "h": 2}, EVEN),
    "feed-forward": PathMap(SIZES, ["0 inf inf", "inf 0 inf", "inf inf 0"]),
    "attention-axial": PathMap(refused="layer 'attention-axial' needs n % c == 0"),
    "windowed": PathMap({**SIZES, "w": 1}, ["1 1 2", "1 1 1", "2 1 1"]),
}
