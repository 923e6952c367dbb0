"""The catalogue of attention written a second time from its definitions in float64: query by query, by loops.

Each function maps one sequence ``(n, d)``, or one item of each input; `weights` are the module's own parameters.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from tests.oracles.table1 import attention, gru

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.oracles.table1 import Array, Weights


def single_query(query: Array, keys: Array, values: Array, weights: Weights, *, cosine: bool) -> tuple[Array, Array]:
    q = weights["query.weight"] @ query
    scores = []
    for key in keys:
        k = weights["key.weight"] @ key
        scores.append(q @ k / (np.sqrt(q @ q) * np.sqrt(k @ k) if cosine else 1))
    shares = softmax(scores)
    context = sum(share * (weights["value.weight"] @ value) for share, value in zip(shares, values, strict=True))
    return context[None], shares[None]


def wide_multi_head(x: Array, weights: Weights, h: int) -> Array:
    named = ("query.weight", "key.weight", "value.weight")
    heads = []
    for to_q, to_k, to_v in zip(*(np.split(weights[name], h) for name in named), strict=True):
        heads.append(softmax((x @ to_q.T) @ (x @ to_k.T).T, axis=1) @ (x @ to_v.T))
    return np.hstack(heads) @ weights["output.weight"].T


def multi_head_d2l(x: Array, weights: Weights, h: int, lengths: Iterable[int] | None = None) -> Array:
    """``lengths`` says for each query how many keys count, and is at least 1."""
    lengths = [len(x)] * len(x) if lengths is None else list(lengths)
    width = x.shape[1] // h
    y = np.empty_like(x)
    for i, length in enumerate(lengths):
        seen = x[:length]
        q, k, v = (part @ weights[name].T for part, name in zip((x[i], seen, seen), _PROJECTIONS, strict=True))
        for own in (slice(start, start + width) for start in range(0, x.shape[1], width)):
            y[i, own] = softmax(k[:, own] @ q[own] / np.sqrt(width)) @ v[:, own]
    return y @ weights["output.weight"].T


def list_of_heads(x: Array, weights: Weights, h: int) -> Array:
    heads = []
    for i in range(h):
        q, k, v = (x @ weights[f"heads.{i}.{name}"].T for name in _PROJECTIONS)
        heads.append(attention(q, k, v))
    return np.hstack(heads) @ weights["output.weight"].T


def causal_multi_head(x: Array, weights: Weights, h: int) -> Array:
    q, k, v = np.split(x @ weights["project.weight"].T, 3, axis=1)
    return _causal_heads(q, k, v, weights, h, h)


def grouped_query(x: Array, weights: Weights, h: int, g: int = 1) -> Array:
    k, v = np.split(x @ weights["key_value.weight"].T, 2, axis=1)
    return _causal_heads(x @ weights["query.weight"].T, k, v, weights, h, g)


def seen_multi_head(x: Array, weights: Weights, h: int, seen: Callable[[int, int], bool]) -> Array:
    """Multi-head attention in which query i attends to the keys j with ``seen(i, j)``, and to no others."""
    q, k, v = (np.split(x @ part.T, h, axis=1) for part in np.split(weights["project.weight"], 3))
    heads = [
        np.array([attention(q[a][i : i + 1], k[a][at], v[a][at])[0] for i, at in enumerate(_seen(len(x), seen))])
        for a in range(h)
    ]
    return np.hstack(heads) @ weights["output.weight"].T


def flex_causal(x: Array, weights: Weights, h: int, c: int) -> Array:
    return seen_multi_head(x, weights, h, lambda i, j: j <= i)


def flex_sliding_window(x: Array, weights: Weights, h: int, w: int) -> Array:
    return seen_multi_head(x, weights, h, lambda i, j: i - w <= j <= i)


def flex_documents(x: Array, weights: Weights, h: int, c: int) -> Array:
    return seen_multi_head(x, weights, h, lambda i, j: j <= i and j // c == i // c)


def _seen(n: int, seen: Callable[[int, int], bool]) -> list[list[int]]:
    return [[j for j in range(n) if seen(i, j)] for i in range(n)]


def luong(x: Array, weights: Weights, score: Callable[[Array, Array, Weights], float]) -> Array:
    y = []
    for query in x:
        context = softmax([score(query, key, weights) for key in x]) @ x
        y.append(np.tanh(weights["combine.weight"] @ np.concatenate([context, query])))
    return np.array(y)


def cosine(x: Array, _: Weights) -> Array:
    directions = np.array([position / np.linalg.norm(position) for position in x])
    return np.array([softmax([query @ key for key in directions]) @ x for query in directions])


def axial(x: Array, _: Weights, c: int) -> Array:
    rows = np.vstack([attention(row, row, row) for row in np.split(x, len(x) // c)])
    y = np.empty_like(x)
    for column in range(c):
        y[column::c] = attention(rows[column::c], rows[column::c], rows[column::c])
    return y


def over(x: Array, seen: Callable[[int, int], bool]) -> Array:
    """Position i attends to the positions j with ``seen(i, j)``, and to no others."""
    y = []
    for i in range(len(x)):
        keys = np.array([x[j] for j in range(len(x)) if seen(i, j)])
        y.append(attention(x[i : i + 1], keys, keys)[0])
    return np.array(y)


def strided(x: Array, _: Weights, c: int) -> Array:
    return over(x, lambda i, j: j <= i and (i - j < c or (i - j) % c == 0))


def logarithmic(x: Array, _: Weights) -> Array:
    distances = {0, 1, 2, 4, 8, 16, 32}
    return over(x, lambda i, j: i - j in distances)


def dilated(x: Array, _: Weights, w: int, s: int) -> Array:
    return over(x, lambda i, j: (i - j) % s == 0 and abs(i - j) <= w * s)


def bahdanau(x: Array, weights: Weights, target: Array | None = None) -> Array:
    encoder = {name.replace("encoder.", "cells."): weight for name, weight in weights.items()}
    states = gru(x, encoder)
    words = [np.zeros(x.shape[1]), *(x if target is None else target)[:-1]]
    state, y = states[-1], []
    for word in words:
        query = weights["query.weight"] @ state
        scores = [weights["score.weight"][0] @ np.tanh(query + weights["key.weight"] @ key) for key in states]
        context = softmax(scores) @ states
        state = _gru_cell(np.concatenate([word, context]), state, weights)
        y.append(state)
    return np.array(y)


def _gru_cell(x: Array, state: Array, weights: Weights) -> Array:
    reset, update, new = np.split(weights["decoder.weight_ih"] @ x, 3)
    reset_s, update_s, new_s = np.split(weights["decoder.weight_hh"] @ state, 3)
    share = 1 / (1 + np.exp(-(update + update_s)))
    candidate = np.tanh(new + new_s / (1 + np.exp(-(reset + reset_s))))
    return np.asarray((1 - share) * candidate + share * state)


def _causal_heads(q: Array, k: Array, v: Array, weights: Weights, h: int, g: int) -> Array:
    """Query head i reads key-value head ``i // (h / g)``."""
    queries, keys, values = np.split(q, h, axis=1), np.split(k, g, axis=1), np.split(v, g, axis=1)
    heads = []
    for i, query in enumerate(queries):
        key, value = keys[i * g // h], values[i * g // h]
        rows = [attention(query[t : t + 1], key[: t + 1], value[: t + 1]) for t in range(len(q))]
        heads.append(np.vstack(rows))
    return np.hstack(heads) @ weights["output.weight"].T


def _concat_score(query: Array, key: Array, weights: Weights) -> float:
    hidden = np.tanh(weights["pair.weight"] @ np.concatenate([query, key]))
    return float(weights["score.weight"][0] @ hidden)


_PROJECTIONS = ("query.weight", "key.weight", "value.weight")

#: The oracle of each layer.
ORACLES: dict[str, Callable[..., Array | tuple[Array, ...]]] = {
    "attention-dot-query": partial(single_query, cosine=False),
    "attention-cosine-query": partial(single_query, cosine=True),
    "multi-head-attention-wide": wide_multi_head,
    "multi-head-attention-d2l": multi_head_d2l,
    "multi-head-attention-list-of-heads": list_of_heads,
    "multi-head-attention-causal": causal_multi_head,
    "flex-attention-causal": flex_causal,
    "flex-attention-sliding-window": flex_sliding_window,
    "flex-attention-documents": flex_documents,
    "attention-grouped-query": grouped_query,
    "attention-multi-query": grouped_query,
    "attention-luong-dot": partial(luong, score=lambda query, key, _: float(query @ key)),
    "attention-luong-general": partial(luong, score=lambda query, key, w: float(query @ w["key.weight"] @ key)),
    "attention-luong-concat": partial(luong, score=_concat_score),
    "attention-cosine": cosine,
    "attention-axial": axial,
    "attention-strided": strided,
    "attention-logarithmic": logarithmic,
    "attention-dilated": dilated,
    "attention-bahdanau": bahdanau,
}
