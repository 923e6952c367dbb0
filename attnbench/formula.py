"""Formulas over named sizes: read, evaluate exactly, take apart, and write for people.

A claim such as ``4*b*n**2*d`` is text from a stranger, so it is read through an allow-list of syntax and
never evaluated as Python. Values stay integers or fractions as long as the formula allows it.
"""

from __future__ import annotations

import ast
import math
import operator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from attnbench.errors import FormulaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Number = int | Fraction | float

#: The order in which the field writes factors: ``2·b·k·n·d²``, ``h·n²``.
_WRITING_ORDER = "bhkwrmcnd"
_SUPERSCRIPTS = str.maketrans("0123456789/-.", "⁰¹²³⁴⁵⁶⁷⁸⁹ᐟ⁻·")
#: Bounds that keep a stranger's text cheap to read, to evaluate and to expand.
_LONGEST, _DEEPEST, _LARGEST_POWER, _LARGEST_NESTED_POWER, _MOST_TERMS = 2_000, 200, 8, 64, 200


@dataclass(frozen=True, slots=True)
class Monomial:
    """A product of powers and logarithms of sizes, without its coefficient.

    Attributes:
        powers: (axis, exponent) pairs, exponents not zero, sorted by axis.
        logs: (axis, exponent of log₂ axis) pairs, likewise.
    """

    powers: tuple[tuple[str, Fraction], ...] = ()
    logs: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, powers: Mapping[str, Fraction | int], logs: Mapping[str, int] | None = None) -> Monomial:
        """Build from mappings; zero exponents are dropped."""
        return cls(
            tuple(sorted((axis, Fraction(power)) for axis, power in powers.items() if power)),
            tuple(sorted((axis, power) for axis, power in (logs or {}).items() if power)),
        )

    @property
    def axes(self) -> set[str]:
        """Sizes that occur."""
        return {axis for axis, _ in (*self.powers, *self.logs)}

    def exponent(self, axis: str) -> Fraction:
        """Power of `axis`, zero when absent; logarithms do not count."""
        return dict(self.powers).get(axis, Fraction(0))

    def evaluate(self, sizes: Mapping[str, int | float]) -> float:
        """Value at `sizes`, in floating point."""
        value = 1.0
        for axis, power in self.powers:
            value *= float(sizes[axis]) ** float(power)
        for axis, log_power in self.logs:
            value *= math.log2(sizes[axis]) ** log_power
        return value

    def __mul__(self, other: Monomial) -> Monomial:
        powers, logs = dict(self.powers), dict(self.logs)
        for axis, power in other.powers:
            powers[axis] = powers.get(axis, Fraction(0)) + power
        for axis, log_power in other.logs:
            logs[axis] = logs.get(axis, 0) + log_power
        return Monomial.of(powers, logs)

    def dominates(self, other: Monomial) -> bool:
        """Whether this grows at least as fast as `other` along every axis, and they differ."""
        axes = self.axes | other.axes
        mine, theirs = dict(self.logs), dict(other.logs)
        return self != other and all(
            (self.exponent(axis), mine.get(axis, 0)) >= (other.exponent(axis), theirs.get(axis, 0)) for axis in axes
        )

    def grows_like(self, other: Monomial, axes: Iterable[str]) -> bool:
        """Whether both have the same powers and logarithms of `axes`; other sizes are constants to the comparison."""
        logs, others = dict(self.logs), dict(other.logs)
        return all(
            self.exponent(axis) == other.exponent(axis) and logs.get(axis, 0) == others.get(axis, 0) for axis in axes
        )

    @property
    def text(self) -> str:
        """Python-like text that `Formula` reads back: ``n**2*d``; ``1`` for the empty product."""
        factors = [axis if power == 1 else f"{axis}**{_exponent_text(power)}" for axis, power in self._written()]
        factors += [f"log2({axis})" if power == 1 else f"log2({axis})**{power}" for axis, power in self.logs]
        return "*".join(factors) or "1"

    @property
    def pretty(self) -> str:
        """Text for people: ``n²d``."""
        factors = [f"{axis}{_superscript(power)}" for axis, power in self._written()]
        factors += [f"log₂({axis}){_superscript(power)}" for axis, power in self.logs]
        return "·".join(factors) if self.logs or any(len(axis) > 1 for axis in self.axes) else "".join(factors) or "1"

    def _written(self) -> list[tuple[str, Fraction]]:
        return sorted(self.powers, key=lambda item: (_WRITING_ORDER.find(item[0]) % 99, item[0]))


