"""Layers that read tokens, or cannot be looked at: each check looks at something, or says that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.utils.checkpoint import checkpoint

from attnbench.check.contract import look
from attnbench.check.outcome import Mark, Outcome
from attnbench.layers.base import Layer
from tests.check.bad_layers import Does

_WORDS = 9


class Reads(nn.Module):
    """Looks tokens up, and does with the rows what a test says."""

    def __init__(self, d: int, then: Callable[[Tensor], Any], pick: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(_WORDS, d))
        self._then, self._pick = then, pick

    def forward(self, tokens: Tensor, **more: Tensor) -> Any:
        """``(b, n) → (b, n, d)``, or what `then` makes of that."""
        return self._then(self._pick(tokens, self.table))


def usual(tokens: Tensor, table: Tensor) -> Tensor:
    return nn.functional.embedding(tokens, table)


def drawn(b: int, n: int) -> Tensor:
    return torch.randint(_WORDS, (b, n))


def reads(
    then: Callable[[Tensor], Any] = lambda rows: rows,
    pick: Callable[[Tensor, Tensor], Tensor] = usual,
    inputs: Callable[..., Any] = drawn,
    **more: Any,
) -> Layer:
    return Layer("reads", lambda d: Reads(d, then, pick), inputs=inputs, **more)


def attends(rows: Tensor) -> Tensor:
    return rows + (rows @ rows.mT).softmax(-1) @ rows


def seen(layer: Layer, check: str) -> Outcome:
    (outcome,) = look(layer, check)
    return outcome


def counted(b: int, n: int) -> Tensor:
    return torch.arange(n).expand(b, n) % _WORDS


def named(b: int, n: int) -> dict[str, Tensor]:
    return {
        "positions": torch.arange(n).expand(b, n),
        "tokens": drawn(b, n),
        "mask": torch.ones(b, n, dtype=torch.int32),
    }


def transposed(b: int, n: int) -> Tensor:
    return drawn(b, n).mT


# -------------------------------------------------------------------------------------------------------- causality


@pytest.mark.parametrize("inputs", [drawn, counted, named])
def test_a_model_of_tokens_that_says_causal_and_looks_ahead_is_found_out(inputs: Callable[..., Any]) -> None:
    outcome = seen(reads(attends, inputs=inputs, causal=True), "causality")

    assert outcome.mark is Mark.FAILED
    assert outcome.found == "it says causal, but output 0 depends on input 1 at b=2, n=45, d=9"


@pytest.mark.parametrize(
    ("then", "causal", "mark", "found"),
    [
        (lambda rows: rows.cumsum(1), True, Mark.PASSED, "no output depends on what comes after it, as it says"),
        (lambda rows: rows.cumsum(1), False, Mark.HINT, "no output depends on what comes after it"),
        (lambda rows: (rows, attends(rows)), True, Mark.PASSED, "no output depends on what comes after it, as it says"),
        (
            lambda rows: rows.cumsum(1).argmax(-1),
            True,
            Mark.PASSED,
            "no output depends on what comes after it, as it says",
        ),
        (lambda rows: rows.flip(1).argmax(-1) > 3, False, Mark.PASSED, "outputs depend on what comes after them"),
        (lambda rows: rows, False, Mark.PASSED, "each output depends on its own input only"),
    ],
)
def test_what_outputs_depend_on_is_seen_by_other_tokens(
    then: Callable[[Tensor], Any], causal: bool, mark: Mark, found: str
) -> None:
    outcome = seen(reads(then, causal=causal), "causality")

    assert (outcome.mark, outcome.found) == (mark, found)


def test_the_output_that_is_picked_is_the_one_looked_at() -> None:
    layer = reads(lambda rows: (rows, attends(rows)), output=lambda returned: returned[1], causal=True)

    assert seen(layer, "causality").mark is Mark.FAILED


# ----------------------------------------------------------------------------------------------- nothing looked at


@pytest.mark.parametrize(
    ("check", "layer", "why"),
    [
        ("causality", reads(lambda rows: rows.mean(1), causal=True), "its output (2, 9) has no dimension of n = 45"),
        ("causality", reads(lambda rows: rows * 0, causal=True), "no change of its input changes its output"),
        (
            "causality",
            reads(inputs=lambda b, n: torch.zeros(b, n, dtype=torch.int64), causal=True),
            "inputs() gives the same each time",
        ),
        (
            "causality",
            reads(lambda rows: rows.new_ones(2, 45), inputs=lambda b: drawn(b, 6)),
            "no input has a dimension of n = 45",
        ),
        ("dtype", reads(lambda rows: rows.argmax(-1)), "its output is whole numbers (torch.int64)"),
        ("batch", reads(lambda rows: rows.mean(0)), "its output (15, 8) has no dimension of b = 3"),
        ("batch", reads(inputs=lambda n: drawn(1, n)), "no input has a dimension of b = 3"),
        ("batch", reads(constraints="b > 1"), "its constraints do not let one sequence alone"),
        (
            "gradients",
            reads(pick=lambda tokens, table: tokens.flatten().bincount(minlength=_WORDS).to(table) @ table),
            (
                "which positions gradients reach, for nothing with a dimension of n takes one; "
                "all that there are are finite"
            ),
        ),
    ],
)
def test_a_check_that_could_look_at_nothing_says_so_and_passes_nothing(check: str, layer: Layer, why: str) -> None:
    outcome = seen(layer, check)

    assert (outcome.mark, outcome.found) == (Mark.HINT, f"not looked at: {why}")
    assert outcome.fix


# ------------------------------------------------------------------------------------------------ batch and dtype


def test_a_sequence_of_a_batch_is_found_along_whatever_dimension_it_lies() -> None:
    alone = reads(lambda rows: rows.cumsum(0), inputs=transposed)
    mixed = reads(lambda rows: rows - rows.mean(1, keepdim=True), inputs=transposed)

    assert seen(alone, "batch").mark is Mark.PASSED
    assert seen(mixed, "batch").found == "sequence 1 of 3 gives other numbers alone than in a batch"


def test_an_output_whose_size_follows_the_batch_otherwise_is_one_line() -> None:
    outcome = seen(reads(lambda rows: rows.flatten(0, 1)), "batch")

    assert outcome.mark is Mark.FAILED
    assert outcome.found == "gives (15, 8) for one sequence, and (45, 8) for several"


def test_a_model_of_tokens_has_the_dtype_that_it_was_made_in() -> None:
    assert seen(reads(), "dtype").mark is Mark.PASSED
    assert seen(reads(lambda rows: rows.double()), "dtype").found == "made in float32 comes out in float64"
    assert seen(reads(lambda rows: torch.complex(rows, rows)), "dtype").mark is Mark.PASSED


# -------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    "pick",
    [
        usual,
        lambda tokens, table: table[tokens],
        lambda tokens, table: one_hot(tokens, _WORDS).to(table) @ table,
        lambda tokens, table: usual(tokens.flatten(), table).view(*tokens.shape, -1),
        lambda tokens, table: torch.stack([usual(part, table) for part in tokens.unbind(1)], dim=1),
    ],
)
def test_gradients_are_looked_for_in_what_is_first_made_of_tokens(pick: Callable[[Tensor, Tensor], Tensor]) -> None:
    every, odd = reads(attends, pick), reads(lambda rows: rows[:, 1::2], pick)

    assert seen(every, "gradients").found == "they reach every input position, in what is first made of the tokens"
    assert seen(odd, "gradients").found == "no gradient reaches 23 of 45 input positions (0, 2, 4, 6, …)"


def test_a_layer_of_numbers_without_positions_can_be_trained() -> None:
    layer = Layer("pooled", lambda d: Does(torch.tanh), inputs=lambda b, d: torch.randn(b, 2, d))

    assert seen(layer, "gradients").mark is Mark.HINT
    zero = Layer("pooled", lambda d: Does(lambda x: x * 0), inputs=lambda b, d: torch.randn(b, 2, d))
    assert seen(zero, "gradients").found == "every gradient of weights and inputs is 0"


def test_a_mask_is_no_way_back_to_the_tokens() -> None:
    layer = reads(pick=lambda tokens, table: usual(tokens * 0, table) + (tokens > 3).to(table)[:, :, None])

    assert seen(layer, "gradients").mark is Mark.PASSED  # tokens * 0 are tokens yet, and rows are picked by them
    assert seen(reads(lambda rows: rows.detach()), "gradients").found == "no gradient flows back through it"


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # torch's, of a call without gradients
@pytest.mark.parametrize("modes", [("forward", "train"), ("forward",)])
def test_a_checkpoint_that_is_entered_anew_is_checked_like_any_other(modes: tuple[str, ...]) -> None:
    of_numbers = Layer("anew", lambda d: Does(lambda x: checkpoint(torch.tanh, x, use_reentrant=True)), modes=modes)
    of_tokens = reads(lambda rows: checkpoint(torch.tanh, rows, use_reentrant=True), modes=modes)

    for layer in (of_numbers, of_tokens):
        for check in ("builds and runs", "causality", "batch", "gradients"):
            assert seen(layer, check).mark is Mark.PASSED


def test_a_product_written_into_what_is_there_cannot_be_trained_and_says_so_in_one_row() -> None:
    def writes(x: Tensor) -> Tensor:
        scores = torch.empty(0, dtype=x.dtype)
        torch.matmul(x, x.mT, out=scores)
        return scores.softmax(-1) @ x

    outcome = seen(Layer("out", lambda d: Does(writes)), "gradients")

    assert outcome.mark is Mark.FAILED
    assert "functions with out=... arguments don't support automatic differentiation" in outcome.found
    assert outcome.fix == 'mend forward(), or say modes=("forward",)'


def test_the_size_of_complex_numbers_has_gradients_too() -> None:
    assert seen(reads(lambda rows: torch.complex(rows, rows)), "gradients").mark is Mark.PASSED


def test_numbers_that_are_not_finite_are_not_taken_for_numbers_that_change() -> None:
    layer = Layer("logarithm", lambda d: Does(torch.log))

    assert seen(layer, "finite").mark is Mark.FAILED
    assert seen(layer, "deterministic").mark is Mark.PASSED


# ----------------------------------------------------------------------------------------------------------- decode


class Sums(nn.Module):
    """Running sums of the rows of tokens."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.table = nn.Embedding(_WORDS, d)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """``(b, n) → (b, n, d)``."""
        return {"states": self.table(tokens).cumsum(1)}

    def prefill(self, context: Tensor) -> Tensor:
        """``(b, n) → (b, 1, d)``: the last sum."""
        return self(context)["states"][:, -1:]

    def step(self, token: Tensor, state: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """One token more."""
        return {"states": state + self.table(token)}, state + self.table(token)


def test_a_model_that_decodes_token_by_token_is_compared_with_the_whole_sequence() -> None:
    modes = ("forward", "decode")
    right = Layer("sums", Sums, inputs=lambda b, n: {"tokens": drawn(b, n)}, modes=modes)
    several = Layer("sums", Sums, inputs=named, modes=modes)

    assert seen(right, "decode").found == "a step gives what the whole sequence gives at its end"
    assert seen(several, "decode").found == "it offers decode, but inputs() gives 3 values"
    alone = Layer("sums", Sums, inputs=drawn, modes=modes, constraints="n > 14")
    assert seen(alone, "decode").found == "a step gives what the whole sequence gives at its end"
