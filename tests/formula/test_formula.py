"""Formulas: what may be written, exact values and terms (against sympy), and how they read."""

from __future__ import annotations

import itertools
import math
import operator
import pickle
import re
from fractions import Fraction
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from attnbench.errors import FormulaError
from attnbench.formula import Constraint, Formula, Monomial, from_terms

if TYPE_CHECKING:
    from collections.abc import Callable

AXES = "bdkn"
SYMBOLS = {axis: sympy.Symbol(axis, positive=True) for axis in AXES}
SYMPY_FUNCTIONS = {"min": sympy.Min, "max": sympy.Max, "ceil": sympy.ceiling, "floor": sympy.floor, "sqrt": sympy.sqrt}

MAY_USE = (
    "it may use numbers, sizes, + - * / %, ** with a constant up to 8 or of a 2, min, max, ceil, floor, sqrt, log2, "
    "log, inf"
)

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=150)
sizes = st.fixed_dictionaries({axis: st.integers(1, 50) for axis in AXES})
axes_and_numbers = st.sampled_from(AXES) | st.integers(0, 12).map(str)


def expressions(*templates: str) -> st.SearchStrategy[str]:
    """Random formulas: each template joins two smaller ones, at `{0}` and `{1}`."""

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.builds(str.format, st.sampled_from(templates), inner, inner)

    return st.recursive(axes_and_numbers, larger, max_leaves=4)


SUMS = ("({0} + {1})", "({0} - {1})", "-({0} + {1})", "+{0} + {1}", "{0}*{1}", "({0} - {1})**2", "({0}*{1})**2")
QUOTIENTS = ("({0})/({1} + 1)", "{0}/2*{1}", "{0} - -({1})**2")
FUNCTIONS = ("min({0}, {1})", "max({0}, {1}, 2)", "ceil(({0})/3) + {1}", "floor(({0})/4) + {1}", "{0} + ({1}) % 7")


def in_sympy(text: str) -> sympy.Expr:
    return sympy.sympify(text, locals=SYMBOLS | SYMPY_FUNCTIONS, rational=True)


# ------------------------------------------------------------------------------------------------ against sympy


@repeatable
@given(text=expressions(*SUMS, *QUOTIENTS, *FUNCTIONS), at=sizes)
def test_values_are_exact(text: str, at: dict[str, int]) -> None:
    value = Formula(text).evaluate(at)

    assert isinstance(value, int | Fraction)
    assert sympy.Rational(value) == in_sympy(text).subs({SYMBOLS[axis]: size for axis, size in at.items()})


@repeatable
@given(text=expressions(*SUMS))
def test_terms_are_those_of_the_written_out_sum(text: str) -> None:
    expected = {
        Monomial.of(dict(zip(AXES, powers, strict=True))): Fraction(int(coefficient))
        for powers, coefficient in sympy.Poly(in_sympy(text), *SYMBOLS.values()).terms()
        if coefficient
    }

    assert {term.monomial: term.coefficient for term in Formula(text).terms} == expected


@repeatable
@given(text=expressions(*SUMS), at=sizes)
def test_terms_add_up_to_the_value(text: str, at: dict[str, int]) -> None:
    formula = Formula(text)

    assert math.isclose(
        sum(term.evaluate(at) for term in formula.terms), formula.evaluate(at), rel_tol=1e-9, abs_tol=1e-3
    )


@repeatable
@given(
    terms=st.dictionaries(
        st.builds(
            Monomial.of,
            st.dictionaries(st.sampled_from(AXES), st.fractions(-3, 8, max_denominator=4)),
            st.dictionaries(st.sampled_from("nk"), st.integers(1, 3)),
        ),
        st.fractions(-9, 9, max_denominator=5),
        max_size=4,
    )
)
def test_a_formula_made_from_terms_has_these_terms(terms: dict[Monomial, Fraction]) -> None:
    formula = from_terms((coefficient, monomial) for monomial, coefficient in terms.items())

    assert {term.monomial: term.coefficient for term in formula.terms} == {m: c for m, c in terms.items() if c}


# ------------------------------------------------------------------------------------------------------ exactness


