"""Operators of torch: what is known of each, one file a family, and what one call of any of them costs.

Conventions, whatever the kernel really executes; each family says its own:

* FLOPs: one multiply-add is two operations. Matrix products, convolutions, recurrences, fused attention and Fourier
  transforms are counted; element-wise work, reductions and moves of data are known and cost nothing. Anything else is
  unknown, and says so. The stock counter of torch 2.13 has no entry for several kernels that run on a CPU (fused
  attention, oneDNN recurrences, the multi-head fast path, matrix-vector products) and counts them as zero; the
  families have them. Where they are silent, the stock counter's formulas are used.
* Element-wise operations and reductions, the second counter: what FLOPs count costs nothing here, and neither do
  views, copies, allocations and random draws.
* Depth for processors without number (PRAM): counting kernels takes a softmax over n numbers for one step, as the
  paper does. Here it is what it is made of, and a sum of m numbers is a tree of log₂ m additions. Point-wise
  operations, copies, allocations, and whatever is unknown: 1; a view: 0. Logarithms are not rounded: the depth of a
  chain is then an exact combination of logarithms of the sizes, and its law can be recovered. No bare tree is shorter
  than one step.

Adding an operator touches the file of its family. Another reading is a field of `Operator` and a look-up here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules

import torch
from torch.utils.flop_counter import flop_registry

from attnbench.counting.operators.contract.costs import numbers
from attnbench.counting.operators.contract.dependencies import Rule
from attnbench.counting.operators.contract.operator import Call, Effect, Operation, Operator, nothing
from attnbench.counting.operators.contract.rules import everything, merged, moved, position_by_position
from attnbench.errors import LayerError
from attnbench.layers.own_operators import OWN_OPERATORS, OwnOperator


def by_name(operators: Iterable[Operator]) -> dict[str, Operator]:
    """Each operator by each of its names.

    Raises:
        ValueError: a name is registered twice.
    """
    table: dict[str, Operator] = {}
    for operator in operators:
        for name in operator.names.split():
            if name in table:
                raise ValueError(f"the operator {name} is registered twice")
            table[name] = operator
    return table


FAMILIES = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__) if not module.ispkg]
TABLE = by_name(operator for family in FAMILIES for operator in family.OPERATORS)
#: Kernels that keep a workspace for the backward pass whose size only the real kernel knows, by their full names.
WITH_WORKSPACE = frozenset(f"aten.{name}.default" for name, operator in TABLE.items() if operator.has_workspace)
_UNKNOWN = Operator("")
#: Whose names are those of the table: torch's own, ours, and what torch makes of indices under `flex_attention`.
_NAMESPACES = ("aten", "attnbench", "flex_lib")


def flops_of(call: Call) -> float | None:
    """Matrix work of one call: a whole number but for Fourier transforms; None when nobody has a formula."""
    formula, packet = operator_of(call.operation).flops, _out_of_place(call.operation).overloadpacket
    if formula is not None:
        return formula(call)
    if packet in flop_registry:
        return int(flop_registry[packet](*call.args, **call.kwargs, out_val=call.output))
    return 0 if is_free(call.operation) else None


def has_formula(operation: Operation) -> bool:
    """Whether `flops_of` knows this operation."""
    in_stock = _out_of_place(operation).overloadpacket in flop_registry
    return operator_of(operation).flops is not None or in_stock or is_free(operation)


@cache
def is_free(operation: Operation) -> bool:
    """Whether an operation is known to be element-wise, a reduction, a view, a copy or an allocation.

    Only torch's own operations are known by their names: a stranger's ``their_library::norm`` may be anything.
    """
    if torch.Tag.pointwise in _out_of_place(operation).tags or operation.namespace == "prim":
        return True
    return operator_of(operation).flops is nothing or (operation.namespace == "aten" and operation.is_view)


def elementwise_of(call: Call) -> int:
    """Element-wise work of one call; 0 for an unknown operation."""
    formula = operator_of(call.operation).elementwise
    if formula is not None:
        return int(formula(call))
    return numbers(call.output) if is_free(call.operation) and not is_view(call.operation) else 0


def log_depth_of(call: Call) -> float:
    """Steps of one call on a machine with as many processors as can be used."""
    formula = operator_of(call.operation).log_depth
    if formula is not None:
        return formula(call)
    return 0.0 if is_view(call.operation) else 1.0


def rule_for(operation: Operation) -> Rule | None:
    """The rule of an operation; None when nobody has one. Strangers are known only if they say they are pointwise."""
    if rule := operator_of(operation).dependencies:
        return rule
    if operation.namespace == "aten" and _name(operation).endswith("_copy"):
        return moved
    return (_named(operation).pointwise_dependencies or merged) if torch.Tag.pointwise in operation.tags else None


def is_smooth(operation: Operation) -> bool:
    """Whether an operation brings zeros only where the structure has them."""
    return operation.is_view or _named(operation).effective is Effect.SMOOTH


def is_view(operation: Operation) -> bool:
    """Whether an operation only looks at the same numbers in another way; some do so without telling the schema."""
    return operation.is_view or operator_of(operation).is_view


def operator_of(operation: Operation) -> Operator:
    """What is known of an operation; an `Operator` without a word where that is nothing."""
    if operation.namespace in _NAMESPACES:
        return _named(operation)
    own = OWN_OPERATORS.get(operation._schema.name)
    return _UNKNOWN if own is None else _own(operation._schema.name, own)


@cache
def _own(name: str, own: OwnOperator) -> Operator:
    """What the author of an operator says of it; all its work is taken for needed."""
    flops, elementwise = (
        None if formula is None else partial(_of_arguments, name, formula) for formula in (own.flops, own.elementwise)
    )
    rule = {True: everything, False: position_by_position, None: None}[own.mixes_positions]
    return Operator(name, flops, elementwise or (nothing if flops else None), None, Effect.ALL_NEEDED, rule)


def _of_arguments(name: str, formula: Callable[..., float], call: Call) -> float:
    try:
        return formula(*call.args, **call.kwargs)
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise LayerError(f"uses {name}, whose formula raised {type(error).__name__}: {said}") from error


def _named(operation: Operation) -> Operator:
    """What is known of whoever has this name, by overload where those of a name differ."""
    name = _name(operation)
    return TABLE.get(f"{name}.{operation._overloadname}") or TABLE.get(name) or _UNKNOWN


def _name(operation: Operation) -> str:
    """Without the underscore of work in place."""
    name: str = operation.overloadpacket.__name__
    return name.rstrip("_")


@cache
def _out_of_place(operation: Operation) -> Operation:
    """The operation that an in-place one stands for, such as ``addmm`` for ``addmm_``; others stand for themselves."""
    name = operation.overloadpacket.__name__
    if operation.namespace != "aten" or not name.endswith("_") or name.endswith("__"):
        return operation
    twin = getattr(torch.ops.aten, name[:-1], None)
    found: Operation = getattr(twin, operation._overloadname, operation)
    return found
