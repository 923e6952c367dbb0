"""Layers for attnbench."""
