"""The families of models that transformers is asked for, with their work, derived by hand from the shapes of weights.

1 multiply-add = 2, and attention is counted in full, masked or not: 2·b·n²·d for the scores and as much for their sum
over the values.
"""

from __future__ import annotations

from attnbench.adapters import configurations
from attnbench.adapters.family import Family, Part

#: h heads; where rotary tables turn pairs of channels, of an even width, and h/g of them share keys and values.
_HEADS = ("d % h == 0",)
_ROTARY_GROUPED = ("d % (2*h) == 0", "h % g == 0")

# Query, key, value and output, d × d each: 4·2·b·n·d². With keys and values of g heads for h: 2·2·b·n·d² and
# 2·2·b·n·d·(d·g/h).
_ATTENTION = "8*b*n*d**2 + 4*b*n**2*d"
_GROUPED = "4*b*n*d**2 + 4*b*n*d**2*g/h + 4*b*n**2*d"
# There and back, d × f and f × d: 2·2·b·n·d·f; with a gate beside it three.
_BLOCK = f"{_ATTENTION} + 4*b*n*d*f"
_GATED_BLOCK = f"{_GROUPED} + 6*b*n*d*f"
# A router of e outputs, and for each position t experts.
_MIXTURE = f"{_GROUPED} + 2*b*n*d*e + t*(6*b*n*d*f)"
# A score of each of v tokens at each position.
_HEAD = "2*b*n*d*v"

# T5's decoder of m positions attends to itself, 8·b·m·d² + 4·b·m²·d, and to the encoder's n: query and output of m
# positions, keys and values of n, and m·n scores.
_T5_DECODER = "8*b*m*d**2 + 4*b*m**2*d + 4*b*m*d**2 + 4*b*n*d**2 + 4*b*m*n*d + 4*b*m*d*f"

# E = 2d channels and a rank of d/16. In 2·b·n·d·2E; along the sequence 2·b·(n+k−1)·E·k, both ends padded and then cut;
# from a channel to rank and states 2·b·n·E·(d/16 + 2m) and from the rank back 2·b·n·(d/16)·E; each step reads m states
# of each channel, 2·b·n·E·m; out 2·b·n·E·d.
_MAMBA = "12*b*n*d**2 + b*n*d**2/2 + 12*b*n*d*m + 4*b*(n + k - 1)*d*k"

# E = 2d channels in h heads. In 2·b·n·d·(2E + 2m + h); along the sequence 2·b·(n+k−1)·(E + 2m)·k; out 2·b·n·E·d. In
# each of n/c chunks scores h·2·c²·m, their sum over the values 2·c²·E, into states and out of them 2·2·c·E·m; and
# between the n/c chunks and the state before the first 2·(n/c + 1)²·E·m.
_MAMBA2 = (
    "12*b*n*d**2 + 4*b*n*d*m + 2*b*n*d*h + 4*b*(n + k - 1)*(d + m)*k"
    " + 2*b*n*c*h*m + 4*b*n*c*d + 8*b*n*d*m + 4*b*(n/c + 1)**2*d*m"
)

# Receptance, key, value and output: 4·2·b·n·d². Then d × f, f × d and a gate of d × d.
_RWKV = "8*b*n*d**2"
_RWKV_BLOCK = "10*b*n*d**2 + 4*b*n*d*f"


# Weights are those matrices without b·n and without the 2; beside them vectors: biases, norms of d (twice d, with a
# bias of their own, but in Llama, T5, Mamba and those after them).
_WEIGHTS = "4*d**2"
_GROUPED_WEIGHTS = "2*d**2 + 2*d**2*g/h"
_MIXTURE_WEIGHTS = f"{_GROUPED_WEIGHTS} + d*e + 3*e*d*f + 2*d"
_MAMBA_WEIGHTS = "6*d**2 + d**2/4 + 6*d*m + 2*d*k + 6*d"  # biases of the convolution and of the steps, A and its D
_MAMBA2_WEIGHTS = "6*d**2 + 2*d*m + d*h + 2*(d + m)*(k + 1) + 3*h + 2*d"  # for each head a step, an A and a D; a norm