@dataclass(frozen=True, slots=True)
class Term:
    """A monomial with its coefficient."""

    coefficient: Fraction
    monomial: Monomial

    def evaluate(self, sizes: Mapping[str, int | float]) -> float:
        """Value at `sizes`, in floating point."""
        return float(self.coefficient) * self.monomial.evaluate(sizes)


class Formula:
    """One formula over sizes, such as ``8*b*n*d**2 + 4*b*n**2*d`` or ``max(n**2, n*d)``.

    Understands numbers, axis names, ``+ - * / % **`` (constant exponents up to 8), and the functions ``min``,
    ``max``, ``ceil``, ``floor``, ``sqrt``, ``log2`` and ``log(x, base)``. Equal texts are equal formulas.

    Raises:
        FormulaError: the text is something else; the message shows the part that cannot be read.
    """

    def __init__(self, text: str) -> None:
        self.text = str(text).strip()
        self._tree = _parse(self.text)

    def __repr__(self) -> str:
        return f"Formula({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Formula) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[type[Formula], tuple[str]]:
        return Formula, (self.text,)

    @cached_property
    def axes(self) -> frozenset[str]:
        """Sizes that occur."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        names = (node for node in ast.walk(self._tree) if isinstance(node, ast.Name) and id(node) not in called)
        return frozenset(node.id for node in names)

    def evaluate(self, sizes: Mapping[str, int]) -> Number:
        """Value at `sizes`: an int or a Fraction wherever the formula has an exact value.

        Raises:
            FormulaError: a size is missing, or the value is undefined there (log of 0, division by 0).
        """
        if missing := sorted(self.axes - set(sizes)):
            raise FormulaError(f"{self.text!r} needs a size for {', '.join(missing)}")
        try:
            return _simplest(_evaluate(self._tree, sizes))
        except (ArithmeticError, ValueError) as error:
            reason = _REASONS.get(type(error), str(error))
            raise FormulaError(f"{self.text!r} has no value at {dict(sizes)}: {reason}") from None

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The formula as a sum of terms, largest degree first.

        Raises:
            FormulaError: it is no such sum (it uses min, max, ceil, floor or divides by a sum).
        """
        terms = (Term(coefficient, monomial) for monomial, coefficient in _expand(self._tree, self.text).items())
        return tuple(sorted(terms, key=_by_degree))

    @property
    def is_sum_of_terms(self) -> bool:
        """Whether `terms` exists."""
        try:
            self.terms  # noqa: B018
        except FormulaError:
            return False
        return True

    @property
    def leading(self) -> tuple[Term, ...]:
        """Terms that no other term dominates: the law without its lower orders."""
        return tuple(t for t in self.terms if not any(o.monomial.dominates(t.monomial) for o in self.terms))

    def shares(self, monomials: Sequence[Monomial], axes: Iterable[str], sizes: Mapping[str, int]) -> tuple[float, ...]:
        """Share of the value at `sizes` carried by terms that grow like each of `monomials` along `axes`.

        Empty when the formula is no sum of terms, or zero: then nobody can say.
        """
        terms = self.terms if self.is_sum_of_terms else ()
        total = sum(term.evaluate(sizes) for term in terms)
        if not total:
            return ()
        swept = tuple(axes)
        return tuple(
            sum(term.evaluate(sizes) for term in terms if term.monomial.grows_like(monomial, swept)) / total
            for monomial in monomials
        )

    @property
    def pretty(self) -> str:
        """Text for people: ``8bnd² + 4bn²d``."""
        return _write(self._tree, _PLAIN)

    @property
    def mathml(self) -> str:
        """Presentation MathML, one ``<math>`` element."""
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{_write(self._tree, _MATHML)}</mrow></math>'


