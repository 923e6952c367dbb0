"""Recurrences with gates, gated and grouped convolutions, gates by pooling, and the identity, in float64.

Each function maps one sequence ``(n, d)``; `weights` are the module's own parameters by their names in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Weights = dict[str, Array]


def sru(x: Array, weights: Weights) -> Array:
    to_value, to_forget, to_reset = np.split(weights["project.weight"], 3)
    cell = np.zeros(x.shape[1])
    outputs = []
    for step in x:
        forget = expit(to_forget @ step + weights["forget"] * cell)
        reset = expit(to_reset @ step + weights["reset"] * cell)
        cell = forget * cell + (1 - forget) * (to_value @ step)
        outputs.append(reset * cell + (1 - reset) * step)
    return np.array(outputs)


def min_gru(x: Array, weights: Weights) -> Array:
    to_gate, to_candidate = np.split(weights["project.weight"], 2)
    state = np.zeros(x.shape[1])
    states = []
    for step in x:
        gate = expit(to_gate @ step)
        state = (1 - gate) * state + gate * (to_candidate @ step)
        states.append(state)
    return np.array(states)


def state_space(x: Array, weights: Weights, m: int) -> Array:
    step = np.exp(weights["log_step"][:, 0])  # (d, 1)
    real, minus_imaginary = np.split(weights["readout"][:, 0], 2, axis=1)
    turn = np.exp(step * (-0.5 + 1j * np.pi * np.arange(m)))  # (d, m)
    states = np.zeros((x.shape[1], m), complex)
    outputs = []
    for position in x:
        states = turn * states + position[:, None]
        read = (real * states.real + minus_imaginary * states.imag).sum(axis=1)
        outputs.append(read + weights["direct"] * position)
    return np.array(outputs)


def rg_lru(x: Array, weights: Weights) -> Array:
    to_recurrence, to_entrance = np.split(weights["gates.weight"], 2)
    of_recurrence, of_entrance = np.split(weights["gates.bias"], 2)
    state = np.zeros(x.shape[1])
    states = []
    for step in x:
        kept = expit(weights["decay"]) ** (8 * expit(to_recurrence @ step + of_recurrence))
        state = kept * state + np.sqrt(1 - kept**2) * expit(to_entrance @ step + of_entrance) * step
        states.append(state)
    return np.array(states)


def mamba2(u: Array, weights: Weights, h: int, m: int, c: int) -> Array:
    """One position after the other: chunks are not part of the definition."""
    d = u.shape[1]
    rates = np.exp(weights["decay.log_rate"])
    state = np.zeros((h, 2 * d // h, m))
    rows = []
    for position in u:
        gate, x, b, now, step = np.split(weights["project.weight"] @ position, [2 * d, 4 * d, 4 * d + m, 4 * d + 2 * m])
        x, step = x.reshape(h, -1), np.log1p(np.exp(step + weights["decay.bias"]))
        state = np.exp(-step * rates)[:, None, None] * state + np.einsum("h,hp,m->hpm", step, x, b)
        read = state @ now + weights["direct"] * x
        rows.append(weights["output.weight"] @ (read.reshape(-1) * gate * expit(gate)))
    return np.array(rows)


def gated_delta(x: Array, weights: Weights, h: int, c: int) -> Array:
    """One position after the other: chunks are not part of the definition."""
    d = x.shape[1]
    rates = np.exp(weights["decay.log_rate"])
    states = np.zeros((h, d // h, d // h))
    rows = []
    for position in x:
        q, k, v, decay, strength = np.split(weights["project.weight"] @ position, [d, 2 * d, 3 * d, 3 * d + h])
        q, k, v = (part.reshape(h, -1) for part in (q, k, v))
        kept = np.exp(-np.log1p(np.exp(decay + weights["decay.bias"])) * rates)
        read = np.zeros((h, d // h))
        for i in range(h):
            key, query, beta = k[i] / np.linalg.norm(k[i]), q[i] / np.linalg.norm(q[i]), expit(strength[i])
            erased = np.eye(d // h) - beta * np.outer(key, key)
            states[i] = kept[i] * erased @ states[i] + beta * np.outer(key, v[i])
            read[i] = query @ states[i]
        rows.append(weights["output.weight"] @ read.reshape(-1))
    return np.array(rows)


def conv1d_depthwise(x: Array, weights: Weights, k: int) -> Array:
    return _taps(x, k, k // 2, lambda row, j: weights["kernel.weight"][:, 0, j] * row)


def conv1d_grouped(x: Array, weights: Weights, k: int, g: int) -> Array:
    kernels = np.split(weights["kernel.weight"], g)
    return np.hstack(
        [
            _taps(group, k, k // 2, lambda row, j, kernel=kernel: kernel[:, :, j] @ row)
            for group, kernel in zip(np.split(x, g, axis=1), kernels, strict=True)
        ]
    )


def conv1d_gated(x: Array, weights: Weights, k: int) -> Array:
    values, gates = (
        _taps(x, k, k - 1, lambda row, j, kernel=kernel: kernel[:, :, j] @ row)
        for kernel in np.split(weights["kernel.weight"], 2)
    )
    return values * expit(gates)


def squeeze_excitation(x: Array, weights: Weights, m: int) -> Array:
    return x * expit(_bottleneck(x.mean(axis=0), weights))


def squeeze_spatial_channel(x: Array, weights: Weights, m: int) -> Array:
    return squeeze_excitation(x, weights, m) + np.array([row * expit(weights["position.weight"][0] @ row) for row in x])


def cbam(x: Array, weights: Weights, m: int, k: int) -> Array:
    gated = x * expit(_bottleneck(x.mean(axis=0), weights) + _bottleneck(x.max(axis=0), weights))
    pooled = np.stack([gated.mean(axis=1), gated.max(axis=1)], axis=1)  # (n, 2)
    kernel = weights["kernel.weight"][0]
    return gated * expit(_taps(pooled, k, k // 2, lambda row, j: kernel[:, j] * row).sum(axis=1, keepdims=True))


def kernel_regression(x: Array, weights: Weights) -> Array:
    near = np.array([[np.exp(-(weights["width"] ** 2) * np.sum((a - b) ** 2) / 2) for b in x] for a in x])
    return near / near.sum(axis=1, keepdims=True) @ x


def identity(x: Array, _: Weights) -> Array:
    return x


def _bottleneck(pooled: Array, weights: Weights) -> Array:
    return weights["excite.weight"] @ np.maximum(0, weights["squeeze.weight"] @ pooled)


def _taps(x: Array, k: int, before: int, product: Callable[..., Array]) -> Array:
    """Sums over the k positions from `before` places before on, zeros beyond both ends."""
    rows = [[product(x[t + j - before], j) for j in range(k) if 0 <= t + j - before < len(x)] for t in range(len(x))]
    return np.array([np.sum(row, axis=0) for row in rows])


#: The oracle of each layer.
ORACLES: dict[str, Callable[..., Array]] = {
    "sru": sru,
    "min-gru": min_gru,
    "rg-lru": rg_lru,
    "state-space-diagonal": state_space,
    "mamba-2": mamba2,
    "gated-delta-rule": gated_delta,
    "conv1d-depthwise": conv1d_depthwise,
    "conv1d-grouped": conv1d_grouped,
    "conv1d-gated": conv1d_gated,
    "squeeze-excitation": squeeze_excitation,
    "squeeze-spatial-channel": squeeze_spatial_channel,
    "cbam": cbam,
    "kernel-regression": kernel_regression,
    "identity": identity,
}
