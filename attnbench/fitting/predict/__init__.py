"""What laws say beyond the sizes measured: forecasts, crossovers, and which layer wins where."""
