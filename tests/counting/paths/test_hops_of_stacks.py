"""Path lengths of several layers in one module, derived by hand: only what moves between positions is a hop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from attnbench.counting.paths.hops import hop_matrix, hops_at
from attnbench.counting.paths.shadow import run
from attnbench.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

N = 5
SIZES = {"b": 1, "n": N, "d": 4}
FURTHER = np.abs(np.subtract.outer(np.arange(N), np.arange(N)))


class Stack(nn.Module):
    """Parts in order, each called on what the one before returned."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            x = part(x)
        return x


class Residual(Stack):
    """x + f(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class Outputs(nn.Module):
    """All states of a recurrence, the directions beside each other or, if wide, summed."""

    def __init__(self, recurrence: nn.RNNBase) -> None:
        super().__init__()
        self.recurrence = recurrence

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.recurrence(x)[0]
        return states[..., :4] + states[..., 4:] if states.shape[2] == 8 else states


class Backwards(Stack):
    """The parts on the sequence turned round."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flip(1)).flip(1)


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(x, x, x)


class Causal(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(x, x, x, is_causal=True)


class Linear(nn.Module):
    """Attention without a softmax: one sum over all positions, which every query reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (x.transpose(1, 2) @ x)


class Kernel(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(4, 4, width, padding=width // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        moved: torch.Tensor = self.kernel(x.transpose(1, 2)).transpose(1, 2)
        return moved


class TwoWindows(nn.Module):
    """Heads that look one and three positions far, mixed by a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        far = (torch.arange(x.shape[1])[:, None] - torch.arange(x.shape[1])).abs()
        heads = zip(x.chunk(2, -1), (1, 3), strict=True)
        seen = [functional.scaled_dot_product_attention(y, y, y, attn_mask=far <= reach) for y, reach in heads]
        mixed: torch.Tensor = self.mix(torch.cat(seen, -1))
        return mixed


class SteppedTogether(nn.Module):
    """Two layers of a recurrence with the loop over time outside: no inner layer is ever a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.LSTMCell(4, 4), nn.GRUCell(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low, high, states = (x.new_zeros(1, 4), x.new_zeros(1, 4)), x.new_zeros(1, 4), []
        for now in x.unbind(1):
            low = self.low(now, low)
            high = self.high(low[0], high)
            states.append(high)
        return torch.stack(states, dim=1)


def both(kind: type[nn.RNNBase], layers: int, width: int = 2, **more: Any) -> nn.Module:
    return Outputs(kind(4, width, layers, batch_first=True, bidirectional=True, **more))


def forwards(kind: type[nn.RNNBase], layers: int = 1) -> nn.Module:
    return Outputs(kind(4, 4, layers, batch_first=True))


#: From the first position to the last only steps of a recurrence lead, in whichever layer or direction.
RECURRENT: dict[str, Callable[[], nn.Module]] = {
    "two layers in both directions": lambda: both(nn.RNN, 2),
    "three layers in both directions": lambda: both(nn.GRU, 3),
    "long short-term memory in both directions": lambda: both(nn.LSTM, 2),
    "projected states": lambda: both(nn.LSTM, 2, 4, proj_size=2),
    "sums of directions": lambda: Stack(both(nn.RNN, 1, 4), both(nn.RNN, 1, 4)),
    "two layers of sums": lambda: both(nn.RNN, 2, 4),
    "three layers in one direction": lambda: forwards(nn.LSTM, 3),
    "there and back": lambda: Stack(forwards(nn.RNN), Backwards(forwards(nn.RNN))),
    "there and back with residuals": lambda: Stack(Residual(forwards(nn.RNN)), Backwards(Residual(forwards(nn.RNN)))),
    "blocks with norms": lambda: Stack(*(Residual(nn.LayerNorm(4), both(nn.RNN, 1)) for _ in range(2))),
    "layers stepped together": SteppedTogether,
    "a feed-forward on top": lambda: Stack(both(nn.RNN, 2), Residual(nn.Linear(4, 4), nn.Tanh())),
}


@pytest.mark.parametrize("build", RECURRENT.values(), ids=RECURRENT)
def test_only_steps_lead_through_a_stack_of_recurrences(build: Callable[[], nn.Module]) -> None:
    found = hops_at(Layer("stack", build), SIZES)

    assert (found.io, found.unknown) == (N - 1, ())


def test_every_pair_of_a_stack_in_both_directions_is_as_many_steps_apart_as_positions() -> None:
    assert (hop_matrix(Layer("stack", lambda: both(nn.GRU, 2)), SIZES) == FURTHER).all()


#: One attention suffices: what stands before or after it is passed on the spot.
ONE_HOP: dict[str, Callable[[], nn.Module]] = {
    "a recurrence after it": lambda: Stack(Attention(), forwards(nn.GRU)),
    "two directions after it": lambda: Stack(Residual(Attention()), both(nn.RNN, 2)),
    "between two recurrences": lambda: Stack(forwards(nn.RNN), Attention(), forwards(nn.RNN)),
    "between directions": lambda: Stack(both(nn.RNN, 1), Attention(), both(nn.LSTM, 1)),
    "causal, before a recurrence": lambda: Stack(Causal(), forwards(nn.RNN)),
    "two of them with residuals": lambda: Stack(Residual(Attention()), Residual(Attention())),
    "a kernel of 3 added": lambda: Stack(Attention(), Residual(Kernel(3))),
    "a kernel added that just covers the sequence": lambda: Stack(Attention(), Residual(Kernel(2 * N - 1))),
    "a kernel of 31 added": lambda: Stack(Attention(), Residual(Kernel(31))),
    "a kernel added on both sides": lambda: Stack(Residual(Kernel(31)), Residual(Attention()), Residual(Kernel(31))),
    "a kernel added after a sum for all": lambda: Stack(Residual(Linear()), Residual(Kernel(31))),
    "a Conformer": lambda: Stack(
        Residual(nn.Linear(4, 4)), Residual(Attention()), Residual(Kernel(31), nn.SiLU()), Residual(nn.Linear(4, 4))
    ),
}


@pytest.mark.parametrize("build", ONE_HOP.values(), ids=ONE_HOP)
def test_one_attention_is_one_hop_whatever_stands_around_it(build: Callable[[], nn.Module]) -> None:
    assert hops_at(Layer("stack", build), SIZES).io == 1


@pytest.mark.parametrize(
    ("build", "io"),
    [
        # Where nothing is added, whatever mixes has to be gone through, by its own position too.
        (lambda: Stack(Attention(), Attention()), 2),
        (lambda: Stack(Attention(), Kernel(3)), 2),
        (lambda: Stack(Attention(), Kernel(31)), 2),
        (lambda: Stack(Kernel(3), Kernel(3)), N - 1),
        # A kernel of 5 goes two positions in one hop, and the steps of a recurrence the rest of the way.
        (lambda: Stack(Kernel(5), both(nn.RNN, 1)), 1 + (N - 1 - 2)),
        # From right to left it takes two such layers, of which the second's kernel may do what steps did.
        (lambda: Stack(Kernel(5), forwards(nn.RNN)), 2),
        (lambda: Stack(forwards(nn.RNN), Kernel(3)), 1 + (N - 1 - 1)),
        (lambda: Stack(Residual(Kernel(3)), Residual(Kernel(3))), N - 1),
        (lambda: Stack(both(nn.RNN, 2), Residual(Kernel(3))), N - 1),
    ],
)
def test_what_mixes_is_a_hop_for_all_that_has_to_pass_through_it(build: Callable[[], nn.Module], io: int) -> None:
    assert hops_at(Layer("stack", build), SIZES).io == io


@pytest.mark.parametrize("n", [4, 5, 8])
def test_the_wider_of_two_windows_that_a_projection_mixes_counts(n: int) -> None:
    assert hops_at(Layer("windows", TwoWindows), {**SIZES, "n": n}).io == math.ceil((n - 1) / 3)


def test_numbers_that_were_at_home_nowhere_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "homes_of", lambda meetings, *_: np.full(len(meetings), -1))

    assert hops_at(Layer("stack", lambda: both(nn.RNN, 2)), SIZES).io > N - 1
    assert hops_at(Layer("stack", lambda: Stack(Attention(), Residual(Kernel(31)))), SIZES).io == 2
