"""What the signature of a factory of modules says: which of its parameters are axes, and what to call the layer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, Signature
from typing import Any

from attnbench.errors import PluginError
from attnbench.trial import TABLE_COLUMNS

_WHOLE_NUMBERS = (Parameter.empty, int, "int")
_UNNAMED = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")


@dataclass(frozen=True)
class Sized:
    """A factory that takes the axes of another by name; whatever else that takes keeps its default."""

    factory: Callable[..., Any]
    axes: tuple[str, ...]

    @property
    def __signature__(self) -> Signature:
        known = inspect.signature(self.factory).parameters
        return Signature([known[axis].replace(kind=Parameter.KEYWORD_ONLY) for axis in self.axes])

    def __call__(self, **sizes: int) -> Any:
        """What the factory makes for these sizes."""
        return self.factory(**sizes)


def sized(factory: Callable[..., Any]) -> Callable[..., Any]:
    """A factory of which every parameter is an axis: `factory` itself, or one that leaves the others at their defaults.

    Axes are the parameters without a default, and those whose default is a positive whole number.

    Raises:
        PluginError: it cannot be called, or is a module already; it has no signature, names no parameter one by one,
            or needs something that is no size.
    """
    if not callable(factory) or (hasattr(factory, "forward") and not isinstance(factory, type)):
        given = f"the module {name_of(factory)}" if callable(factory) else type(factory).__name__
        raise PluginError(f"a layer is made of a factory of modules, not of {given}")
    called = f"the factory {name_of(factory)!r}"
    try:
        parameters = inspect.signature(factory).parameters
    except ValueError:  # code in C need not have one
        raise PluginError(f"{called} has no signature, so nobody knows its axes; write one in Python") from None
    _refuse(called, parameters)
    axes = tuple(name for name, parameter in parameters.items() if _is_axis(parameter))
    return factory if axes == tuple(parameters) else Sized(factory, axes)


def _refuse(called: str, parameters: Mapping[str, Parameter]) -> None:
    if parameters and all(parameter.kind in _UNNAMED for parameter in parameters.values()):
        raise PluginError(f"{called} names no axes, only *args or **kwargs; name them, as in build(d, h=4)")
    for name, parameter in parameters.items():
        if parameter.kind in _UNNAMED or parameter.default is not Parameter.empty:
            continue
        if parameter.annotation not in _WHOLE_NUMBERS or parameter.kind is Parameter.POSITIONAL_ONLY:
            raise PluginError(
                f"{called} needs {str(parameter)!r}, which is no size with a name; "
                "write a function of sizes, as in build(d, h=4), that makes it"
            )
        if name in TABLE_COLUMNS:
            raise PluginError(f"{called} needs {name!r}, which is a column of the tables, and no axis")


def _is_axis(parameter: Parameter) -> bool:
    if parameter.kind in (*_UNNAMED, Parameter.POSITIONAL_ONLY) or parameter.name in TABLE_COLUMNS:
        return False
    default = parameter.default
    return default is Parameter.empty or (type(default) is int and default > 0)


def layer_name(factory: Callable[..., Any]) -> str:
    """What a layer of this factory is called: ``GatedMLP`` makes a ``gated-mlp``.

    Raises:
        PluginError: the factory has no name.
    """
    name = name_of(factory)
    if not name.isidentifier():
        raise PluginError(f"a layer of {name!r} needs a name: Layer.of(…, name='mine')")
    return _WORDS.sub("-", name).strip("-").lower()


def name_of(factory: Callable[..., Any]) -> str:
    """The name that a factory was defined under; of an object without one, its class."""
    inner = factory.func if isinstance(factory, partial) else factory
    return str(getattr(inner, "__name__", type(inner).__name__))
