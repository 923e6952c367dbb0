"""Formulas over named sizes: read, evaluate exactly, take apart, and write for people.

A claim such as ``4*b*n**2*d`` is text from a stranger, so it is read through an allow-list of syntax and
never evaluated as Python. Values stay integers or fractions as long as the formula allows it.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from attnbench.errors import FormulaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Number = int | Fraction | float

#: The order in which the field writes factors: ``2·b·k·n·d²``, ``h·n²``.
_WRITING_ORDER = "bhkwrmcnd"
_SUPERSCRIPTS = str.maketrans("0123456789/-.", "⁰¹²³⁴⁵⁶⁷⁸⁹ᐟ⁻·")
_LONGEST, _LARGEST_POWER = 2_000, 8


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
        factors += [f"log₂{_superscript(power)}{axis}" for axis, power in self.logs]
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
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise FormulaError(f"{self.text!r} has no value at {dict(sizes)}: {error}") from None

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The formula as a sum of terms, largest degree first.

        Raises:
            FormulaError: it is no such sum (it uses min, max, ceil, floor or divides by a sum).
        """
        expanded = _expand(self._tree, self.text)
        terms = [Term(coefficient, monomial) for monomial, coefficient in expanded.items() if coefficient]
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

    @property
    def pretty(self) -> str:
        """Text for people: ``8bnd² + 4bn²d``."""
        return _pretty(self._tree)

    @property
    def mathml(self) -> str:
        """Presentation MathML, one ``<math>`` element."""
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{_mathml(self._tree)}</mrow></math>'


def from_terms(terms: Iterable[tuple[Fraction | int, Monomial]]) -> Formula:
    """The formula that is the sum of ``coefficient · monomial``; ``0`` for none."""
    kept = sorted((Term(Fraction(c), m) for c, m in terms if c), key=_by_degree)
    parts = [_term_text(term) for term in kept]
    return Formula(" + ".join(parts).replace("+ -", "- ") or "0")


def _by_degree(term: Term) -> tuple[float, str]:
    monomial = term.monomial
    degree = sum(float(p) for _, p in monomial.powers) + 0.01 * sum(p for _, p in monomial.logs)
    return -degree, monomial.text


def _term_text(term: Term) -> str:
    coefficient, monomial = term.coefficient, term.monomial
    if not monomial.axes:
        return str(coefficient)
    return monomial.text if coefficient == 1 else f"{coefficient}*{monomial.text}"


_COMPARISONS: dict[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Eq: lambda x, y: x == y,
    ast.NotEq: lambda x, y: x != y,
    ast.Lt: lambda x, y: x < y,
    ast.LtE: lambda x, y: x <= y,
    ast.Gt: lambda x, y: x > y,
    ast.GtE: lambda x, y: x >= y,
}


