"""Writing a formula for people: plain text, MathML and LaTeX, by one writer."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from attnbench.formula.monomial import superscript
from attnbench.formula.syntax import evaluate, is_power_of_two

#: An exponent with a larger one was fitted, and is no fraction that anybody claimed.
_LARGEST_DENOMINATOR = 12


@dataclass(frozen=True)
class _Notation:
    """Templates for the pieces of a formula. A quotient on one line needs brackets where a fraction bar needs none."""

    number: Callable[[float], str]
    name: Callable[[str], str]
    minus: str
    fence: str
    operation: str
    minus_sign: str
    modulo: str
    times: tuple[str, str]
    power: Callable[[str, Fraction], str]
    power_of_two: str
    infinity: str
    quotient: str
    quotient_rank: int
    quotient_sides: tuple[int, int]
    calls: Mapping[str, str]
    logarithm: str
    call: str
    comma: str


def _number_element(value: int | float) -> str:
    """A number as a person writes it: ``2.66·10⁻⁵`` for ``2.66e-05``."""
    digits, _, exponent = str(value).partition("e")
    if not exponent:
        return f"<mn>{digits}</mn>"
    power = f"<msup><mn>10</mn><mn>{int(exponent)}</mn></msup>".replace("-", "−")
    return f"<mrow><mn>{digits}</mn><mo>·</mo>{power}</mrow>"


def _exponent_text(exponent: Fraction) -> str:
    """A fraction where somebody would write one, and else the decimals that were fitted."""
    return str(exponent) if exponent.denominator <= _LARGEST_DENOMINATOR else f"{float(exponent):g}"


def _latex_number(value: float) -> str:
    digits, _, exponent = str(value).partition("e")
    return f"{digits} \\cdot 10^{{{int(exponent)}}}" if exponent else digits


def _latex_name(name: str) -> str:
    """One letter is a variable as it is; a word is kept together, and a letter that LaTeX may lack is its number."""
    if len(name) == 1 and name.isascii() and name != "_":
        return name
    letters = ("\\_" if one == "_" else one if one.isascii() else f"U{{+}}{ord(one):04X}" for one in name)
    return f"\\mathit{{{''.join(letters)}}}"


PLAIN = _Notation(
    number=str,
    name=str,
    minus="−{}",
    fence="({})",
    operation="{} {} {}",
    minus_sign="−",
    modulo="mod",
    times=("", "·"),
    power=lambda base, exponent: base + superscript(exponent),
    power_of_two="2^{}",
    infinity="∞",
    quotient="{}/{}",
    quotient_rank=2,
    quotient_sides=(3, 4),
    calls={"ceil": "⌈{}⌉", "floor": "⌊{}⌋", "sqrt": "√({})", "log2": "log₂({})"},
    logarithm="log_{1}({0})",
    call="{}({})",
    comma=", ",
)
MATHML = _Notation(
    number=_number_element,
    name="<mi>{}</mi>".format,
    minus="<mo>−</mo>{}",
    fence="<mrow><mo>(</mo>{}<mo>)</mo></mrow>",
    operation="{}<mo>{}</mo>{}",
    minus_sign="−",
    modulo="mod",
    times=("<mo>&#8290;</mo>", "<mo>·</mo>"),
    power=lambda base, exponent: f"<msup>{base}<mn>{_exponent_text(exponent).replace('-', '−')}</mn></msup>",
    power_of_two="<msup><mn>2</mn>{}</msup>",
    infinity="<mn>∞</mn>",
    quotient="<mfrac><mrow>{}</mrow><mrow>{}</mrow></mfrac>",
    quotient_rank=4,
    quotient_sides=(0, 0),
    calls={
        "ceil": "<mrow><mo>⌈</mo>{}<mo>⌉</mo></mrow>",
        "floor": "<mrow><mo>⌊</mo>{}<mo>⌋</mo></mrow>",
        "sqrt": "<msqrt>{}</msqrt>",
        "log2": "<mrow><msub><mi>log</mi><mn>2</mn></msub><mo>(</mo>{}<mo>)</mo></mrow>",
    },
    logarithm="<mrow><msub><mi>log</mi>{1}</msub><mo>(</mo>{0}<mo>)</mo></mrow>",
    call="<mrow><mi>{}</mi><mo>(</mo>{}<mo>)</mo></mrow>",
    comma="<mo>,</mo>",
)
LATEX = _Notation(
    number=_latex_number,
    name=_latex_name,
    minus="-{}",
    fence="\\left({}\\right)",
    operation="{} {} {}",
    minus_sign="-",
    modulo="\\bmod",
    times=(" ", " \\cdot "),
    power=lambda base, exponent: f"{base}^{{{_exponent_text(exponent)}}}",
    power_of_two="2^{{{}}}",
    infinity="\\infty",
    quotient="\\frac{{{}}}{{{}}}",
    quotient_rank=4,
    quotient_sides=(0, 0),
    calls={
        "ceil": "\\left\\lceil {} \\right\\rceil",
        "floor": "\\left\\lfloor {} \\right\\rfloor",
        "sqrt": "\\sqrt{{{}}}",
        "log2": "\\log_{{2}}\\left({}\\right)",
    },
    logarithm="\\log_{{{1}}}\\left({0}\\right)",
    call="\\{}\\left({}\\right)",
    comma=", ",
)


def write(node: ast.expr, to: _Notation, least: int = 0) -> str:
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
            return to.number(value)
        case ast.Name(id="inf"):
            return to.infinity
        case ast.Name(id=name):
            return to.name(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return to.minus.format(write(operand, to, 2))
        case ast.UnaryOp(operand=operand):
            return write(operand, to, 2)
        case ast.BinOp(right=exponent) if is_power_of_two(node):
            return to.power_of_two.format(write(exponent, to))
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return to.power(write(base, to, 5), Fraction(evaluate(exponent, {})))
        case ast.BinOp(op=ast.Mult()):
            factors = _factors(node)
            return to.times[_needs_a_sign(factors)].join(write(factor, to, 4) for factor in factors)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            above, below = to.quotient_sides
            return to.quotient.format(write(left, to, above), write(right, to, below))
        case ast.BinOp(left=left, op=ast.Mod(), right=right):
            return to.operation.format(write(left, to, 3), to.modulo, write(right, to, 4))
        case ast.BinOp(left=left, op=op, right=right):
            sign = "+" if isinstance(op, ast.Add) else to.minus_sign
            return to.operation.format(write(left, to, 1), sign, write(right, to, 2))
        case ast.Call(func=ast.Name(id="log"), args=[argument, base]):
            return to.logarithm.format(write(argument, to), write(base, to, 5))
        case ast.Call(func=ast.Name(id=name), args=args):
            inside = to.comma.join(write(argument, to) for argument in args)
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