@given(power=st.integers(-40, 40), base=st.integers(2, 9))
def test_a_logarithm_of_a_whole_power_is_whole(power: int, base: int) -> None:
    at = {"n": base ** abs(power), "k": base}
    text = "log(n, k)" if power >= 0 else "log(1/n, k)"

    value = Formula(text).evaluate(at)

    assert value == power
    assert isinstance(value, int)


@given(above=st.integers(1, 2**20), below=st.integers(1, 2**20), degree=st.integers(2, 8))
def test_a_rational_root_is_exact(above: int, below: int, degree: int) -> None:
    at = {"n": above**degree, "d": below**degree}

    value = Formula(f"(n/d)**(1/{degree})").evaluate(at)

    assert value == Fraction(above, below)
    assert not isinstance(value, float)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n**-2", Fraction(1, 256)),
        ("n**-0.5", Fraction(1, 4)),
        ("(n/4)**1.5", 8),
        ("0.1*n", Fraction(8, 5)),
        ("1e3*n", 16_000),
        ("n*log2(n)", 64),
        ("ceil(n/5)", 4),
        ("floor(-n/5)", -4),
        ("n % 5", 1),
        ("min(n, 3, d)", 3),
        ("sqrt(n)*sqrt(d)", 12),
    ],
)
def test_a_value_stays_exact_as_long_as_it_can(text: str, value: int | Fraction) -> None:
    found = Formula(text).evaluate({"n": 16, "d": 9})

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sqrt(n)", math.sqrt(10)),
        ("sqrt(n)*sqrt(n)", 10),
        ("log2(n)", math.log2(10)),
        ("log(n, 3)", math.log(10, 3)),
        ("log(n, 1.0000001)", math.log(10, 1.0000001)),
        ("n**0.333333333", 10**0.333333333),
        ("n/sqrt(n)", math.sqrt(10)),
        ("sqrt(n)**2", 10),
        ("sqrt(n) % 2", math.sqrt(10) % 2),
        ("log2(n)**-2", math.log2(10) ** -2),
        ("10**-8*n**8", 1),
    ],
)
def test_a_value_without_an_exact_form_is_a_float(text: str, value: float) -> None:
    assert math.isclose(Formula(text).evaluate({"n": 10}), value, rel_tol=1e-12)


def test_sizes_from_numpy_do_not_overflow() -> None:
    assert Formula("n**3*n").evaluate({"n": np.int64(2**20)}) == 2**80


def test_a_size_that_is_missing_is_named() -> None:
    with pytest.raises(FormulaError) as caught:
        Formula("n*w/r").evaluate({"n": 4})

    assert str(caught.value) == "'n*w/r' needs a size for r, w"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("log2(n - 4)", "a logarithm of zero or less"),
        ("log(n, n - 4)", "a logarithm of zero or less"),
        ("log(n, n - 3)", "division by zero"),
        ("1/(n - 4)", "division by zero"),
        ("sqrt(2)/(n - 4)", "division by zero"),
        ("n % (n - 4)", "division by zero"),
        ("(n - 4)**-1", "division by zero"),
        ("(n - 4)**-0.5", "division by zero"),
        ("sqrt(-n)", "a root of a negative number"),
        ("(sqrt(2) - n)**0.5", "a root of a negative number"),
        ("sqrt(3*1e300**8)", "a number too large"),
    ],
)
def test_a_formula_without_a_value_says_why(text: str, reason: str) -> None:
    with pytest.raises(FormulaError) as caught:
        Formula(text).evaluate({"n": 4})

    assert str(caught.value) == f"{text!r} has no value at {{'n': 4}}: {reason}"


