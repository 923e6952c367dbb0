"""Encoder and decoder with additive attention: each step looks over the whole source again.

    h = GRU(x)                                                   the encoder's states, keys and values in one
    e_ti = v · tanh(W s_{t-1} + U h_i),  α_t = softmax_i(e_ti),  c_t = Σ_i α_ti h_i
    s_t = GRU cell([y_{t-1}; c_t], s_{t-1})                      y_0 = 0, s_0 = h_n; y is x itself unless given

n steps that wait for each other, of n·d each: n²·d as in self-attention, and as deep as a recurrence. From a source
position to an output it is one attention. The decoder reads the target (here its own source) as in training; the
encoder goes one way, where the paper's goes both. Source and target have one length.

Source: Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate (2015), section 3.1.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from attnbench.layers.base import Claims, Layer


class EncoderDecoder(nn.Module):
    """A GRU over the source, additive attention, and a GRU cell over target and context."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.encoder = nn.GRU(d, d, batch_first=True, bias=False)
        self.decoder = nn.GRUCell(2 * d, d, bias=False)
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.score = nn.Linear(d, 1, bias=False)

    def forward(self, x: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``: the decoder's states."""
        states, _ = self.encoder(x)  # (b, n, d)
        keys = self.key(states)  # (b, n, d)
        state, outputs = states[:, -1], []
        for word in pad(x if target is None else target, (0, 0, 1, -1)).unbind(1):  # one position later
            scores = self.score((self.query(state)[:, None] + keys).tanh())  # (b, n, 1)
            context = (scores.softmax(dim=1).transpose(1, 2) @ states)[:, 0]  # (b, d)
            state = self.decoder(torch.cat([word, context], dim=-1), state)
            outputs.append(state)
        return torch.stack(outputs, dim=1)


def build(d: int) -> nn.Module:
    """Encoder, decoder and scoring network with `d` hidden units each."""
    return EncoderDecoder(d)


LAYER = Layer(
    name="attention-bahdanau",
    build=build,
    scope="block",
    claims=Claims(
        flops="34*b*n*d**2 + 4*b*n**2*d", parameters="17*d**2 + d", time="n*d**2 + n**2*d", depth="n", hops="1"
    ),
    source="Bahdanau et al. 2015, section 3.1",
)
