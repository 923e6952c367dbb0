"""Formulas that are no polynomials: found from counts alone, named, and refused where one number disagrees."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
import sympy

from attnbench.counting.recover import Domain, Recovered, recover

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.trial import Sizes

ALWAYS = ("b", "n", "d")


def followed(
    count: Callable[[Sizes], float], *more: str, large: bool = True, possible: Callable[[Sizes], bool] | None = None
) -> Recovered:
    """What is recovered of `count` over batch, length, width and `more`."""
    return recover(lambda sizes: (count(sizes),), Domain((*ALWAYS, *more), possible or (lambda sizes: True), large))


def up(size: int, block: int) -> int:
    """`size`, padded to a multiple of `block`: the long way round."""
    return next(padded for padded in range(size, size + block) if padded % block == 0)


def doubled_up(size: int) -> int:
    """`size`, padded to a power of two."""
    power = 1
    while power < size:
        power *= 2
    return power


def digits(size: int, base: int) -> int:
    """How often a length must be multiplied by `base` to reach `size`."""
    steps, reach = 0, 1
    while reach < size:
        steps, reach = steps + 1, reach * base
    return steps


def pairs_within(s: Sizes) -> int:
    """Pairs of positions no further apart than w."""
    w = min(s["w"], s["n"] - 1)
    return s["n"] + 2 * sum(s["n"] - away for away in range(1, w + 1))


# ------------------------------------------------------------------------------------------------------ staircases

STAIRCASES: dict[str, tuple[tuple[str, ...], Callable[[Sizes], float], str, str]] = {
    "block-of-16": (
        (),
        lambda s: 8 * s["b"] * s["n"] * s["d"] ** 2 + 4 * s["b"] * up(s["n"], 16) ** 2 * s["d"],
        "8*b*n*d**2 + 4*b*d*(16*ceil(n/16))**2",
        "n is padded to a multiple of 16",
    ),
    "block-of-8": ((), lambda s: up(s["n"], 8) * s["d"], "d*(8*ceil(n/8))", "n is padded to a multiple of 8"),
    "odd-block": ((), lambda s: up(s["n"], 48), "48*ceil(n/48)", "n is padded to a multiple of 48"),
    "hidden-block": (
        (),
        lambda s: s["n"] * up(s["d"], 8) ** 2,
        "n*(8*ceil(d/8))**2",
        "d is padded to a multiple of 8",
    ),
    "block-of-an-axis": (
        ("w",),
        lambda s: 8 * s["n"] * s["d"] ** 2 + 4 * s["b"] * up(s["n"], s["w"]) * s["w"] * s["d"],
        "4*b*w*d*(w*ceil(n/w)) + 8*n*d**2",
        "n is padded to a multiple of w",
    ),
    "power-of-two": (
        (),
        lambda s: s["d"] * doubled_up(s["n"]) * (30 * digits(s["n"], 2) + 7),
        "30*d*2**ceil(log2(n))*ceil(log2(n)) + 7*d*2**ceil(log2(n))",
        "n is padded to a power of two",
    ),
}


@pytest.mark.parametrize(("more", "count", "text", "named"), STAIRCASES.values(), ids=STAIRCASES)
@pytest.mark.parametrize("large", [True, False], ids=["any-length", "short"])
def test_a_staircase_is_found_and_named_with_its_step(
    more: tuple[str, ...], count: Callable[[Sizes], float], text: str, named: str, large: bool
) -> None:
    recovered = followed(count, *more, large=large)

    assert recovered.formula is not None, recovered.reason
    assert recovered.formula.text == text
    assert recovered.reason.startswith(f"{named}; exact at ")


def test_a_staircase_that_powers_of_two_hide_is_found_where_others_are_possible() -> None:
    """On powers of two alone this layer is n·d; one that accepts other lengths shows its padding."""
    padding = followed(lambda s: doubled_up(s["n"]) * s["d"])
    hidden = followed(lambda s: doubled_up(s["n"]) * s["d"], possible=lambda s: doubled_up(s["n"]) == s["n"])

    assert str(padding.formula) == "d*2**ceil(log2(n))"
    assert str(hidden.formula) == "n*d"
    assert all(doubled_up(sizes["n"]) == sizes["n"] for sizes in hidden.proof)


def test_a_block_of_8_is_not_taken_for_one_of_16() -> None:
    """Both agree at 13, 16, 31, 32, 128 and many others."""
    eight, sixteen = (followed(lambda s, block=block: up(s["n"], block)) for block in (8, 16))

    assert {str(eight.formula), str(sixteen.formula)} == {"8*ceil(n/8)", "16*ceil(n/16)"}


def test_a_block_too_long_to_be_looked_for_is_no_constant_either() -> None:
    """Where only short lengths are cheap, one longer one still shows that they were all padded alike."""
    recovered = followed(lambda s: up(s["n"], 128) * s["d"], large=False)

    assert recovered.formula is None
    assert "n=129" in recovered.reason


# --------------------------------------------------------------------------------------------- logarithms and roots

n, b, d, h, k, w = sympy.symbols("n b d h k w", positive=True)


def log2(size: sympy.Expr) -> sympy.Expr:
    return sympy.log(size) / sympy.log(2)


SMOOTH: dict[str, tuple[sympy.Expr, str]] = {
    "fourier": (5 * b * n * d * (log2(n) + log2(d)), "5*b*n*d*log2(d) + 5*b*n*d*log2(n)"),
    "depth": (3 + 2 * log2(n) + log2(d) - log2(h), "2*log2(n) + log2(d) - log2(h) + 3"),
    "odd-kernels": (1 + log2(d) + log2(k), "log2(d) + log2(k) + 1"),
    "recurrence": (n * (2 + log2(d)), "n*log2(d) + 2*n"),
    "fractions": (n * log2(n) * log2(d) / 3 + log2(n) ** 2, "1/3*n*log2(d)*log2(n) + log2(n)**2"),
    "neighbours": (3 * log2(2 * w + 1) + log2(d) + 8, "3*log2(2*w + 1) + log2(d) + 8"),
    "axial": (8 * n ** sympy.Rational(3, 2) * d + 16 * n * d**2, "16*n*d**2 + 8*n**(3/2)*d"),
    "root": (d * sympy.sqrt(n), "n**(1/2)*d"),
}
POSSIBLE: dict[str, Callable[[Sizes], bool]] = {
    "h": lambda sizes: sizes["d"] % sizes["h"] == 0,
    "k": lambda sizes: sizes["k"] % 2 == 1,
}


@pytest.mark.parametrize(("expression", "text"), SMOOTH.values(), ids=SMOOTH)
def test_logarithms_and_roots_are_found_with_exact_coefficients(expression: sympy.Expr, text: str) -> None:
    more = sorted({str(symbol) for symbol in expression.free_symbols} - set(ALWAYS))
    axes = [*ALWAYS, *more]
    value = sympy.lambdify(axes, expression, "math")

    recovered = followed(
        lambda sizes: float(value(*(sizes[axis] for axis in axes))), *more, possible=POSSIBLE.get("".join(more))
    )

    assert str(recovered.formula) == text
    assert recovered.reason.startswith("equal to 1e-9 at ")
    assert {sizes["n"] % 2 for sizes in recovered.proof} == {0, 1}


def test_n_log_n_is_not_n_and_its_rounding_is_neither() -> None:
    exact = followed(lambda s: s["n"] * math.log2(s["n"]))
    rounded = followed(lambda s: round(s["n"] * math.log2(s["n"])))

    assert str(exact.formula) == "n*log2(n)"
    assert rounded.formula is None


def test_a_logarithm_that_is_off_by_a_millionth_at_one_size_is_refused() -> None:
    recovered = followed(lambda s: s["n"] * math.log2(s["n"]) * (1 + 1e-6 * (s["n"] == 1009)))

    assert recovered.formula is None
    assert "the closest is n*log2(n): at b=" in recovered.reason
    assert "n=1009" in recovered.reason


# --------------------------------------------------------------------------------------- ceilings, pieces, quotients

WHOLE: dict[str, tuple[tuple[str, ...], Callable[[Sizes], float], str]] = {
    "ceiling-of-a-logarithm": ((), lambda s: 3 + digits(s["n"], 2), "ceil(log2(n)) + 3"),
    "logarithm-to-an-axis": (("k",), lambda s: s["d"] * digits(s["n"], s["k"]), "d*ceil(log(n, k))"),
    "halves-up": ((), lambda s: s["d"] * len(range(0, s["n"], 2)), "d*ceil(n/2)"),
    "halves-down": ((), lambda s: s["d"] * len(range(1, s["n"], 2)), "d*floor(n/2)"),
    "blocks": (("k",), lambda s: s["d"] * len(range(0, s["n"], s["k"])), "d*ceil(n/k)"),
    "root-up": ((), lambda s: math.isqrt(s["n"] - 1) + 1, "ceil(sqrt(n))"),
    "root-down": ((), lambda s: s["n"] * math.isqrt(s["n"]), "n*floor(sqrt(n))"),
    "window": (("w",), lambda s: 4 * s["n"] * min(s["n"], 2 * s["w"] + 1), "4*n*min(n, 2*w + 1)"),
    "buffers": (("l",), lambda s: 4 * s["n"] * min(s["l"], 2), "4*n*min(l, 2)"),
    "heads": (("h",), lambda s: 8 * s["n"] * s["d"] ** 2 + 4 * s["n"] * s["d"] ** 2 // s["h"], "8*n*d**2 + 4*n*d**2/h"),
}


@pytest.mark.parametrize(("more", "count", "text"), WHOLE.values(), ids=WHOLE)
def test_rounded_sizes_pieces_and_quotients_are_found(
    more: tuple[str, ...], count: Callable[[Sizes], float], text: str
) -> None:
    possible = {"h": POSSIBLE["h"], "k": lambda s: s["k"] > 1}.get("".join(more))
    recovered = followed(count, *more, possible=possible)

    assert str(recovered.formula) == text, recovered.reason


def test_pairs_within_a_window_are_followed_beyond_the_sequence() -> None:
    recovered = followed(lambda s: s["d"] * pairs_within(s), "w", large=False)

    assert recovered.formula is not None
    everywhere = [{"b": 1, "n": length, "d": 3, "w": width} for length in range(1, 20) for width in range(1, 25)]
    assert all(recovered.formula.evaluate(s) == s["d"] * pairs_within(s) for s in everywhere)


def test_the_proof_beyond_polynomials_holds_sizes_that_had_no_part_in_finding_it() -> None:
    asked: list[tuple[int, ...]] = []

    def count(sizes: Sizes) -> tuple[int]:
        asked.append(tuple(sizes.values()))
        return (up(sizes["n"], 16) * sizes["d"],)

    recovered = recover(count, Domain(ALWAYS, lambda sizes: True, large=True))
    said = re.search(r"exact at (\d+) sizes and (\d+) held-out ones", recovered.reason)

    assert len(asked) == len(set(asked)) < 300
    assert said is not None
    assert int(said[2]) >= 10
    assert len({tuple(sizes.values()) for sizes in recovered.proof}) == int(said[1]) + int(said[2])


# ------------------------------------------------------------------------------------------------- several numbers


def test_the_largest_of_several_numbers_has_a_formula_for_each_that_is_ever_the_largest() -> None:
    """None of the two follows a polynomial, and their maximum changes from one to the other."""

    def counts(s: Sizes) -> tuple[float, ...]:
        logs = digits(s["n"], 2)
        return (7, 4 * s["n"] * s["d"] * logs + s["b"], s["n"] * logs**0 * 900, 3 * s["n"] * s["d"])

    found = recover(counts, Domain(ALWAYS, lambda sizes: True, large=True))

    assert found.formula is not None
    assert found.formula.text.startswith("max(")
    for sizes in ({"b": 3, "n": 5, "d": 7}, {"b": 2, "n": 999, "d": 40}, {"b": 1, "n": 2, "d": 1}):
        assert found.formula.evaluate(sizes) == max(counts(sizes))


def test_where_every_position_brings_numbers_they_are_told_apart_from_the_end() -> None:
    def counts(s: Sizes) -> tuple[float, ...]:
        steps = [step * s["d"] for step in range(1, s["n"])]
        return (*steps, s["n"] * s["d"], 5 * s["d"] + 1, s["b"])

    found = recover(counts, Domain(ALWAYS, lambda sizes: True, large=False))

    assert str(found.formula) == "max(5*d + 1, n*d)"


def test_a_number_among_several_that_no_formula_follows_leaves_none() -> None:
    def counts(s: Sizes) -> tuple[float, ...]:
        return (s["n"] * s["d"] * digits(s["n"], 2), s["n"] * s["d"] + 50 * pow(3, s["n"], 101))

    assert recover(counts, Domain(ALWAYS, lambda sizes: True, large=True)).formula is None
