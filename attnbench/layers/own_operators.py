"""What people say of operators of their own: a plugin's file says it on import, and counting reads it here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from attnbench.errors import PluginError

#: A number from the arguments of a call, tensors among them, which have shapes and no data.
Formula = Callable[..., float]


@dataclass(frozen=True, slots=True)
class OwnOperator:
    """What is known of one operator.

    Attributes:
        flops: matrix work of one call; None where nobody says.
        elementwise: element-wise work; None for none.
        mixes_positions: whether a position of its output depends on other positions of its input; None where nobody
            says.
    """

    flops: Formula | None = None
    elementwise: Formula | None = None
    mixes_positions: bool | None = None


#: Full name, such as ``mylib::scan`` → what was said last.
OWN_OPERATORS: dict[str, OwnOperator] = {}


def operator(
    name: str,
    *,
    flops: Formula | None = None,
    elementwise: Formula | None = None,
    mixes_positions: bool | None = None,
) -> None:
    """Say what a call of one's own operator costs, so that layers that use it are counted.

    An operator that nobody spoke of makes counts lower bounds, which name it. What
    `torch.utils.flop_counter.register_flop_formula` was told is known already.

    Args:
        name: as it was given to `torch.library`, such as ``mylib::scan``.
        flops: takes the arguments of a call and returns its matrix work; one multiply-add is 2.
        elementwise: the same for work on single numbers.
        mixes_positions: False where each position of the output depends on the same position of the inputs alone, True
            where it may depend on all.

    Raises:
        PluginError: the name has no namespace or belongs to torch, or a formula cannot be called.
    """
    if not re.fullmatch(r"\w+::\w+", name) or name.startswith(("aten::", "prim::")):
        raise PluginError(f"an operator of one's own is named like 'mylib::scan', not {name!r}")
    for what, formula in (("flops", flops), ("elementwise", elementwise)):
        if formula is not None and not callable(formula):
            raise PluginError(f"operator {name}: {what} must be a function of its arguments, not {formula!r}")
    OWN_OPERATORS[name] = OwnOperator(flops, elementwise, mixes_positions)
