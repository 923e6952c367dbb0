"""How this report says things: exponents, intervals, axes, conditions and verdicts in words.

Numbers with a unit come from `units`; here are only the phrases around them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from attnbench import units
from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.law import Estimate, Law, Verdict
from attnbench.trial import AXES, Subject

VERDICT_WORDS: dict[Verdict | None, str] = {
    Verdict.CONFIRMED: "Confirmed",
    Verdict.REFUTED: "Refuted",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.OUT_OF_REGIME: "Out of regime",
    Verdict.INFERRED: "Inferred",
    None: "Not judged",
}
#: A sign beside the word, so that neither colour nor reading is needed alone.
VERDICT_SIGNS: dict[Verdict | None, str] = {**{verdict: verdict.sign for verdict in Verdict}, None: "·"}
METRIC_WORDS = {
    "flops": "FLOPs",
    "flops_needed": "FLOPs as needed",
    "elementwise": "element-wise operations",
    "parameters": "parameters",
    "peak_bytes": "peak bytes",
    "saved_bytes": "saved for backward",
    "depth": "depth",
    "log_depth": "depth with logarithms",
    "hops": "path length",
    "hops_rf": "path length, receptive field",
    "time": "time",
    "memory": "memory",
}
#: What a counted number does not see, for the reader of the number.
METRIC_LIMITS = {
    "flops": "matrix products and convolutions, products with padding and with masked pairs among them",
    "flops_needed": "the same without products whose result is masked or is known to be zero",
    "elementwise": "point-wise operations and reductions; an exponential counts as one, whatever it takes",
    "peak_bytes": "live tensors only; scratch memory inside a kernel is unseen",
    "saved_bytes": "tensors kept for the backward pass, each storage once; what a kernel keeps for itself is unseen",
    "depth": "kernels that wait for one another, a reduction being one step; depth inside a kernel is unseen",
    "log_depth": "the same with a logarithm for each reduction, product, scan or sort inside a kernel",
    "hops": "layers or steps from an input position to an output position (io), in a stack deep enough to connect all "
    "pairs; how much arrives is unseen",
    "hops_rf": "layers or steps until two input positions meet in one output",
}
_WORD = re.compile(r"([a-z]+)(?=[ ,.:;]|$)")
_ZEROS = re.compile(r"(\.\d*?)0+(?=\D|$)")


def exponent(value: float) -> str:
    """An exponent with two decimals: ``exponent(1.983) == "1.98"``; an estimate never has more to say."""
    rounded = round(value, 2)
    digits = 3 + math.floor(math.log10(abs(rounded))) if rounded else 3
    return units.significant(rounded, digits).replace("-", "−")


def power(value: float) -> str:
    """A claimed exponent, as short as it can be: ``power(2.0) == "2"``, ``power(0.5) == "0.5"``."""
    return shorter(exponent(value))


def interval(estimate: Estimate) -> str:
    """``[1.95, 2.01]``."""
    return f"[{exponent(estimate.low)}, {exponent(estimate.high)}]"


def shorter(text: str) -> str:
    """A formatted number without trailing zeros, for axes: ``"10.0 µs"`` becomes ``"10 µs"``."""
    return _ZEROS.sub(lambda match: match[1].rstrip("."), text)


def sentence(text: str) -> str:
    """A reason as a sentence: a capital where it starts with a word (not with a formula), and a full stop."""
    start = _WORD.match(text)
    capital = text[0].upper() + text[1:] if start and start[1] not in AXES else text
    return capital if not text or text.endswith((".", "!", "?")) else f"{capital}."


def axis_phrase(axis: str) -> str:
    """``sequence length n``; an axis of a plugin is its own name."""
    return f"{AXES[axis]} {axis}" if axis in AXES else axis


def subject(about: Subject) -> str:
    """How figures and notices call a subject: ``rnn (cpu · float32 · forward · 1 thread)``."""
    return f"{about.layer} ({about.choices!s})"


def plural(count: int, word: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def listing(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def threads(counts: Iterable[int]) -> str:
    """``1 thread``, ``1 and 4 threads``; nothing for none."""
    numbers = sorted(counts)
    text = listing(map(str, numbers))
    return text and f"{text} thread" + ("" if numbers == [1] else "s")


def window(ends: Mapping[str, tuple[int, int]]) -> str:
    """``n from 64 to 512, d from 512 to 2048``."""
    return ", ".join(f"{a} = {low}" if low == high else f"{a} from {low} to {high}" for a, (low, high) in ends.items())


def moment(iso: str) -> str:
    """An ISO time as ``3 January 2025, 14:05 UTC``; another text stays as it is."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    when = when.astimezone(UTC) if when.tzinfo else when
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def pretty(formula: str) -> str:
    """``n²d`` for ``n**2*d``; what cannot be read stays as it is."""
    try:
        return Formula(formula).pretty
    except FormulaError:
        return formula


def tally(laws: Iterable[Law]) -> dict[Verdict, int]:
    """How many claims got which verdict, in the order of `Verdict`; laws without a claim are left out."""
    verdicts = [law.verdict for law in laws if law.claim is not None]
    return {verdict: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}


def tally_text(counts: Mapping[Verdict, int]) -> str:
    """``3 of 5 claims confirmed, 1 refuted, 1 out of regime``."""
    total = sum(counts.values())
    confirmed = f"{counts.get(Verdict.CONFIRMED, 0)} of {plural(total, 'claim')} confirmed"
    others = [f"{n} {VERDICT_WORDS[v].lower()}" for v, n in counts.items() if v is not Verdict.CONFIRMED]
    return ", ".join([confirmed, *others])
