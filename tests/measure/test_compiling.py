"""What a compiled layer returns is compared with what the layer does, number by number, wherever they stand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from attnbench.errors import LayerError
from attnbench.measure.compiling import check_same

STATES, MASK = torch.randn(2, 3), torch.full((3, 3), -torch.inf).triu(1)


@dataclass
class Returned:
    """As libraries of models return what they know."""

    states: Tensor
    chosen: Tensor
    mask: Tensor | None = None


def returned(off: float) -> Returned:
    """Another sum gives other digits; what is largest then may change its place."""
    return Returned(STATES * (1 + off), STATES.gt(off).sum(1), MASK)


def test_what_is_equal_to_half_of_the_digits_is_the_same() -> None:
    check_same("mine", returned(1e-6), returned(0.0))
    check_same("mine", [torch.complex(STATES, STATES)], [torch.complex(STATES, STATES)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (returned(0.01), returned(0.0)),
        (Returned(STATES, STATES > 0, MASK), Returned(STATES, STATES > 0, MASK.mT)),
        (Returned(STATES, STATES > 0, MASK * torch.nan), Returned(STATES, STATES > 0, MASK)),
        ({"states": torch.complex(STATES, STATES)}, {"states": torch.complex(STATES, -STATES)}),
    ],
)
def test_what_differs_is_found_in_whatever_it_stands(one: object, other: object) -> None:
    with pytest.raises(LayerError, match="compiled, it returns something else, off by up to"):
        check_same("mine", one, other)
