"""From counts at some sizes to the formula for all sizes, exactly and without any claim.

Counts are whole numbers, so a formula is solved for in fractions and must then predict held-out sizes (odd, prime and
large ones among them) without any residual. One wrong unit anywhere, and there is no formula. Polynomials come first;
where none fits, roots, logarithms, paddings and ceilings do.
"""

from __future__ import annotations

from dataclasses import replace

from attnbench.counting.recover.beyond import Search
from attnbench.counting.recover.ceilings import recover_ceiling
from attnbench.counting.recover.domain import Domain, Values, grid
from attnbench.counting.recover.parts import Parts, recover_parts
from attnbench.counting.recover.polynomial import Count, Counts, polynomials
from attnbench.counting.recover.result import Miss, Recovered, agree, proof_sentence
from attnbench.counting.recover.start import start
from attnbench.counting.recover.writing import largest, maximum
from attnbench.errors import FormulaError
from attnbench.trial import Sizes

__all__ = ["Counts", "Domain", "Parts", "Recovered", "Values", "recover", "recover_ceiling", "recover_parts", "start"]

_NO_POLYNOMIAL = "no polynomial of degree 3 or less in each size reproduces the counts"


def recover(count: Count, domain: Domain) -> Recovered:
    """The formula of ``max(count(sizes))`` over the domain, proved on sizes that had no part in finding it.

    `count` returns one or several numbers (such as the bytes alive after each kernel). As polynomials, each is solved
    for by itself and the formula is their maximum, without those that can never be the largest; beyond polynomials,
    their maximum is followed or, where it changes from one of them to another, each that is the largest somewhere.

    Args:
        count: the numbers at some sizes; whole, or floating-point where logarithms are in them.
        domain: where to look.
    """
    base = next(filter(domain.possible, grid(domain.solving)), None)
    if base is None:
        return Recovered(None, (), "the layer can be called at none of the sizes that formulas are solved for at")
    once = _counted_once(count)
    found = _polynomial(once, domain, base)
    if found.formula:
        return found
    search = Search(once, domain)
    return (
        search.find()
        or _each_by_itself(once, domain, base)
        or replace(found, reason=f"{found.reason}; {_closest(search.misses)}")
    )


def _polynomial(count: Count, domain: Domain, base: Sizes) -> Recovered:
    solved = polynomials(domain, count, base)
    if solved is None:
        return Recovered(None, (), _NO_POLYNOMIAL)
    columns, points = solved
    try:
        formula = largest(columns)
    except FormulaError:  # hundreds of terms, too long to be read
        return Recovered(None, (), _NO_POLYNOMIAL)
    held_out = domain.held_out
    for sizes in held_out:
        if not agree(said := formula.evaluate(sizes), seen := max(count(sizes))):
            return Recovered(None, (), f"{_NO_POLYNOMIAL}: {Miss(formula, sizes, said, seen).sentence}")
    if not held_out:
        return Recovered(None, (), "the layer can be called at none of the sizes that formulas are proved at")
    return Recovered(formula, (*points, *held_out), proof_sentence(points, held_out))


def _each_by_itself(count: Count, domain: Domain, base: Sizes) -> Recovered | None:
    """The maximum of one formula for each number that is the largest at some size, proved as a maximum again.

    Numbers are told apart by their place from the end: where every position brings more of them, as the steps of a
    recurrence do, those of the last step are alike at all lengths.
    """
    if len(count(base)) == 1:
        return None
    held_out = domain.held_out
    points, parts = [base, *held_out], dict[int, Recovered]()
    while more := sorted({_place_of_largest(count(sizes)) for sizes in points} - parts.keys()):
        for place in more:
            parts[place] = recover(lambda sizes, at=place: (_at(count(sizes), at),), domain)  # type: ignore[misc]
            if parts[place].formula is None:
                return None
        points = [sizes for part in parts.values() for sizes in part.proof]
    formula = maximum(part.formula.text for part in parts.values() if part.formula)
    proof = {tuple(sizes.values()): sizes for sizes in points}
    if not all(agree(formula.evaluate(sizes), max(count(sizes))) for sizes in proof.values()):
        return None
    unseen = [sizes for sizes in held_out if proof.pop(tuple(sizes.values()), None)]
    return Recovered(formula, (*proof.values(), *unseen), proof_sentence(list(proof.values()), unseen))


def _place_of_largest(counts: Counts) -> int:
    return counts.index(max(counts)) - len(counts)


def _at(counts: Counts, place: int) -> float:
    """The number at a place from the end; the largest where there are not so many."""
    return counts[place] if -place <= len(counts) else max(counts)


def _closest(misses: list[Miss]) -> str:
    kinds = "with roots, logarithms, paddings or ceilings"
    if not misses:
        return f"nor does a formula {kinds}"
    closest = min(misses, key=lambda miss: miss.distance)
    return f"of formulas {kinds} the closest is {closest.formula}: {closest.sentence}"


def _counted_once(count: Count) -> Count:
    counts: dict[tuple[int, ...], Counts] = {}

    def counted(sizes: Sizes) -> Counts:
        key = tuple(sizes.values())
        if key not in counts:
            counts[key] = count(sizes)
        return counts[key]

    return counted
