"""The backend that torch's scaled_dot_product_attention is told to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel

from attnbench.errors import UnsupportedError

_BACKENDS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
#: How torch puts it that the backend is not there, or cannot do what is asked of it.
_NONE_LEFT = "No viable backend for scaled_dot_product_attention"


@contextmanager
def attention_backend(name: str) -> Iterator[None]:
    """A context in which only the backend `name` may be used; with ``default``, torch chooses.

    Raises:
        UnsupportedError: what is called within needs another backend.
    """
    if name not in _BACKENDS:
        yield
        return
    try:
        with sdpa_kernel(_BACKENDS[name]):
            yield
    except RuntimeError as error:
        if _NONE_LEFT not in str(error):
            raise
        message = f"scaled_dot_product_attention has no backend {name!r} here that can do what this layer asks of it"
        raise UnsupportedError(message) from error
