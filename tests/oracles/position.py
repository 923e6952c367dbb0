"""The layers of positions, written a second time from their definitions in float64, one position at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from tests.oracles.table1 import multi_head_attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.oracles.table1 import Array, Weights

#: From the published code of the paper on linear biases, for numbers of heads that are powers of two and others.
SLOPES = {
    1: [2**-8],
    2: [2**-4, 2**-8],
    3: [2**-4, 2**-8, 2**-2],
    4: [2**-2, 2**-4, 2**-6, 2**-8],
    6: [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3],
    8: [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256],
}


def wave(i: int, column: int, d: int) -> float:
    angle = i / 10000 ** ((column - column % 2) / d)
    return math.cos(angle) if column % 2 else math.sin(angle)


def sinusoidal(x: Array, _: Weights) -> Array:
    n, d = x.shape
    return np.array([[x[i, column] + wave(i, column, d) for column in range(d)] for i in range(n)])


def learned(x: Array, weights: Weights) -> Array:
    return np.array([row + place for row, place in zip(x, weights["table"], strict=True)])


def attention_sinusoidal(x: Array, weights: Weights, h: int) -> Array:
    return multi_head_attention(sinusoidal(x, {}), _without("layer", weights), h)


def attention_learned(x: Array, weights: Weights, h: int) -> Array:
    return multi_head_attention(learned(x, _without("encoding", weights)), _without("layer", weights), h)


def turned(row: Array, position: int) -> Array:
    """By a matrix of two by two for each pair of features."""
    result = row.copy()
    for pair in range(len(row) // 2):
        angle = position / 10000 ** (2 * pair / len(row))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        result[2 * pair : 2 * pair + 2] = turn @ row[2 * pair : 2 * pair + 2]
    return result


def attention_rotary(x: Array, weights: Weights, h: int) -> Array:
    return _attention(x, weights, h, lambda q, k, i, j, _: turned(q, i) @ turned(k, j) / math.sqrt(len(q)))


def attention_alibi(x: Array, weights: Weights, h: int) -> Array:
    return _attention(x, weights, h, lambda q, k, i, j, head: q @ k / math.sqrt(len(q)) - SLOPES[h][head] * abs(i - j))


def _attention(x: Array, weights: Weights, h: int, score: Callable[[Array, Array, int, int, int], float]) -> Array:
    """Multi-head attention whose score of a pair knows the positions of both, and the head."""
    heads = (np.split(x @ matrix.T, h, axis=1) for matrix in np.split(weights["project.weight"], 3))
    mixed = []
    for head, (queries, keys, values) in enumerate(zip(*heads, strict=True)):
        scores = [[score(q, k, i, j, head) for j, k in enumerate(keys)] for i, q in enumerate(queries)]
        mixed.append(softmax(np.array(scores), axis=1) @ values)
    return np.hstack(mixed) @ weights["output.weight"].T


def _without(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(f"{prefix}."): value for name, value in weights.items()}


#: The oracle of each layer.
ORACLES: dict[str, Callable[..., Array]] = {
    "position-sinusoidal": sinusoidal,
    "position-learned": learned,
    "attention-sinusoidal": attention_sinusoidal,
    "attention-learned": attention_learned,
    "attention-rotary": attention_rotary,
    "attention-alibi": attention_alibi,
}
