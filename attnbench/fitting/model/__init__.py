"""Models of measured values: observations, admissible curves and their weights, breaks, and coefficients of terms."""
