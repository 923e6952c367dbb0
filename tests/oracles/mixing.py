"""Layers that mix positions without comparing all pairs, once more from their definitions in float64.

Each function maps one sequence ``(n, d)``; `weights` are the module's own parameters and buffers by their names in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erf, softmax

from tests.oracles.table1 import attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Weights = dict[str, Array]


def linear_attention(x: Array, weights: Weights, h: int) -> Array:
    heads = _heads(x, weights["project.weight"], h)
    return np.hstack([_weighed(_elu(q) + 1, _elu(k) + 1, v) for q, k, v in heads]) @ weights["output.weight"].T


def causal_linear_attention(x: Array, weights: Weights, c: int) -> Array:
    ((q, k, v),) = _heads(x, weights["project.weight"], 1)
    rows = [_weighed(_elu(q[i : i + 1]) + 1, _elu(k[: i + 1]) + 1, v[: i + 1]) for i in range(len(x))]
    return np.vstack(rows) @ weights["output.weight"].T


def low_rank_attention(x: Array, weights: Weights, h: int, m: int) -> Array:
    heads = _heads(x, weights["project.weight"], h)
    mixed = [attention(q, weights["mix_keys"] @ k, weights["mix_values"] @ v) for q, k, v in heads]
    return np.hstack(mixed) @ weights["output.weight"].T


def random_feature_attention(x: Array, weights: Weights, h: int, m: int) -> Array:
    def features(rows: Array) -> Array:
        scaled = rows / rows.shape[1] ** 0.25
        return np.array([[np.exp(w @ row - row @ row / 2) for w in weights["directions"].T] for row in scaled])

    heads = _heads(x, weights["project.weight"], h)
    return np.hstack([_weighed(features(q), features(k), v) for q, k, v in heads]) @ weights["output.weight"].T


def latent_attention(x: Array, weights: Weights, h: int, m: int) -> Array:
    queries, keys, values = np.split(x @ weights["project.weight"].T, 3, axis=1)
    summary = _in_heads(weights["latents"], keys, values, h)
    keys, values = np.split(summary @ weights["summarise.weight"].T, 2, axis=1)
    return _in_heads(queries, keys, values, h) @ weights["output.weight"].T


def synthesizer(x: Array, weights: Weights) -> Array:
    scores = np.maximum(0, x @ weights["hidden.weight"].T) @ weights["score.weight"].T
    return softmax(scores, axis=1) @ (x @ weights["value.weight"].T)


def fourier_mixing(x: Array, _: Weights) -> Array:
    over_positions, over_features = (np.exp(-2j * np.pi * np.outer(range(N), range(N)) / N) for N in x.shape)
    return (over_positions @ x @ over_features).real


def token_mlp(x: Array, weights: Weights, m: int) -> Array:
    return weights["spread"] @ _gelu(weights["gather"] @ x)


def gated_mlp(x: Array, weights: Weights) -> Array:
    values, gates = np.split(_gelu(x @ weights["widen.weight"].T), 2, axis=1)
    return (values * (weights["spatial"] @ gates + weights["bias"])) @ weights["narrow.weight"].T


def _heads(x: Array, projection: Array, h: int) -> list[tuple[Array, ...]]:
    queries, keys, values = np.split(x @ projection.T, 3, axis=1)
    return list(zip(*(np.split(part, h, axis=1) for part in (queries, keys, values)), strict=True))


def _in_heads(queries: Array, keys: Array, values: Array, h: int) -> Array:
    heads = zip(*(np.split(part, h, axis=1) for part in (queries, keys, values)), strict=True)
    return np.hstack([attention(*head) for head in heads])


def _weighed(queries: Array, keys: Array, values: Array) -> Array:
    """Means of the values, weighed by products of features, pair by pair."""
    weights = np.array([[query @ key for key in keys] for query in queries])
    return weights / weights.sum(axis=1, keepdims=True) @ values


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _gelu(x: Array) -> Array:
    return x * (1 + erf(x / np.sqrt(2))) / 2


#: The oracle of each layer.
ORACLES: dict[str, Callable[..., Array]] = {
    "attention-linear": linear_attention,
    "attention-linear-causal": causal_linear_attention,
    "attention-low-rank": low_rank_attention,
    "attention-random-features": random_feature_attention,
    "attention-latent": latent_attention,
    "attention-synthesizer": synthesizer,
    "fourier-mixing": fourier_mixing,
    "token-mlp": token_mlp,
    "gated-mlp": gated_mlp,
}
