"""The section of one layer, and its parts."""
