"""The layers of the suite `table1`, written a second time from their definitions in float64.

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
    Offsets = NDArray[np.int64]
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


def restricted_attention(x: Array, _: Weights, w: int) -> Array:
    near = [x[max(0, i - w) : i + w + 1] for i in range(len(x))]
    return np.vstack([attention(query[None], keys, keys) for query, keys in zip(x, near, strict=True)])


def block_diagonal_attention(x: Array, _: Weights, c: int) -> Array:
    return np.vstack([attention(block, block, block) for block in np.split(x, len(x) // c)])


def additive_attention(x: Array, weights: Weights) -> Array:
    queries, keys = x @ weights["query.weight"].T, x @ weights["key.weight"].T
    scores = np.array([[weights["score.weight"][0] @ np.tanh(query + key) for key in keys] for query in queries])
    return softmax(scores, axis=1) @ x


def rnn(x: Array, weights: Weights, direction: str = "") -> Array:
    from_input, from_state = weights[f"cells.weight_ih_l0{direction}"], weights[f"cells.weight_hh_l0{direction}"]
    state = np.zeros(x.shape[1])
    states = []
    for step in x:
        state = np.tanh(from_input @ step + from_state @ state)
        states.append(state)
    return np.array(states)


def rnn_bidirectional(x: Array, weights: Weights) -> Array:
    return rnn(x, weights) + rnn(x[::-1], weights, "_reverse")[::-1]


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
    return _convolution(x, weights["kernel.weight"], _centred(k))


def conv1d_causal(x: Array, weights: Weights, k: int) -> Array:
    return _convolution(x, weights["kernel.weight"], _causal(k))


def conv1d_separable(x: Array, weights: Weights, k: int) -> Array:
    filtered = _sum_over_neighbours(x, _centred(k), lambda row, j: weights["depthwise.weight"][:, 0, j] * row)
    return filtered @ weights["pointwise.weight"][:, :, 0].T


def conv1d_dilated_causal(x: Array, weights: Weights, k: int, l: int) -> Array:  # noqa: E741  the axis is called l
    for level in range(l):
        x = _convolution(x, weights[f"{level}.kernel.weight"], _causal(k) * k**level)
    return x


def conv1d_dilated_centred(x: Array, weights: Weights, k: int, l: int) -> Array:  # noqa: E741
    for level in range(l):
        x = _convolution(x, weights[f"kernels.{level}.weight"], _centred(k) * k**level)
    return x


def conv1d_dilated_doubling(x: Array, weights: Weights, k: int, l: int) -> Array:  # noqa: E741
    for level in range(l):
        x = _convolution(x, weights[f"{level}.kernel.weight"], _causal(k) * 2**level)
    return x


def feed_forward(x: Array, weights: Weights) -> Array:
    return np.maximum(0, x @ weights["widen.weight"].T) @ weights["narrow.weight"].T


def fully_connected(x: Array, weights: Weights) -> Array:
    return (weights["dense.weight"] @ x.ravel()).reshape(x.shape)


def _centred(k: int) -> Offsets:
    return np.arange(k) - k // 2


def _causal(k: int) -> Offsets:
    return np.arange(k) - (k - 1)


def _convolution(x: Array, kernel: Array, offsets: Offsets) -> Array:
    return _sum_over_neighbours(x, offsets, lambda row, j: kernel[:, :, j] @ row)


def _sum_over_neighbours(x: Array, offsets: Offsets, product: Callable[[Array, int], Array]) -> Array:
    y = np.zeros_like(x)
    for t in range(len(x)):
        for j, offset in enumerate(offsets):
            if 0 <= t + offset < len(x):
                y[t] += product(x[t + offset], j)
    return y


#: The oracle of each built-in layer.
ORACLES: dict[str, Callable[..., Array]] = {
    "attention-core": attention_core,
    "attention-core-fused": attention_core,
    "multi-head-attention": multi_head_attention,
    "multi-head-attention-materialised": multi_head_attention,
    "attention-restricted": restricted_attention,
    "attention-additive": additive_attention,
    "rnn": rnn,
    "rnn-bidirectional": rnn_bidirectional,
    "gru": gru,
    "lstm": lstm,
    "conv1d": conv1d,
    "conv1d-causal": conv1d_causal,
    "conv1d-separable": conv1d_separable,
    "conv1d-dilated-causal": conv1d_dilated_causal,
    "conv1d-dilated-centred": conv1d_dilated_centred,
    "conv1d-dilated-doubling": conv1d_dilated_doubling,
    "feed-forward": feed_forward,
    "attention-block-diagonal": block_diagonal_attention,
    "fully-connected": fully_connected,
}
