"""Every operation that a function executes, as the dispatcher sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils._python_dispatch import TorchDispatchMode

from attnbench.counting.operators.contract.operator import Call

if TYPE_CHECKING:
    from collections.abc import Callable


class Observed(TorchDispatchMode):
    """Sums what `reading` says of each operation."""

    def __init__(self, reading: Callable[..., float]) -> None:
        super().__init__()
        self.reading = reading
        self.total = 0.0
        self.names: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = operation(*args, **(kwargs or {}))
        self.total += self.reading(Call(operation, args, kwargs or {}, output))
        self.names.append(operation.overloadpacket.__name__)
        return output


def observed(reading: Callable[..., float], function: Callable[..., object], *inputs: Any) -> float:
    """The sum of `reading` over all operations of one call."""
    with Observed(reading) as mode:
        function(*inputs)
    return mode.total
