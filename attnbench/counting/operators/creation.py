"""Allocations, constants and random draws: they cost nothing, but for a dropout, which is 2 per number."""

from __future__ import annotations

from attnbench.counting.operators.contract.operator import Effect, Operator, each_given, each_taken, nothing
from attnbench.counting.operators.contract.rules import constants, merged

OPERATORS = (
    Operator(
        "empty_like zeros_like ones_like full_like new_empty new_zeros new_ones new_full",
        nothing,
        nothing,
        effective=Effect.SMOOTH,
        dependencies=constants,
        is_allocation=True,
    ),
    Operator("new_empty_strided rand_like randn_like", nothing, nothing, dependencies=constants, is_allocation=True),
    Operator("empty zeros ones full scalar_tensor arange", nothing, nothing, effective=Effect.SMOOTH),
    Operator("zero", nothing, nothing, effective=Effect.SMOOTH, dependencies=constants),
    Operator(
        "empty_strided empty_permuted linspace eye tril_indices triu_indices rand randn randint randperm multinomial",
        nothing,
        nothing,
    ),
    Operator("normal uniform exponential randint_like", nothing, nothing, dependencies=constants),
    Operator("bernoulli", nothing, nothing, dependencies=merged),
    Operator("native_dropout", nothing, each_taken(2), dependencies=merged),
    Operator("native_dropout_backward", nothing, each_given),
)
