"""Runs that were recorded for the tests of the report, each a packed run folder."""
