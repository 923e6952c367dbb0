"""Encodings of position, and how they join attention: added to the input, or acting on scores."""