# ---------------------------------------------------------------------------------------------------- allow-list


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("__import__('os')", "__import__('os')"),
        ("n.real", "n.real"),
        ("4*n[0]", "n[0]"),
        ("n + (lambda: d)", "lambda: d"),
        ("n if d else h", "n if d else h"),
        ("n*'d'", "'d'"),
        ("n + True", "True"),
        ("None", "None"),
        ("2j*n", "2j"),
        ("1e999*n", "1e999"),
        ("n and d", "n and d"),
        ("n < d", "n < d"),
        ("[n]", "[n]"),
        ("n*(n, d)", "(n, d)"),
        ("n // d", "n // d"),
        ("n ^ 2", "n ^ 2"),
        ("~n", "~n"),
        ("not n", "not n"),
        ("log2", "log2"),
        ("exp(n)", "exp(n)"),
        ("min(n)", "min(n)"),
        ("log(n)", "log(n)"),
        ("min(*n)", "*n"),
        ("max(n, d, key=n)", "max(n, d, key=n)"),
        ("n.max(d, k)", "n.max(d, k)"),
        ("n**d", "n**d"),
        ("1 + n**9", "n**9"),
        ("n**-8.5", "n**-8.5"),
        ("n**(1/0)", "n**(1/0)"),
        ("n**(3 % 0)", "n**(3 % 0)"),
        ("n**2**2", "n**2**2"),
        ("n**sqrt(4)", "n**sqrt(4)"),
        ("n**(1e300*1e300)", "n**(1e300*1e300)"),
        ("(yield n)", "yield n"),
    ],
)
def test_what_is_not_on_the_allow_list_is_refused_and_shown(text: str, part: str) -> None:
    with pytest.raises(FormulaError) as caught:
        Formula(text)

    assert str(caught.value) == f"cannot read {part!r} in the formula {text!r}; {MAY_USE}"


@pytest.mark.parametrize("text", ["4*b*n**2*", "n d", "n = 2", "import os", "(n", "2n", "n\n+ d", "\0", "(" * 1500])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(FormulaError) as caught:
        Formula(text)

    assert str(caught.value) == f"cannot read the formula {text!r}; write it like 4*b*n**2*d"


DEEP, TALL = "-" * 201 + "n", "((n**8 + 1)**8)**2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "a formula of 1 to 2000 characters is needed, not one of 0"),
        ("n" * 2001, "a formula of 1 to 2000 characters is needed, not one of 2001"),
        (DEEP, f"the formula {DEEP!r} is nested more than 200 deep"),
        (TALL, f"powers of powers in {TALL!r} multiply to more than 64"),
    ],
)
def test_what_would_be_dear_to_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        Formula(text)

    assert str(caught.value) == message


def test_the_deepest_formula_can_be_worked_with() -> None:
    formula = Formula("n+" * 200 + "n")

    assert formula.evaluate({"n": 3}) == 603
    assert from_terms((t.coefficient, t.monomial) for t in formula.terms).text == "201*n"
    assert formula.pretty == "n + " * 200 + "n"
    assert formula.mathml.count("<mi>n</mi>") == 201


# --------------------------------------------------------------------------------------------------------- terms


@pytest.mark.parametrize(
    "text",
    [
        "min(n, d)",
        "ceil(n/2)",
        "n % 2",
        "1/(n + d)",
        "sqrt(n + d)",
        "sqrt(2)*n",
        "sqrt(-4*n)",
        "sqrt(3*1e300**8)*n",
        "1/0*n",
        "n/(d - d)",
        "sqrt(log2(n))",
        "log(n, 2)",
        "log2(n*d)",
    ],
)
def test_what_is_no_sum_of_terms_says_so(text: str) -> None:
    formula = Formula(text)

    with pytest.raises(FormulaError) as caught:
        _ = formula.terms

    assert str(caught.value) == f"{text!r} is not a sum of products of powers"
    assert not formula.is_sum_of_terms


def test_a_sum_that_would_be_dear_to_write_out_is_refused() -> None:
    formula = Formula("(a + b + c + d + e + f + g + h)**8")

    with pytest.raises(FormulaError) as caught:
        _ = formula.terms

    assert str(caught.value) == "'(a + b + c + d + e + f + g + h)**8' has more than 200 terms when written out"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("4*b*n**2*d + 8*b*n*d**2", "8*b*n*d**2 + 4*b*n**2*d"),
        ("n*log2(n)**2/log2(d)", "n*log2(d)**-1*log2(n)**2"),
        ("sqrt(4*n**2*d)", "2*n*d**(1/2)"),
        ("(n + d - d)**-1", "n**-1"),
        ("n**2/(2*n) + 1.5", "1/2*n + 3/2"),
        ("-n + 3 - 2*d", "-1*n - 2*d + 3"),
        ("n - n", "0"),
        ("(n - n)**0", "1"),
        ("n*log2(n) + n", "n*log2(n) + n"),
    ],
)
def test_terms_are_sorted_with_the_largest_degree_first(text: str, terms: str) -> None:
    assert from_terms((term.coefficient, term.monomial) for term in Formula(text).terms).text == terms


