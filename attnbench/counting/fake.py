"""Modules of fake tensors: shapes without data, also where a factory cannot be run on them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)

from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module
from attnbench.trial import Sizes


class DataDependentError(LayerError):
    """The layer depends on values: no size will change that."""


class FakeMode(FakeTensorMode):
    """Fake tensors that may be copied deeply, and that meet real ones that a module has kept from its making."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)  # type: ignore[no-untyped-call]

    def __deepcopy__(self, memo: dict[int, Any]) -> FakeMode:
        """A copied tensor belongs to the same mode: two modes do not mix."""
        return self


def build_fake(layer: Layer, sizes: Sizes, dtype: str, mode: FakeMode) -> nn.Module:
    """The layer's module with weights that are fake.

    A factory that looks at numbers (a schedule read by ``.item()``, weights that are quantized) runs on real ones, and
    the weights lose their data afterwards. What else it has kept, such as a mask, stays real.

    Raises:
        LayerError: it cannot be built either way.
    """
    try:
        _warn_once()
        with mode:
            return build_module(layer, sizes, dtype=dtype)
    except LayerError:
        return _without_data(build_module(layer, sizes, dtype=dtype), mode)


@cache
def _warn_once() -> None:
    """To copy a fake tensor, torch asks where its data are, and warns of it once: here, where nobody looks."""
    with warnings.catch_warnings(), FakeMode():
        warnings.simplefilter("ignore")
        torch.empty(1).data_ptr()


def _without_data(module: nn.Module, mode: FakeMode) -> nn.Module:
    """The module, each of its weights and buffers replaced by a fake one; what is shared stays shared."""
    for part in module.modules():
        for kept in (part._parameters, part._buffers):
            fake: dict[str, Any] = {name: mode.from_tensor(one) for name, one in kept.items() if one is not None}
            kept.update(fake)
    return module


@contextmanager
def refusals() -> Iterator[None]:
    """What fake tensors cannot do, in words that follow on the layer's name.

    Raises:
        DataDependentError: the layer depends on values.
        LayerError: it has an operation without a kernel for fake tensors.
    """
    fake_tensor_log = logging.getLogger("torch._subclasses.fake_tensor")
    level = fake_tensor_log.level
    fake_tensor_log.setLevel(logging.CRITICAL)  # it prints a traceback of its own beside the exception
    try:
        yield
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise DataDependentError(
            f"depends on the values of its input ({error}); it cannot be counted exactly"
        ) from error
    except UnsupportedOperatorException as error:
        raise LayerError(f"uses {error}, which has no fake-tensor kernel; it cannot be counted") from error
    finally:
        fake_tensor_log.setLevel(level)
