"""Formulas over named sizes: read, evaluate exactly, take apart, and write for people.

A claim such as ``4*b*n**2*d`` is text from a stranger, so it is read through an allow-list of syntax and
never evaluated as Python. Values stay integers or fractions as long as the formula allows it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property

from attnbench.errors import FormulaError
from attnbench.formula.expand import expand
from attnbench.formula.monomial import REASONS, Monomial, Number, Term, by_degree, term_text
from attnbench.formula.notation import LATEX, MATHML, PLAIN, write
from attnbench.formula.syntax import INFINITY, Evaluation, compiled, parse, simplest, syntax

__all__ = ["Constraint", "Formula", "Monomial", "Term", "for_a_batch", "from_terms"]


class Formula:
    """One formula over sizes, such as ``8*b*n*d**2 + 4*b*n**2*d`` or ``max(n**2, n*d)``.

    Understands numbers, axis names, ``+ - * / % **`` (constant exponents up to 8, and ``2**ceil(…)``), the functions
    ``min``, ``max``, ``ceil``, ``floor``, ``sqrt``, ``log2`` and ``log(x, base)``, and ``inf``. Equal texts are equal
    formulas.

    Raises:
        FormulaError: the text is something else; the message shows the part that cannot be read.
    """

    def __init__(self, text: str) -> None:
        self.text = str(text).strip()
        self._tree = parse(self.text)

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
        return frozenset(node.id for node in names) - {INFINITY}

    @cached_property
    def _value(self) -> Evaluation:
        return compiled(self._tree)

    def evaluate(self, sizes: Mapping[str, int | float]) -> Number:
        """Value at `sizes`: an int or a Fraction wherever the formula has an exact value.

        Raises:
            FormulaError: a size is missing, or the value is undefined there (log of 0, division by 0).
        """
        if not self.axes <= sizes.keys():
            missing = sorted(self.axes - set(sizes))
            raise FormulaError(f"{self.text!r} needs a size for {', '.join(missing)}")
        try:
            return simplest(self._value(sizes))
        except (ArithmeticError, ValueError) as error:
            reason = REASONS.get(type(error), str(error))
            raise FormulaError(f"{self.text!r} has no value at {dict(sizes)}: {reason}") from None

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The formula as a sum of terms, largest degree first.

        Raises:
            FormulaError: it is no such sum (it uses min, max, ceil, floor or divides by a sum).
        """
        terms = (Term(coefficient, monomial) for monomial, coefficient in expand(self._tree, self.text).items())
        return tuple(sorted(terms, key=by_degree))

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

    @cached_property
    def _alternatives(self) -> tuple[Formula, ...]:
        """What a maximum is taken of; none for anything else."""
        match self._tree:
            case ast.Call(func=ast.Name(id="max"), args=arguments):
                return tuple(Formula(ast.unparse(argument)) for argument in arguments)
        return ()

    def largest(self, sizes: Mapping[str, int | float]) -> Formula:
        """Of a maximum, the formula that is the largest at `sizes`; of anything else, itself."""
        return max(self._alternatives, key=lambda formula: formula.evaluate(sizes), default=self)

    def shares(self, monomials: Sequence[Monomial], axes: Iterable[str], sizes: Mapping[str, int]) -> tuple[float, ...]:
        """Share of the value at `sizes` carried by terms that grow like each of `monomials` along `axes`.

        Of a maximum, the formula that is the largest there counts. Empty when that is no sum of terms, or zero: then
        nobody can say.
        """
        there = self.largest(sizes)
        terms = there.terms if there.is_sum_of_terms else ()
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
        return write(self._tree, PLAIN)

    @property
    def mathml(self) -> str:
        """Presentation MathML, one ``<math>`` element."""
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{write(self._tree, MATHML)}</mrow></math>'

    @property
    def latex(self) -> str:
        r"""LaTeX, to be set in math mode: ``8 b n d^{2} + 4 b n^{2} d``; needs no package."""
        return write(self._tree, LATEX)


def from_terms(terms: Iterable[tuple[Fraction | int, Monomial]]) -> Formula:
    """The formula that is the sum of ``coefficient · monomial``; ``0`` for none."""
    kept = sorted((Term(Fraction(c), m) for c, m in terms if c), key=by_degree)
    parts = [term_text(term) for term in kept]
    return Formula(" + ".join(parts).replace("+ -", "- ") or "0")


def for_a_batch(claim: Formula) -> tuple[Monomial, ...]:
    """Monomials of a claim for time: one that names sizes but no batch speaks of each sequence of a batch."""
    each = Monomial.of({} if "b" in claim.axes or not claim.axes else {"b": 1})
    return tuple(each * term.monomial for term in claim.terms)


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
        tree = syntax(self.text, "constraint", example="d % h == 0")
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
        """Whether `sizes` satisfy the condition, which fails where it is undefined; every axis must be there."""
        try:
            return self._compare(self._left.evaluate(sizes), self._right.evaluate(sizes))
        except FormulaError:
            if self.axes - set(sizes):
                raise
            return False