@pytest.mark.parametrize(
    ("text", "leading"),
    [
        ("8*b*n*d**2 + 4*b*n**2*d + 3*b*n + 7", ["n*d**2", "n**2*d"]),
        ("n**2 + n*log2(n) + n", ["n**2"]),
        ("n*log2(n) + n + d", ["n*log2(n)", "d"]),
        ("5", ["1"]),
    ],
)
def test_the_leading_terms_are_those_that_no_other_outgrows(text: str, leading: list[str]) -> None:
    assert {term.monomial.text.removeprefix("b*") for term in Formula(text).leading} == set(leading)


def test_a_monomial_knows_its_exponents() -> None:
    monomial = Monomial.of({"n": 2, "d": Fraction(1, 2), "b": 0}, {"n": 1})

    assert monomial.axes == {"n", "d"}
    assert [monomial.exponent(axis) for axis in "ndb"] == [2, Fraction(1, 2), 0]
    assert monomial.evaluate({"n": 8, "d": 9}) == 64 * 3 * 3
    assert monomial * Monomial.of({"n": -2}, {"n": -1}) == Monomial.of({"d": Fraction(1, 2)})
    assert not monomial.dominates(monomial)


def test_equal_texts_are_equal_formulas_and_travel() -> None:
    formula = Formula(" 4*n ")

    assert formula == Formula("4*n") == pickle.loads(pickle.dumps(formula))  # noqa: S301  our own bytes
    assert formula != Formula("n*4")
    assert len({formula, Formula("4*n")}) == 1
    assert (str(formula), repr(formula), formula.axes) == ("4*n", "Formula('4*n')", {"n"})


# --------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("text", "pretty"),
    [
        ("8*b*n*d**2 + 4*b*n**2*d", "8bnd² + 4bn²d"),
        ("n**0.5*d**-1", "n¹ᐟ²d⁻¹"),
        ("a - (b - c)", "a − (b − c)"),
        ("a - (b + -c)", "a − (b + (−c))"),
        ("-(a + b)*c", "(−(a + b))c"),
        ("-a**2 + b", "−a² + b"),
        ("n*(-d)", "n(−d)"),
        ("(n + d)**2", "(n + d)²"),
        ("(n*d)**2", "(nd)²"),
        ("n/(k*d)", "n/(kd)"),
        ("n*d/k", "nd/k"),
        ("n/k*d", "(n/k)d"),
        ("n/k/d", "(n/k)/d"),
        ("1/2*n", "(1/2)n"),
        ("n*4*d", "n·4·d"),
        ("rank*n", "rank·n"),
        ("n*rank**2", "n·rank²"),
        ("n*log2(n)", "n·log₂(n)"),
        ("2*sqrt(n*d)", "2·√(nd)"),
        ("ceil(n/k)*floor(d)", "⌈n/k⌉·⌊d⌋"),
        ("max(n**2, n*d) + log(n, k)", "max(n², nd) + log_k(n)"),
        ("n*d % h", "nd mod h"),
        ("n*(d % h)", "n(d mod h)"),
    ],
)
def test_a_formula_reads_as_the_field_writes_it(text: str, pretty: str) -> None:
    assert Formula(text).pretty == pretty


@pytest.mark.parametrize(
    ("monomial", "text", "pretty"),
    [
        (Monomial(), "1", "1"),
        (Monomial.of({"d": 1, "n": 2, "k": 1, "b": 1}), "b*k*n**2*d", "bkn²d"),
        (Monomial.of({"n": Fraction(3, 2), "d": -1}), "n**(3/2)*d**-1", "n³ᐟ²d⁻¹"),
        (Monomial.of({"n": 1, "zeta": 1}), "n*zeta", "n·zeta"),
        (Monomial.of({"n": 1}, {"n": 2, "d": 1}), "n*log2(d)*log2(n)**2", "n·log₂(d)·log₂(n)²"),
    ],
)
def test_a_monomial_is_written_for_people_and_for_reading_back(monomial: Monomial, text: str, pretty: str) -> None:
    assert (monomial.text, monomial.pretty) == (text, pretty)
    assert [term.monomial for term in Formula(text).terms] == [monomial]


