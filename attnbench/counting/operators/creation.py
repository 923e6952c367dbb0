"""Allocations, constants and random draws: they cost nothing, but for a dropout, which is 2 per number."""

from __future__ import annotations

from attnbench.counting.operators.contract.costs import each_given, each_taken
from attnbench.counting.operators.contract.operator import Effect, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import merged, new_constants

OPERATORS = (
    costless(
        "empty_like zeros_like ones_like full_like new_empty new_zeros new_ones new_full",
        Effect.SMOOTH,
        dependencies=new_constants,
        is_allocation=True,
    ),
    costless("new_empty_strided rand_like randn_like", dependencies=new_constants, is_allocation=True),
    costless("empty zeros ones full scalar_tensor arange", Effect.SMOOTH),
    costless("zero", Effect.SMOOTH, new_constants),
    costless(
        "empty_strided empty_permuted linspace eye tril_indices triu_indices rand randn randint randperm multinomial"
    ),
    costless("normal uniform exponential randint_like", dependencies=new_constants),
    costless("bernoulli", dependencies=merged),
    Operator("native_dropout", nothing, each_taken(2), dependencies=merged),
    Operator("native_dropout_backward", nothing, each_given),
)
