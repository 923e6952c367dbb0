"""Fitting and judging: knows tables only, never torch."""