def from_pretty(text: str) -> str:
    """Read Unicode text back: raised digits are exponents, and what stands side by side is a product."""
    raised = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda match: f"**({match[0].translate(raised)})", text)
    return re.sub(r"(?<=[\w)])(?=[a-z(])", "*", text.replace("−", "-").replace("·", "*"))


def from_mathml(text: str) -> str:
    """Read MathML back: a fraction bar and a raised exponent hold together what is in them."""

    def read(element: ET.Element) -> str:
        inside = [read(child) for child in element]
        match element.tag.rpartition("}")[2]:
            case "mfrac":
                return f"(({inside[0]})/({inside[1]}))"
            case "msup":
                return f"{inside[0]}**({inside[1]})"
        return (element.text or "") + "".join(inside)

    return read(ET.fromstring(text)).translate(str.maketrans("−·\u2062", "-**"))  # noqa: S314  our own text


def from_latex(text: str) -> str:
    """Read LaTeX back: what braces hold is one thing, a bar divides, and what stands side by side is a product."""

    def end(opening: int) -> int:
        depths = itertools.accumulate({"{": 1, "}": -1}.get(one, 0) for one in text[opening:])
        return opening + next(index for index, depth in enumerate(depths) if depth == 0)

    while (at := text.rfind("\\frac")) >= 0:  # the last one holds no other
        above = end(at + 5)
        below = end(above + 1)
        text = f"{text[:at]}(({text[at + 6 : above]})/({text[above + 2 : below]})){text[below + 1 :]}"
    text = re.sub(r"\\left|\\right", "", text).replace("^", "**").replace(r"\cdot", "*")
    return re.sub(r"(?<=[\w)])\s+(?=[\w(])", "*", text.translate(str.maketrans("{}", "()")))


@pytest.mark.parametrize(
    ("notation", "read"),
    [
        (operator.attrgetter("pretty"), from_pretty),
        (operator.attrgetter("mathml"), from_mathml),
        (operator.attrgetter("latex"), from_latex),
    ],
    ids=["pretty", "mathml", "latex"],
)
@repeatable
@given(text=expressions(*SUMS, *QUOTIENTS))
def test_what_is_written_means_the_same(
    notation: Callable[[Formula], str], read: Callable[[str], str], text: str
) -> None:
    back = read(notation(Formula(text)))

    assert in_sympy(back).equals(in_sympy(text)), back


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("8*b*n*d**2 - 4*b*n**2*d", "8 b n d^{2} - 4 b n^{2} d"),
        ("sqrt(n)*max(n, d)", r"\sqrt{n} \cdot \max\left(n, d\right)"),
        (
            "ceil(n/w) + floor(log(n, k))",
            r"\left\lceil \frac{n}{w} \right\rceil + \left\lfloor \log_{k}\left(n\right) \right\rfloor",
        ),
        ("2**ceil(log2(n)) % 3", r"2^{\left\lceil \log_{2}\left(n\right) \right\rceil} \bmod 3"),
        ("inf", r"\infty"),
        ("4.4e-11*alpha*n_h", r"4.4 \cdot 10^{-11} \cdot \mathit{alpha} \cdot \mathit{n\_h}"),
    ],
)
def test_latex_is_written_as_papers_do(text: str, latex: str) -> None:
    assert Formula(text).latex == latex


@repeatable
@given(text=expressions(*SUMS, *QUOTIENTS, *FUNCTIONS, "log2({0})*{1}", "sqrt({0}) + log({1}, 2)"))
def test_mathml_is_one_well_formed_element(text: str) -> None:
    element = ET.fromstring(Formula(text).mathml)  # noqa: S314  our own text

    assert element.tag == "{http://www.w3.org/1998/Math/MathML}math"


# ------------------------------------------------------------------------------------------------------ constraints


