"""Pooling over positions and gates that are computed from what was pooled."""
