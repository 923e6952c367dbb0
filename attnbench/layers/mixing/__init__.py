"""Layers that mix positions without comparing all pairs of them."""
