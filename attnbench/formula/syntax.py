"""Reading a formula through an allow-list of syntax, and evaluating it exactly. Never evaluated as Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction

from attnbench.errors import FormulaError
from attnbench.formula.monomial import Number

#: The word for a value without bound, such as the path length between positions that nothing connects.
INFINITY = "inf"
#: Bounds that keep a stranger's text cheap to read and to evaluate.
_LONGEST, _DEEPEST, _LARGEST_POWER, _LARGEST_NESTED_POWER = 2_000, 200, 8, 64
_LARGEST_POWER_OF_TWO = 512

Evaluation = Callable[[Mapping[str, int | float]], Number]

_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda x, y: x / y if isinstance(x, float) or isinstance(y, float) else Fraction(x) / Fraction(y),
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


def parse(text: str) -> ast.expr:
    """The syntax tree of a formula.

    Raises:
        FormulaError: the text uses anything that is not on the allow-list.
    """
    tree = syntax(text, "formula", example="4*b*n**2*d")
    _check(tree, text)
    if _nested_power(tree) > _LARGEST_NESTED_POWER:
        raise FormulaError(f"powers of powers in {text!r} multiply to more than {_LARGEST_NESTED_POWER}")
    return tree


def syntax(text: str, kind: str, example: str) -> ast.expr:
    """The syntax tree of one expression, not checked yet; `kind` and `example` go into the error."""
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
            if not isinstance(op, ast.Pow) or _is_small_constant(right) or is_power_of_two(node):
                return
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            for argument in args:
                _check(argument, text, depth + 1)
            fewest, most, _ = _FUNCTIONS[name]
            if fewest <= len(args) <= most:
                return
    raise FormulaError(
        f"cannot read {ast.get_source_segment(text, node)!r} in the formula {text!r}; it may use numbers, sizes, "
        f"+ - * / %, ** with a constant up to {_LARGEST_POWER} or of a 2, {', '.join(_FUNCTIONS)}, {INFINITY}"
    )


def is_power_of_two(node: ast.expr) -> bool:
    """Whether this is ``2**ceil(…)`` or ``2**floor(…)``: a size rounded to a power of two."""
    match node:
        case ast.BinOp(left=ast.Constant(value=2), op=ast.Pow(), right=ast.Call(func=ast.Name(id="ceil" | "floor"))):
            return True
    return False


def _is_small_constant(node: ast.expr) -> bool:
    if any(isinstance(part, ast.Name | ast.Pow | ast.Call) for part in ast.walk(node)):
        return False
    try:
        return abs(Fraction(evaluate(node, {}))) <= _LARGEST_POWER
    except ZeroDivisionError:
        return False


def _nested_power(node: ast.expr) -> float:
    """The largest product of exponents on one path from the root: 6 in ``(n**2 + d)**3``."""
    inner = max(
        (_nested_power(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)), default=1.0
    )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not is_power_of_two(node):
        return max(abs(float(evaluate(node.right, {}))), 1.0) * inner
    return inner


def evaluate(node: ast.expr, sizes: Mapping[str, int | float]) -> Number:
    """Value of a checked tree at `sizes`."""
    return compiled(node)(sizes)


def compiled(node: ast.expr) -> Evaluation:
    """What computes the value of a checked tree at any sizes; worth keeping where there are many."""
    match node:
        case ast.Constant(value=int() | float() as value):
            constant = value if isinstance(value, int) else Fraction(str(value))
            return lambda sizes: constant
        case ast.Name(id="inf"):
            return lambda sizes: math.inf
        case ast.Name(id=name):
            return lambda sizes: _size(sizes[name])
        case ast.UnaryOp(op=op, operand=operand):
            inner = compiled(operand)
            return (lambda sizes: -inner(sizes)) if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            combine, first, second = _OPERATORS[type(op)], compiled(left), compiled(right)
            return lambda sizes: combine(first(sizes), second(sizes))
        case ast.Call(func=ast.Name(id=name), args=args):
            function, arguments = _FUNCTIONS[name][2], [compiled(argument) for argument in args]
            return lambda sizes: function(*[argument(sizes) for argument in arguments])
    raise AssertionError(ast.dump(node))  # _check lets nothing else through


def _size(size: float) -> Number:
    return size if isinstance(size, float) else int(size)  # a NumPy integer would overflow silently


def simplest(value: Number) -> Number:
    """A whole fraction as an int."""
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def _power(base: Number, power: Number) -> Number:
    """``base ** power``, exact where a rational root is."""
    if isinstance(power, int) and 0 <= power <= _LARGEST_POWER and not isinstance(base, Fraction):
        return float(base) ** power if isinstance(base, float) else base**power  # by far the most frequent
    exponent = Fraction(power)
    if abs(exponent) > _LARGEST_POWER_OF_TWO:
        raise OverflowError("too large a power")
    root = None if isinstance(base, float) else exact_root(Fraction(base), exponent.denominator)
    if root is not None:
        return Fraction(root**exponent.numerator)
    if base < 0 and exponent.denominator != 1:
        raise ValueError("a root of a negative number")
    return float(float(base) ** float(exponent))


def exact_root(base: Fraction, degree: int) -> Fraction | None:
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