def _sum(*terms: str) -> str:
    return " + ".join(term for term in terms if term)


def _model(axes: str, block: str, rest: str = _HEAD) -> Part:
    """A model of l blocks, and what it does beside them."""
    return Part(axes, f"l*({block}) + {rest}")


def _dense(paths: tuple[str, str], vectors: tuple[str, str], model: Part, *, decodes: bool = False) -> dict[str, Part]:
    """Parts of a family with as many heads for keys and values as for queries, and a feed-forward without a gate.

    `paths` lead to its attention and to its block, and `vectors` are the trainable numbers there that no matrix has.
    """
    attention, block = _sum(_WEIGHTS, vectors[0]), _sum(_WEIGHTS, "2*d*f", vectors[1])
    return {
        "attention": Part("h", _ATTENTION, attention, "1", paths[0], decodes),
        "block": Part("hf", _BLOCK, block, "1", paths[1], decodes),
        "model": model,
    }


def _grouped(vectors: str = "") -> dict[str, Part]:
    """Parts of a family made as Llama is, with `vectors` among the trainable numbers of its attention."""
    weights = _sum(_GROUPED_WEIGHTS, vectors)
    return {
        "attention": Part("hg", _GROUPED, weights, "1", "layers.0.self_attn", decodes=True),
        "block": Part("hgf", _GATED_BLOCK, f"{weights} + 3*d*f + 2*d", "1", "layers.0", decodes=True),
        "model": _model("hgflv", _GATED_BLOCK),
    }


def _recurrent(axes: str, work: str, weights: str, hops: str) -> dict[str, Part]:
    """Parts of a family whose blocks are a mixer and a norm."""
    return {
        "mixer": Part(axes, work, weights, hops, "layers.0.mixer"),
        "block": Part(axes, work, f"{weights} + d", hops, "layers.0"),
        "model": _model(axes + "lv", work),
    }


def _as_llama(name: str, source: str, vectors: str = "") -> Family:
    return Family(name, configurations.llama, _grouped(vectors), source, constraints=_ROTARY_GROUPED, needs="rotary")