@pytest.mark.parametrize(
    ("text", "holding", "failing"),
    [
        ("d % h == 0", {"d": 6, "h": 3}, {"d": 7, "h": 3}),
        ("n != 3", {"n": 2}, {"n": 3}),
        ("k <= n", {"k": 3, "n": 3}, {"k": 4, "n": 3}),
        ("k < n", {"k": 2, "n": 3}, {"k": 3, "n": 3}),
        ("log2(n) >= 3", {"n": 8}, {"n": 7}),
        ("n > sqrt(d)", {"n": 4, "d": 9}, {"n": 3, "d": 9}),
    ],
)
def test_a_constraint_holds_or_fails(text: str, holding: dict[str, int], failing: dict[str, int]) -> None:
    constraint = pickle.loads(pickle.dumps(Constraint(text)))  # noqa: S301  our own bytes

    assert constraint.axes == set(holding)
    assert constraint.holds(holding)
    assert not constraint.holds(failing)


def test_a_constraint_without_a_value_does_not_hold() -> None:
    assert not Constraint("n/(h - 1) > 2").holds({"n": 8, "h": 1})
    assert Constraint("n/(h - 1) > 2").holds({"n": 8, "h": 2})


def test_a_constraint_still_needs_every_size() -> None:
    with pytest.raises(FormulaError, match="needs a size for h"):
        Constraint("n/(h - 1) > 2").holds({"n": 8})


@pytest.mark.parametrize(
    ("monomial", "message"),
    [
        (Monomial.of({}, {"n": -1}), "'log2(n)**-1' has no value at {'n': 1}: division by zero"),
        (Monomial.of({"d": 200}), "'d**200' has no value at {'d': 100}: a number too large"),
        (
            Monomial.of({"d": 100, "h": 100}),
            "'h**100*d**100' has no value at {'d': 100, 'h': 100000}: a number too large",
        ),
    ],
)
def test_a_monomial_without_a_value_is_one_sentence(monomial: Monomial, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        monomial.evaluate({"n": 1, "d": 100, "h": 100000})

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d % h", "cannot read the constraint 'd % h'; write it like d % h == 0"),
        ("k < n < d", "cannot read the constraint 'k < n < d'; write it like d % h == 0"),
        ("k in n", "cannot read the constraint 'k in n'; write it like d % h == 0"),
        ("k <", "cannot read the constraint 'k <'; write it like d % h == 0"),
        ("", "a constraint of 1 to 2000 characters is needed, not one of 0"),
        (
            "n.real == 0",
            f"cannot read 'n.real' in the formula 'n.real'; {MAY_USE}",
        ),
    ],
)
def test_a_constraint_that_cannot_be_read_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        Constraint(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(("size", "padded"), [(1, 1), (2, 2), (3, 4), (17, 32), (64, 64), (65, 128)])
def test_a_size_rounded_to_a_power_of_two_is_exact(size: int, padded: int) -> None:
    assert Formula("2**ceil(log2(n))").evaluate({"n": size}) == padded


def test_infinity_is_a_value_and_no_size() -> None:
    formula = Formula("inf")

    assert formula.evaluate({}) == math.inf
    assert formula.axes == frozenset()
    assert formula.pretty == "∞"
    assert not formula.is_sum_of_terms


@pytest.mark.parametrize("text", ["2**n", "3**ceil(n)", "2**(n + 1)", "n**ceil(d)"])
def test_only_a_rounded_exponent_of_two_may_vary(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text)


def test_a_power_of_two_that_no_machine_could_hold_has_no_value() -> None:
    with pytest.raises(FormulaError, match="too large"):
        Formula("2**ceil(n)").evaluate({"n": 10**9})


@pytest.mark.parametrize(
    ("n", "largest", "share"),
    [(100, "20*n*d", 1.0), (250, "8*n**2 + 4*n*d", 1 / 6), (1000, "8*n**2 + 4*n*d", 1 / 21)],
)
def test_of_a_maximum_the_largest_counts_where_it_is_the_largest(n: int, largest: str, share: float) -> None:
    formula = Formula("max(8*n**2 + 4*n*d, 20*n*d)")

    assert formula.largest({"n": n, "d": 100}).terms == Formula(largest).terms
    assert formula.shares([Monomial.of({"n": 1, "d": 1})], ("n", "d"), {"n": n, "d": 100}) == pytest.approx((share,))


def test_what_is_no_maximum_is_itself_the_largest() -> None:
    formula = Formula("1 + max(n, d)")

    assert formula.largest({"n": 1, "d": 2}) is formula
    assert formula.shares([Monomial.of({"n": 1})], ("n",), {"n": 1, "d": 2}) == ()
