"""Reporting: figures and pages from tables, never torch."""
