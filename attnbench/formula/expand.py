"""Taking a formula apart into terms."""

from __future__ import annotations

import ast
from fractions import Fraction

from attnbench.errors import FormulaError
from attnbench.formula.monomial import Monomial
from attnbench.formula.syntax import INFINITY, evaluate, exact_root, is_power_of_two

#: A product of sums may not grow beyond this: it bounds what a stranger's text can cost.
_MAX_TERMS = 200

_Sum = dict[Monomial, Fraction]


def expand(node: ast.expr, text: str) -> _Sum:
    """Monomial → coefficient of a checked tree.

    Raises:
        FormulaError: it is no sum of products of powers.
    """
    match node:
        case ast.Constant():
            value = Fraction(evaluate(node, {}))
            return {Monomial(): value} if value else {}
        case ast.Name(id=name) if name != INFINITY:
            return {Monomial.of({name: 1}): Fraction(1)}
        case ast.UnaryOp(op=op, operand=operand):
            sign = -1 if isinstance(op, ast.USub) else 1
            return {monomial: sign * c for monomial, c in expand(operand, text).items()}
        case ast.BinOp(left=left, op=ast.Pow(), right=right) if not is_power_of_two(node):
            return _expand_power(expand(left, text), Fraction(evaluate(right, {})), text)
        case ast.BinOp(left=left, op=op, right=right) if not isinstance(op, ast.Pow):
            return _combine(expand(left, text), op, expand(right, text), text)
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return _expand_power(expand(argument, text), Fraction(1, 2), text)
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
    if len(total) > _MAX_TERMS:
        raise FormulaError(f"{text!r} has more than {_MAX_TERMS} terms when written out")
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
    root = exact_root(coefficient, exponent.denominator)
    if root is None or (monomial.logs and not whole):
        raise _no_sum(text)
    powers = {axis: power * exponent for axis, power in monomial.powers}
    logs = {axis: power * int(exponent) for axis, power in monomial.logs}
    return {Monomial.of(powers, logs): Fraction(root**exponent.numerator)}
