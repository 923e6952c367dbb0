"""How layers are called to be counted: with kernels that hide nothing, and one clear line for whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnbench.counting.flex import flex_attention_as, written_out
from attnbench.counting.odd_tensors import meaning_of
from attnbench.errors import AttnbenchError, LayerError, words_of
from attnbench.layers.base import Layer
from attnbench.trial import Sizes, describe


@contextmanager
def one_clear_line(layer: Layer, sizes: Sizes, dtype: str = "") -> Iterator[None]:
    """Turn whatever is raised within into one sentence about the layer; it names `dtype`, where the user chose none."""
    where = f"layer {layer.name!r} at {describe(sizes)}"
    try:
        yield
    except AttnbenchError as error:
        message = str(error)
        kind = type(error) if isinstance(error, LayerError) else LayerError
        raise kind(message if message.startswith("layer ") else f"{where} {message}") from error
    except Exception as error:
        if meaning := meaning_of(error):
            raise LayerError(f"{where} {meaning}") from error
        name = f"{type(error).__name__} in {dtype}" if dtype else type(error).__name__
        raise LayerError(f"{where} raised {name}: {words_of(error)[:200]}") from error


@contextmanager
def without_onednn() -> Iterator[None]:
    """Without oneDNN, which hides the steps of a recurrence in one kernel."""
    # Not torch.backends.mkldnn.flags: it sets TF32 as well, and torch warns of that on a CPU.
    before: bool = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


@contextmanager
def kernels_without_steps() -> Iterator[None]:
    """No kernel that hides steps: whole recurrences and whole encoder layers run as the smaller kernels they are."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with without_onednn():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """No fused kernels: attention as well runs as the small operations it is."""
    with kernels_without_steps(), sdpa_kernel(SDPBackend.MATH), flex_attention_as(written_out):
        yield


def sizes_or_own_parts(layer: Layer, sizes: Sizes, parts: Sizes) -> Sizes:
    """All sizes of a look at a layer: with `parts` for those axes it has; if it refuses these, with its own."""
    try:
        return layer.complete(sizes | {axis: size for axis, size in parts.items() if axis in layer.axes})
    except LayerError:
        return layer.complete(sizes)
