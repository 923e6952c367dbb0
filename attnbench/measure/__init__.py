"""Measuring: the only room with a clock."""
