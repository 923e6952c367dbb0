"""Executing a plan: who runs it and in which order."""
