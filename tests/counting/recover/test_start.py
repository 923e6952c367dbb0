"""Sizes that constraints allow, with room to change each of them alone."""

from __future__ import annotations

import pytest

from attnbench.counting.recover.domain import Domain
from attnbench.counting.recover.start import sizes_along, start
from attnbench.formula import Constraint
from attnbench.trial import Sizes


def domain(axes: str, constraints: tuple[str, ...] = (), shortest: int = 0, **given: tuple[int, ...]) -> Domain:
    kept = [Constraint(text) for text in constraints]

    def allowed(sizes: Sizes) -> bool:
        return all(constraint.holds(sizes) for constraint in kept)

    return Domain(
        tuple(axes.split()),
        lambda sizes: allowed(sizes) and sizes["n"] >= shortest,
        large=False,
        constraints=allowed,
        bound=set().union(*(constraint.axes for constraint in kept)),
        given=given,
    )


@pytest.mark.parametrize(
    ("axes", "constraints"),
    [
        ("b n d", ()),
        ("b n d h g", ("d % (2*h) == 0", "h % g == 0")),
        ("b n d w", ("n % (2*w) == 0",)),
        ("b n d c", ("n >= 12*c",)),
        ("b n d s", ("s > d",)),
        ("b n d", ("d % 8 == 0",)),
        ("b n d h g f", ("d % h == 0", "h % g == 0", "f % d == 0")),
        ("b n d c w", ("n % c == 0", "w <= c", "n >= 4*w")),
    ],
)
def test_every_size_can_be_changed_alone_wherever_constraints_leave_that(
    axes: str, constraints: tuple[str, ...]
) -> None:
    where = domain(axes, constraints)
    found = start(where)

    assert found is not None
    assert where.possible(found.base)
    for axis in where.axes:
        others = list(sizes_along(where, axis, found.base))
        assert len(others) >= 2
        assert all(where.possible(point) and point[axis] != found.base[axis] for point in others)


@pytest.mark.parametrize("shortest", [13, 33, 100, 257])
def test_a_layer_that_wants_more_than_it_says_is_tried_longer_and_its_least_length_is_found(shortest: int) -> None:
    found = start(domain("b n d", shortest=shortest))

    assert found is not None
    assert found.least == shortest


def test_sizes_of_the_author_are_the_only_ones() -> None:
    where = domain("b n d", n=(32, 48, 64))
    found = start(where)

    assert found is not None
    assert {found.base["n"], *(point["n"] for point in sizes_along(where, "n", found.base))} == {32, 48, 64}


def test_nothing_is_found_where_nothing_is_possible() -> None:
    assert start(domain("b n d", ("n < 4", "n > 4"))) is None
    assert start(domain("b n d", shortest=2**20)) is None
