"""What the layers compute, written a second time from their definitions: NumPy, SciPy and plain loops in float64.

Each function maps one sequence ``(n, d)``; `weights` are the module's own parameters by their names in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Weights = dict[str, Array]


def attention_weights(queries: Array, keys: Array) -> Array:
    return softmax(queries @ keys.T / np.sqrt(keys.shape[1]), axis=1)


def attention(queries: Array, keys: Array, values: Array) -> Array:
    return attention_weights(queries, keys) @ values


def attention_core(x: Array, _: Weights, h: int) -> Array:
    return np.hstack([attention(head, head, head) for head in np.split(x, h, axis=1)])


def multi_head_attention(x: Array, weights: Weights, h: int) -> Array:
    to_queries, to_keys, to_values = np.split(weights["project.weight"], 3)
    heads = zip(*(np.split(x @ matrix.T, h, axis=1) for matrix in (to_queries, to_keys, to_values)), strict=True)
    return np.hstack([attention(*head) for head in heads]) @ weights["output.weight"].T


def rnn(x: Array, weights: Weights) -> Array:
    state = np.zeros(x.shape[1])
    states = []
    for step in x:
        state = np.tanh(weights["cells.weight_ih_l0"] @ step + weights["cells.weight_hh_l0"] @ state)
        states.append(state)
    return np.array(states)


def gru(x: Array, weights: Weights) -> Array:
    w_reset, w_update, w_new = np.split(weights["cells.weight_ih_l0"], 3)
    u_reset, u_update, u_new = np.split(weights["cells.weight_hh_l0"], 3)
    state = np.zeros(x.shape[1])
    states = []
    for step in x:
        reset = expit(w_reset @ step + u_reset @ state)
        update = expit(w_update @ step + u_update @ state)
        new = np.tanh(w_new @ step + reset * (u_new @ state))
        state = (1 - update) * new + update * state
        states.append(state)
    return np.array(states)


def lstm(x: Array, weights: Weights) -> Array:
    w_in, w_forget, w_cell, w_out = np.split(weights["cells.weight_ih_l0"], 4)
    u_in, u_forget, u_cell, u_out = np.split(weights["cells.weight_hh_l0"], 4)
    state = cell = np.zeros(x.shape[1])
    states = []
    for step in x:
        kept = expit(w_forget @ step + u_forget @ state) * cell
        cell = kept + expit(w_in @ step + u_in @ state) * np.tanh(w_cell @ step + u_cell @ state)
        state = expit(w_out @ step + u_out @ state) * np.tanh(cell)
        states.append(state)
    return np.array(states)


def conv1d(x: Array, weights: Weights, k: int) -> Array:
    return _sum_over_neighbours(x, k, lambda row, j: weights["kernel.weight"][:, :, j] @ row)


def conv1d_separable(x: Array, weights: Weights, k: int) -> Array:
    filtered = _sum_over_neighbours(x, k, lambda row, j: weights["depthwise.weight"][:, 0, j] * row)
    return filtered @ weights["pointwise.weight"][:, :, 0].T


def feed_forward(x: Array, weights: Weights) -> Array:
    return np.maximum(0, x @ weights["widen.weight"].T) @ weights["narrow.weight"].T


def _sum_over_neighbours(x: Array, k: int, product: Callable[[Array, int], Array]) -> Array:
    y = np.zeros_like(x)
    for t in range(len(x)):
        for j in range(k):
            if 0 <= (neighbour := t + j - k // 2) < len(x):
                y[t] += product(x[neighbour], j)
    return y


#: The oracle of each built-in layer.
ORACLES: dict[str, Callable[..., Array]] = {
    "attention-core": attention_core,
    "attention-core-fused": attention_core,
    "multi-head-attention": multi_head_attention,
    "rnn": rnn,
    "gru": gru,
    "lstm": lstm,
    "conv1d": conv1d,
    "conv1d-separable": conv1d_separable,
    "feed-forward": feed_forward,
}
