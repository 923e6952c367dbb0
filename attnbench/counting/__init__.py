"""Counting: exact, deterministic, on fake tensors. No clock, no data."""
