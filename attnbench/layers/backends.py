"""The backend that torch's scaled_dot_product_attention is told to use."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

from torch.nn.attention import SDPBackend, sdpa_kernel

_BACKENDS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


def attention_backend(name: str) -> AbstractContextManager[None]:
    """A context in which only the backend `name` may be used; with ``default``, torch chooses."""
    return sdpa_kernel(_BACKENDS[name]) if name in _BACKENDS else contextlib.nullcontext()
