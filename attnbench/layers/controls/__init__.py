"""Layers whose law is known in advance and that mix nothing: controls."""
