"""What figures show, cut out of a run as tables."""