def from_terms(terms: Iterable[tuple[Fraction | int, Monomial]]) -> Formula:
    """The formula that is the sum of ``coefficient · monomial``; ``0`` for none."""
    kept = sorted((Term(Fraction(c), m) for c, m in terms if c), key=_by_degree)
    parts = [_term_text(term) for term in kept]
    return Formula(" + ".join(parts).replace("+ -", "- ") or "0")


def for_a_batch(claim: Formula) -> tuple[Monomial, ...]:
    """Monomials of a claim for time: one that names sizes but no batch speaks of each sequence of a batch."""
    each = Monomial.of({} if "b" in claim.axes or not claim.axes else {"b": 1})
    return tuple(each * term.monomial for term in claim.terms)


def _by_degree(term: Term) -> tuple[float, Fraction, str]:
    """Largest degree first, then the largest coefficient: ``8bnd² + 4bn²d``, as the field writes it."""
    monomial = term.monomial
    degree = sum(float(p) for _, p in monomial.powers) + 0.01 * sum(p for _, p in monomial.logs)
    return -degree, -term.coefficient, monomial.text


def _term_text(term: Term) -> str:
    coefficient, monomial = term.coefficient, term.monomial
    if not monomial.axes:
        return str(coefficient)
    return monomial.text if coefficient == 1 else f"{coefficient}*{monomial.text}"


