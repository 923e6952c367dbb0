"""Runs on disk: the journal, the run folder and its tables, and the list of runs."""