class Constraint:
    """A condition on sizes, such as ``d % h == 0`` or ``k <= n``.

    Raises:
        FormulaError: the text is not one comparison of two formulas.
    """

    def __init__(self, text: str) -> None:
        self.text = str(text).strip()
        try:
            tree = ast.parse(self.text, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            tree = ast.Constant(None)
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

_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: lambda x, y: x + y,
    ast.Sub: lambda x, y: x - y,
    ast.Mult: lambda x, y: x * y,
    ast.Div: lambda x, y: Fraction(x) / Fraction(y) if not isinstance(x * y, float) else x / y,
    ast.Mod: lambda x, y: x % y,
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
    if not text or len(text) > _LONGEST:
        raise FormulaError(f"a formula of 1 to {_LONGEST} characters is needed, not one of {len(text)}")
    try:
        tree = ast.parse(text, mode="eval").body
        _check(tree, text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise FormulaError(f"cannot read the formula {text!r}; write it like 4*b*n**2*d") from None
    return tree


def _check(node: ast.AST, text: str) -> None:
    """Refuse everything that is not on the allow-list."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
            return
        case ast.Name(id=name) if name not in _FUNCTIONS:
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, text)
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, text)
            _check(right, text)
            if not isinstance(op, ast.Pow) or _is_small_constant(right):
                return
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            for argument in args:
                _check(argument, text)
            fewest, most, _ = _FUNCTIONS[name]
            if fewest <= len(args) <= most:
                return
    part = ast.get_source_segment(text, node) if isinstance(node, ast.expr) else None
    raise FormulaError(
        f"cannot read {part or text!r} in the formula {text!r}; "
        f"it may use numbers, sizes, + - * / % **, {', '.join(_FUNCTIONS)}"
    )


def _is_small_constant(node: ast.expr) -> bool:
    if any(isinstance(part, ast.Name | ast.Pow | ast.Call) for part in ast.walk(node)):
        return False
    return abs(float(_evaluate(node, {}))) <= _LARGEST_POWER


def _evaluate(node: ast.expr, sizes: Mapping[str, int]) -> Number:
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.Constant(value=float() as value):
            return Fraction(str(value))
        case ast.Name(id=name):
            return sizes[name]
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
    if exponent.denominator == 1 and not isinstance(base, float):
        return Fraction(base) ** int(exponent)
    value = float(base) ** float(exponent)
    if isinstance(value, complex):
        raise ValueError("a root of a negative number")
    nearest = round(value)
    exact = not isinstance(base, float) and nearest**exponent.denominator == base**exponent.numerator
    return nearest if exact else value


def _log(value: Number, base: Number) -> Number:
    """Logarithm, exact where `value` is a whole power of `base`."""
    result = math.log2(value) if base == 2 else math.log(value, base)
    nearest = round(result)
    exact = nearest >= 0 and Fraction(base) ** nearest == value
    return nearest if exact else result


# ------------------------------------------------------------------------------------------- taking apart

_Sum = dict[Monomial, Fraction]


def _expand(node: ast.expr, text: str) -> _Sum:
    match node:
        case ast.Constant():
            return {Monomial(): Fraction(_evaluate(node, {}))}
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
    raise FormulaError(f"{text!r} is not a sum of products of powers")


def _combine(left: _Sum, op: ast.operator, right: _Sum, text: str) -> _Sum:
    if isinstance(op, ast.Mod):
        raise FormulaError(f"{text!r} is not a sum of products of powers")
    if isinstance(op, ast.Div):
        right = _expand_power(right, Fraction(-1), text)
    total: _Sum = {}
    if isinstance(op, ast.Mult | ast.Div):
        for m1, c1 in left.items():
            for m2, c2 in right.items():
                total[m1 * m2] = total.get(m1 * m2, Fraction(0)) + c1 * c2
        return total
    sign = -1 if isinstance(op, ast.Sub) else 1
    return {m: left.get(m, Fraction(0)) + sign * right.get(m, Fraction(0)) for m in {**left, **right}}


def _expand_power(base: _Sum, exponent: Fraction, text: str) -> _Sum:
    if exponent.denominator == 1 and exponent >= 0:
        total: _Sum = {Monomial(): Fraction(1)}
        for _ in range(int(exponent)):
            total = _combine(total, ast.Mult(), base, text)
        return total
    if len(base) == 1:
        [(monomial, coefficient)] = base.items()
        root = _power(coefficient, exponent)
        if not monomial.logs and not isinstance(root, float):
            return {Monomial.of({axis: power * exponent for axis, power in monomial.powers}): Fraction(root)}
    raise FormulaError(f"{text!r} is not a sum of products of powers")


# ------------------------------------------------------------------------------------------------ writing


_BRACKETS = {"ceil": ("⌈", "⌉"), "floor": ("⌊", "⌋")}


def _exponent_text(power: Fraction) -> str:
    return str(power) if power.denominator == 1 else f"({power})"


def _superscript(power: Fraction | int) -> str:
    return "" if power == 1 else str(power).translate(_SUPERSCRIPTS)


def _is_sum(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)


def _pretty(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=int() | float() as value):
            return str(value)
        case ast.Name(id=name):
            return name
        case ast.UnaryOp(op=op, operand=operand):
            return ("−" if isinstance(op, ast.USub) else "") + _pretty(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            inner = _pretty(left) if isinstance(left, ast.Name | ast.Constant) else f"({_pretty(left)})"
            return inner + _superscript(Fraction(_evaluate(right, {})))
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sign = "+" if isinstance(op, ast.Add) else "−"
            return f"{_pretty(left)} {sign} {_pretty(right)}"
        case ast.BinOp(left=left, op=op, right=right):
            sides = [f"({_pretty(side)})" if _is_sum(side) else _pretty(side) for side in (left, right)]
            if isinstance(op, ast.Div | ast.Mod):
                return ("/" if isinstance(op, ast.Div) else " mod ").join(sides)
            return "·".join(sides) if sides[1][0].isdigit() or sides[1][:3] in {"log", "max", "min"} else "".join(sides)
        case ast.Call(func=ast.Name(id=name), args=args):
            inside = ", ".join(_pretty(argument) for argument in args)
            opening, closing = _BRACKETS.get(name, (f"{name}(", ")"))
            return f"{opening}{inside}{closing}"
    raise AssertionError(ast.dump(node))


def _mathml(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=int() | float() as value):
            return f"<mn>{value}</mn>"
        case ast.Name(id=name):
            return f"<mi>{name}</mi>"
        case ast.UnaryOp(op=op, operand=operand):
            return ("<mo>−</mo>" if isinstance(op, ast.USub) else "") + _mathml(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base = _mathml(left) if isinstance(left, ast.Name | ast.Constant) else _fenced(left)
            return f"<msup>{base}<mrow>{_mathml(right)}</mrow></msup>"
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sign = "+" if isinstance(op, ast.Add) else "−"
            return f"{_mathml(left)}<mo>{sign}</mo>{_mathml(right)}"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"<mfrac><mrow>{_mathml(left)}</mrow><mrow>{_mathml(right)}</mrow></mfrac>"
        case ast.BinOp(left=left, op=ast.Mod(), right=right):
            return f"{_mathml(left)}<mo>mod</mo>{_mathml(right)}"
        case ast.BinOp(left=left, right=right):
            sides = [_fenced(side) if _is_sum(side) else _mathml(side) for side in (left, right)]
            return "<mo>&#8290;</mo>".join(sides)
        case ast.Call(func=ast.Name(id=name), args=args):
            inside = "<mo>,</mo>".join(_mathml(argument) for argument in args)
            if name in _BRACKETS:
                opening, closing = _BRACKETS[name]
                return f"<mrow><mo>{opening}</mo>{inside}<mo>{closing}</mo></mrow>"
            if name == "sqrt":
                return f"<msqrt>{inside}</msqrt>"
            return f"<mrow><mi>{name}</mi><mo>(</mo>{inside}<mo>)</mo></mrow>"
    raise AssertionError(ast.dump(node))


def _fenced(node: ast.expr) -> str:
    return f"<mrow><mo>(</mo>{_mathml(node)}<mo>)</mo></mrow>"
