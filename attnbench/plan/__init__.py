"""Planning: where a clock can read a law, decided before the first measurement. No clock, no torch."""
