"""Attention under block masks, by `flex_attention`."""
