"""A law in its documented JSON form, which is flat, and in the form of its dataclass, which is not."""

from __future__ import annotations

from typing import Any

from attnbench.trial import CHOICES

#: Keys of the documented form, in their order.
_KEYS = """
    layer device dtype mode threads scope metric claim formula exponents terms window trials verdict reason
    specifications uncounted fixed parts regimes compile sdpa curves
""".split()


def flat(law: dict[str, Any]) -> dict[str, Any]:
    """The documented form of a law that was made a mapping of mappings."""
    subject = law["subject"]
    exponents = {axis: {**one["estimate"], "claimed": one["claimed"]} for axis, one in law["exponents"].items()}
    terms = [_flat_term(**term) for term in law["terms"]]
    row = {**law, "layer": subject["layer"], **subject["choices"], "exponents": exponents, "terms": terms}
    return {key: _listed(row[key]) for key in _KEYS}


def _listed(value: Any) -> Any:
    """The value as JSON gives it back: lists, and no tuples."""
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def _flat_term(term: str, coefficient: dict[str, float], share: float) -> dict[str, Any]:
    interval = {name: coefficient[name] for name in ("low", "high", "level")}
    return {"term": term, "coefficient": coefficient["value"], **interval, "share": share}


def nested(row: dict[str, Any]) -> dict[str, Any]:
    """Inverse of `flat`; raises LookupError, TypeError or AttributeError on a foreign mapping."""
    return {
        **row,
        "subject": {"layer": row["layer"], "choices": {name: row[name] for name in CHOICES if name in row}},
        "exponents": {axis: {"estimate": one, "claimed": one["claimed"]} for axis, one in row["exponents"].items()},
        "terms": [{**term, "coefficient": {**term, "value": term["coefficient"]}} for term in row["terms"]],
    }
