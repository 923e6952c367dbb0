"""From a fit to a verdict: what is asked, which trials can answer it, and the equivalence test that does."""
