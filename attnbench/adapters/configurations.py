"""Sizes of a layer → arguments of a configuration of transformers, family by family. Nothing is ever dropped out."""

from __future__ import annotations

from typing import Any

from attnbench.trial import Sizes

#: No token has a meaning of its own, so that a vocabulary may be of any size.
_NO_TOKENS = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}


def llama(sizes: Sizes) -> dict[str, Any]:
    """Configuration of Llama, Qwen2 and Qwen3."""
    return {
        "hidden_size": sizes["d"],
        "num_attention_heads": sizes["h"],
        "num_key_value_heads": sizes["g"],
        "head_dim": sizes["d"] // sizes["h"],
        "intermediate_size": sizes["f"],
        "num_hidden_layers": sizes["l"],
        "vocab_size": sizes["v"],
        "max_position_embeddings": sizes["n"],
        "attention_dropout": 0.0,
        **_NO_TOKENS,
    }


def mistral(sizes: Sizes) -> dict[str, Any]:
    """Configuration of Mistral; transformers counts the position itself to its window."""
    return {**llama(sizes), "sliding_window": sizes["w"] + 1}


def mixtral(sizes: Sizes) -> dict[str, Any]:
    """Configuration of Mixtral, whose products do not depend on what its router says."""
    experts = {"num_local_experts": sizes["e"], "num_experts_per_tok": sizes["t"]}
    return {**llama(sizes), **experts, "sliding_window": None, "experts_implementation": "batched_mm"}


def gpt2(sizes: Sizes) -> dict[str, Any]:
    """Configuration of GPT-2."""
    return {
        "n_embd": sizes["d"],
        "n_head": sizes["h"],
        "n_inner": sizes["f"],
        "n_layer": sizes["l"],
        "n_positions": sizes["n"],
        "vocab_size": sizes["v"],
        **dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0),
        **_NO_TOKENS,
    }


def bert(sizes: Sizes) -> dict[str, Any]:
    """Configuration of BERT."""
    return {
        "hidden_size": sizes["d"],
        "num_attention_heads": sizes["h"],
        "intermediate_size": sizes["f"],
        "num_hidden_layers": sizes["l"],
        "vocab_size": sizes["v"],
        "max_position_embeddings": sizes["n"],
        **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0),
        **_NO_TOKENS,
    }


def t5(sizes: Sizes) -> dict[str, Any]:
    """Configuration of T5, whose decoder is as deep as its encoder."""
    return {
        "d_model": sizes["d"],
        "num_heads": sizes["h"],
        "d_kv": sizes["d"] // sizes["h"],
        "d_ff": sizes["f"],
        "num_layers": sizes["l"],
        "vocab_size": sizes["v"],
        "dropout_rate": 0.0,
        "pad_token_id": 0,
        "eos_token_id": None,
    }


def vit(sizes: Sizes) -> dict[str, Any]:
    """Configuration of ViT on a row of n patches."""
    return {
        "hidden_size": sizes["d"],
        "num_attention_heads": sizes["h"],
        "intermediate_size": sizes["f"],
        "num_hidden_layers": sizes["l"],
        "image_size": (16, 16 * sizes["n"]),
        "patch_size": 16,
        **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0),
    }


def whisper(sizes: Sizes) -> dict[str, Any]:
    """Configuration of Whisper's encoder of n positions, which are every second frame of sound."""
    return {
        "d_model": sizes["d"],
        "encoder_attention_heads": sizes["h"],
        "encoder_ffn_dim": sizes["f"],
        "encoder_layers": sizes["l"],
        "max_source_positions": sizes["n"],
        "num_mel_bins": 80,
        **dict.fromkeys(("dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop"), 0.0),
        **_NO_TOKENS,
    }


def mamba(sizes: Sizes) -> dict[str, Any]:
    """Configuration of Mamba, twice as wide inside."""
    return {
        "hidden_size": sizes["d"],
        "state_size": sizes["m"],
        "conv_kernel": sizes["k"],
        "expand": 2,
        "num_hidden_layers": sizes["l"],
        "vocab_size": sizes["v"],
        **_NO_TOKENS,
    }


def mamba2(sizes: Sizes) -> dict[str, Any]:
    """Configuration of Mamba-2, twice as wide inside, with one group."""
    heads = {"num_heads": sizes["h"], "head_dim": 2 * sizes["d"] // sizes["h"], "n_groups": 1}
    return {**mamba(sizes), **heads, "chunk_size": sizes["c"]}


def rwkv(sizes: Sizes) -> dict[str, Any]:
    """Configuration of RWKV; it would halve weights in its first call, and is told not to."""
    return {
        "hidden_size": sizes["d"],
        "intermediate_size": sizes["f"],
        "num_hidden_layers": sizes["l"],
        "vocab_size": sizes["v"],
        "context_length": sizes["n"],
        "rescale_every": 0,
        **_NO_TOKENS,
    }