_COMPARISONS: dict[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Constraint:
    """A condition on sizes, such as ``d % h == 0`` or ``k <= n``.

    Raises:
        FormulaError: the text is not one comparison of two formulas.
    """

    def __init__(self, text: str) -> None:
        self.text = str(text).strip()
        tree = _syntax(self.text, "constraint", example="d % h == 0")
        if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in _COMPARISONS:
            raise FormulaError(f"cannot read the constraint {self.text!r}; write it like d % h == 0")
        self._compare = _COMPARISONS[type(tree.ops[0])]
        self._left = Formula(ast.unparse(tree.left))
        self._right = Formula(ast.unparse(tree.comparators[0]))

    @property
    def axes(self) -> frozenset[str]:
        """Sizes that occur."""
        return self._left.axes | self._right.axes

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether `sizes` satisfy the condition; every axis must be there."""
        return self._compare(self._left.evaluate(sizes), self._right.evaluate(sizes))


# ------------------------------------------------------------------------------------------------ reading

#: Python words these differently from version to version.
_REASONS: dict[type[Exception], str] = {ZeroDivisionError: "division by zero", OverflowError: "a number too large"}
_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda x, y: Fraction(x) / Fraction(y) if not isinstance(x * y, float) else x / y,
    ast.Mod: operator.mod,
    ast.Pow: lambda x, y: _power(x, y),
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Number]]] = {
    "min": (2, 9, min),
    "max": (2, 9, max),
    "ceil": (1, 1, math.ceil),
    "floor": (1, 1, math.floor),
    "sqrt": (1, 1, lambda x: _power(x, Fraction(1, 2))),
    "log2": (1, 1, lambda x: _log(x, 2)),
    "log": (2, 2, lambda x, base: _log(x, base)),
}


def _parse(text: str) -> ast.expr:
    tree = _syntax(text, "formula", example="4*b*n**2*d")
    _check(tree, text)
    if _nested_power(tree) > _LARGEST_NESTED_POWER:
        raise FormulaError(f"powers of powers in {text!r} multiply to more than {_LARGEST_NESTED_POWER}")
    return tree


def _syntax(text: str, kind: str, example: str) -> ast.expr:
    if not text or len(text) > _LONGEST:
        raise FormulaError(f"a {kind} of 1 to {_LONGEST} characters is needed, not one of {len(text)}")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise FormulaError(f"cannot read the {kind} {text!r}; write it like {example}") from None


def _check(node: ast.expr, text: str, depth: int = 0) -> None:
    """Refuse everything that is not on the allow-list."""
    if depth > _DEEPEST:
        raise FormulaError(f"the formula {text!r} is nested more than {_DEEPEST} deep")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
            return
        case ast.Name(id=name) if name not in _FUNCTIONS:
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, text, depth + 1)
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, text, depth + 1)
            _check(right, text, depth + 1)
            if not isinstance(op, ast.Pow) or _is_small_constant(right):
                return
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            for argument in args:
                _check(argument, text, depth + 1)
            fewest, most, _ = _FUNCTIONS[name]
            if fewest <= len(args) <= most:
                return
    raise FormulaError(
        f"cannot read {ast.get_source_segment(text, node)!r} in the formula {text!r}; it may use numbers, sizes, "
        f"+ - * / %, ** with a constant up to {_LARGEST_POWER}, {', '.join(_FUNCTIONS)}"
    )


def _is_small_constant(node: ast.expr) -> bool:
    if any(isinstance(part, ast.Name | ast.Pow | ast.Call) for part in ast.walk(node)):
        return False
    try:
        return abs(Fraction(_evaluate(node, {}))) <= _LARGEST_POWER
    except ZeroDivisionError:
        return False


def _nested_power(node: ast.expr) -> float:
    """The largest product of exponents on one path from the root: 6 in ``(n**2 + d)**3``."""
    inner = max(
        (_nested_power(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)), default=1.0
    )
    own = abs(float(_evaluate(node.right, {}))) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) else 1.0
    return max(own, 1.0) * inner


def _evaluate(node: ast.expr, sizes: Mapping[str, int]) -> Number:
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.Constant(value=float() as value):
            return Fraction(str(value))
        case ast.Name(id=name):
            size = sizes[name]
            return size if isinstance(size, float) else int(size)  # a NumPy integer would overflow silently
        case ast.UnaryOp(op=op, operand=operand):
            inner = _evaluate(operand, sizes)
            return -inner if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left, sizes), _evaluate(right, sizes))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name][2](*(_evaluate(argument, sizes) for argument in args))
    raise AssertionError(ast.dump(node))  # _check lets nothing else through


def _simplest(value: Number) -> Number:
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def _power(base: Number, power: Number) -> Number:
    """``base ** power``, exact where a rational root is."""
    exponent = Fraction(power)
    root = None if isinstance(base, float) else _root(Fraction(base), exponent.denominator)
    if root is not None:
        return Fraction(root**exponent.numerator)
    if base < 0 and exponent.denominator != 1:
        raise ValueError("a root of a negative number")
    return float(float(base) ** float(exponent))


def _root(base: Fraction, degree: int) -> Fraction | None:
    """The rational number whose power `degree` is `base`; None where there is none, or it is not looked for."""
    if degree == 1:
        return base
    if base < 0 or degree > _LARGEST_POWER:
        return None
    try:
        root = Fraction(round(base.numerator ** (1 / degree)), round(base.denominator ** (1 / degree)))
    except OverflowError:
        return None
    return root if root**degree == base else None


def _log(value: Number, base: Number) -> Number:
    """Logarithm, exact where `value` is a whole power of `base`."""
    if value <= 0 or base <= 0:
        raise ValueError("a logarithm of zero or less")
    result = math.log2(value) if base == 2 else math.log(value, base)
    nearest = round(result)
    # Beyond a few thousand the base is close to 1, and its power too long to be worth the look.
    exact = abs(nearest) < 5_000 and Fraction(base) ** nearest == value
    return nearest if exact else result


# ------------------------------------------------------------------------------------------- taking apart

_Sum = dict[Monomial, Fraction]


def _expand(node: ast.expr, text: str) -> _Sum:
    match node:
        case ast.Constant():
            value = Fraction(_evaluate(node, {}))
            return {Monomial(): value} if value else {}
        case ast.Name(id=name):
            return {Monomial.of({name: 1}): Fraction(1)}
        case ast.UnaryOp(op=op, operand=operand):
            sign = -1 if isinstance(op, ast.USub) else 1
            return {monomial: sign * c for monomial, c in _expand(operand, text).items()}
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _expand_power(_expand(left, text), Fraction(_evaluate(right, {})), text)
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(_expand(left, text), op, _expand(right, text), text)
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return _expand_power(_expand(argument, text), Fraction(1, 2), text)
        case ast.Call(func=ast.Name(id="log2"), args=[ast.Name(id=name)]):
            return {Monomial.of({}, {name: 1}): Fraction(1)}
    raise _no_sum(text)


def _no_sum(text: str) -> FormulaError:
    return FormulaError(f"{text!r} is not a sum of products of powers")


def _combine(left: _Sum, op: ast.operator, right: _Sum, text: str) -> _Sum:
    match op:
        case ast.Add():
            pairs = [*left.items(), *right.items()]
        case ast.Sub():
            pairs = [*left.items(), *((monomial, -c) for monomial, c in right.items())]
        case ast.Mult():
            pairs = [(m1 * m2, c1 * c2) for m1, c1 in left.items() for m2, c2 in right.items()]
        case ast.Div():
            return _combine(left, ast.Mult(), _expand_power(right, Fraction(-1), text), text)
        case _:
            raise _no_sum(text)
    total: _Sum = {}
    for monomial, coefficient in pairs:
        total[monomial] = total.get(monomial, Fraction(0)) + coefficient
    if len(total) > _MOST_TERMS:
        raise FormulaError(f"{text!r} has more than {_MOST_TERMS} terms when written out")
    return {monomial: coefficient for monomial, coefficient in total.items() if coefficient}


def _expand_power(base: _Sum, exponent: Fraction, text: str) -> _Sum:
    whole = exponent.denominator == 1
    if whole and exponent >= 0:
        total: _Sum = {Monomial(): Fraction(1)}
        for _ in range(int(exponent)):
            total = _combine(total, ast.Mult(), base, text)
        return total
    if len(base) != 1:
        raise _no_sum(text)
    [(monomial, coefficient)] = base.items()
    root = _root(coefficient, exponent.denominator)
    if root is None or (monomial.logs and not whole):
        raise _no_sum(text)
    powers = {axis: power * exponent for axis, power in monomial.powers}
    logs = {axis: power * int(exponent) for axis, power in monomial.logs}
    return {Monomial.of(powers, logs): Fraction(root**exponent.numerator)}


# ------------------------------------------------------------------------------------------------ writing


def _exponent_text(power: Fraction) -> str:
    return str(power) if power.denominator == 1 else f"({power})"


def _superscript(power: Fraction | int) -> str:
    return "" if power == 1 else str(power).translate(_SUPERSCRIPTS)


@dataclass(frozen=True)
class _Notation:
    """Templates for the pieces of a formula. A quotient on one line needs brackets where a fraction bar needs none."""

    number: str
    name: str
    minus: str
    fence: str
    operation: str
    times: tuple[str, str]
    power: Callable[[str, Fraction], str]
    quotient: str
    quotient_rank: int
    quotient_sides: tuple[int, int]
    calls: Mapping[str, str]
    call: str
    comma: str


_PLAIN = _Notation(
    number="{}",
    name="{}",
    minus="−{}",
    fence="({})",
    operation="{} {} {}",
    times=("", "·"),
    power=lambda base, exponent: base + _superscript(exponent),
    quotient="{}/{}",
    quotient_rank=2,
    quotient_sides=(3, 4),
    calls={"ceil": "⌈{}⌉", "floor": "⌊{}⌋", "sqrt": "√({})", "log2": "log₂({})"},
    call="{}({})",
    comma=", ",
)
_MATHML = _Notation(
    number="<mn>{}</mn>",
    name="<mi>{}</mi>",
    minus="<mo>−</mo>{}",
    fence="<mrow><mo>(</mo>{}<mo>)</mo></mrow>",
    operation="{}<mo>{}</mo>{}",
    times=("<mo>&#8290;</mo>", "<mo>·</mo>"),
    power=lambda base, exponent: f"<msup>{base}<mn>{str(exponent).replace('-', '−')}</mn></msup>",
    quotient="<mfrac><mrow>{}</mrow><mrow>{}</mrow></mfrac>",
    quotient_rank=4,
    quotient_sides=(0, 0),
    calls={
        "ceil": "<mrow><mo>⌈</mo>{}<mo>⌉</mo></mrow>",
        "floor": "<mrow><mo>⌊</mo>{}<mo>⌋</mo></mrow>",
        "sqrt": "<msqrt>{}</msqrt>",
        "log2": "<mrow><msub><mi>log</mi><mn>2</mn></msub><mo>(</mo>{}<mo>)</mo></mrow>",
    },
    call="<mrow><mi>{}</mi><mo>(</mo>{}<mo>)</mo></mrow>",
    comma="<mo>,</mo>",
)


def _write(node: ast.expr, to: _Notation, least: int = 0) -> str:
    """`node` in the notation `to`, in brackets when it binds less tightly than rank `least`."""
    text = _written(node, to)
    return to.fence.format(text) if _rank(node, to) < least else text


def _rank(node: ast.expr, to: _Notation) -> int:
    match node:
        case ast.BinOp(op=ast.Mod()):
            return 0
        case ast.UnaryOp() | ast.BinOp(op=ast.Add() | ast.Sub()):
            return 1
        case ast.BinOp(op=ast.Div()):
            return to.quotient_rank
        case ast.BinOp(op=ast.Mult()):
            return 3
        case ast.BinOp():
            return 4
    return 5


def _written(node: ast.expr, to: _Notation) -> str:
    match node:
        case ast.Constant(value=int() | float() as value):
            return to.number.format(value)
        case ast.Name(id=name):
            return to.name.format(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return to.minus.format(_write(operand, to, 2))
        case ast.UnaryOp(operand=operand):
            return _write(operand, to, 2)
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return to.power(_write(base, to, 5), Fraction(_evaluate(exponent, {})))
        case ast.BinOp(op=ast.Mult()):
            factors = _factors(node)
            return to.times[_needs_a_sign(factors)].join(_write(factor, to, 4) for factor in factors)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            above, below = to.quotient_sides
            return to.quotient.format(_write(left, to, above), _write(right, to, below))
        case ast.BinOp(left=left, op=ast.Mod(), right=right):
            return to.operation.format(_write(left, to, 3), "mod", _write(right, to, 4))
        case ast.BinOp(left=left, op=op, right=right):
            sign = "+" if isinstance(op, ast.Add) else "−"
            return to.operation.format(_write(left, to, 1), sign, _write(right, to, 2))
        case ast.Call(func=ast.Name(id=name), args=args):
            inside = to.comma.join(_write(argument, to) for argument in args)
            return to.calls[name].format(inside) if name in to.calls else to.call.format(name, inside)
    raise AssertionError(ast.dump(node))


def _factors(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]


def _needs_a_sign(factors: list[ast.expr]) -> bool:
    """Whether factors side by side could be misread: ``d·2``, ``alpha·n``, ``n·log₂(n)``."""
    bases = [factor.left if isinstance(factor, ast.BinOp) else factor for factor in factors]
    return any(
        isinstance(base, ast.Call)
        or (isinstance(base, ast.Name) and len(base.id) > 1)
        or isinstance(base, ast.Constant)
        for base in bases[1:]
    ) or (isinstance(bases[0], ast.Name) and len(bases[0].id) > 1)