FAMILIES: dict[str, Family] = {
    "gpt2": Family(
        "GPT2",
        configurations.gpt2,
        _dense(("h.0.attn", "h.0"), ("4*d", "9*d + f"), _model("hflv", _BLOCK), decodes=True),
        "Radford et al. 2019",
        whole="LMHeadModel",
        constraints=_HEADS,
    ),
    "bert": Family(
        "Bert",
        configurations.bert,
        # d × d before the scores of tokens.
        _dense(
            ("encoder.layer.0.attention", "encoder.layer.0"),
            ("6*d", "9*d + f"),
            _model("hflv", _BLOCK, f"2*b*n*d**2 + {_HEAD}"),
        ),
        "Devlin et al. 2018",
        whole="ForMaskedLM",
        constraints=_HEADS,
        causal=False,
    ),
    "llama": _as_llama("Llama", "Touvron et al. 2023"),
    "qwen2": _as_llama("Qwen2", "Yang et al. 2024", "d + 2*d*g/h"),
    "qwen3": _as_llama("Qwen3", "Yang et al. 2025", "2*d/h"),
    "mistral": Family(
        "Mistral",
        configurations.mistral,
        {
            "attention": Part("hgw", _GROUPED, _GROUPED_WEIGHTS, "n/w", "layers.0.self_attn"),
            "block": Part("hgfw", _GATED_BLOCK, f"{_GROUPED_WEIGHTS} + 3*d*f + 2*d", "n/w", "layers.0"),
            "model": _model("hgflvw", _GATED_BLOCK),
        },
        "Jiang et al. 2023",
        constraints=_ROTARY_GROUPED,
        needs="rotary window",
    ),
    "mixtral": Family(
        "Mixtral",
        configurations.mixtral,
        {
            "attention": Part("hg", _GROUPED, _GROUPED_WEIGHTS, "1", "layers.0.self_attn", decodes=True),
            "block": Part("hgfet", _MIXTURE, _MIXTURE_WEIGHTS, "1", "layers.0", decodes=True),
            "model": _model("hgflvet", _MIXTURE),
        },
        "Jiang et al. 2024",
        constraints=(*_ROTARY_GROUPED, "t <= e"),
        needs="rotary",
        draws=True,
    ),
    "t5": Family(
        "T5",
        configurations.t5,
        _dense(
            ("encoder.block.1.layer.0.SelfAttention", "encoder.block.1"),
            ("", "2*d"),
            _model("mhflv", f"{_BLOCK} + {_T5_DECODER}", "2*b*m*d*v"),
        ),
        "Raffel et al. 2019",
        body="EncoderModel",
        whole="ForConditionalGeneration",
        constraints=_HEADS,
        causal=False,
        needs="bias",
        takes="tokens for both sides",
        defaults={"m": 64},
        frame={"l": 2},  # only the first block holds the table of positions; all others are as the second
    ),
    "vit": Family(
        "ViT",
        configurations.vit,
        _dense(
            ("layers.0.attention", "layers.0"),
            ("4*d", "9*d + f"),
            # n patches of 3·16·16 values, then n + 1 positions: the first stands for the whole image, and is pooled.
            _model("hfl", _BLOCK.replace("n", "(n + 1)"), "2*b*n*d*768 + 2*b*d**2"),
        ),
        "Dosovitskiy et al. 2020",
        whole="Model",
        constraints=_HEADS,
        causal=False,
        takes="an image",
    ),
    "whisper": Family(
        "Whisper",
        configurations.whisper,
        _dense(
            ("layers.0.self_attn", "layers.0"),
            ("3*d", "8*d + f"),  # keys have no bias
            # Two convolutions of width 3: 80 bands to d over 2n frames, then d to d at every second of them.
            _model("hfl", _BLOCK, "2*b*(2*n)*80*3*d + 2*b*n*3*d**2"),
        ),
        "Radford et al. 2022, the encoder",
        body="Encoder",
        whole="Encoder",
        constraints=_HEADS,
        causal=False,
        takes="sound",
    ),
    "mamba": Family(
        "Mamba",
        configurations.mamba,
        _recurrent("mk", _MAMBA, _MAMBA_WEIGHTS, "n"),
        "Gu & Dao 2023",
        constraints=("d % 16 == 0",),
        sizes={"n": (3, 4, 5, 6, 7, 9)},
        attends=False,
        draws=True,
    ),
    "mamba2": Family(
        "Mamba2",
        configurations.mamba2,
        _recurrent("hmkc", _MAMBA2, _MAMBA2_WEIGHTS, "1"),
        "Dao & Gu 2024",
        constraints=(
            "2*d % h == 0",
            "n % c == 0",
            "c >= 2",
        ),  # a chunk of one is no matrix, and torch multiplies otherwise
        defaults={"m": 64},
        attends=False,
        draws=True,
    ),
    "rwkv": Family(
        "Rwkv",
        configurations.rwkv,
        {
            "mixer": Part("", _RWKV, "4*d**2 + 5*d", "n", "blocks.1.attention"),
            "block": Part("f", _RWKV_BLOCK, "5*d**2 + 2*d*f + 11*d", "n", "blocks.1"),
            "model": _model("flv", _RWKV_BLOCK),
        },
        "Peng et al. 2023",
        constraints=("l >= 2",),
        frame={"l": 2},  # the first block has a norm more than all others
        sizes={"n": (3, 4, 5, 6, 7, 9)},
        attends=False,
        draws=True,
    ),
}
